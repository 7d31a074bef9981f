"""A frozen batch norm in training mode: batch statistics while training, and statistics that never move.

## What it does

Reports a batch normalisation of TensorFlow 1 that is built with `trainable=False` and trained through in
training mode, and whose statistics are used for inference.

## Why it is bad

`trainable=False` does not put the layer of TensorFlow 1 into inference mode: with `training=True` it still
normalises with the statistics of each batch, and it makes no update operations at all. The moving mean stays
0 and the moving variance 1 whatever the program runs, and inference passes the data on as good as
unnormalised.

## When it is not a bug

- The layer is in inference mode while its neighbours are trained: that is how one freezes it.
- Another call of the same layer is trainable and moves the statistics.
- The statistics come from a checkpoint of another program.
- The layer uses batch statistics in every phase, so the moving ones do not matter.

## Example

```python
x = tf.layers.batch_normalization(x, training=is_training, trainable=False)
```

## Use instead

```python
x = tf.layers.batch_normalization(x, training=False, trainable=False)  # frozen
x = tf.layers.batch_normalization(x, training=is_training)  # trained
```

## Fix safety

Only shown: whether the layer was meant to be frozen or to learn is the author's to say.

## Confirmed by

`bnlint run`: the training steps normalise with the statistics of the batch (RP4), the layer is not trainable
and no run moved its statistics (RP2), which are 0 and 1 and were used for inference.

## Known limits

A layer whose `trainable` is not a constant, or whose phase during training is not known, is left alone.

## References

- TensorFlow 1.15, `tf.compat.v1.layers.batch_normalization`: `trainable` and `training`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.runs import executions
from bnlint.analyses.updates import runs_of, updates_of
from bnlint.dataflow import World
from bnlint.findings import Applicability, Finding, Fix, Group, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, NormLayer, Run, Save, Trace, TrainStep, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class FrozenLayerEmitsNoUpdates(Rule):
    """A layer that is not trainable uses batch statistics in training and never learns its own."""

    code = "BN113"
    name = "frozen-layer-emits-no-updates"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        if not trace.driven or any(save.restores and not save.saves for save in trace.of(Save)):
            return
        places = set()
        for step in trace.of(TrainStep):
            for run in runs_of(step, trace):
                for call in _frozen_in_training(run, trace):
                    if call.site not in places and not updates_of(call.layer, trace):
                        inference = _inference(call.layer, trace)
                        if inference is not None:
                            places.add(call.site)
                            yield self._finding(call, step, inference)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.lives import place_of
        from bnlint.runtime.symptoms import Standstill, by_site, neglected, never_moved

        for neglect in neglected(observed, Standstill.NOT_TRAINABLE):
            used = [life for life in neglect.lives if life.is_fresh and life.inference is not None]
            for site, lives in by_site(used, observed).items():
                inference = lives[0].inference
                assert inference is not None
                yield self.finding(
                    site,
                    f"{never_moved(lives, neglect.count)}: not trainable, they normalised with the statistics of the "
                    "batch and made no updates",
                    (
                        Step(site, "built here, and not trainable"),
                        Step(neglect.site, "trained through here, with the statistics of the batch"),
                        Step(place_of(inference.run, observed), "run here with the initial statistics"),
                    ),
                )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import statistics_moved

        return statistics_moved(finding, observed)

    def _finding(self, call: NormCall, step: TrainStep, inference: Run) -> Finding:
        frozen = call.arguments.site("trainable") or call.layer.arguments.site("trainable") or call.site
        return self.finding(
            call.site,
            "this layer is not trainable but in training mode: it normalises with the statistics of the "
            "batch, and those that inference uses never move",
            (
                Step(frozen, "made not trainable here: the layer makes no update operations"),
                Step(step.site, "trained through here, with the statistics of the batch"),
                Step(inference.site, "run here in inference mode, with the initial statistics"),
            ),
            Fix(Applicability.DISPLAY, "keep a frozen layer in inference mode, or let it be trainable"),
        )


def _frozen_in_training(run: Run, trace: Trace) -> list[NormCall]:
    world = run.world()
    calls = [
        node.attrs["call"]
        for node in executions(trace)[run].certain
        if isinstance(node.attrs.get("call"), NormCall)
    ]
    frozen = [call for call in calls if call.updates is Updates.NONE and _is_frozen(call)]
    return sorted({call for call in frozen if call.training(world) is True}, key=lambda call: call.order)


def _is_frozen(call: NormCall) -> bool:
    given = call.arguments.value("trainable") or call.layer.trainable
    return given is not None and World().truth(given) is False


def _inference(layer: NormLayer, trace: Trace) -> Run | None:
    """A run that uses the moving statistics of a layer."""
    for run, executed in executions(trace).items():
        for node in executed.certain:
            call = node.attrs.get("call")
            if isinstance(call, NormCall) and call.layer is layer and call.training(run.world()) is False:
                return run
    return None
