"""Layers that were put into evaluation mode to freeze them are put back into training mode by `train()`.

## What it does

Reports a `train()` that reaches batch normalisation which the program had put into evaluation mode to keep it frozen,
if the model is then trained so.

## Why it is bad

`train()` goes down to all layers, whatever was said to some of them before. From then on the "frozen" layers normalise
with the statistics of each batch, and their averages move: what was to stay as it was pretrained drifts away, and small
batches bring their noise back.

## When it is not a bug

- The layers are put into evaluation mode again after each `train()`, or by a `train()` of the model's own.
- The whole model was in evaluation mode because it was evaluated in between.

## Example

```python
model.apply(freeze_norms)  # calls eval() on each BatchNorm2d
for epoch in range(epochs):
    model.train()
    for x, y in loader:
        step(model, x, y)
```

## Use instead

```python
for epoch in range(epochs):
    model.train()
    model.apply(freeze_norms)
    for x, y in loader:
        step(model, x, y)
```

## Fix safety

Another mode changes what is trained: the fix is shown.

## Confirmed by

`bnlint run`: training steps normalised with the statistics of the batch (RP4) after a `train()` for layers that had
been put into evaluation mode one by one, or with the frozen part that they are in, and that never ran in it.

## Known limits

The intention to freeze must be plain: the normalisations were switched one by one, or the part of the model that was
switched has frozen weights, and nothing was computed with it before `train()`.

## References

- https://github.com/Lightning-AI/pytorch-lightning/issues/2551
- https://discuss.pytorch.org/t/freeze-batchnorm-layer-lead-to-nan/8385
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.freezing import in_order, last_freeze
from bnlint.analyses.modes import switches, to, trained_in_training_mode
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Event, Forward, ModeSwitch, NormCall, Trace, TrainStep

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed, SwitchSeen
    from bnlint.runtime.symptoms import Wrong

_FIX = Fix(Applicability.DISPLAY, "put the frozen layers into evaluation mode after each `train()`")


class FreezeUndoneByTrain(Rule):
    """``train()`` reaches layers that were frozen in evaluation mode."""

    code = "BN402"
    name = "freeze-undone-by-train"
    group = Group.ERROR
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each switch once."""
        seen: set[Location] = set()
        for forward, step, calls in trained_in_training_mode(trace):
            for call in calls:
                undone = _undone(call, forward, trace)
                if undone is not None and undone[1].site not in seen:
                    seen.add(undone[1].site)
                    yield self._finding(*undone, call, forward, step)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each switch once."""
        from bnlint.runtime.frozen import freeze_undone
        from bnlint.runtime.lives import many, place_of, somewhere

        groups: dict[Location, list[tuple[Wrong, SwitchSeen]]] = {}
        for wrong, off in freeze_undone(observed):
            site = somewhere(observed, wrong.seen.passage.phase_site)
            groups.setdefault(site, []).append((wrong, off))
        for site, group in groups.items():
            first, off = group[0]
            run = first.seen.run
            yield self.finding(
                site,
                f"{many(len(group), 'layer')} that had been put into evaluation mode to be frozen normalised with the "
                f"statistics of the batch in {many(run.count, 'training step')}: this put them back into training mode",
                (
                    Step(first.life.site(observed), "this layer is built here"),
                    Step(
                        somewhere(observed, off.site), "put into evaluation mode here, in which it never ran"
                    ),
                    Step(site, "back in training mode from here on"),
                    Step(place_of(run, observed), "and trained so here"),
                ),
            )

    def _finding(
        self, off: ModeSwitch, on: ModeSwitch, call: NormCall, forward: Forward, step: TrainStep
    ) -> Finding:
        return self.finding(
            on.site,
            "this puts batch norm back into training mode that was put into evaluation mode to be frozen: its "
            "statistics move again, and each batch is normalised with its own",
            (
                Step(call.layer.site, "this layer is built here"),
                Step(off.site, "put into evaluation mode here, to stay so"),
                Step(on.site, "back in training mode from here on"),
                Step(forward.site, "and trained so here"),
            ),
            _FIX,
        )


def _undone(call: NormCall, forward: Forward, trace: Trace) -> tuple[ModeSwitch, ModeSwitch] | None:
    """The switch that froze a layer and the one that undid it, if it certainly was that way."""
    before = [switch for switch in switches(call, forward, trace) if _happens(switch, forward)]
    if len(before) < 2 or to(before[-1]) is not True:
        return None
    on = next(switch for i, switch in enumerate(before) if all(to(other) is True for other in before[i:]))
    earlier = [switch for switch in before if switch.order < on.order]
    if not earlier or to(earlier[-1]) is not False or not in_order(trace, earlier[-1], forward):
        return None
    off = earlier[-1]
    used = any(
        off.order < other.order < on.order
        and _happens(other, forward)
        and call.layer in {each.layer for each in other.norms}
        for other in trace.of(Forward)
    )
    return (off, on) if not used and _freezes(off, on, call, trace) else None


def _happens(event: Event, forward: Forward) -> bool:
    """Whether something certainly happens where a model is called."""
    return set(event.guards) <= set(forward.guards)


def _freezes(off: ModeSwitch, on: ModeSwitch, call: NormCall, trace: Trace) -> bool:
    """Whether a switch was made to freeze: of the layer itself, or of a part whose weights are frozen."""
    if on.target is off.target or len(on.parts) <= len(off.parts):
        return False
    if off.target is call.layer.owner:
        return True
    freeze = last_freeze(call, on, trace)
    return freeze is not None and isinstance(freeze.trainable, Const) and not freeze.trainable.value
