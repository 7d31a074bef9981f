"""Batch normalisation of one value for each channel.

## What it does

Reports a PyTorch model that is trained on batches of one example (`DataLoader(..., batch_size=1)`, which is also the
default) where a layer in training mode normalises vectors, or maps that were pooled to one position.

## Why it is bad

The mean of one value is the value, and its variance is nothing: nothing would be left but the offset. PyTorch raises
`Expected more than 1 value per channel when training`.

## When it is not a bug

- Maps with several positions: those of one example are a small sample, and the layer becomes an instance norm.
- The model, or that layer, is in evaluation mode.
- Batches that a sampler or a `collate_fn` makes, or an example that is a bag of several (`bag.squeeze(0)`).

## Example

```python
loader = DataLoader(data, batch_size=1, shuffle=True)
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
```

## Use instead

```python
loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True)
```

`drop_last=True` leaves out a last batch that may be as small as that.

## Fix safety

There is none: the size of a batch is the author's to choose.

## Confirmed by

`bnlint run`: PyTorch raised the error before any step had been made, and it ended the program. Later it may be about
an evaluation, or about the last batch.

## Known limits

That the last batch of a larger size has one example depends on how many there are, and is not looked at.

## References

- https://github.com/fastai/fastai/issues/1352
- https://github.com/jfzhang95/pytorch-deeplab-xception/issues/143
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.batches import batches_of, regrouped
from bnlint.analyses.runs import optimized
from bnlint.dataflow import Const, World
from bnlint.eager import Batches
from bnlint.findings import Finding, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_RAISED = re.compile(r"ValueError: Expected more than 1 value per channel when training")


class SingleValueBatch(Rule):
    """There is nothing to take a mean of."""

    code = "BN703"
    name = "single-value-batch"
    group = Group.WARNING
    frameworks = ("pytorch",)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each loader once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            batches = _one_by_one(call, trace) if call.single and call in optimized(trace) else None
            if batches is None or batches.site in seen or call.training(World(call.guards)) is not True:
                continue
            seen.add(batches.site)
            yield self.finding(
                batches.arguments.site("batch_size") or batches.site,
                "a batch of one example leaves this batch norm one value for each channel: training raises an error",
                (
                    Step(batches.site, "a batch has one example"),
                    Step(call.site, "an example has one value for each channel here"),
                ),
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report the call that ended the program."""
        from bnlint.runtime.surroundings import sign_of_evaluation

        site = observed.error_site
        if observed.ended != "exception" or site is None or not _RAISED.match(observed.error):
            return
        restores = any(not checkpoint.writes for checkpoint in observed.checkpoints)
        if not observed.train_steps and not restores and not sign_of_evaluation((site,)):
            yield self.finding(
                site,
                "a batch of one example left a batch norm in training mode one value for each channel: the call raised "
                "`ValueError`, which ended the program",
                (Step(site, "the batch arrived here"),),
            )


def _one_by_one(call: NormCall, trace: Trace) -> Batches | None:
    """The batches of one example that a layer normalises."""
    found = batches_of(call.forward, trace) if call.forward is not None else None
    alone = found is not None and isinstance(found.size, Const) and found.size.value == 1
    return found if alone and not regrouped(call.forward.inputs if call.forward else ()) else None
