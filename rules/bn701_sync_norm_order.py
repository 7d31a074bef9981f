"""Batch normalisation that is meant to be synchronised, and is not.

## What it does

Reports three ways in which PyTorch's `SyncBatchNorm` comes to nothing: the result of `convert_sync_batchnorm` is
thrown away though the module is itself such a layer; a layer is added to the model after the conversion; the
converted model is wrapped by `DataParallel` in a program that starts no process group.

## Why it is bad

The program says that the statistics are those of the whole batch. Each device goes on normalising its own share, and
nothing says so.

## When it is not a bug

- The result is thrown away and the layers are inside the module: those are replaced in it.
- The conversion comes after `DistributedDataParallel`: the new layers take over the parameters and buffers that it
  knows.
- Layers that are added later, and are not trained.
- Only a part of the model is converted, and the rest is not meant to be.

## Example

```python
model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
model.head = nn.Sequential(nn.Linear(512, 64), nn.BatchNorm1d(64))
model = DistributedDataParallel(model, device_ids=[rank])
```

## Use instead

```python
model.head = nn.Sequential(nn.Linear(512, 64), nn.BatchNorm1d(64))
model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
model = DistributedDataParallel(model, device_ids=[rank])
```

## Fix safety

The fix is shown: training becomes another one.

## Confirmed by

Nothing: a run is observed on the devices that are there. Executed with torch 2.13: a layer that is given to
`convert_sync_batchnorm` comes back as another object and is itself unchanged, and without a process group the new
layer normalises like a plain one.

## Known limits

Layers of Apex and of other libraries are not known.

## References

- PyTorch: `torch.nn.SyncBatchNorm.convert_sync_batchnorm`.
- https://github.com/determined-ai/determined/issues/5648
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.analyses.runs import optimized
from bnlint.eager import Replicate, Synchronise
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormLayer, Trace

_START = ("init_process_group", "init_distributed_mode", "Accelerator", "horovod", "hvd")
"""What may start a process group."""


class SyncNormOrder(Rule):
    """The conversion comes too early, is thrown away, or has no group to work in."""

    code = "BN701"
    name = "sync-norm-order"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        seen: set[Location] = set()
        conversions = list(trace.of(Synchronise))
        findings = [
            *(self._thrown_away(event) for event in conversions if _is_thrown_away(event, trace)),
            *(
                finding
                for wrapped in trace.of(Replicate)
                for finding in (
                    *self._without_group(wrapped, trace),
                    *self._added(wrapped, conversions, trace),
                )
            ),
        ]
        for finding in findings:
            if finding.location not in seen:
                seen.add(finding.location)
                yield finding

    def _thrown_away(self, event: Synchronise) -> Finding:
        return self.finding(
            event.site,
            "the synchronised layer that this gives is thrown away: a batch norm that is not inside another module is "
            "not replaced",
            (
                Step(event.layers[0].site, "this layer stays as it is"),
                Step(event.site, "converted here, in vain"),
            ),
            Fix(Applicability.DISPLAY, "use what the call gives"),
        )

    def _without_group(self, wrapped: Replicate, trace: Trace) -> Iterator[Finding]:
        if (
            wrapped.api != "torch.nn.DataParallel"
            or not wrapped.synchronised
            or any(map(trace.mentions, _START))
        ):
            return
        layer = _trained(wrapped.synchronised, trace)
        if layer is not None:
            yield self.finding(
                wrapped.site,
                "`SyncBatchNorm` does not synchronise the devices of `DataParallel`: it needs a process for each",
                (
                    Step(layer.site, "this layer is synchronised between processes"),
                    Step(wrapped.site, "here one process drives all devices"),
                ),
                Fix(
                    Applicability.DISPLAY,
                    "start a process for each device, and use `DistributedDataParallel`",
                ),
            )

    def _added(self, wrapped: Replicate, conversions: list[Synchronise], trace: Trace) -> Iterator[Finding]:
        before = [
            each for each in conversions if each.order < wrapped.order and each.target is wrapped.target
        ]
        if not before or not wrapped.synchronised or wrapped.api == "torch.nn.DataParallel":
            return
        last = before[-1]
        layer = _trained(tuple(each for each in wrapped.alone if each.order > last.order), trace)
        if layer is not None:
            yield self.finding(
                layer.site,
                "this layer is added after the others were made synchronised: each process normalises it on its own",
                (
                    Step(last.site, "converted here"),
                    Step(layer.site, "added here"),
                    Step(wrapped.site, "trained on several devices from here on"),
                ),
                Fix(Applicability.DISPLAY, "convert the model when all its layers are there"),
            )


def _trained(layers: tuple[NormLayer, ...], trace: Trace) -> NormLayer | None:
    trained = {call.layer for call in optimized(trace)}
    return next((layer for layer in layers if layer in trained), None)


def _is_thrown_away(event: Synchronise, trace: Trace) -> bool:
    frame = event.context.frame
    return event.result is not event.target and any(
        isinstance(node, ast.Expr) and frame.locate(node.value) == event.site
        for path, tree in zip(trace.files, trace.trees, strict=False)
        if path == frame.module
        for node in ast.walk(frame.node or tree)
    )
