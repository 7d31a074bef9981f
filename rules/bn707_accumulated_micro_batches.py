"""Gradients are gathered over several small batches, and each of them is normalised on its own.

## What it does

Reports a PyTorch program that calls `backward()` for batches of fewer than 32 examples, whose size it says itself,
and lets the optimizer take a step only after several of them, with batch normalisation in training mode in the model.

## Why it is bad

Eight batches of 4 are not a batch of 32 for batch normalisation: each of 4 is normalised by its own, noisy
statistics. The moving averages move eight times for each step. More accumulation does not make up for small batches.

## When it is not a bug

- Small batches are all that fits into the memory, and they do well enough, which is why this is a judgement call.
- There is a step for each batch, or one of several optimizers takes one.
- The layers are in evaluation mode.

## Example

```python
loader = DataLoader(data, batch_size=4, shuffle=True)
for i, (x, y) in enumerate(loader):
    (criterion(model(x), y) / 8).backward()
    if (i + 1) % 8 == 0:
        optimizer.step()
        optimizer.zero_grad()
```

## Use instead

```python
model = Net(norm=lambda channels: nn.GroupNorm(8, channels))
```

## Fix safety

There is none: it takes more memory, several devices with `SyncBatchNorm`, or another normalisation.

## Confirmed by

`bnlint run`: several forward passes from one line, each with a backward pass of its own, went into one step, and each
moved the averages by the statistics of fewer than 32 examples (RP6).

## Known limits

Whatever has a method `step` counts as an optimizer where it is not known. Trainers of libraries are not looked into.

## References

- https://github.com/pytorch/pytorch/issues/46516
- https://github.com/andreped/GradientAccumulator/issues/6
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.batches import batch_size
from bnlint.dataflow import Const, Node, Op, Value, World, sources
from bnlint.eager import Applied, Batches
from bnlint.findings import Finding, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace, TrainStep, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_ENOUGH = 32


class AccumulatedMicroBatches(Rule):
    """The optimizer sees a large batch, and the layers see small ones."""

    code = "BN707"
    name = "accumulated-micro-batches"
    group = Group.INFO
    frameworks = ("pytorch",)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each `backward()` once."""
        steps = list(trace.of(Applied))
        seen: set[Location] = set()
        for backward in trace.of(TrainStep):
            if not steps or not backward.eager or backward.site in seen:
                continue
            if not all(_comes_later(step, backward) for step in steps):
                continue
            found = _small(backward, trace)
            if found is not None:
                seen.add(backward.site)
                yield self._finding(backward, steps[0], *found)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each call of the model once."""
        from bnlint.runtime.lives import lives, many, place_of, place_of_step
        from bnlint.runtime.observed import Mode
        from bnlint.runtime.symptoms import is_meant

        seen: set[Location] = set()
        for life in lives(observed):
            for trained in life.trained_by(Mode.BATCH):
                run, passage = trained.run, trained.passage
                site = place_of(run, observed)
                small = 0 < passage.batch < _ENOUGH and passage.moved
                if run.gathered < 2 or not small or site in seen or is_meant(life, run):
                    continue
                seen.add(site)
                yield self.finding(
                    site,
                    f"the gradients of {run.gathered:,} batches went into one step, and `{life.layer.name}` used the "
                    f"statistics of {many(passage.batch, 'example')} at a time",
                    (
                        Step(life.site(observed), "each batch is normalised on its own by this layer"),
                        Step(site, "the model is called for each batch"),
                        Step(
                            place_of_step(run, observed),
                            "the optimizer takes a step only after several batches",
                        ),
                    ),
                )

    def _finding(
        self, backward: TrainStep, step: Applied, call: NormCall, size: int, batches: Batches
    ) -> Finding:
        return self.finding(
            backward.site,
            f"gradients are gathered over several batches, and batch norm uses the statistics of {size} "
            f"example{'s' * (size > 1)} at a time",
            (
                Step(batches.site, f"a batch has {size}"),
                Step(call.layer.site, "each batch is normalised on its own by this layer"),
                Step(backward.site, "its gradients are added here"),
                Step(step.site, "the optimizer takes a step only after several batches"),
            ),
        )


def _comes_later(step: Applied, backward: TrainStep) -> bool:
    """Whether a step of an optimizer is taken for several gradients: not in each round, or after the loop."""
    loops, inner = step.context.loops, backward.context.loops
    if loops != inner:
        return len(loops) < len(inner) and inner[: len(loops)] == loops and step.order > backward.order
    own = [guard for guard in step.guards if guard not in backward.guards]
    return bool(loops) and any(outcome and _is_every_so_often(condition) for condition, outcome in own)


def _is_every_so_often(condition: Value) -> bool:
    """Whether a condition compares with a number, as ``i % 8 == 0`` does."""
    if not isinstance(condition, Node):
        return False
    if condition.op == Op.OR:
        return any(map(_is_every_so_often, condition.inputs))
    right = condition.inputs[1] if condition.op == Op.EQUAL else None
    return isinstance(right, Const) and type(right.value) is int


def _small(backward: TrainStep, trace: Trace) -> tuple[NormCall, int, Batches] | None:
    """A layer that is trained on few examples at a time, how many, and what says so."""
    for value in sources((backward.loss,)) if backward.loss is not None else ():
        call = value.attrs["call"] if isinstance(value, Node) and value.op == Op.NORM else None
        if (
            call is None
            or call.updates is not Updates.IN_PLACE
            or call.training(World(call.guards)) is not True
        ):
            continue
        found = batch_size(call, trace)
        if found is not None and found[0] < _ENOUGH:
            return call, *found
    return None
