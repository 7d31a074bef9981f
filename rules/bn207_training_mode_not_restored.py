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

Published models were trained with this bug, and some did better: the fix, a `train()` before the outermost loop that
trains and does not contain the evaluation, is unsafe.

## Confirmed by

`bnlint run`: training steps from one line normalised with the statistics of the batch at first, and with the moving
ones later, after the `eval()` that an evaluation had asked for (RP3).

## Known limits

Loops are followed for two rounds. Of validations that happen only under a condition, those are reported that happen
every so many steps inside the epoch, while only the epoch begins with `train()`.

## References

- https://github.com/wkentaro/pytorch-fcn/issues/57
- https://github.com/fartashf/vsepp/issues/4
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.forwards import results
from bnlint.analyses.modes import idle_switch, switches, to
from bnlint.analyses.runs import executions, training_runs
from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.findings import Applicability, Finding, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Forward, ModeSwitch, NormCall, Origin, Trace, TrainStep

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class TrainingModeNotRestored(Rule):
    """Training goes on in evaluation mode."""

    code = "BN207"
    name = "training-mode-not-restored"
    group = Group.ERROR
    frameworks = ("pytorch",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

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
                switch = _switched_off(calls[0], forward, trace)
                idle = idle_switch(calls[0], forward, True, trace)
                if switch is not None and switch.site not in seen and idle is None:
                    seen.add(switch.site)
                    yield self._finding(switch, forward, first[key], trace)
            elif key in first:
                switch = _switched_off_at_times(forward, calls[0], trace)
                if switch is not None and switch.site not in seen:
                    seen.add(switch.site)
                    yield self._finding(switch, forward, first[key], trace, " for the rest of the epoch")

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each switch once."""
        from bnlint.runtime.lives import many, place_of, somewhere
        from bnlint.runtime.symptoms import left_in_evaluation_mode

        seen: set[Location] = set()
        for life, before, after in left_in_evaluation_mode(observed):
            site = somewhere(observed, after.passage.phase_site)
            if site in seen:
                continue
            seen.add(site)
            trained = place_of(after.run, observed)
            yield self.finding(
                site,
                f"`{life.layer.name}` was trained in training mode in {many(before.run.count, 'step')}, and in "
                f"evaluation mode in {many(after.run.count, 'step')} after this: its moving statistics moved no longer",
                (
                    Step(life.site(observed), "this layer is built here"),
                    Step(trained, "trained here, first in training mode"),
                    Step(site, "put into evaluation mode here, and not back before the next step"),
                ),
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these steps."""
        from bnlint.runtime.refutations import trained_by_batch

        return trained_by_batch(finding, observed)

    def _finding(
        self, switch: ModeSwitch, forward: Forward, call: NormCall, trace: Trace, when: str = ""
    ) -> Finding:
        return self.finding(
            switch.site,
            f"the model is put into evaluation mode and is trained on so{when}: its batch norm uses statistics that no "
            "longer move",
            (
                Step(call.layer.site, "this layer is built here"),
                Step(forward.site, "trained here, first in training mode"),
                Step(switch.site, "put into evaluation mode here, and never back before the next step"),
            ),
            remedies.modes.trained(forward, switch, trace),
        )


def _learned(trace: Trace) -> set[Forward]:
    """The calls that a train step was made for: of each model at each place the last one before it."""
    found: set[Forward] = set()
    for run in training_runs(trace):
        nodes = executions(trace)[run].nodes
        latest: dict[tuple[object, Location], Forward] = {}
        for forward in trace.of(Forward):
            if forward.order < run.order and any(value in nodes for value in results(forward, trace)):
                latest[forward.target, forward.site] = forward
        found.update(latest.values())
    return found


def _switched_off_at_times(forward: Forward, call: NormCall, trace: Trace) -> ModeSwitch | None:
    """The switch of a validation every so many steps, after which the steps of the same loop go on as it left them."""
    phase = call.phase
    before = switches(call, forward, trace)
    if not isinstance(phase, Choice) or not before or to(before[-1]) is not False:
        return None
    off = before[-1]
    known = {option.value for _, option in phase.options if isinstance(option, Const)}
    conditions = [condition for condition, _ in off.guards if (condition, True) not in forward.guards]
    inside = off.context.loops[: len(forward.context.loops)] == forward.context.loops != ()
    evaluated = any(
        off.order < other.order < forward.order
        and any(each.layer is call.layer and _is(each.phase, False) for each in other.norms)
        for other in trace.of(Forward)
    )
    periodic = bool(conditions) and all(map(_is_periodic, conditions))
    return off if known == {True, False} and inside and evaluated and periodic else None


def _is_periodic(condition: Value) -> bool:
    """Whether a condition holds every so many steps (``step % every == 0``)."""
    return isinstance(condition, Node) and any(
        (isinstance(part, Unknown) and part.hint == "%") or _is_periodic(part) for part in condition.inputs
    )


def _is(phase: Value | None, wanted: bool) -> bool:
    return isinstance(phase, Const) and phase.value is wanted


def _switched_off(call: NormCall, forward: Forward, trace: Trace) -> ModeSwitch | None:
    """The last switch of a layer before the call of a model, if it switches off."""
    before = [
        switch
        for switch in trace.of(ModeSwitch)
        if switch.order < forward.order and call.layer.owner in switch.parts
    ]
    last = before[-1] if before else None
    off = last is not None and isinstance(last.training, Const) and not last.training.value
    return last if off else None
