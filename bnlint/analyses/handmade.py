"""Batch normalisation that a program wrote itself around a bare formula.

From the dataflow graph this module tells which statistics a formula uses: those of the batch, those that
the program keeps, or both with a choice between them; and which operations move the kept ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnlint.analyses.runs import executions, training_runs
from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value, World, execution
from bnlint.trace import NormCall, Run, Trace, Updates

_BOUNDARY = frozenset({Op.MOMENTS, Op.VARIABLE, Op.AVERAGE, Op.NORM, Op.WEIGHTED, Op.PLACEHOLDER})


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a value is made of."""

    moments: frozenset[Node]
    """Statistics of a batch."""
    kept: frozenset[Node]
    """Variables and moving averages."""
    others: frozenset[Value]
    """Conditions, placeholders and what else decides about it."""
    known: bool
    """Whether these are all."""


def ingredients(values: Iterable[Value]) -> Ingredients:
    """What values are computed from, as far as the statistics themselves."""
    moments: set[Node] = set()
    kept: set[Node] = set()
    others: set[Value] = set()
    known = True
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Choice):
            others.update(condition for guards, _ in value.options for condition, _ in guards)
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Node):
            if value.op == Op.MOMENTS:
                moments.add(value)
            elif value.op in (Op.VARIABLE, Op.AVERAGE):
                kept.add(value)
            elif value.op in _BOUNDARY:
                others.add(value)
            else:
                pending.extend(value.inputs)
        elif isinstance(value, Unknown):
            known = False
    return Ingredients(frozenset(moments), frozenset(kept), frozenset(others), known)


@dataclass(frozen=True, slots=True)
class Handmade:
    """One application of a hand-written normalisation that can use the statistics of its batch."""

    call: NormCall
    moments: frozenset[Node]
    """The batch's statistics."""
    kept: frozenset[Node]
    """What it may use instead."""
    known: bool
    """Whether these are all statistics that it may use."""
    updates: tuple[Node, ...]
    """The operations that bring the batch's statistics into kept ones."""

    @property
    def targets(self) -> frozenset[Node]:
        """The state that the updates move."""
        found: set[Node] = set()
        for update in self.updates:
            found |= _written(update)
        return frozenset(found)


def _written(update: Node) -> set[Node]:
    target = update.attrs.get("variable")
    options = [option for _, option in target.options] if isinstance(target, Choice) else [target]
    return {option for option in options if isinstance(option, Node) and option.op == Op.VARIABLE}


def handmade(trace: Trace) -> list[Handmade]:
    """The hand-written batch normalisations of a program, in the order in which they are applied."""
    found: list[Handmade] | None = trace.facts.get("handmade")
    if found is None:
        found = trace.facts["handmade"] = list(_handmade(trace))
    return found


def _handmade(trace: Trace) -> Iterable[Handmade]:
    movers: dict[Node, list[Node]] = {}
    for node in trace.nodes:
        if node.op == Op.ASSIGN:
            values: tuple[Value, ...] = (node.attrs["value"],)
        elif node.op == Op.AVERAGE_APPLY:
            values = node.attrs["of"]
        else:
            continue
        for moments in ingredients(values).moments:
            movers.setdefault(moments, []).append(node)
    for call in trace.of(NormCall):
        if call.updates is not Updates.BY_HAND or call.mean is None or call.variance is None:
            continue
        used = ingredients((call.mean, call.variance))
        batch = frozenset(node for node in used.moments if node.attrs["batch"] is not False)
        if batch:
            updates = {update: None for node in batch for update in movers.get(node, ())}
            ordered = tuple(sorted(updates, key=lambda update: update.order))
            yield Handmade(call, batch, used.kept, used.known, ordered)


def updates_run(layer: Handmade, trace: Trace) -> bool:
    """Whether some run may execute an update of a layer, or code that is not known may."""
    reached: set[Node] | None = trace.facts.get("reached")
    if reached is None:
        reached = set(execution(trace.escaped, World()).nodes)
        for executed in executions(trace).values():
            reached |= executed.nodes
        trace.facts["reached"] = reached
    return any(update in reached for update in layer.updates)


def trained_in(layer: Handmade, trace: Trace) -> Run | None:
    """A run that certainly trains with the statistics of the layer's batch."""
    for run in training_runs(trace):
        executed = executions(trace)[run].certain
        if layer.call.output in executed and layer.call.training(run.world()) is not False:
            return run
    return None


def keeps(update: Node) -> Const | None:
    """The share of its old value that an update leaves in a moving statistic; None if it is not known."""
    decay = update.attrs.get("decay")
    if decay is not None:
        return decay if _is_number(decay) else None
    value = update.attrs.get("value")
    if not isinstance(value, Node):
        return None
    if update.attrs["api"].endswith("assign") and value.op == "add":
        for operand in value.attrs["operands"]:
            share, of = _product(operand)
            if share is not None and of in _written(update):
                return share
    if update.attrs["api"].endswith("assign_sub"):
        share, of = _product(value)
        difference = isinstance(of, Node) and of.op == "sub" and of.attrs["operands"][0] in _written(update)
        if share is not None and difference:
            return Const(1 - share.value, share.site)
    return None


def _product(value: Value) -> tuple[Const | None, Value | None]:
    """A product of a number and something."""
    if isinstance(value, Node) and value.op == "mult":
        for one, other in (value.attrs["operands"], value.attrs["operands"][::-1]):
            if isinstance(one, Const) and _is_number(one):
                return one, other
    return None, None


def _is_number(value: object) -> bool:
    return (
        isinstance(value, Const)
        and isinstance(value.value, float | int)
        and not isinstance(value.value, bool)
    )
