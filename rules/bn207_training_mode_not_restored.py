"""A PyTorch model that is put into evaluation mode inside the training loop and is trained so from then on.

## What it does

Reports an `eval()` after which the same training step runs that ran in training mode before, without a `train()` in
between: from the second epoch, or from the first validation inside an epoch, batch normalisation is in evaluation mode.

## Why it is bad

The rest of the training normalises with statistics that no longer move, without batch noise and without dropout. The
loss goes on falling, and the published number of epochs means something else.

## When it is not a bug

- `train()` is called before the next step, in the loop or in the function that trains.
- The layers are kept in evaluation mode on purpose from the first step on.

## Example

```python
model.train()
for epoch in range(epochs):
    for x, y in loader:
        step(model, x, y)
    validate(model)  # calls model.eval()
```

## Use instead

```python
for epoch in range(epochs):
    model.train()
    for x, y in loader:
        step(model, x, y)
    validate(model)
```

## Fix safety

Published models were trained with this bug, and some did better: the fix is shown.

## Confirmed by

Not yet: the observer of PyTorch is to come.

## Known limits

Loops are followed for two rounds. A validation that happens only under a condition is left alone.

## References

- https://github.com/wkentaro/pytorch-fcn/issues/57
- https://github.com/fartashf/vsepp/issues/4
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.dataflow import Const
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.forwards import results
from bnlint.rule import Rule
from bnlint.runs import executions, training_runs
from bnlint.trace import Forward, ModeSwitch, NormCall, Origin, Trace, TrainStep

_FIX = Fix(Applicability.DISPLAY, "call `train()` on the model before the next training step")


class TrainingModeNotRestored(Rule):
    """Training goes on in evaluation mode."""

    code = "BN207"
    name = "training-mode-not-restored"
    group = Group.ERROR
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each switch once."""
        if not any(step.eager for step in trace.of(TrainStep)):
            return
        first: dict[tuple[object, Location], NormCall] = {}
        seen: set[Location] = set()
        learned = _learned(trace)
        for forward in trace.of(Forward):
            calls = [call for call in forward.norms if call.origin is Origin.MODE]
            if not calls or forward not in learned:
                continue
            key = (forward.target, forward.site)
            modes = {call.phase.value if isinstance(call.phase, Const) else None for call in calls}
            if modes == {True}:
                first.setdefault(key, calls[0])
            elif modes == {False} and key in first:
                switch = _switched_off(forward, trace)
                if switch is not None and switch.site not in seen:
                    seen.add(switch.site)
                    yield self._finding(switch, forward, first[key])

    def _finding(self, switch: ModeSwitch, forward: Forward, call: NormCall) -> Finding:
        return self.finding(
            switch.site,
            "the model is put into evaluation mode and is trained on so: its batch norm uses statistics that no longer "
            "move",
            (
                Step(call.layer.site, "this layer is built here"),
                Step(forward.site, "trained here, first in training mode"),
                Step(switch.site, "put into evaluation mode here, and never back before the next step"),
            ),
            _FIX,
        )


def _learned(trace: Trace) -> set[Forward]:
    """The calls that a train step was made for: of each model at each place the last one before it."""
    found: set[Forward] = set()
    for run in training_runs(trace):
        nodes = executions(trace)[run].nodes
        latest: dict[tuple[object, Location], Forward] = {}
        for forward in trace.of(Forward):
            if forward.order < run.order and any(value in nodes for value in results(forward)):
                latest[forward.target, forward.site] = forward
        found.update(latest.values())
    return found


def _switched_off(forward: Forward, trace: Trace) -> ModeSwitch | None:
    """The last switch before a call, if it switches off."""
    before = [switch for switch in trace.of(ModeSwitch) if switch.order < forward.order]
    last = before[-1] if before else None
    off = last is not None and isinstance(last.training, Const) and not last.training.value
    return last if off else None
