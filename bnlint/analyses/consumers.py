"""What takes a value: the other direction of the dataflow graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnlint.dataflow import Choice, Node, Unknown, Value
from bnlint.trace import Event, Forward, Run, Trace, TrainStep

Consumer = Node | Event | None
"""A node, an event that has the value for a result, or None for code that is not known."""


def consumers(value: Value, trace: Trace) -> list[Consumer]:
    """All that takes a value, itself or as one of several alternatives."""
    found: dict[Value, list[Consumer]] | None = trace.facts.get("consumers")
    if found is None:
        found = trace.facts["consumers"] = _all(trace)
    return found.get(value, [])


def _all(trace: Trace) -> dict[Value, list[Consumer]]:
    found: dict[Value, list[Consumer]] = {}
    for consumer, values in _taken(trace):
        for value in _spread(values):
            found.setdefault(value, []).append(consumer)
    return found


def _taken(trace: Trace) -> Iterator[tuple[Consumer, Iterable[Value]]]:
    for node in trace.nodes:
        yield node, node.inputs
    for event in trace.events:
        if isinstance(event, Run):
            yield event, event.fetches
        elif isinstance(event, Forward) and event.output is not None:
            yield event, (event.output,)
        elif isinstance(event, TrainStep) and event.loss is not None:
            yield event, (event.loss,)
    yield None, trace.escaped


def _spread(values: Iterable[Value]) -> set[Value]:
    """Values and their alternatives; what an unknown value may have been computed from too."""
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value not in seen:
            seen.add(value)
            if isinstance(value, Choice):
                pending.extend(option for _, option in value.options)
            elif isinstance(value, Unknown):
                pending.extend(value.sources)
    return seen
