"""Edits that several rules propose: giving a layer its phase, and turning a flag over where it is written."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bnlint.analyses.written import Source, is_plain, keyword, parameters, source
from bnlint.dataflow import Const, Frame, Node, Op
from bnlint.findings import AddItem, Edit, Location, ReplaceExpression, SetKeyword
from bnlint.trace import NormCall, Origin, Run, Trace
from bnlint.words import is_phase_name

PHASE_KEYWORDS = {
    "tf.layers.batch_normalization": "training",
    "tf.layers.BatchNormalization": "training",
    "tf.contrib.layers.batch_norm": "is_training",
    "torch.nn.functional.batch_norm": "training",
}
"""What the layers call the phase that is given to their call."""
_TRAINS = "mode == {tf}.estimator.ModeKeys.TRAIN"

Visible = Callable[[Source, ast.AST], bool]


@dataclass(frozen=True, slots=True)
class Phase:
    """An expression for the phase: how it is written, and where that has its meaning."""

    text: str
    visible: Visible


def parameter_phase(frame: Frame, name: str) -> Phase:
    """The phase that a function has as a parameter."""
    return Phase(name, lambda written, node: written.sees(name, frame.node, node))


def module_phase(call: NormCall) -> Phase | None:
    """The mode of the module of PyTorch in whose ``forward`` a normalisation stands."""
    frame = call.context.frame
    names = [parameter.arg for parameter in parameters(frame.node)]
    if not frame.function.endswith(".forward") or not names:
        return None
    return replace(parameter_phase(frame, names[0]), text=f"{names[0]}.training")


def mode_phase(call: NormCall, trace: Trace) -> Phase | None:
    """The phase that the ``mode`` of an Estimator's model function amounts to, for a layer that it builds."""
    driven = {run.site for run in trace.of(Run) if run.declared is not None and "stimator" in run.api}
    for frame in call.context.frame.outwards():
        if frame.site in driven and "mode" in {parameter.arg for parameter in parameters(frame.node)}:
            return replace(parameter_phase(frame, "mode"), text=f"({_TRAINS})")
    return None


def compared_mode(call: NormCall, location: Location, trace: Trace) -> tuple[Edit, ...]:
    """The edit that makes a comparison of an Estimator's ``mode`` one with the mode of training."""
    written, phase = source(location, trace), mode_phase(call, trace)
    node = written.at(location, ast.Compare) if written else None
    if written is None or node is None or phase is None or not phase.visible(written, node):
        return ()
    is_mode = isinstance(node.left, ast.Name) and node.left.id == "mode" and isinstance(node.ops[0], ast.Eq)
    return (ReplaceExpression(location, _TRAINS),) if is_mode and len(node.ops) == 1 else ()


def placeholder_phase(placeholder: Node, before: int, trace: Trace) -> Phase | None:
    """The phase that a placeholder holds, under the name that it is assigned to.

    ``before`` is the order of what will use it, which must come later.
    """
    written = source(placeholder.site, trace)
    made = written.at(placeholder.site, ast.Call) if written else None
    statement = written.parent(made) if written and made else None
    if written is None or not isinstance(statement, ast.Assign) or placeholder.order > before:
        return None
    targets = [target for target in statement.targets if is_plain(target)]
    if len(targets) != 1:
        return None
    target, scope = targets[0], written.scope(statement)

    def visible(where: Source, node: ast.AST) -> bool:
        if where is not written:
            return False
        here = where.scope(node) is scope
        if isinstance(target, ast.Name):
            return where.sees(target.id, scope, node) and (not here or where.precedes(statement, node))
        return here and where.precedes(statement, node)

    return Phase(ast.unparse(target), visible)


def flags(trace: Trace) -> Iterator[Node]:
    """The placeholders that tell a phase: booleans, and those that are called so."""
    for node in trace.nodes:
        if node.op == Op.PLACEHOLDER:
            name = node.attrs.get("name")
            if node.attrs.get("dtype") == "bool" or (isinstance(name, str) and is_phase_name(name)):
                yield node


def told(call: NormCall, phase: Phase, trace: Trace) -> tuple[Edit, ...]:
    """The edits that give a layer a phase in the place of its default or of a literal.

    Empty where that cannot be done at one place, or where the phase is not visible.
    """
    name = PHASE_KEYWORDS.get(call.layer.api)
    if name is None or not isinstance(call.phase, Const) or call.arguments.open:
        return ()
    if call.origin is not Origin.DEFAULT:
        return _in_place_of(call.phase.site, phase, trace)
    written = source(call.site, trace)
    node = written.at(call.site, ast.Call) if written else None
    if written is None or node is None or not phase.visible(written, node):
        return ()
    if not call.via:
        return (SetKeyword(call.site, name, phase.text),)
    given = keyword(node, "normalizer_params")
    if isinstance(given, ast.Dict):
        return (AddItem(written.locate(given), repr(name), phase.text),)
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and given.func.id == "dict":
        return (SetKeyword(written.locate(given), name, phase.text),)
    if (
        given is None
        and keyword(node, "normalizer_fn") is not None
        and set(call.arguments.named) <= {"inputs"}
    ):
        return (SetKeyword(call.site, "normalizer_params", f"{{{name!r}: {phase.text}}}"),)
    return ()


def _in_place_of(literal: Location | None, phase: Phase, trace: Trace) -> tuple[Edit, ...]:
    written = source(literal, trace)
    node = written.at(literal, ast.Constant) if written else None
    if literal is None or written is None or node is None or not phase.visible(written, node):
        return ()
    holder = written.parent(node)
    return (
        (ReplaceExpression(literal, phase.text),)
        if isinstance(holder, ast.keyword | ast.Call | ast.Dict)
        else ()
    )


def turned_over(literal: Const) -> tuple[str, tuple[Edit, ...]]:
    """The other value of a flag, and the edit that puts it in the place of the literal."""
    text = repr(type(literal.value)(not literal.value))
    return text, () if literal.site is None else (ReplaceExpression(literal.site, text),)
