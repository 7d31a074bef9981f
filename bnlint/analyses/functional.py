"""Batch normalisation as a function of PyTorch, ``F.batch_norm``: what it is told and what it is given to keep."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.analyses.written import source
from bnlint.dataflow import Const, Value
from bnlint.findings import Location
from bnlint.trace import NormCall, Origin, Trace, Updates
from bnlint.words import is_phase_name, words

_FUNCTIONS = ("torch.nn.functional.batch_norm", "torch.batch_norm")


def is_function(call: NormCall) -> bool:
    """Whether a normalisation is a call of the function, and no layer."""
    return call.layer.api in _FUNCTIONS


def written_at_call(call: NormCall) -> Location | None:
    """Where the phase stands if it is a constant in the function's own call."""
    site = call.arguments.site("training")
    constant = is_function(call) and isinstance(call.phase, Const) and call.origin is Origin.ARGUMENT
    return site if constant and isinstance(call.phase, Const) and call.phase.site == site else None


def always_in_training(call: NormCall, trace: Trace) -> Location | None:
    """Where the function is told to train whatever happens, although it is given statistics to keep."""
    site = written_at_call(call)
    trains = isinstance(call.phase, Const) and call.phase.value is True
    return site if trains and keeps_statistics(call, trace) else None


def keeps_statistics(call: NormCall, trace: Trace) -> bool:
    """Whether there may be an average of the statistics: a tensor outlives the call, and not only the last batch."""
    momentum = call.arguments.value("momentum")
    if call.updates is Updates.NONE or (isinstance(momentum, Const) and momentum.value in (0, 1)):
        return False
    written = source(call.site, trace)
    given = written.at(call.arguments.site("running_mean"), ast.expr) if written else None
    expressions = _assigned(given.id, call) if isinstance(given, ast.Name) else [given]
    # What a call makes is new: what is learned into it is lost.
    return not any(isinstance(expression, ast.Call) for expression in expressions)


def _assigned(name: str, call: NormCall) -> Iterator[ast.expr]:
    """What the function around a call assigns to a name."""
    for node in ast.walk(call.context.frame.node or ast.Pass()):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            else:
                pairs = [(target, node.value)]
            yield from (value for one, value in pairs if isinstance(one, ast.Name) and one.id == name)


def has_parameters(call: NormCall) -> bool:
    """Whether the weight that a call is given is a parameter that learns."""
    weight = call.arguments.value("weight")
    if not isinstance(weight, Value) or getattr(weight, "kind", "") != "torch.nn.Parameter":
        return False
    given = getattr(weight, "slots", {}).get("given")
    return not any(isinstance(value, Const) and value.value is False for value in getattr(given, "items", ()))


def moved_by_hand(call: NormCall, trace: Trace) -> bool:
    """Whether the class around a call may move the statistics itself, or says that they are not to move."""
    written = source(call.site, trace)
    given = written.at(call.arguments.site("running_mean"), ast.Attribute) if written else None
    owner = written.around(given, ast.ClassDef) if written and given is not None else None
    if owner is None or given is None or {"frozen", "freeze", "fixed"} & set(words(owner.name)):
        return True
    return any(
        isinstance(method, ast.FunctionDef)
        and method.name != "__init__"
        and any(_moves(node, given.attr) for node in ast.walk(method))
        for method in owner.body
    )


def _moves(node: ast.AST, name: str) -> bool:
    """Whether a statement assigns to an attribute, or a method that ends in ``_`` is called on it."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
        targets = [node.func.value]
    return any(_name(part) == name for target in targets for part in ast.walk(target))


def asks_for_phase(call: NormCall) -> bool:
    """Whether the function around a call looks at a phase, and so may have another way for the other one."""
    definition = call.context.frame.node
    tests = (
        node.test
        for node in ast.walk(definition or ast.Pass())
        if isinstance(node, ast.If | ast.IfExp | ast.While)
    )
    return any(is_phase_name(_name(part)) for test in tests for part in ast.walk(test))


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
