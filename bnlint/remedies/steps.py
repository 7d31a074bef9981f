"""Train steps, and what leads to them, as they are written: where a repair may stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.analyses.written import Source, source
from bnlint.dataflow import Context, Frame
from bnlint.findings import Location
from bnlint.trace import Trace, TrainStep

_LOOPS = frozenset(
    "cond case switch_case while_loop map_fn scan foldl foldr vectorized_map dynamic_rnn static_rnn raw_rnn "
    "bidirectional_dynamic_rnn".split()
)
"""What builds its arguments inside a conditional or a loop of the graph."""


@dataclass(frozen=True, slots=True)
class Step:
    """A train step as it is written."""

    train: TrainStep
    written: Source
    call: ast.Call
    statement: ast.stmt

    @property
    def simple(self) -> bool:
        """Whether the statement does nothing but take the step, once, whenever it is executed."""
        if isinstance(self.statement, _COMPOUND):
            return False
        between = [node for node in self.written.outwards(self.call) if not isinstance(node, ast.stmt)]
        inside = [node for node in between if self.written.inside(node, self.statement)]
        return not any(isinstance(node, _LATER) for node in inside)

    @property
    def location(self) -> Location:
        """Where the statement is."""
        return self.written.locate(self.statement)


_COMPOUND = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.AsyncFor, ast.While, ast.If, ast.With,
    ast.AsyncWith, ast.Try, ast.Match,
)  # fmt: skip
_LATER = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


def step_of(train: TrainStep, trace: Trace) -> Step | None:
    """A train step as it is written; None if it is not a call in a file of the program."""
    written = source(train.site, trace)
    call = written.at(train.site, ast.Call) if written else None
    statement = written.statement(call) if written and call else None
    if written is None or call is None or statement is None:
        return None
    return Step(train, written, call, statement)


def way(context: Context) -> Iterator[tuple[Location, Frame]]:
    """The places that are executed on the way to an event, each with the frame it stands in, innermost first."""
    yield context.site, context.frame
    for frame in context.frame.outwards():
        if frame.site is not None and frame.parent is not None:
            yield frame.site, frame.parent


def covers(outer: Location, inner: Location) -> bool:
    """Whether a place lies within another one."""
    return (
        (outer.path, outer.cell) == (inner.path, inner.cell)
        and (outer.line, outer.column) <= (inner.line, inner.column)
        and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)
    )


def within(context: Context, outer: Location) -> bool:
    """Whether something happens while the code at a place is executed."""
    return any(covers(outer, site) for site, _ in way(context))


def index_in(block: list[ast.stmt], context: Context, frame: Frame, written: Source) -> int | None:
    """Which statement of a block, in a frame, is being executed when something happens."""
    for site, where in way(context):
        if where is frame:
            for index, statement in enumerate(block):
                if covers(written.locate(statement), site):
                    return index
    return None


def block_of(statement: ast.stmt, written: Source) -> list[ast.stmt]:
    """The statements among which one stands."""
    owner = written.parent(statement)
    for _, body in ast.iter_fields(owner) if owner is not None else ():
        if isinstance(body, list) and statement in body:
            return body
    return [statement]


def mentions(node: ast.AST, target: ast.expr) -> bool:
    """Whether a name, or an attribute of that name, occurs in a piece of code."""
    if isinstance(target, ast.Attribute):
        return any(isinstance(part, ast.Attribute) and part.attr == target.attr for part in ast.walk(node))
    assert isinstance(target, ast.Name)
    return any(isinstance(part, ast.Name) and part.id == target.id for part in ast.walk(node))


def in_graph_loop(context: Context, trace: Trace) -> bool:
    """Whether something is built by a function that a conditional or a loop of the graph calls."""
    for frame in context.frame.outwards():
        written = source(frame.site, trace)
        call = written.at(frame.site, ast.Call) if written else None
        if call is not None and name_of(call) in _LOOPS:
            return True
    return False


def name_of(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""
