"""Comparing dataflow paths: what lies between two uses of weights, and where two paths through code part."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from bnlint.dataflow import Choice, Const, Context, Node, Op, Unknown, Value, World, sources
from bnlint.findings import Location
from bnlint.trace import NormLayer


@dataclass(slots=True)
class Segment:
    """What stands before an operation with weights, back to the operations with weights before it."""

    norms: set[Node] = field(default_factory=set)
    before: set[Node] = field(default_factory=set)
    """The preceding operations with weights."""
    known: bool = True
    """False when something on the way is not known or not decided in this world."""

    @property
    def layers(self) -> set[NormLayer]:
        """The normalisation layers in the segment."""
        return {norm.attrs["call"].layer for norm in self.norms}

    @property
    def weights(self) -> set[object]:
        """The variables of the preceding operations."""
        return {identity(weight) for node in self.before for weight in node.attrs["weights"]}


def identity(variable: Node) -> object:
    """What makes a variable the same one in another graph, after a checkpoint: its name, if that is known."""
    name = variable.attrs.get("name")
    return name if name is not None else variable


def segment_before(node: Node, world: World) -> Segment:
    """The segment that ends at an operation with weights, in a world."""
    weights = set(node.attrs["weights"])
    return segment_behind([value for value in node.inputs if value not in weights], world)


def segment_behind(values: Iterable[Value], world: World) -> Segment:
    """The segment that ends with some values, in a world."""
    result = Segment()
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Unknown):
            result.known = result.known and not any(isinstance(source, Node) for source in sources((value,)))
        elif isinstance(value, Choice):
            options = list(world.alternatives(value))
            result.known = result.known and len(options) == 1
            pending.extend(options)
        elif isinstance(value, Node):
            _step_back(value, world, result, pending)
    return result


def _step_back(node: Node, world: World, result: Segment, pending: list[Value]) -> None:
    if node.op == Op.WEIGHTED:
        result.before.add(node)
    elif node.op == Op.NORM:
        result.norms.add(node)
        pending.append(node.attrs["call"].input)
    elif node.op == Op.COND:
        outcome = world.truth(node.inputs[0])
        result.known = result.known and outcome is not None
        pending.extend(node.inputs[1:] if outcome is None else [node.inputs[1 if outcome else 2]])
    elif node.op not in (Op.VARIABLE, Op.PLACEHOLDER):
        result.known = result.known and not _rescales(node)
        pending.extend(node.inputs)


_RESCALING = {"mult", "div", "tf.multiply", "tf.divide", "tf.truediv", "tf.div"}


def _rescales(node: Node) -> bool:
    """Whether an operation multiplies by something learned or kept: it may be a normalisation written out."""
    if node.op not in _RESCALING:
        return False
    operands = node.attrs.get("operands") or node.inputs
    return any(
        not isinstance(operand, Const)
        and all(
            source.op in (Op.VARIABLE, Op.AVERAGE) or source.inputs
            for source in sources((operand,))
            if isinstance(source, Node)
        )
        and any(
            isinstance(source, Node) and source.op in (Op.VARIABLE, Op.AVERAGE)
            for source in sources((operand,))
        )
        for operand in operands
    )


def parting(here: Context, there: Context) -> Location:
    """The place in ``here`` where its way through the calls first differs from that of ``there``."""
    mine, other = list(_way(here)), list(_way(there))
    for one, two in zip(mine, other, strict=False):
        if one != two:
            return one
    return mine[min(len(mine), len(other) + 1) - 1]


def _way(context: Context) -> Iterator[Location]:
    for frame in reversed(list(context.frame.outwards())):
        if frame.site is not None:
            yield frame.site
    yield context.site


def enclosing_if(norm: Context) -> Location | None:
    """The innermost ``if`` statement around a place, in the function that it belongs to."""
    frame = norm.frame
    found: ast.If | None = None
    for node in ast.walk(frame.node) if frame.node is not None else ():
        if isinstance(node, ast.If):
            whole = frame.locate(node)
            if whole.cell == norm.site.cell and whole.line <= norm.site.line <= whole.end_line:
                found = node
    if found is None:
        return None
    whole, test = frame.locate(found), frame.locate(found.test)
    return replace(whole, end_line=test.end_line, end_column=test.end_column)
