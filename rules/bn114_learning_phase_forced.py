"""A Keras learning phase that is set for the whole program, and is wrong for one of its phases.

## What it does

Reports `set_learning_phase(0)` before a graph is built in which batch normalisation is then trained, and
`set_learning_phase(1)` before one that is evaluated.

## Why it is bad

In a graph, a Keras layer that is called without `training` takes the learning phase of the moment for ever:
setting it again later changes nothing. Built under 0, the layer is trained in inference mode and its
statistics never move. Built under 1, evaluation normalises with the statistics of whatever else is in the
batch.

## When it is not a bug

- The phase is set to 0 in a program that only infers or exports.
- Layers built under 0 are frozen on purpose: the phase is set back before the rest is built, or their
  statistics come from a checkpoint.
- The phase is left alone, and fed or passed as `training`.

## Example

```python
tf.keras.backend.set_learning_phase(0)
x = tf.keras.layers.BatchNormalization()(x)
train_op = tf.train.AdamOptimizer().minimize(loss(x))
```

## Use instead

```python
x = tf.keras.layers.BatchNormalization()(x, training=is_training)
train_op = tf.train.AdamOptimizer().minimize(loss(x))
```

## Fix safety

Only shown: every layer then needs to be told its phase, or the phase has to be fed to each run.

## Confirmed by

`bnlint run`: the phase that the layer has from Keras cannot be changed by a feed, and its output is the
formula with the moving statistics in training, or that with the statistics of the batch in a run that
certainly evaluates (RP1, RP4).

## Known limits

A phase that is not a constant is left alone.

## References

- TensorFlow 1.15, `tf.keras.backend.set_learning_phase`.
- https://github.com/keras-team/keras/issues/7177
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.runs import norms_in
from bnlint.analyses.updates import runs_of, trained_in_any_phase
from bnlint.dataflow import Const, World
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.phase import deliberate, evaluations
from bnlint.rule import Rule
from bnlint.trace import ModeSwitch, NormCall, Origin, Save, Trace, TrainStep

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_FIX = Fix(
    Applicability.DISPLAY,
    "leave the learning phase alone, and pass `training` to the layers or feed the phase to each run",
)


class LearningPhaseForced(Rule):
    """The global learning phase is fixed before a graph that needs the other one."""

    code = "BN114"
    name = "learning-phase-forced"
    group = Group.WARNING
    frameworks = ("tensorflow1", "keras")
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each switch once."""
        if not trace.driven:
            return
        switches = [switch for switch in trace.of(ModeSwitch) if switch.target is None]
        for index, switch in enumerate(switches):
            end = switches[index + 1].order if index + 1 < len(switches) else None
            training = World(switch.guards).truth(switch.training)
            if training is False and end is None:
                yield from self._trained(switch, trace)
            elif training is True:
                yield from self._evaluated(switch, end, trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each switch once."""
        from bnlint.runtime.lives import many, place_of, place_of_step, somewhere
        from bnlint.runtime.symptoms import Source, evaluated_by_batch, trained_in_inference

        seen: set[Location] = set()
        trained = [(wrong, 0) for wrong in trained_in_inference(observed, Source.CONTEXT)]
        evaluated = [
            (wrong, 1) for wrong in evaluated_by_batch(observed, Source.CONTEXT) if wrong.life.always_batch
        ]
        for wrong, phase in (*trained, *evaluated):
            layer, run = wrong.life.layer, wrong.seen.run
            site = somewhere(observed, wrong.seen.passage.phase_site, layer.site)
            if site in seen:
                continue
            seen.add(site)
            if phase:
                outcome = f"used batch statistics in {many(run.count, 'evaluation')} too"
                last = Step(place_of(run, observed), f"evaluated here: {wrong.because}")
            else:
                outcome = (
                    f"was in inference mode in {many(run.count, 'training step')}: its statistics never moved"
                )
                last = Step(place_of_step(run, observed), "trained here")
            yield self.finding(
                site,
                f"the learning phase was {phase} for good when `{layer.name}` was built, which {outcome}",
                (
                    Step(site, "the learning phase is fixed here"),
                    Step(wrong.life.site(observed), "normalised here, in one mode for ever"),
                    last,
                ),
            )

    def _trained(self, switch: ModeSwitch, trace: Trace) -> Iterator[Finding]:
        if any(save.restores and not save.saves for save in trace.of(Save)) or trace.mentions("load_weights"):
            return
        for step in trace.of(TrainStep):
            calls = [call for call in trained_in_any_phase(step) if _follows(call, switch, None, False)]
            if calls and runs_of(step, trace):
                yield self.finding(
                    switch.site,
                    "the learning phase is set to 0 before the graph is built, so its batch norm is "
                    "trained in inference mode and the moving statistics never move",
                    (
                        Step(switch.site, "the learning phase is fixed here"),
                        Step(calls[0].site, "normalised here, in inference mode for ever"),
                        Step(step.site, "trained here"),
                    ),
                    _FIX,
                )
                return

    def _evaluated(self, switch: ModeSwitch, end: int | None, trace: Trace) -> Iterator[Finding]:
        for run, verdict in evaluations(trace):
            calls = [call for call in norms_in(run, trace) if _follows(call, switch, end, True)]
            if calls and deliberate((run.context, calls[0].context)) is None:
                yield self.finding(
                    switch.site,
                    "the learning phase is set to 1 before the graph is built, so its batch norm uses "
                    "batch statistics in the evaluation too",
                    (
                        Step(switch.site, "the learning phase is fixed here"),
                        Step(calls[0].site, "normalised here, in training mode for ever"),
                        Step(run.site, f"evaluated here: {verdict.because}"),
                    ),
                    _FIX,
                )
                return


def _follows(call: NormCall, switch: ModeSwitch, end: int | None, training: bool) -> bool:
    """Whether a layer was called under a switch and took its phase from there."""
    return (
        call.origin is Origin.CONTEXT
        and isinstance(call.phase, Const)
        and bool(call.phase.value) is training
        and call.order > switch.order
        and (end is None or call.order < end)
    )
