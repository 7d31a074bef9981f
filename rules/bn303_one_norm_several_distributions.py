"""One batch-norm layer that normalises tensors of several distributions.

## What it does

Reports a layer of PyTorch that is applied more than once in one call of a model, in training mode, to tensors that
different layers computed, or to something that was computed from its own output: one instance for several depths, or
for all steps of time.

## Why it is bad

In training each application normalises with the statistics of its own batch. The moving statistics are an average over
all of them, and describe none: evaluation is wrong at every place, however long the model was trained.

## When it is not a bug

- The layer keeps no moving statistics (`track_running_stats=False`).
- Branches that share all of their weights see data of the same kind, as siamese networks do.
- Only one of the applications happens in each call.

## Example

```python
def forward(self, x):
    x = torch.relu(self.bn(self.conv1(x)))
    return torch.relu(self.bn(self.conv2(x)))
```

## Use instead

```python
def forward(self, x):
    x = torch.relu(self.bn1(self.conv1(x)))
    return torch.relu(self.bn2(self.conv2(x)))
```

## Fix safety

There is no fix: each place needs a layer of its own, and existing checkpoints have one.

## Confirmed by

`bnlint run`: in one forward pass in training mode the layer was applied to what other layers computed, or to what was
computed from its own output, and the means of the batches were apart (RP6). Executed with torch 2.13: after 400 passes
with fixed weights the outputs of training and evaluation differ by 0.66, with a layer for each place by 0.0005.

## Known limits

Separate calls of a model on data of several domains, as of real and generated samples, are not reported: many of them
are meant.

## References

- https://github.com/pytorch/pytorch/issues/1738
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Node, Op, Unknown, Value, World, sources
from bnlint.findings import Finding, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Forward, NormCall, NormLayer, Origin, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class OneNormSeveralDistributions(Rule):
    """A layer is applied at several places of a model."""

    code = "BN303"
    name = "one-norm-several-distributions"
    group = Group.INFO

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once."""
        seen: set[Location] = set()
        for forward in trace.of(Forward):
            for calls in _applied_often(forward):
                layer = calls[0].layer
                found = _different(calls) if layer.site not in seen else None
                if found is not None:
                    seen.add(layer.site)
                    yield self._finding(layer, *found)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each layer once."""
        from bnlint.runtime.lives import somewhere
        from bnlint.runtime.strangers import shared

        seen: set[Location] = set()
        for life, first, again in shared(observed):
            built, site = life.site(observed), somewhere(observed, again.passage.site, again.run.site)
            if built in seen:
                continue
            seen.add(built)
            yield self.finding(
                site,
                f"`{life.layer.name}` normalised several things in one forward pass, and the means of a channel were "
                f"up to {again.passage.apart:.2g} standard deviations apart: its moving statistics are right at none",
                (
                    Step(built, "one layer with one running mean and variance is built here"),
                    Step(somewhere(observed, first.passage.site, first.run.site), "applied here"),
                    Step(site, "applied to something else here in the same forward pass"),
                ),
            )

    def _finding(self, layer: NormLayer, first: NormCall, second: NormCall) -> Finding:
        again = _depends(second, first)
        what = "something computed from its own output" if again else "the output of another layer"
        return self.finding(
            second.site,
            f"this batch norm is applied to {what} as well: its moving statistics are an average over all of these "
            "places and right at none",
            (
                Step(layer.site, "one layer with one running mean and variance is built here"),
                Step(first.site, "applied here"),
                Step(second.site, f"applied here to {what}"),
            ),
        )


def _applied_often(forward: Forward) -> Iterator[list[NormCall]]:
    """The applications of each layer that learns from several of them in one call of a model."""
    found: dict[NormLayer, list[NormCall]] = {}
    for call in forward.norms:
        if call.origin is Origin.MODE and call.updates is Updates.IN_PLACE:
            if call.training(World(forward.guards)) is True:
                found.setdefault(call.layer, []).append(call)
    return (calls for calls in found.values() if len(calls) > 1)


def _different(calls: list[NormCall]) -> tuple[NormCall, NormCall] | None:
    """Two applications to tensors of different distributions."""
    for first, second in itertools.combinations(calls[:8], 2):
        if not World(first.guards).allows(second.guards):
            continue
        if _depends(second, first):
            return first, second
        one, other = _makers((first.input,)), _makers((second.input,))
        if one and other and not one & other:
            return first, second
    return None


def _depends(second: NormCall, first: NormCall) -> bool:
    return first.output in sources((second.input,))


def _makers(values: Iterable[Value]) -> set[object]:
    """The layers with weights that computed values, the nearest ones; none if not all is known."""
    found: set[object] = set()
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Node) and value.op in (Op.WEIGHTED, Op.NORM):
            found.add(value.attrs["call"].layer if value.op == Op.NORM else value.attrs.get("layer"))
        elif isinstance(value, Node):
            pending.extend(value.inputs)
        elif isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            pending.extend(value.sources)
    return found - {None}
