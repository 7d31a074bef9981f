"""A PyTorch model with learned statistics is tried out on made-up data in training mode.

## What it does

Reports the call of a model on random numbers, zeros or ones, to learn a shape or to count operations, while its batch
normalisation is in training mode and has statistics that were learned before: in this program, or elsewhere.

## Why it is bad

Each such call moves the moving statistics towards the made-up data, with PyTorch's default by a tenth of the way.
`torch.no_grad()` does not prevent that. What is saved or evaluated afterwards is worse, without an error.

## When it is not a bug

- The model is in evaluation mode, or what is called is a copy.
- The model is trained in training mode afterwards: then the moving statistics are learned anew.
- It is never used for anything else.
- Random numbers are its data, as those of a generator.

## Example

```python
model.load_state_dict(torch.load("best.pt"))
channels = model(torch.zeros(1, 3, 224, 224)).shape[1]
model.eval()
```

## Use instead

```python
model.load_state_dict(torch.load("best.pt"))
model.eval()
with torch.no_grad():
    channels = model(torch.zeros(1, 3, 224, 224)).shape[1]
```

## Fix safety

Only shown: how the mode was before, and should be afterwards, depends on the program.

## Confirmed by

`bnlint run`: a call with numbers that are made up where it stands moved statistics of an earlier training, or of a
checkpoint (RP2), and the model was used in evaluation mode afterwards. That it is only saved afterwards is not looked
at.

## Known limits

Calls by other libraries, such as summaries of a model, are not seen.

## References

- https://github.com/sksq96/pytorch-summary/issues/67
- https://github.com/TylerYep/torchinfo/issues/121
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.forwards import in_test_function, inside_a_model, learned_from, on_made_up_data
from bnlint.analyses.runs import executions
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.phase import in_unit_test, meant
from bnlint.rule import Rule
from bnlint.trace import Copy, Forward, NormCall, Origin, Run, Save, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_FIX = Fix(Applicability.DISPLAY, "call `eval()` on the model before, or try out a copy of it")


class StrayTrainingForward(Rule):
    """Made-up data gets into learned statistics."""

    code = "BN215"
    name = "stray-training-forward"
    group = Group.INFO
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each call once."""
        seen: set[Location] = set()
        for run in executions(trace):
            forward = run.forward
            if forward is None or forward.site in seen or not _is_tried_out(run, forward, trace):
                continue
            for call in forward.norms[:1]:
                learned = _learned(call, run, forward, trace)
                if learned is None or meant(call, run, trace) or _is_made_for_noise(call, trace):
                    continue
                if _is_used(call, forward, trace):
                    seen.add(forward.site)
                    yield self._finding(forward, call, learned)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each call once."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.strangers import tried_out

        seen: set[Location] = set()
        for life, tried, later in tried_out(observed):
            site = place_of(tried.run, observed)
            if site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"{many(tried.run.count, 'call')} on made-up data moved the moving statistics that "
                f"`{life.layer.name}` had learned: the model was in training mode",
                (
                    Step(life.site(observed), "this layer is built here"),
                    Step(site, "its statistics are moved towards made-up data here"),
                    Step(place_of(later.run, observed), "and used here"),
                ),
            )

    def _finding(self, forward: Forward, call: NormCall, learned: Location) -> Finding:
        return self.finding(
            forward.site,
            "the model is tried out on made-up data in training mode: this moves the statistics that its batch norm "
            "has learned",
            (
                Step(call.layer.site, "this layer is built here"),
                Step(learned, "its statistics are learned here"),
                Step(forward.site, "and moved towards made-up data here"),
            ),
            _FIX,
        )


def _is_tried_out(run: Run, forward: Forward, trace: Trace) -> bool:
    """Whether a model is only tried out, and all its layers are in training mode."""
    return (
        bool(forward.norms)
        and all(
            call.origin is Origin.MODE
            and call.updates is Updates.IN_PLACE
            and call.training(run.world()) is True
            for call in forward.norms
        )
        and on_made_up_data(forward)
        and not learned_from(forward, trace)
        and not inside_a_model(forward)
        and not in_test_function(run)
        and not in_unit_test(run.context)
    )


def _learned(call: NormCall, run: Run, forward: Forward, trace: Trace) -> Location | None:
    """Where a layer certainly got its statistics before the call of a model; None if that is nowhere."""
    for other in trace.of(Forward):
        if other.order < forward.order and _trains(other, call, trace):
            return other.site
    for event in trace.events:
        if call.layer.order < event.order < forward.order and (
            (isinstance(event, Save) and event.restores and call.layer in event.statistics_of)
            or (
                isinstance(event, Copy)
                and event.statistics
                and event.read_from
                and call.layer in event.written_to
            )
        ):
            return event.site
    return call.layer.site if call.layer.pretrained and "torch.nn." not in call.layer.api else None


def _is_made_for_noise(call: NormCall, trace: Trace) -> bool:
    """Whether a layer is trained with random numbers, as those of a generator are: then they are its data."""
    return any(_trains(other, call, trace) and on_made_up_data(other) for other in trace.of(Forward))


def _is_used(call: NormCall, forward: Forward, trace: Trace) -> bool:
    """Whether a layer is used for something else afterwards, and is not trained anew for that."""
    later = [
        other
        for other in trace.of(Forward)
        if other.order > forward.order and any(each.layer is call.layer for each in other.norms)
    ]
    if any(_trains(other, call, trace) for other in later):
        return False
    saved = any(
        save.order > forward.order and bool(save.saves) and call.layer in save.statistics_of
        for save in trace.of(Save)
    )
    return saved or any(not on_made_up_data(other) for other in later)


def _trains(forward: Forward, call: NormCall, trace: Trace) -> bool:
    return learned_from(forward, trace) and any(each.layer is call.layer for each in forward.norms)
