"""The LibCST tree of a text, and which of its nodes stands where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache, lru_cache
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from bnlint.findings import Location
from bnlint.fixes.errors import EditError
from bnlint.fixes.splice import FORM_FEEDS

Statement = cst.BaseSmallStatement | cst.BaseCompoundStatement


class Span(NamedTuple):
    """Where a piece of text begins and ends: lines from 1, columns from 0."""

    start: tuple[int, int]
    end: tuple[int, int]

    def overlaps(self, other: Span) -> bool:
        """Whether the two have text in common, or are the same place."""
        return self == other or (self.start < other.end and other.start < self.end)

    def contains(self, other: Span) -> bool:
        """Whether the other one is a part of this one."""
        return self.start <= other.start and other.end <= self.end


class Tree:
    """A parsed text.

    LibCST loses form feeds at the beginning of lines, so ``text`` is the text without them.
    Raises EditError if LibCST cannot read it.
    """

    def __init__(self, text: str) -> None:
        self._feeds = {
            text.count("\n", 0, feeds.start()) + 1: len(feeds.group()) for feeds in FORM_FEEDS.finditer(text)
        }
        self.text = text = FORM_FEEDS.sub("", text)
        try:
            self.module = cst.parse_module(text)
            wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
            positions = wrapper.resolve(PositionProvider)
        except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError) as error:
            raise EditError("the file cannot be read by the parser that keeps its layout") from error
        if self.module.code != text:
            raise EditError("the parser that keeps the layout of the file does not give it back as it is")
        self.parents = dict(_parents(self.module))
        self.spans: dict[cst.CSTNode, Span] = {}
        self._at: dict[Span, list[cst.CSTNode]] = {}
        self._statements: list[tuple[Span, Statement]] = []
        for node in self.parents:
            place = positions.get(node)
            if place is None:
                continue
            span = Span((place.start.line, place.start.column), (place.end.line, place.end.column))
            if isinstance(node, (cst.FunctionDef, cst.ClassDef)) and node.decorators:
                first = positions[node.decorators[0]].start
                span = Span((first.line, first.column), span.end)
            self.spans[node] = span
            self._at.setdefault(span, []).append(node)
            if isinstance(node, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
                self._statements.append((span, node))
        for node in list(self.spans):
            if isinstance(node, cst.BaseExpression) and node.lpar:
                outside = Span(self.spans[node.lpar[0]].start, self.spans[node.rpar[-1]].end)
                self._at.setdefault(outside, []).append(node)

    def statement(self, location: Location) -> Statement:
        """The innermost statement around a location."""
        wanted = self._span(location)
        around = [(span, node) for span, node in self._statements if span.contains(wanted)]
        if not around:
            # The end may be wrong where the text was altered before it was parsed; the beginning is not.
            begin = Span(wanted.start, wanted.start)
            around = [(span, node) for span, node in self._statements if span.contains(begin)]
        if not around:
            raise EditError(f"there is no statement at line {location.line}")
        # Of statements that are nested the innermost begins last.
        return max(around, key=lambda found: (found[0].start, -found[0].end[0], -found[0].end[1]))[1]

    def expression(self, location: Location) -> cst.BaseExpression:
        """The expression whose place this is, with or without its parentheses."""
        for node in self._nodes(location):
            if isinstance(node, cst.BaseExpression):
                return node
        raise _missing("expression", location)

    def call(self, location: Location) -> cst.Call:
        """The call whose place this is."""
        for node in self._nodes(location):
            if isinstance(node, cst.Call):
                return node
        raise _missing("call", location)

    def definition(self, location: Location) -> cst.FunctionDef:
        """The function in whose head a location is."""
        statement = self.statement(location)
        if isinstance(statement, cst.FunctionDef):
            return statement
        raise _missing("definition of a function", location)

    def comment(self, location: Location) -> cst.Comment:
        """The comment whose place this is."""
        for node in self._nodes(location):
            if isinstance(node, cst.Comment):
                return node
        raise _missing("comment", location)

    def argument(self, location: Location) -> tuple[cst.Call, int]:
        """The call and the index of the argument whose value is at a location."""
        for node in self._nodes(location):
            found: cst.CSTNode | None = node
            if isinstance(found, cst.BaseExpression):
                found = self.parents[found]
            if isinstance(found, cst.Arg):
                call = self.parents[found]
                if isinstance(call, cst.Call):
                    return call, next(i for i, argument in enumerate(call.args) if argument is found)
        raise _missing("argument", location)

    def above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around a node, from the innermost on."""
        while (parent := self.parents[node]) is not node:
            yield parent
            node = parent

    def _nodes(self, location: Location) -> list[cst.CSTNode]:
        """The nodes whose place this is, parents before their children."""
        return self._at.get(self._span(location), [])

    def _span(self, location: Location) -> Span:
        start = location.column - 1 - self._feeds.get(location.line, 0)
        end = location.end_column - 1 - self._feeds.get(location.end_line, 0)
        return Span((location.line, start), (location.end_line, end))


@lru_cache(maxsize=8)
def tree_of(text: str) -> Tree:
    """The tree of a text, which need not be parsed again for every attempt at a fix.

    Raises EditError.
    """
    return Tree(text)


def _missing(what: str, location: Location) -> EditError:
    return EditError(f"there is no {what} at line {location.line}, column {location.column}")


def _parents(module: cst.Module) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """Every node with the one around it, from the top; the module is around itself."""
    yield module, module
    pending: list[cst.CSTNode] = [module]
    while pending:
        node = pending.pop()
        for child in _children(node):
            yield child, node
            pending.append(child)


def _children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    # ``node.children`` says the same, by way of a visitor, and takes several times as long.
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, cst.CSTNode))


@cache
def _fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
