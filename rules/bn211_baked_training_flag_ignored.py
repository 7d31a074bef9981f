"""A `training=` in the description of a Keras 3 model, which `fit` and `predict` replace.

## What it does

Reports a literal `training=` that a layer or a model was given while a functional model was described, where the
phase of the whole model takes its place and that does harm: a False over trainable batch normalisation with
statistics that were learned before, in training; a True in `predict` or `evaluate`. If neither the project's
requirements nor its code tells the generation of Keras, only a False is reported, and the finding is of the group
`info`.

## Why it is bad

Keras 3 hands the phase of the outermost call to all layers of a functional model, whatever they were told when it was
described. `base(x, training=False)`, the advice of Keras 2 for fine-tuning, then does not protect the statistics
of a base that is made trainable again: a few small batches overwrite them. `norm(x, training=True)` does not give
batch statistics in inference.

## When it is not a bug

- The program runs on Keras 2, which keeps what a layer was told.
- The base stays frozen (`base.trainable = False`), or its normalisations do: then they infer in every phase.
- It stands in the `call` of a class: that is executed in every call.
- The model is called without a phase, `model(x)`: then the word holds.
- Nothing was learned before: then the layer is trained as usual.

## Example

```python
base.trainable = False
model = keras.Model(inputs, head(base(inputs, training=False)))
model.compile(...); model.fit(...)
base.trainable = True
model.compile(...); model.fit(...)
```

## Use instead

```python
base.trainable = True
for layer in base.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = False
model.compile(...); model.fit(...)
```

## Fix safety

Which layers are to stay as they are is a decision, so the fix is only shown.

## Confirmed by

`bnlint run`: the layer was given another phase than in the description of the model, and for a False a training step
moved statistics that were not the initial ones (RP2), for a True an evaluation used the moving statistics (RP1).

## Known limits

Weights that are read into a model of the project's own are not taken for learned, unless the model was frozen
before.

## References

- Keras issue 20285, and the guide to transfer learning of Keras 3.
- Executed: Keras 3.15 and tf-keras 2.21.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlint.analyses.constants import steps_of, trained_by
from bnlint.analyses.runs import executions, norms_in, training_runs
from bnlint.dataflow import Const, Op
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Declared, NormCall, Overruled, Run, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class BakedTrainingFlagIgnored(Rule):
    """A phase in the description of a model, in whose place Keras 3 puts that of the whole model."""

    code = "BN211"
    name = "baked-training-flag-ignored"
    group = Group.WARNING
    frameworks = ("keras",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place in a description once."""
        generation = trace.generations.get("keras")
        overruled = {call: event for event in trace.of(Overruled) for call in event.norms}
        if generation == 2 or not overruled:
            return
        seen: set[Location] = set()
        for call, run in _overwritten(overruled, trace):
            event = overruled[call]
            if event.site not in seen:
                seen.add(event.site)
                finding = self._overwrites(event, call, run)
                yield finding if generation == 3 else replace(finding, group=Group.INFO)
        for call, run in _inactive(overruled, trace) if generation == 3 else ():
            event = overruled[call]
            if event.site not in seen:
                seen.add(event.site)
                yield self._has_no_effect(event, call, run)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place in a description once, as far as a run shows that it made a difference."""
        from bnlint.runtime.lives import place_of, somewhere
        from bnlint.runtime.observed import Purpose
        from bnlint.runtime.symptoms import overruled

        seen: set[Location] = set()
        for life, one in overruled(observed):
            place = somewhere(observed, one.passage.phase_site, life.layer.site)
            trains = one.run.purpose is Purpose.TRAIN
            done = "moved statistics that it had learned before" if trains else "used its moving statistics"
            if place not in seen:
                seen.add(place)
                yield self.finding(
                    place,
                    f"`{life.layer.name}` {done}: {one.passage.instead}",
                    (
                        Step(place, "said here, when the model was described"),
                        Step(life.site(observed), "this layer was told otherwise"),
                        Step(place_of(one.run, observed), "in this run"),
                    ),
                )

    def _overwrites(self, event: Overruled, call: NormCall, run: Run) -> Finding:
        return self.finding(
            event.site,
            "with Keras 3, `training=False` has no effect where the model is trained: the training overwrites the "
            "statistics that batch norm has learned before",
            (
                Step(
                    event.site,
                    "said when the model is described; the phase of the whole model takes its place",
                ),
                Step(call.layer.site, "this layer is trainable and has statistics that were learned before"),
                Step(run.site, "trained here, in training mode"),
            ),
            Fix(
                Applicability.DISPLAY,
                "set `trainable = False` for the batch-norm layers before the model is compiled",
            ),
        )

    def _has_no_effect(self, event: Overruled, call: NormCall, run: Run) -> Finding:
        method = run.api.rpartition(".")[2]
        where = "where `fit` validates" if method == "fit" else f"in `{method}`"
        return self.finding(
            event.site,
            f"with Keras 3, `training=True` has no effect {where}: batch norm uses its moving statistics",
            (
                Step(
                    event.site,
                    "said when the model is described; the phase of the whole model takes its place",
                ),
                Step(call.layer.site, "this layer is in inference mode then"),
                Step(run.site, "run here"),
            ),
            Fix(
                Applicability.DISPLAY,
                "take it out, or say it in the `call` of a layer of your own, where it counts in every phase",
            ),
        )


def _overwritten(overruled: dict[NormCall, Overruled], trace: Trace) -> Iterator[tuple[NormCall, Run]]:
    """The layers that were to infer, that are trained nevertheless, and that have learned before."""
    for run in training_runs(trace):
        for step in steps_of(run, trace):
            for call in trained_by(step, run):
                event = overruled.get(call)
                if (
                    event is not None
                    and _is_replaced(event, call, False)
                    and call.training(run.world()) is not False
                    and _has_learned(call, overruled, trace)
                ):
                    yield call, run


def _inactive(overruled: dict[NormCall, Overruled], trace: Trace) -> Iterator[tuple[NormCall, Run]]:
    """The layers that were to use batch statistics, where a trainer evaluates or predicts."""
    for run in trace.of(Run):
        if run.declared in (Declared.EVALUATE, Declared.PREDICT):
            for call in norms_in(run, trace):
                event = overruled.get(call)
                inactive = call.training(run.world()) is False
                if event is not None and inactive and _is_replaced(event, call, True):
                    yield call, run


def _is_replaced(event: Overruled, call: NormCall, given: bool) -> bool:
    """Whether a literal was said and something else reached the layer, which is certainly trainable."""
    said = isinstance(event.given, Const) and event.given.value is given
    return said and call.updates is Updates.IN_PLACE and call.phase is event.phase


def _has_learned(call: NormCall, overruled: dict[NormCall, Overruled], trace: Trace) -> bool:
    """Whether the statistics of a layer come from elsewhere, from a training before, or were protected before."""
    if call.layer.pretrained:
        return True
    for other in trace.of(NormCall):
        if other.layer is call.layer and other.order < call.order and other not in overruled:
            if other.updates is Updates.NONE or other in _trained(trace):
                return True
    return False


def _trained(trace: Trace) -> set[NormCall]:
    """The normalisations that training runs execute in training mode."""
    found: set[NormCall] | None = trace.facts.get("BN211 trained")
    if found is None:
        found = trace.facts["BN211 trained"] = {
            node.attrs["call"]
            for run in training_runs(trace)
            for node in executions(trace)[run].certain
            if node.op == Op.NORM and node.attrs["call"].training(run.world()) is True
        }
    return found
