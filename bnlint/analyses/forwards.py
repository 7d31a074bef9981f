"""Calls of models, in frameworks where a call hands the phase down to the layers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from bnlint.analyses.runs import executions, training_runs
from bnlint.dataflow import Choice, Const, Frame, Node, Unknown, Value, maker, sources
from bnlint.findings import Location
from bnlint.trace import Forward, NormCall, Origin, Run, Trace


def told_by(call: NormCall) -> Forward | None:
    """The call of a model that decides the phase of a layer, by what it gives or by giving nothing."""
    forward = call.forward
    if forward is None:
        return None
    if call.origin is Origin.DEFAULT:
        return forward
    if forward.training is None:
        return None
    if call.origin is Origin.CONTEXT or _same(call.phase, forward.training):
        return forward
    return None


def _same(one: Value | None, other: Value) -> bool:
    if isinstance(one, Node | Unknown):
        # ``tf.logical_and(training, self.trainable)`` is what was told, as far as it can differ.
        return other in sources((one,))
    if isinstance(one, Const) and isinstance(other, Const):
        # What was computed from it has no place of its own.
        return (
            one is other
            or one.site == other.site
            or (one.site is None and bool(one.value) == bool(other.value))
        )
    return one is other


def learned_from(forward: Forward, trace: Trace) -> bool:
    """Whether a train step computes something of what a call of a model gave."""
    found: set[Node] | None = trace.facts.get("learned from")
    if found is None:
        runs = (executions(trace)[run].nodes for run in training_runs(trace))
        found = trace.facts["learned from"] = set().union(*runs)
    return any(value in found for value in results(forward, trace))


def results(forward: Forward, trace: Trace) -> tuple[Value, ...]:
    """What a call of a model gave: one value or several, or what was computed in it on the way to them."""
    known: dict[Forward, tuple[Value, ...]] = trace.facts.setdefault("results", {})
    if forward not in known:
        known[forward] = tuple(_results(forward))
    return known[forward]


def _results(forward: Forward) -> Iterator[Value]:
    pending: list[Value | None] = [forward.output]
    seen: set[Value] = set()
    while pending:
        value = pending.pop(0)
        if value is None or value in seen:
            continue
        seen.add(value)
        items = getattr(value, "items", None)
        if items is not None:
            pending.extend(items)
        elif isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            inside = (node for node in sources((value,)) if isinstance(node, Node))
            yield from (node for node in inside if node.order > forward.order)
        else:
            yield value


def called(call: NormCall) -> Location:
    """Where the model itself calls the part that a layer is in; where the program calls the model, if that is all."""
    site = call.site
    outer = call.forward.context.frame if call.forward is not None else None
    for frame in call.context.frame.outwards():
        if frame is outer or frame.parent is outer:
            return site
        site = frame.site or site
    return call.site


def own_frames(run: Run, trace: Trace) -> Iterator[Frame]:
    """The functions around a call of a model, innermost first, without those in which training calls it too."""
    training: dict[object, set[object]] | None = trace.facts.get("functions that train")
    if training is None:
        training = trace.facts["functions that train"] = {}
        for forward in trace.of(Forward):
            if learned_from(forward, trace):
                nodes = {frame.node for frame in forward.context.frame.outwards() if frame.node is not None}
                training.setdefault(forward.site, set()).update(nodes)
    shared = training.get(run.site, set()) if run.forward is not None else set()
    return (frame for frame in run.context.frame.outwards() if frame.node not in shared)


def in_vain(run: Run, trace: Trace) -> bool:
    """Whether nobody looks at the result of a call: it is made to build the weights, or to move the statistics."""
    return any(
        (isinstance(parent, ast.Expr) and parent.value is call)
        or (isinstance(parent, ast.Assign) and all(map(_is_nothing, parent.targets)))
        for parent, call in _statements(run, trace)
    )


def _statements(run: Run, trace: Trace) -> Iterator[tuple[ast.stmt, ast.AST]]:
    frame = run.context.frame
    for path, tree in zip(trace.files, trace.trees, strict=False):
        for node in ast.walk(frame.node or tree) if path == frame.module else ():
            if isinstance(node, ast.Expr | ast.Assign) and frame.locate(node.value) == run.site:
                yield node, node.value


def _is_nothing(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and not target.id.strip("_")


def given_data(forward: Forward) -> Iterator[str]:
    """What the inputs of a call are called, where they come from code that is not known."""
    yield from (value.hint for value in forward.inputs if isinstance(value, Unknown) and value.hint)
    for value in sources(forward.inputs):
        if isinstance(value, Unknown) and is_held_out(value.hint):
            yield value.hint


def is_held_out(name: str) -> bool:
    """Whether a name is one of data that is kept for evaluation."""
    return _HELD_OUT.search(name.rpartition(".")[2].lower()) is not None


_HELD_OUT = re.compile(
    r"^(?:test|val|valid|validation|eval|dev)_?(?:set|data|dl|ds|iter|loader|dataset|dataloader|generator|queue|batches)"
)
"""Names of data that is kept for evaluation, written in one word or two."""


_MADE_UP = frozenset(
    "rand randn randint zeros ones empty full normal uniform random rand_like zeros_like ones_like".split()
)


def on_made_up_data(forward: Forward) -> bool:
    """Whether a model is only tried out, on random numbers or zeros."""
    names = map(maker, forward.inputs)
    return any({name.partition(".")[0], name.rpartition(".")[2]} & _MADE_UP for name in names)


def inside_a_model(forward: Forward) -> bool:
    """Whether a call stands in what a model does when it is called: then nobody knows who calls that, and for what."""
    return any(
        isinstance(frame.node, ast.FunctionDef)
        and frame.node.name in ("forward", "call", "__call__", "__init__")
        for frame in forward.context.frame.outwards()
    )


def named(run: Run, trace: Trace) -> str:
    """How the model that runs is written: ``self.generator``, ``gan.predict``."""
    frame = run.context.frame
    for path, tree in zip(trace.files, trace.trees, strict=False):
        for node in ast.walk(frame.node or tree) if path == frame.module else ():
            if isinstance(node, ast.Call) and frame.locate(node) == run.site:
                return ast.unparse(node.func)
    return ""


def in_test_function(run: Run) -> bool:
    """Whether a function that tries something out, and asserts what comes out, makes a call."""
    return any(
        isinstance(frame.node, ast.FunctionDef)
        and frame.node.name.lstrip("_").startswith("test")
        and any(isinstance(node, ast.Assert) for node in ast.walk(frame.node))
        for frame in run.context.frame.outwards()
    )


def default_of(value: Const, frame: Frame) -> str:
    """The parameter, of a function around a call, whose default a value is; empty if it is none."""
    for each in frame.outwards():
        spec = each.node.args if isinstance(each.node, ast.FunctionDef | ast.AsyncFunctionDef) else None
        if spec is None or value.site is None or each.module != value.site.path:
            continue
        named = [*spec.posonlyargs, *spec.args]
        pairs = zip(
            [*named[len(named) - len(spec.defaults) :], *spec.kwonlyargs],
            [*spec.defaults, *spec.kw_defaults],
            strict=True,
        )
        for parameter, default in pairs:
            if default is not None and each.locate(default) == value.site:
                return parameter.arg
    return ""


_NO_GRADIENTS = frozenset(("no_grad", "inference_mode"))


def without_gradients(run: Run) -> bool:
    """Whether gradients are switched off around a call: by a ``with`` block, or for a whole function."""
    return any(_switches_gradients_off(frame, run.site) for frame in run.context.frame.outwards())


def apart_from_learning(call: NormCall, forward: Forward) -> Location | None:
    """Where gradients are switched off around a layer, inside the call of a model for which they are kept."""
    site = call.site
    for frame in call.context.frame.outwards():
        if frame is forward.context.frame:
            return None
        if _switches_gradients_off(frame, site):
            return site
        site = frame.site or site
    return None


def _switches_gradients_off(frame: Frame, site: Location) -> bool:
    node = frame.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    parts = [*node.decorator_list]
    for inner in ast.walk(node):
        if isinstance(inner, ast.With) and inner.lineno <= site.line <= (inner.end_lineno or 0):
            parts.extend(item.context_expr for item in inner.items)
    names = {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for part in parts
             for each in ast.walk(part)}  # fmt: skip
    return bool(names & _NO_GRADIENTS)
