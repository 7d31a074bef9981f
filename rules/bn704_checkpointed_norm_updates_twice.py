"""Batch normalisation inside an activation checkpoint counts every batch twice.

## What it does

Reports `torch.utils.checkpoint.checkpoint`, and `checkpoint_sequential`, of a function or module in which batch
normalisation is in training mode and moves its averages with the default momentum.

## Why it is bad

The part is computed a second time for the gradients, and each time the layer adds the batch to its moving averages:
with a momentum of 0.1 they move by 0.19. The gradients are right. The averages are noisier than elsewhere in the
model, and evaluation uses them.

## When it is not a bug

- The layer is in evaluation mode, or keeps no averages.
- Its momentum was chosen for it: 1 - sqrt(1 - 0.1), which is 0.0513, gives what 0.1 gives elsewhere.
- The last segment of `checkpoint_sequential` is computed once.
- Wrappers of other libraries (FairScale) suspend the updates of the second pass.

## Example

```python
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(64)

    def forward(self, x):
        return checkpoint(self.norm, x, use_reentrant=False)
```

## Use instead

```python
        self.norm = nn.BatchNorm2d(64, momentum=0.0513)
```

## Fix safety

The fix is shown: another momentum makes other averages, also where the layer is not inside a checkpoint.

## Confirmed by

`bnlint run`: the layer ran again for the backward pass and moved its averages again, with the default momentum (RP6).

## Known limits

Functions out of code that is not known are left alone, and so is `checkpoint_sequential` with a number of segments
that is not known.

## References

- https://github.com/pytorch/pytorch/issues/62471
- https://github.com/facebookresearch/fairscale/issues/1035
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.runs import optimized
from bnlint.dataflow import Const, World
from bnlint.eager import Recomputed
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_DEFAULT = 0.1
_FIX = Fix(
    Applicability.DISPLAY,
    "give the layers in the checkpoint `momentum=0.0513`, of which two steps are one of the default 0.1",
)


class CheckpointedNormUpdatesTwice(Rule):
    """The second computation moves the averages once more."""

    code = "BN704"
    name = "checkpointed-norm-updates-twice"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each checkpoint once."""
        seen: set[Location] = set()
        for event in trace.of(Recomputed):
            call = next((norm for norm in event.norms if _counts_twice(norm, trace)), None)
            if call is None or event.site in seen:
                continue
            seen.add(event.site)
            yield self.finding(
                event.site,
                "batch norm inside an activation checkpoint adds every batch to its moving averages twice",
                (
                    Step(call.layer.site, "this layer is built here, with the default momentum"),
                    Step(call.site, "in training mode here"),
                    Step(event.site, "computed once for the output and once for the gradients"),
                ),
                _FIX,
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each checkpoint once."""
        from bnlint.runtime.lives import place_of
        from bnlint.runtime.symptoms import counted_twice

        seen: set[Location] = set()
        for life, trained in counted_twice(observed):
            site = trained.passage.checkpoint or place_of(trained.run, observed)
            if site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"`{life.layer.name}` moved its averages {trained.passage.updates:g} times in each training step, once "
                "more for what was computed again",
                (
                    Step(life.site(observed), "this layer is built here, with the default momentum"),
                    Step(site, "computed once for the output and once for the gradients"),
                ),
            )


def _counts_twice(call: NormCall, trace: Trace) -> bool:
    momentum = call.layer.arguments.value("momentum")
    default = (
        not call.layer.arguments.open
        if momentum is None
        else isinstance(momentum, Const) and (momentum.value == _DEFAULT)
    )
    return (
        default
        and call.updates is Updates.IN_PLACE
        and call in optimized(trace)
        and call.training(World(call.guards)) is True
    )
