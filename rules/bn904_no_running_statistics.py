"""Batch normalisation of PyTorch that keeps no running statistics.

## What it does

Reports a layer that is made with `track_running_stats=False` and applied.

## Why it is bad

In evaluation mode, too, the layer normalises with the mean and variance of the batch. What is predicted for one sample
depends on the others of its batch; a batch of one gives nonsense or an error, and an exported model has the same
weakness.

## When it is not a bug

- Every batch is meant to have its own statistics: meta-learning, test-time adaptation, style transfer, the search for
  architectures.
- Evaluation always takes large batches that are mixed like those of training.

## Example

```python
norm = nn.BatchNorm2d(64, track_running_stats=False)
```

## Use instead

```python
norm = nn.BatchNorm2d(64)
```

## Fix safety

The fix lets the layer keep statistics. They have to be learned, and checkpoints of the old model do not have them: it
is unsafe.

## Confirmed by

`bnlint run`: in an evaluation, in evaluation mode, the output is the formula with the statistics of the batch (RP4),
and there are no others.

## Known limits

Only layers that are made so are looked at. Setting the attribute later does something else: evaluation goes on to use
the statistics that are there, and they no longer move.

## References

- https://github.com/pytorch/pytorch/issues/30294
- https://github.com/pytorch/pytorch/issues/75252
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.dataflow import Const
from bnlint.findings import (
    Applicability,
    Finding,
    Fix,
    Group,
    Location,
    RemoveArgument,
    ReplaceExpression,
    Step,
)
from bnlint.phase import deliberate
from bnlint.rule import Rule
from bnlint.trace import Arguments, NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_TRACKS = "track_running_stats"


class NoRunningStatistics(Rule):
    """Every batch is normalised by itself, in evaluation too."""

    code = "BN904"
    name = "no-running-statistics"
    group = Group.INFO
    frameworks = ("pytorch",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place where such layers are made once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            layer = call.layer
            given = layer.arguments.value(_TRACKS) if layer.framework == "pytorch" else None
            if not isinstance(given, Const) or given.value is not False or layer.site in seen:
                continue
            if deliberate((call.context, layer.context)) is None:
                seen.add(layer.site)
                yield self.finding(
                    layer.site,
                    "batch norm without running statistics: in evaluation, too, the output for a sample depends on the "
                    "rest of its batch",
                    (
                        Step(layer.site, "this layer keeps no statistics"),
                        Step(call.site, "it is applied here, in either mode to one batch by itself"),
                    ),
                    _fix(layer.arguments),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place where such layers are made once."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.modules import evaluated_without_averages

        seen: set[Location] = set()
        for wrong in evaluated_without_averages(observed):
            site = wrong.life.site(observed)
            if site not in seen:
                seen.add(site)
                yield self.finding(
                    site,
                    f"`{wrong.life.layer.name}` keeps no running statistics: in evaluation mode its output depended on "
                    f"the rest of the batch in {many(wrong.seen.run.count, 'evaluation')}",
                    (
                        Step(site, "this layer keeps no statistics"),
                        Step(place_of(wrong.seen.run, observed), "evaluated here"),
                    ),
                )


def _fix(arguments: Arguments) -> Fix:
    site, value = arguments.site(_TRACKS), arguments.value(_TRACKS)
    if site is None or not isinstance(value, Const) or value.site != site:
        return Fix(Applicability.DISPLAY, "let the layer keep statistics where it is said that it does not")
    edit = ReplaceExpression(site, "True") if _TRACKS in arguments.positional else RemoveArgument(site)
    return Fix(Applicability.UNSAFE, "let the layer keep running statistics", (edit,))
