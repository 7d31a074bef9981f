"""Batch normalisation that is trained in inference mode.

## What it does

Reports a layer of a network that is trained from scratch and that is in inference mode whatever the program
does: `tf.layers.batch_normalization` without `training`, a False in the layer's own call, or the default of a
function that nobody overrides.

In TensorFlow 2 it reports the call of a model, or of a layer on its own, that a tape trains without
`training=True`: in a loop of the program's own, in an overridden `train_step`, in a `tf.Module`.

In PyTorch it reports `F.batch_norm` without `training`, which infers by default, with weights that are trained; and
the `eval()` of a function that makes or loads a model, if the model is then trained and nothing calls `train()`.

## Why it is bad

`tf.layers.batch_normalization` infers unless told otherwise. It then normalises with its stored mean 0 and
variance 1, in training too, and makes no update operations: it is a learnable scale and shift, and nothing is
normalised. A Keras model that the program calls itself infers, too, unless it is told to train.

## When it is not a bug

- The program only infers.
- A pretrained network is used with its statistics frozen.
- The layer's weights are not trained by the step: gradients of an input, a teacher, a frozen base.
- A Keras layer inside a model is called without a phase: Keras hands down that of the outermost call.
- Only a part of a model of PyTorch is in evaluation mode, or a part is frozen; or the statistics are moved by hand.

## Example

```python
x = tf.layers.batch_normalization(x)
train_op = tf.train.AdamOptimizer().minimize(cost(x))
```

## Use instead

```python
x = tf.layers.batch_normalization(x, training=is_training)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(cost(x))
```

With a tape:

```python
with tf.GradientTape() as tape:
    loss = cost(y, model(x, training=True))
```

In a module of PyTorch:

```python
def forward(self, x):
    return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=self.training)
```

## Fix safety

Another mode changes what the network computes, so no fix is safe. Where one phase is evident and has a name at the
layer, the fix hands it to the layer and is unsafe: a placeholder or variable that is true in the training and that
other layers follow or that is called like a phase, or the `mode` of an Estimator's model function. BN101 then
sees to it that the updates are run. At the call of a model the fix says `training=True`, or hands on the phase that
the function around it takes. `F.batch_norm` in a `forward` gets `training=self.training`. Otherwise the fix is only
shown; where `train()` is to be called is the author's to say.

## Confirmed by

`bnlint run`: in all training steps the output is the formula with the moving statistics (RP4), which are 0
and 1 to the end (RP2), and the phase is a constant. A constant that a caller handed on (BN202), that a
function did not get (BN205), or that remained because the phase was given as the axis (BN204) looks the same
at run time and is reported under this code. Programs that read a checkpoint are left alone. In PyTorch a model that was
built and put into evaluation mode in one call of a function, and in all training steps was so, is reported as well.

## Known limits

A False that a caller hands to the function which builds the layer is BN202. A model that Keras 3 tells no phase,
because its `call` takes none, is BN108. Programs that may start from a checkpoint of another program are left
alone.

## References

- TensorFlow 1.15, `tf.compat.v1.layers.batch_normalization`: `training` is False by default.
- https://github.com/tensorflow/tensorflow/issues/32864
- PyTorch, `torch.nn.functional.batch_norm`: `training` is False by default.
- Executed: Keras 3.15, tf-keras 2.21 and torch 2.13.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.constants import (
    built_in,
    misdirected,
    passed,
    pretrained,
    steps_of,
    trained_by,
    trained_in_mode,
    untold,
)
from bnlint.analyses.forwards import told_by
from bnlint.analyses.functional import (
    asks_for_phase,
    has_parameters,
    is_function,
    keeps_statistics,
    moved_by_hand,
)
from bnlint.analyses.learning import lessons, switched_off_at_birth
from bnlint.analyses.runs import training_runs
from bnlint.dataflow import Const, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, SetKeyword, Step
from bnlint.rule import Rule
from bnlint.trace import Forward, ModeSwitch, NormCall, Origin, Run, Trace, TrainStep, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class TrainedInInferenceMode(Rule):
    """A trained layer that is always in inference mode."""

    code = "BN107"
    name = "trained-in-inference-mode"
    group = Group.ERROR
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each constant once, at the first layer that it reaches."""
        seen: set[object] = set()
        called: dict[tuple[object, Location], list[tuple[NormCall, Forward]]] = {}
        for run in training_runs(trace):
            if pretrained(run, trace):
                continue
            for step in steps_of(run, trace):
                for call in trained_by(step, run):
                    forward = told_by(call)
                    if forward is not None:
                        if _untrained(call, forward, run, trace):
                            called.setdefault((forward.target, step.site), []).append((call, forward))
                        continue
                    phase = built_in(call, run.world())
                    if phase is None or phase.value or {call.site, _source(call, phase)} & seen:
                        continue
                    if trained_in_mode(call, trace) or misdirected(call) or _told_elsewhere(call, trace):
                        continue
                    if is_function(call) and call.origin is Origin.ARGUMENT:
                        # Who writes that a function of PyTorch must not train wants a frozen layer.
                        continue
                    if passed(call, phase, trace) is None:
                        seen |= {call.site, _source(call, phase)}
                        yield self._finding(call, phase, step, run, trace)
        for (_, place), found in called.items():
            if not {forward.site for _, forward in found} <= seen:
                seen.update(forward.site for _, forward in found)
                yield self._called(found, place)
        yield from self._in_modules(trace)

    def _in_modules(self, trace: Trace) -> Iterator[Finding]:
        """What goes wrong in PyTorch, where each module has a mode of its own."""
        seen: set[Location] = set()
        for forward, run in lessons(trace):
            for call in forward.norms:
                if call.site not in seen and _never_told(call, run, trace):
                    seen.add(call.site)
                    yield self._untold(call, run)
            switch = switched_off_at_birth(forward, trace)
            if switch is not None and switch.site not in seen:
                seen.add(switch.site)
                yield self._switched_off(switch, forward, run)

    def _untold(self, call: NormCall, run: Run) -> Finding:
        phase = remedies.flags.module_phase(call)
        edits = (SetKeyword(call.site, "training", phase.text),) if phase is not None else ()
        return self.finding(
            call.site,
            "batch norm is trained in inference mode, the default of the function: it never normalises with batch "
            "statistics, and its running statistics never move",
            (
                Step(call.site, "always in inference mode: it is not told to train"),
                Step(run.site, "the layer is trained here"),
            ),
            Fix(Applicability.UNSAFE, "let it follow the mode of the module", edits)
            if edits
            else Fix(Applicability.DISPLAY, "say `training=` at the call"),
        )

    def _switched_off(self, switch: ModeSwitch, forward: Forward, run: Run) -> Finding:
        maker = switch.context.frame.function.rpartition(".")[2]
        return self.finding(
            switch.site,
            f"`{maker}` gives the model away in evaluation mode, and it is trained so from the first step on: its "
            "batch norm never normalises with batch statistics, and the running statistics never move",
            (
                Step(switch.site, "put into evaluation mode here, and never into training mode"),
                Step(forward.norms[0].layer.site, "this layer then uses its running statistics"),
                Step(forward.site, "called here in the training"),
                Step(run.site, "and trained here"),
            ),
            Fix(Applicability.DISPLAY, "call `train()` on the model before it is trained"),
        )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each constant once, as far as a run shows which layers share it."""
        from bnlint.runtime.lives import many, place_of_step
        from bnlint.runtime.symptoms import Source, by_cause, by_site, trained_in_inference

        for group in by_cause(trained_in_inference(observed, Source.CONSTANT), observed):
            first, run = group[0].life, group[0].seen.run
            sites = list(by_site((each.life for each in group), observed))
            others = f" and {many(len(group) - 1, 'other layer')}" if len(group) > 1 else ""
            yield self.finding(
                sites[0],
                f"`{first.layer.name}`{others}: in inference mode in {many(run.count, 'training step')}, never "
                "normalised with batch statistics, and the moving statistics never moved",
                (
                    *(Step(site, "always in inference mode") for site in sites[:3]),
                    Step(place_of_step(run, observed), "the layer is trained here"),
                ),
            )
        yield from self._given_away(observed)

    def _given_away(self, observed: Observed) -> Iterator[Finding]:
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.modules import given_away_in_evaluation_mode

        seen: set[Location] = set()
        for wrong, site in given_away_in_evaluation_mode(observed):
            if site not in seen:
                seen.add(site)
                run = wrong.seen.run
                yield self.finding(
                    site,
                    f"`{wrong.life.layer.name}` was in evaluation mode in {many(run.count, 'training step')}, as the "
                    "function that made it had left it: its moving statistics never moved",
                    (
                        Step(site, "put into evaluation mode here, and never into training mode"),
                        Step(wrong.life.site(observed), "this layer then uses its moving statistics"),
                        Step(place_of(run, observed), "and is trained so here"),
                    ),
                )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import trained_by_batch

        return trained_by_batch(finding, observed)

    def _called(self, found: list[tuple[NormCall, Forward]], step: Location) -> Finding:
        call, forward = found[0]
        what = "layer" if call.layer.site == _made(forward.target) else "model"
        how = "without `training=True`" if forward.training is None else "with a phase that is False"
        forwards = {forward.site: forward for _, forward in found}
        return self.finding(
            forward.site,
            f"the {what} is trained here, but called {how}: its batch norm stays in inference mode, and its moving "
            "statistics never move",
            (
                *(Step(site, "called here, in inference mode") for site in list(forwards)[:3]),
                Step(call.site, "this layer then uses its moving statistics, and leaves them as they are"),
                Step(step, "its weights are trained here"),
            ),
            _told(forwards.values()),
        )

    def _finding(self, call: NormCall, phase: Const, step: TrainStep, run: Run, trace: Trace) -> Finding:
        why = "that is the default" if call.origin is Origin.DEFAULT else "the flag is a constant"
        steps = [Step(call.site, f"always in inference mode: {why}")]
        if phase.site is not None and phase.site != call.site:
            steps.append(Step(phase.site, "the constant stands here"))
        steps.append(Step(step.site, "the layer is trained here"))
        if run.site != step.site:
            steps.append(Step(run.site, "the train step runs here"))
        return self.finding(
            call.site,
            "batch norm is trained in inference mode: it never normalises with batch statistics, "
            "and its moving statistics never move",
            steps,
            _fix(call, phase, run, trace),
        )


def _fix(call: NormCall, phase: Const, run: Run, trace: Trace) -> Fix:
    edits = remedies.forwards.follows_the_call(call, phase)
    if edits:
        return Fix(Applicability.UNSAFE, "let the layer follow the call of the model", edits)
    text, edits = remedies.phases.phased(call, run, trace)
    if edits:
        return Fix(Applicability.UNSAFE, f"give the layer the phase, `{text}`", edits)
    return Fix(Applicability.DISPLAY, "give the layer the phase and run its update operations while training")


def _never_told(call: NormCall, run: Run, trace: Trace) -> bool:
    """Whether the function has weights that learn, and statistics that nothing moves because it is not told to."""
    return (
        is_function(call)
        and call.origin is Origin.DEFAULT
        and has_parameters(call)
        and keeps_statistics(call, trace)
        and not asks_for_phase(call)
        and not moved_by_hand(call, trace)
        and untold(call, trace) is None
        and not pretrained(run, trace)
    )


def _untrained(call: NormCall, forward: Forward, run: Run, trace: Trace) -> bool:
    """Whether a layer is in inference mode because of how its model is called, and that cannot be meant."""
    if (
        call.updates is Updates.NONE
        or call.layer.pretrained
        or forward.symbolic
        or forward.driver is not None
    ):
        return False
    return call.training(run.world()) is False and not trained_in_mode(call, trace)


def _told_elsewhere(call: NormCall, trace: Trace) -> bool:
    """Whether a parameter for the phase gets lost on the way: that is another bug, where calls hand nothing on."""
    return call.forward is None and untold(call, trace) is not None


def _made(target: Value) -> Location | None:
    return getattr(target, "site", None)


def _told(forwards: Iterable[Forward]) -> Fix:
    found = [remedies.forwards.told(forward, training=True) for forward in forwards]
    if all(found):
        return Fix(
            Applicability.UNSAFE,
            "call it with `training=True`",
            tuple(edit for edits in found for edit in edits),
        )
    return Fix(Applicability.DISPLAY, "call it with `training=True` in the training step")


def _source(call: NormCall, phase: Const) -> object:
    """What makes two constants the same decision: the literal, or the value if it was computed."""
    return call.site if call.origin is Origin.DEFAULT else phase.site or phase
