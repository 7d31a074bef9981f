"""Batch normalisation whose training flag is a constant True although an evaluation uses the layer.

## What it does

Reports a layer that an evaluation runs and that is in training mode whatever the program does: by the API's
default (`tf.contrib.layers.batch_norm` and slim's `batch_norm` train unless told otherwise), by a literal in
its call, in an argument scope or in `normalizer_params`, or by the default of a function that nobody
overrides, such as the `call` of a Keras model.

In PyTorch it reports `F.batch_norm(…, training=True)` that an evaluation runs, and one in a function that takes the
phase as a parameter and does not use it.

## Why it is bad

The evaluation normalises with the mean and variance of its own batch. The prediction for one sample depends
on its batch mates, a batch of one gives nonsense, and the learned statistics are never used.

## When it is not a bug

- The program only trains: nothing evaluates the layer.
- GAN samplers, style transfer, meta-learning and domain adaptation use batch statistics on purpose.
- An argument scope of another module sets the flag.
- `F.batch_norm` is given nothing to keep: `None`, tensors that are made for the call, or a momentum of 0 or 1.
- `F.batch_norm` is told to train in one branch, beside another way for evaluation.

## Example

```python
def network(x):
    return tf.contrib.layers.batch_norm(tf.layers.dense(x, 10))
```

## Use instead

```python
def network(x, is_training):
    return tf.contrib.layers.batch_norm(tf.layers.dense(x, 10), is_training=is_training)
```

In a module of PyTorch:

```python
def forward(self, x):
    return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=self.training)
```

## Fix safety

Where the phase is at hand, the fix gives it to the layer: the `mode` of an Estimator's model function, or a phase
placeholder that the evaluation feeds False, the mode of a module of PyTorch, or the parameter that has no effect. A
layer in the `call` of a Keras model follows that call once the constant
is taken away. It changes what the evaluation computes, so it is unsafe. Elsewhere the
phase has to come from the callers, which is a decision: then the fix is only shown.

## Confirmed by

`bnlint run`: the phase is a constant, and in a run that certainly evaluates the output is the formula with
the statistics of the batch (RP4), as in every other run of the layer. A parameter that the layer did not get
(BN205) and a True that a caller handed on (BN201) look the same at run time and are reported under this code.

## Known limits

A run counts as an evaluation only on evidence. A True that a caller hands to a graph which only evaluations
use is BN201; a hand-written layer without moving statistics is BN105.

## References

- TensorFlow 1.15, `tf.contrib.layers.batch_norm`: `is_training` is True by default.
- https://github.com/AntreasAntoniou/HowToTrainYourMAMLPytorch/issues/24
- Executed: torch 2.13.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.constants import built_in, misdirected, passed, untold
from bnlint.analyses.functional import (
    always_in_training,
    asks_for_phase,
    is_function,
    keeps_statistics,
    written_at_call,
)
from bnlint.analyses.ignored import decides, functions, ignored
from bnlint.analyses.runs import norms_reached, optimized, training_runs
from bnlint.dataflow import Const, Frame
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.phase import Verdict, evaluations, meant
from bnlint.rule import Rule
from bnlint.trace import NormCall, Origin, Run, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class TrainingFlagConstant(Rule):
    """A layer that evaluations use is always in training mode."""

    code = "BN203"
    name = "training-flag-constant"
    group = Group.WARNING
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each constant once, at the first layer that it reaches."""
        seen: set[object] = set()
        for call in trace.of(NormCall):
            literal = always_in_training(call, trace)
            if literal is not None and not {call.site, literal} & seen:
                for parameter, frame in _ignored(call, trace):
                    seen |= {call.site, literal}
                    yield self._ignoring(call, literal, parameter, frame, trace)
        for run, verdict in evaluations(trace):
            for call in norms_reached(run, trace):
                phase = built_in(call, run.world())
                if phase is None or not phase.value or {call.site, _source(call, phase)} & seen:
                    continue
                if (
                    _has_a_twin(call, trace)
                    or misdirected(call)
                    or (call.forward is None and untold(call, trace) is not None)
                    or meant(call, run, trace)
                    or (is_function(call) and (asks_for_phase(call) or not keeps_statistics(call, trace)))
                ):
                    continue
                if call not in optimized(trace) and passed(call, phase, trace) is not None:
                    continue
                seen |= {call.site, _source(call, phase)}
                yield self._finding(call, phase, run, verdict, trace)

    def _ignoring(
        self, call: NormCall, literal: Location, parameter: ast.arg, frame: Frame, trace: Trace
    ) -> Finding:
        site, name = frame.locate(parameter), parameter.arg
        edits = remedies.flags.told(call, remedies.flags.parameter_phase(frame, name), trace)
        return self.finding(
            literal,
            f"batch norm is always in training mode, although `{frame.function.rpartition('.')[2]}` takes the phase as "
            f"`{name}`: the averages that it keeps are never used",
            (
                Step(literal, "always in training mode"),
                Step(site, "the phase arrives here, and has no effect"),
            ),
            Fix(Applicability.UNSAFE, f"hand `{name}` on to the layer", edits)
            if edits
            else Fix(Applicability.DISPLAY, f"let `{name}` decide which statistics the layer uses"),
        )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each constant once, as far as a run shows which layers share it."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import Source, by_cause, by_site, evaluated_by_batch

        found = [wrong for wrong in evaluated_by_batch(observed, Source.CONSTANT) if wrong.life.always_batch]
        for group in by_cause(found, observed):
            first, run = group[0].life, group[0].seen.run
            sites = list(by_site((each.life for each in group), observed))
            layers = {each.life.layer.key for each in group}
            others = f" and {many(len(layers) - 1, 'other layer')}" if len(layers) > 1 else ""
            yield self.finding(
                sites[0],
                f"`{first.layer.name}`{others}: in training mode in {many(run.count, 'evaluation')}, as always; the "
                "output depended on the rest of the evaluated batch",
                (
                    *(Step(site, "always in training mode") for site in sites[:3]),
                    Step(place_of(run, observed), f"this run evaluates with the layer: {group[0].because}"),
                ),
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import evaluated_by_moving

        return evaluated_by_moving(finding, observed)

    def _finding(self, call: NormCall, phase: Const, run: Run, verdict: Verdict, trace: Trace) -> Finding:
        steps = [Step(call.site, f"always in training mode: {_why(call)}")]
        if phase.site is not None and phase.site != call.site:
            steps.append(Step(phase.site, "the constant stands here"))
        steps.append(Step(run.site, f"this run evaluates with the layer: {verdict.because}"))
        return self.finding(
            written_at_call(call) or call.site,
            "batch norm is always in training mode, but an evaluation uses it: "
            "its output depends on the rest of the evaluated batch",
            steps,
            _fix(call, phase, run, trace),
        )


def _ignored(call: NormCall, trace: Trace) -> Iterator[tuple[ast.arg, Frame]]:
    """The first phase parameter, of a function around a layer, that has no effect on it."""
    for frame, inner in functions(call):
        if decides(call, frame, trace):
            for parameter in ignored(call, frame, inner):
                yield parameter, frame
                return


def _fix(call: NormCall, constant: Const, run: Run, trace: Trace) -> Fix:
    edits = remedies.forwards.follows_the_call(call, constant)
    if edits:
        return Fix(Applicability.UNSAFE, "let the layer follow the call of the model", edits)
    for phase in _phases(call, run, trace):
        edits = remedies.flags.told(call, phase, trace)
        if edits:
            said = phase.text.strip("()").replace("{tf}.estimator.", "")
            return Fix(Applicability.UNSAFE, f"give the layer its phase: `{said}`", edits)
    return Fix(Applicability.DISPLAY, "take the phase as a parameter and hand it on to the layer")


def _phases(call: NormCall, run: Run, trace: Trace) -> Iterator[remedies.flags.Phase]:
    """Expressions for the phase that the program has already."""
    mode = remedies.flags.module_phase(call) if is_function(call) else remedies.flags.mode_phase(call, trace)
    if mode is not None:
        yield mode
    world = run.world()
    trainings = [training.world() for training in training_runs(trace)]
    for flag in remedies.flags.flags(trace):
        if world.truth(flag) is False and trainings and all(other.truth(flag) for other in trainings):
            phase = remedies.flags.placeholder_phase(flag, call.order, trace)
            if phase is not None:
                yield phase


def _has_a_twin(call: NormCall, trace: Trace) -> bool:
    """Whether the same layer is also built in inference mode: then the flag is no constant, and the evaluation
    may read a training value on purpose."""
    return any(
        other.layer is call.layer and isinstance(other.phase, Const) and not other.phase.value
        for other in trace.of(NormCall)
    )


def _source(call: NormCall, phase: Const) -> object:
    """What makes two constants the same decision: the literal, or the value if it was computed."""
    return call.site if call.origin is Origin.DEFAULT else phase.site or phase


def _why(call: NormCall) -> str:
    if call.origin is Origin.DEFAULT:
        return "that is the default"
    return "by a constant in a scope" if call.origin is Origin.SCOPE else "the flag is a constant"
