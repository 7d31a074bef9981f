"""A Keras 3 model whose `call` takes no `training`, so that `fit` trains its batch normalisation in inference mode.

## What it does

Reports the `call` of a project's `keras.Model` that has no parameter `training`, where `fit` or `train_on_batch`
trains the model and a batch normalisation in it waits for the phase. If neither the project's requirements nor its
code tells the generation of Keras, the finding says "with Keras 3" and is of the group `info`.

## Why it is bad

Keras 3 tells a model the phase only if its `call` has a parameter `training`. Without one the layers inside are
in inference mode even in `fit`: they normalise with mean 0 and variance 1, and the statistics never move. Keras 2
told the layers anyway, so the same code has worked before.

## When it is not a bug

- The program runs on Keras 2: `tf_keras`, or TensorFlow before 2.16.
- The program calls the model with `training=True` itself, in a loop or in a `train_step` of its own.
- The model is only a part of another one: the phase comes from the outermost.
- Each layer is told its phase in `call`, or is frozen, or comes with trained weights.

## Example

```python
class Net(keras.Model):
    def call(self, x):
        return self.head(self.norm(x))
```

## Use instead

```python
class Net(keras.Model):
    def call(self, x, training=None):
        return self.head(self.norm(x))
```

## Fix safety

The fix adds `training=None` behind the other parameters and is safe: callers that give arguments by position do
not notice, and the layers get the phase from the call around them, as they did with Keras 2.

## Confirmed by

`bnlint run`: in all training steps the output is the formula with the moving statistics (RP4), which are 0 and 1 to
the end (RP2), the layer was given no phase, and the outermost model's `call` takes none.

## Known limits

A `call` that takes `**kwargs` is reported too: Keras 3 does not pass the phase that way. Programs that may start
from weights that were trained elsewhere are left alone.

## References

- keras-hub pull request 1623: `training` was added to the `call` of each model.
- Executed: Keras 3.15 and tf-keras 2.21.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlint.analyses.constants import pretrained, steps_of, trained_by
from bnlint.analyses.runs import training_runs
from bnlint.analyses.written import parameters
from bnlint.dataflow import Const, Frame
from bnlint.findings import AddParameter, Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Origin, Run, Trace, TrainStep, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class Keras3CallWithoutTraining(Rule):
    """A model that Keras 3 trains in inference mode, because its ``call`` takes no phase."""

    code = "BN108"
    name = "keras3-call-without-training"
    group = Group.ERROR
    frameworks = ("keras",)
    fixable = (Applicability.SAFE,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each ``call`` once, at its head."""
        generation = trace.generations.get("keras")
        if generation == 2:
            return
        seen: set[object] = set()
        for run in training_runs(trace):
            if pretrained(run, trace):
                continue
            for step in steps_of(run, trace):
                for call in trained_by(step, run):
                    frame = _method(call) if _is_left_alone(call, run) else None
                    if frame is not None and frame.node not in seen and not _says_itself(call, frame):
                        seen.add(frame.node)
                        finding = self._finding(call, frame, step, generation is None)
                        yield finding if generation == 3 else replace(finding, group=Group.INFO)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each ``call`` once, with the layers that it left alone."""
        from bnlint.runtime.lives import many, place_of_step, somewhere
        from bnlint.runtime.symptoms import Source, Wrong, by_site, trained_in_inference

        groups: dict[Location, list[Wrong]] = {}
        for wrong in trained_in_inference(observed, Source.UNTOLD):
            place = somewhere(observed, wrong.seen.passage.phase_site, wrong.seen.run.site)
            groups.setdefault(place, []).append(wrong)
        for place, group in groups.items():
            first = group[0]
            others = f" and {many(len(group) - 1, 'other layer')}" if len(group) > 1 else ""
            sites = list(by_site((each.life for each in group), observed))
            yield self.finding(
                place,
                f"`{first.life.layer.name}`{others}: in inference mode in "
                f"{many(first.seen.run.count, 'training step')}, because {first.seen.passage.instead}",
                (
                    Step(place, "this `call` takes no phase"),
                    *(Step(site, "always in inference mode") for site in sites[:3]),
                    Step(place_of_step(first.seen.run, observed), "the layer is trained here"),
                ),
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import trained_by_batch

        return trained_by_batch(finding, observed)

    def _finding(self, call: NormCall, frame: Frame, step: TrainStep, maybe: bool) -> Finding:
        head = _head(frame)
        trainer = step.api.rpartition(".")[2]
        with_keras = "with Keras 3, " if maybe else ""
        return self.finding(
            head,
            f"{with_keras}`{frame.function}` takes no `training`, so `{trainer}` trains its batch norm in inference "
            "mode: the moving statistics never move",
            (
                Step(head, "Keras 3 tells the phase only to a `call` that has a parameter `training`"),
                Step(call.site, "this layer is then in inference mode"),
                Step(step.site, "the model is trained here"),
            ),
            Fix(
                Applicability.SAFE,
                "let `call` take the phase, `training=None`: its layers get it from there",
                (AddParameter(head, "training", "None"),),
            ),
        )


def _is_left_alone(call: NormCall, run: Run) -> bool:
    """Whether a layer would have its phase from the trainer, if the trainer told the model."""
    forward = call.forward
    if forward is None or forward.driver is None or isinstance(forward.training, Const):
        return False
    if call.updates is Updates.NONE or call.layer.pretrained:
        return False
    if forward.training is not None:
        # The generation is not known: this is what the trainer tells, or does not.
        return call.phase is forward.training
    return call.origin is Origin.DEFAULT and call.training(run.world()) is False


def _method(call: NormCall) -> Frame | None:
    """The ``call`` of the model that the trainer runs."""
    forward = call.forward
    for frame in call.context.frame.outwards():
        if forward is not None and frame.parent is forward.context.frame and frame.site == forward.site:
            return frame if isinstance(frame.node, ast.FunctionDef) else None
    return None


def _says_itself(call: NormCall, method: Frame) -> bool:
    """Whether a layer between the model and the normalisation has a default of its own for the phase."""
    for frame in call.context.frame.outwards():
        if frame is method:
            return False
        if any(parameter.arg == "training" for parameter in parameters(frame.node)):
            spec = frame.node.args
            defaults = (*spec.defaults, *spec.kw_defaults)
            if any(isinstance(default, ast.Constant) and default.value for default in defaults):
                return True
    return False


def _head(frame: Frame) -> Location:
    """The definition from its beginning to its last parameter."""
    spec = frame.node.args
    named = (*parameters(frame.node), *(each for each in (spec.vararg, spec.kwarg) if each is not None))
    begin = frame.locate(frame.node)
    end = max(map(frame.locate, named), key=lambda place: (place.end_line, place.end_column), default=begin)
    return replace(begin, end_line=end.end_line, end_column=end.end_column)
