"""Several replicas train together, and each normalises with the statistics of its own share of the batch.

## What it does

Reports batch normalisation of Keras that is built in the scope of a strategy for several replicas
(`MirroredStrategy`, `TPUStrategy`, …) and trained there without being synchronised. It is reported once for each
program. With PyTorch, reports a model that `DistributedDataParallel` or `DataParallel` trains on batches of 8 or
fewer for each device.

## Why it is bad

A batch of 32 over 8 replicas is normalised in eight groups of 4: the statistics are noisier than the batch size
suggests, and the result depends on the number of devices. With Keras the moving statistics are the average of the
replicas'; with PyTorch they are those of the first one alone, and what the others saw is overwritten.

## When it is not a bug

- The share of each replica is large, say 32 or more, which is why this is a judgement call: synchronised layers
  communicate in every step.
- The strategy is for one device, or turns out to have one replica.

## Example

```python
with tf.distribute.MirroredStrategy().scope():
    model = keras.Sequential([Dense(64), BatchNormalization(), Dense(10)])
```

## Use instead

```python
with tf.distribute.MirroredStrategy().scope():
    model = keras.Sequential([Dense(64), BatchNormalization(synchronized=True), Dense(10)])
```

With PyTorch, `nn.SyncBatchNorm.convert_sync_batchnorm(model)` comes before `DistributedDataParallel`.

## Fix safety

The fix gives every such layer `synchronized=True`. It is unsafe: training becomes another one, and slower. It is only
shown where a layer is not written as a call of its own, and where the program may be for a Keras before 2.12, which
has `tf.keras.layers.experimental.SyncBatchNormalization` instead. For PyTorch it is shown.

## Confirmed by

Nothing: a program is observed as it runs here, and here may be only one device.

## Known limits

How many replicas there are, and how many examples each gets, is not known. Of the strategies only those of
TensorFlow 2 with Keras are known; the towers of TensorFlow 1 are not looked at. With PyTorch, the size of the batches
must stand in the program.

## References

- https://github.com/tensorflow/tensorflow/issues/7439
- https://github.com/tensorflow/tensorflow/issues/18222
- https://github.com/pytorch/pytorch/issues/2584
- Keras: `BatchNormalization`, the argument `synchronized`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from bnlint.analyses.batches import batch_size
from bnlint.analyses.runs import executions, optimized, training_runs
from bnlint.analyses.written import source
from bnlint.dataflow import World
from bnlint.eager import Replicate
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, SetKeyword, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, NormLayer, Run, Trace, Updates

_SYNCHRONISED_SINCE = (2, 12)
_FEW = 8
_CONVERT = (
    "convert the layers with `nn.SyncBatchNorm.convert_sync_batchnorm`, and use `DistributedDataParallel`"
)


class ReplicasWithoutSync(Rule):
    """Each replica normalises on its own."""

    code = "BN702"
    name = "replicas-without-sync"
    group = Group.INFO
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each program once, at the first layer."""
        yield from self._keras(trace)
        yield from self._pytorch(trace)

    def _pytorch(self, trace: Trace) -> Iterator[Finding]:
        trained = [call for call in trace.of(NormCall) if _is_trained(call, trace)]
        for wrapped in trace.of(Replicate):
            for call in trained:
                found = (
                    batch_size(call, trace)
                    if call.layer in wrapped.alone and call.order > wrapped.order
                    else None
                )
                if found is not None and found[0] // (wrapped.devices or 1) <= _FEW:
                    share = max(found[0] // (wrapped.devices or 1), 1)
                    name = wrapped.api.rpartition(".")[2]
                    yield self.finding(
                        wrapped.site,
                        f"under `{name}` each replica normalises with the statistics of its own share of the batch, "
                        f"{share} example{'s' * (share > 1)} or fewer",
                        (
                            Step(call.layer.site, "this layer is not synchronised"),
                            Step(found[1].site, f"a batch has {found[0]} here"),
                            Step(wrapped.site, "trained on several devices from here on"),
                        ),
                        Fix(Applicability.DISPLAY, _CONVERT),
                    )
                    return

    def _keras(self, trace: Trace) -> Iterator[Finding]:
        calls = [call for call in trace.of(NormCall) if _is_alone(call.layer) and _is_trained(call, trace)]
        layers = list(dict.fromkeys(call.layer for call in calls))
        if not layers:
            return
        first = layers[0]
        run = _training_run(calls[0], trace)
        others = len({layer.site for layer in layers}) - 1
        more = f", and so do those of {others} other place{'s' * (others > 1)}" if others else ""
        yield self.finding(
            first.site,
            f"under `{first.strategy}` each replica normalises with the statistics of its own share of the batch{more}",
            (
                Step(first.site, f"built in the scope of `{first.strategy}`, not synchronised"),
                *([Step(run.site, "trained here")] if run is not None else []),
            ),
            _fix(layers, trace),
        )


def _is_alone(layer: NormLayer) -> bool:
    given = layer.arguments.value("synchronized")
    asked = layer.arguments.open if given is None else World().truth(given) is not False
    return bool(layer.strategy) and not asked and layer.api.startswith("keras.layers.BatchNormalization")


def _is_trained(call: NormCall, trace: Trace) -> bool:
    return call.updates is Updates.IN_PLACE and call in optimized(trace) and call.training(World()) is True


def _training_run(call: NormCall, trace: Trace) -> Run | None:
    return next((run for run in training_runs(trace) if call.output in executions(trace)[run]), None)


def _fix(layers: list[NormLayer], trace: Trace) -> Fix:
    if not _has_argument(trace):
        return Fix(Applicability.DISPLAY, "with Keras 2.12 or later, give the layers `synchronized=True`")
    edits: dict[Edit, None] = {}
    for layer in layers:
        written = source(layer.site, trace)
        if written is None or written.at(layer.site, ast.Call) is None:
            return Fix(Applicability.DISPLAY, "give the layers `synchronized=True`")
        edits[SetKeyword(layer.site, "synchronized", "True")] = None
    return Fix(Applicability.UNSAFE, "give the layers `synchronized=True`", tuple(edits))


def _has_argument(trace: Trace) -> bool:
    """Whether the Keras that the program is for certainly has synchronised layers."""
    lowest = (trace.versions.get(name, "") for name in ("keras", "tensorflow"))
    known = (tuple(int(part) for part in re.findall(r"\d+", version)[:2]) for version in lowest)
    return trace.generations.get("keras") == 3 or any(version >= _SYNCHRONISED_SINCE for version in known)
