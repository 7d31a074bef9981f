"""Where a program can put a model into evaluation mode, and back into training mode."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from bnlint.analyses.forwards import learned_from
from bnlint.analyses.written import Source, bound, is_plain, source
from bnlint.findings import Applicability, Edit, Fix, InsertStatement, Location, ReplaceExpression
from bnlint.trace import Event, Forward, ModeSwitch, NormCall, Trace, TrainStep

_WAS = "was_training"
_THROUGH = (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith)
"""Statements around a call before which the mode can be switched as well."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A statement before which the mode of a model can be switched."""

    written: Source
    statement: ast.stmt
    model: str
    """How the model is written there."""

    @property
    def location(self) -> Location:
        """Where the statement is."""
        return self.written.locate(self.statement)


def evaluated(call: NormCall, forward: Forward, trace: Trace) -> Fix:
    """Evaluate a model in evaluation mode, and train it in training mode afterwards."""
    again = _trained_again(call, forward, trace)
    place = _place(forward, _ways_to_training(trace), trace)
    edits = _switched(call, forward, place, again, trace) if place is not None else ()
    if place is None or not edits:
        return Fix(
            Applicability.DISPLAY,
            "call `eval()` on the model before, and `train()` before it is trained again",
        )
    back = ", and go back to training mode" if again is not None else ""
    return Fix(Applicability.UNSAFE, f"call `{place.model}.eval()` before{back}", edits)


def trained(forward: Forward, switch: ModeSwitch, trace: Trace) -> Fix:
    """Train a model in training mode after a switch to evaluation mode."""
    place = _place(forward, _ways_to(switch), trace)
    if place is None:
        return Fix(
            Applicability.DISPLAY, "call `train()` on the model before the next training step"
        )  # fmt: skip
    text = f"{place.model}.train()"
    return Fix(Applicability.UNSAFE, f"call `{text}` before the training", (_before(place, text),))


def _switched(
    call: NormCall, forward: Forward, place: _Place, again: Forward | None, trace: Trace
) -> tuple[Edit, ...]:
    """The edits for an evaluation; ``again`` is the call in which the model is trained afterwards, if it is."""
    wrong = _wrong_switch(call, forward, place, trace)
    leaves = any(isinstance(node, ast.Return | ast.Yield | ast.Raise) for node in ast.walk(place.statement))
    if again is None or leaves:
        edits: tuple[Edit, ...] = (wrong or _before(place, f"{place.model}.eval()"),)
        if again is None:
            return edits
        training = _place(again, _ways_to(forward), trace)
        return (*edits, _before(training, f"{training.model}.train()")) if training is not None else ()
    after = f"{place.model}.train()"
    if wrong is not None:
        return (wrong, InsertStatement(place.location, after, after=True))
    scope = place.written.scope(place.statement)
    if isinstance(scope, ast.Module) or bound(_WAS, scope):
        before = f"{place.model}.eval()"
    else:
        before = f"{_WAS} = {place.model}.training\n{place.model}.eval()"
        after = f"{place.model}.train({_WAS})"
    return (_before(place, before), InsertStatement(place.location, after, after=True))


def _before(place: _Place, text: str) -> InsertStatement:
    return InsertStatement(place.location, text)


def _wrong_switch(call: NormCall, forward: Forward, place: _Place, trace: Trace) -> ReplaceExpression | None:
    """The ``train()`` of the same function that should say ``eval()``."""
    before = [each for each in trace.of(ModeSwitch) if each.order < forward.order]
    last = next((each for each in reversed(before) if call.layer.owner in each.parts), None)
    written = place.written
    switch = written.at(last.site, ast.Call) if last is not None else None
    if last is None or switch is None or not isinstance(switch.func, ast.Attribute):
        return None
    statement = written.parent(switch)
    same = written.scope(switch) is written.scope(place.statement)
    if same and isinstance(statement, ast.Expr) and written.precedes(statement, place.statement):
        return ReplaceExpression(last.site, f"{ast.unparse(switch.func.value)}.eval()")
    return None


def _trained_again(call: NormCall, forward: Forward, trace: Trace) -> Forward | None:
    """The call in which a layer is trained next after an evaluation, without a switch in between."""
    for event in trace.events:
        if event.order <= forward.order:
            continue
        if isinstance(event, ModeSwitch) and call.layer.owner in event.parts:
            return None
        if isinstance(event, Forward) and any(each.layer is call.layer for each in event.norms):
            if learned_from(event, trace):
                return event
    return None


# -- where that can be written -----------------------------------------------------------------------


def _place(forward: Forward, others: set[Location], trace: Trace) -> _Place | None:
    """The outermost statement around the call of a model, in the same function, that contains none of some places."""
    written = source(forward.site, trace)
    call = written.at(forward.site, ast.Call) if written is not None else None
    statement = written.statement(call) if written is not None and call is not None else None
    if written is None or call is None or statement is None or isinstance(written.scope(call), ast.Lambda):
        return None
    model = call.func
    if isinstance(model, ast.Attribute) and model.attr == "forward":
        model = model.value
    if not is_plain(model) or _binds(statement, model):
        return None
    while True:
        outer = written.parent(statement)
        if (
            not isinstance(outer, _THROUGH)
            or statement not in outer.body
            or _binds(outer, model)
            or any(_contains(written.locate(outer), other) for other in others)
        ):
            return _Place(written, statement, ast.unparse(model))
        statement = outer


def _binds(statement: ast.stmt, model: ast.expr) -> bool:
    """Whether a statement gives another meaning to the name of a model, or to an attribute on the way to it."""
    parts = {ast.unparse(part) for part in ast.walk(model) if isinstance(part, ast.expr)}
    return any(
        isinstance(node, ast.Name | ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node) in parts
        for node in ast.walk(statement)
    )


def _contains(outer: Location, inner: Location) -> bool:
    return (outer.path, outer.cell) == (inner.path, inner.cell) and outer.line <= inner.line <= outer.end_line


def _ways_to(event: Event) -> set[Location]:
    """Where something happens, and the calls that lead there."""
    frames = event.context.frame.outwards()
    return {event.site, *(frame.site for frame in frames if frame.site is not None)}


def _ways_to_training(trace: Trace) -> set[Location]:
    found: set[Location] | None = trace.facts.get("ways to training")
    if found is None:
        trains = [
            event
            for event in trace.events
            if isinstance(event, TrainStep) or (isinstance(event, Forward) and learned_from(event, trace))
        ]
        found = trace.facts["ways to training"] = set().union(*map(_ways_to, trains))
    return found
