"""Parameters for the phase that a function takes and that never reach its normalisation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.dataflow import Const, Frame
from bnlint.findings import Location
from bnlint.trace import NormCall, Origin, Trace
from bnlint.words import is_phase_name

_SCOPES = {"arg_scope", "partial", "cond", "smart_cond"}
"""What carries a phase to later calls, or decides between two."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def decides(call: NormCall, function: Frame, trace: Trace) -> bool:
    """Whether a function itself gives a layer its constant phase, whatever it is told."""
    return _own(call, function) and not _has_twin(call, function, trace)


def ignored(call: NormCall, function: Frame, inner: Location) -> Iterator[ast.arg]:
    """The phase parameters of a function that do not matter for a layer; ``inner`` is the call that leads to it."""
    for parameter in _ignored(function.node, function, inner):
        if not _is_default(call, function, parameter):
            yield parameter


def functions(call: NormCall) -> Iterator[tuple[Frame, Location]]:
    """The functions around a layer with a constant phase, each with its call that leads to the layer."""
    if call.origin not in (Origin.DEFAULT, Origin.ARGUMENT, Origin.SCOPE) or not isinstance(
        call.phase, Const
    ):
        return
    inner = call.site
    for frame in call.context.frame.outwards():
        if isinstance(frame.node, Definition):
            yield frame, inner
        if frame.site is None:
            return
        inner = frame.site


def _own(call: NormCall, function: Frame) -> bool:
    """Whether the constant is the function's own: a default, or a literal in it or in what it calls."""
    if call.origin in (Origin.DEFAULT, Origin.NONE):
        return True
    site = call.phase.site if isinstance(call.phase, Const) else None
    if site is None:
        return False
    for frame in call.context.frame.outwards():
        if frame.node is not None:
            whole = frame.locate(frame.node)
            if (
                whole.path == site.path
                and whole.cell == site.cell
                and whole.line <= site.line <= whole.end_line
            ):
                return True
        if frame is function:
            return False
    return False


def _has_twin(call: NormCall, function: Frame, trace: Trace) -> bool:
    """Whether the function normalises instead, when a condition turns out otherwise, with a phase that is told."""
    outcomes = dict(call.guards)
    return bool(outcomes) and any(
        not isinstance(other.phase, Const)
        and any(outcomes.get(condition) is (not outcome) for condition, outcome in other.guards)
        and any(frame.node is function.node for frame in other.context.frame.outwards())
        for other in trace.of(NormCall)
    )


def _is_default(call: NormCall, function: Frame, parameter: ast.arg) -> bool:
    """Whether the layer's phase is the default of this very parameter: then it did arrive."""
    spec = function.node.args
    optional = [*spec.posonlyargs, *spec.args]
    pairs: list[tuple[ast.arg, ast.expr | None]] = [
        *zip(optional[len(optional) - len(spec.defaults) :], spec.defaults, strict=True),
        *zip(spec.kwonlyargs, spec.kw_defaults, strict=True),
    ]
    site = call.phase.site if isinstance(call.phase, Const) else None
    return any(
        default is not None and arg is parameter and function.locate(default) == site
        for arg, default in pairs
    )


def _ignored(definition: Definition, frame: Frame, inner: Location) -> Iterator[ast.arg]:
    """The phase parameters that do not matter for the call at ``inner``."""
    spec = definition.args
    parameters = [arg for arg in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs) if is_phase_name(arg.arg)]
    if len(parameters) != 1 or any(
        isinstance(node, ast.Name) and node.id == "locals" for node in ast.walk(definition)
    ):
        return
    name = parameters[0].arg
    if overwritten(definition, name) or _handed_elsewhere(definition, name, frame, inner):
        yield parameters[0]


def reads(node: ast.AST, name: str) -> bool:
    """Whether a name is mentioned in a part of a program."""
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def overwritten(definition: Definition, name: str) -> bool:
    """Whether the first statement that mentions the parameter gives it another value."""
    for statement in definition.body:
        if reads(statement, name):
            return (
                isinstance(statement, ast.Assign)
                and [target.id for target in statement.targets if isinstance(target, ast.Name)] == [name]
                and not reads(statement.value, name)
            )
    return False


def _handed_elsewhere(definition: Definition, name: str, frame: Frame, inner: Location) -> bool:
    """Whether every mention of the parameter is an argument of a call that has nothing to do with the layer."""
    mentions = sum(
        isinstance(node, ast.Name) and node.id == name for part in definition.body for node in ast.walk(part)
    )
    for node in (node for part in definition.body for node in ast.walk(part)):
        if isinstance(node, ast.Call) and frame.locate(node) != inner:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in _SCOPES:
                mentions -= sum(
                    isinstance(keyword.value, ast.Name)
                    and keyword.value.id == name
                    and is_phase_name(keyword.arg or "")
                    for keyword in node.keywords
                )
    return mentions == 0
