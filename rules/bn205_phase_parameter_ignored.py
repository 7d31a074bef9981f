"""A function that takes the phase as a parameter and normalises without looking at it.

## What it does

Reports a parameter that tells training from inference (`is_training`, `train`, `phase`, …) of a function that
applies batch normalisation, when the function never reads the parameter, throws it away, or hands it to other calls
(dropout, say) but not to the normalisation, whose phase is a constant of its own.

## Why it is bad

Every caller believes to switch the layer, and none does: the layer always trains, or never.

## When it is not a bug

- The method only implements a signature that others share, and the layer takes its phase from elsewhere.
- Keras layers: `training` reaches inner layers by the call context.
- Layers of PyTorch follow the mode of their module. `F.batch_norm` with `None` for statistics has nothing to switch.

## Example

```python
def discriminator(image, train=True):
    return lrelu(tf.contrib.layers.batch_norm(conv(image)))
```

## Use instead

```python
def discriminator(image, train=True):
    return lrelu(tf.contrib.layers.batch_norm(conv(image), is_training=train))
```

## Fix safety

The fix hands the parameter on to all layers that do not get it, or to the functions between that would hand it on, or
takes out the assignment that throws the parameter away. It changes what the network computes in one of the phases,
so it is unsafe. It is only shown where the parameter says the opposite (`is_test`) or is a mode with several values,
where a layer is written out and so has no argument for the phase, and where the constant is set outside of the
function.

## Confirmed by

Nothing under this code: at run time the layer has a constant phase, wherever it could have come from. `bnlint
run` shows the effective mode (RP1) and reports it as BN107 or BN203.

## Known limits

A parameter that takes part in a condition is left alone: what it decides may be right. `F.batch_norm` of PyTorch that
is told `training=True` right there, beside a parameter without effect, is BN203.

## References

- TensorFlow 1.15, `tf.contrib.layers.batch_norm`: `is_training` is True by default.
- PyTorch, `torch.nn.functional.batch_norm`: `training` is False by default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint import remedies
from bnlint.analyses.constants import carriers, invocation
from bnlint.analyses.functional import always_in_training, is_function, keeps_statistics
from bnlint.analyses.handmade import Handmade, handmade
from bnlint.analyses.ignored import Definition, decides, functions, ignored, overwritten, reads
from bnlint.analyses.written import bound, source
from bnlint.dataflow import Const, Frame
from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    Location,
    RemoveStatement,
    SetKeyword,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import NormCall, Origin, Trace
from bnlint.words import EVALUATING, is_phase_name, words


class PhaseParameterIgnored(Rule):
    """A phase parameter that the normalisation never sees."""

    code = "BN205"
    name = "phase-parameter-ignored"
    group = Group.WARNING
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each parameter once."""
        found: dict[ast.arg, list[tuple[NormCall, Frame]]] = {}
        asked: set[tuple[ast.AST, Location]] = set()
        by_hand = {layer.call for layer in handmade(trace) if _has_batch_statistics_only(layer)}
        for call in trace.of(NormCall):
            if call.forward is not None:
                # The phase is handed down by the calls around it, whether or not a parameter says so.
                continue
            if is_function(call) and (not keeps_statistics(call, trace) or always_in_training(call, trace)):
                # Nothing is learned that inference could use; or it is told to train right there, a bug of its own.
                continue
            if not trace.driven and call.origin is Origin.DEFAULT and trace.mentions("arg_scope"):
                # The function is interpreted on its own: who calls it may tell the phase by a scope.
                continue
            for frame, inner in functions(call) if call not in by_hand else _told_inference(call, trace):
                if (frame.node, inner) not in asked and decides(call, frame, trace):
                    asked.add((frame.node, inner))
                    for parameter in ignored(call, frame, inner):
                        found.setdefault(parameter, []).append((call, frame))
        for parameter, layers in found.items():
            yield self._finding(parameter, layers, trace)

    def _finding(self, parameter: ast.arg, layers: list[tuple[NormCall, Frame]], trace: Trace) -> Finding:
        call, frame = layers[0]
        site = frame.locate(parameter)
        mode = "training" if isinstance(call.phase, Const) and call.phase.value else "inference"
        return self.finding(
            site,
            f"`{frame.function.rpartition('.')[2]}` takes the phase as `{parameter.arg}`, but its batch norm never "
            f"gets it and is always in {mode} mode",
            (Step(site, "the phase arrives here"), Step(call.site, "and this layer does not get it")),
            _fix(parameter, layers, trace),
        )


def _has_batch_statistics_only(layer: Handmade) -> bool:
    return (
        layer.known
        and bool(layer.moments)
        and not layer.kept
        and not layer.updates
        and all(node.attrs["batch"] for node in layer.moments)
    )


def _told_inference(call: NormCall, trace: Trace) -> Iterator[tuple[Frame, Location]]:
    """The function that writes a normalisation out, if the program asks it for the inference phase in vain."""
    frame = call.context.frame
    if isinstance(frame.node, Definition):
        invoked, _ = invocation(frame, trace)
        for keyword in invoked.keywords if invoked is not None else ():
            is_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if is_false and is_phase_name(keyword.arg or "") and not reads(frame.node, keyword.arg or ""):
                yield frame, call.site


def _fix(parameter: ast.arg, layers: list[tuple[NormCall, Frame]], trace: Trace) -> Fix:
    name = parameter.arg
    edits: dict[Edit, None] = {}
    for call, frame in layers:
        own: tuple[Edit, ...] = ()
        if _is_training_flag(parameter, frame, trace):
            own = (
                _restored(call, frame, name, trace)
                or remedies.flags.told(call, remedies.flags.parameter_phase(frame, name), trace)
                or _forwarded(call, frame, name, trace)
            )
        if not own:
            return Fix(Applicability.DISPLAY, f"let `{name}` decide which statistics the layer uses")
        edits.update(dict.fromkeys(own))
    what = "layer" if len(edits) == 1 else "layers"
    return Fix(Applicability.UNSAFE, f"hand `{name}` on to the {what}", tuple(edits))


def _is_training_flag(parameter: ast.arg, frame: Frame, trace: Trace) -> bool:
    """Whether a parameter is one that is true in training, so that it can be handed on as it is."""
    if {"mode", *EVALUATING} & set(words(parameter.arg)):
        return False
    invoked, _ = invocation(frame, trace)
    given = [keyword.value for keyword in invoked.keywords] + invoked.args if invoked is not None else []
    return not any(isinstance(node, ast.Constant) and node.value in _MODES for node in given)


_MODES = ("train", "training", "test", "eval", "infer", "valid", "predict")


def _restored(call: NormCall, frame: Frame, name: str, trace: Trace) -> tuple[Edit, ...]:
    """The edit that takes out a statement in which the function throws its parameter away."""
    if not overwritten(frame.node, name):
        return ()
    phase = call.phase.site if isinstance(call.phase, Const) else None
    statement = next(part for part in frame.node.body if reads(part, name))
    written = source(call.site, trace)
    if written is None or bound(name, frame.node) != 2 or frame.locate(statement.value) != phase:
        return ()
    return (RemoveStatement(frame.locate(statement)),)


def _forwarded(call: NormCall, frame: Frame, name: str, trace: Trace) -> tuple[Edit, ...]:
    """The edit that hands the parameter to a function between, which has one for the phase and uses its default."""
    carrier = next(reversed(list(carriers(call, trace))), None)
    if carrier is None or carrier[0].parent is not frame:
        return ()
    between, parameter = carrier
    written = source(between.site, trace)
    node = written.at(between.site, ast.Call) if written else None
    if written is None or node is None or between.site is None or not written.sees(name, frame.node, node):
        return ()
    if any(given.arg is None for given in node.keywords) or any(
        isinstance(a, ast.Starred) for a in node.args
    ):
        return ()
    return (SetKeyword(between.site, parameter, name),)
