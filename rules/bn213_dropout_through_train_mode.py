"""A trained PyTorch model is put into training mode to sample with dropout, and its batch normalisation with it.

## What it does

Reports a `train()` after which a model is only called to sample predictions, as Monte Carlo dropout does, while batch
normalisation in the model is in training mode, too.

## Why it is bad

Dropout is to be on, batch normalisation is not: it normalises with the statistics of the batch for which the
uncertainty is asked, so that a sample depends on the others, and each of the passes moves the moving statistics towards
that batch. Later evaluations of the same model are wrong.

## When it is not a bug

- Only the dropout layers are put into training mode, or batch normalisation is put back into evaluation mode.
- There is no batch normalisation in the model, or no dropout layer.
- The model is trained in that mode.

## Example

```python
model.train()
with torch.no_grad():
    samples = torch.stack([model(x) for _ in range(50)])
```

## Use instead

```python
model.eval()
for module in model.modules():
    if isinstance(module, nn.Dropout):
        module.train()
with torch.no_grad():
    samples = torch.stack([model(x) for _ in range(50)])
```

## Fix safety

The samples change, and dropout that is a function of `self.training` is off afterwards: the fix is unsafe.

## Confirmed by

`bnlint run`: in an evaluation one line gave the same input to a model again and again while dropout was on, and the
output of batch normalisation, put into training mode by a `train()`, is the formula with the statistics of the batch
(RP4). It says as well whether the moving statistics moved.

## Known limits

A call samples if a loop gives it the same input in each round, or if a function around it is called so. Dropout layers
must be known.

## References

- https://github.com/lightning-uq-box/lightning-uq-box/pull/173
- https://github.com/RelationRx/pyrelational/pull/4
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.runs import executions
from bnlint.analyses.sampling import sampling_switch
from bnlint.analyses.written import bound, is_plain, source
from bnlint.findings import (
    Applicability,
    Finding,
    Fix,
    Group,
    InsertStatement,
    Location,
    ReplaceExpression,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import Forward, ModeSwitch, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_ONLY_DROPOUT = """for module in {model}.modules():
    if module.__class__.__name__.startswith("Dropout"):
        module.train()"""


class DropoutThroughTrainMode(Rule):
    """Batch norm in training mode, because dropout is wanted."""

    code = "BN213"
    name = "dropout-through-train-mode"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.UNSAFE,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each switch once."""
        seen: set[Location] = set()
        for run in executions(trace):
            switch = sampling_switch(run, trace) if run.forward is not None else None
            if switch is not None and run.forward is not None and switch.site not in seen:
                seen.add(switch.site)
                yield self._finding(switch, run.forward, trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each switch once."""
        from bnlint.runtime.lives import many, place_of, somewhere
        from bnlint.runtime.modules import sampled_by_batch

        seen: set[Location] = set()
        for wrong in sampled_by_batch(observed):
            site = somewhere(observed, wrong.seen.passage.phase_site)
            if site not in seen:
                seen.add(site)
                moved = wrong.seen.passage.moved
                yield self.finding(
                    site,
                    f"this switched on batch norm together with dropout: {many(wrong.seen.run.count, 'prediction')} "
                    "used the statistics of the batch" + (", and moved the stored ones" if moved else ""),
                    (
                        Step(wrong.life.site(observed), "this layer goes into training mode, too"),
                        Step(site, "put into training mode here"),
                        Step(
                            place_of(wrong.seen.run, observed),
                            "the same input is predicted again and again here",
                        ),
                    ),
                )

    def _finding(self, switch: ModeSwitch, forward: Forward, trace: Trace) -> Finding:
        return self.finding(
            switch.site,
            "this switches on batch norm together with dropout: each sampled prediction uses the statistics of its "
            "batch, and moves the stored ones",
            (
                Step(forward.norms[0].layer.site, "this layer goes into training mode, too"),
                Step(switch.site, "put into training mode here"),
                Step(forward.site, "predictions are sampled here"),
            ),
            _fix(switch, trace),
        )


def _fix(switch: ModeSwitch, trace: Trace) -> Fix:
    message = "switch on the dropout layers alone"
    written = source(switch.site, trace)
    call = written.at(switch.site, ast.Call) if written is not None else None
    if written is None or call is None or not isinstance(call.func, ast.Attribute):
        return Fix(Applicability.DISPLAY, message)
    model = call.func.value
    alone = isinstance(written.parent(call), ast.Expr)
    if not alone or not is_plain(model) or bound("module", written.scope(call)):
        return Fix(Applicability.DISPLAY, message)
    text = ast.unparse(model)
    edits = (
        ReplaceExpression(switch.site, f"{text}.eval()"),
        InsertStatement(switch.site, _ONLY_DROPOUT.format(model=text), after=True),
    )
    return Fix(Applicability.UNSAFE, message, edits)
