"""By what findings are recognised when lines have moved, and where their statements begin."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from bnlint.findings import Anchor, Location
from bnlint.source.module import Module

_LONGEST = 200
"""Of a longer statement the end is replaced by a digest."""
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")

_Statement = ast.stmt | ast.ExceptHandler
_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _Around(NamedTuple):
    """The innermost statement around a place, if there is one, and the definitions around that."""

    statement: _Statement | None
    definitions: tuple[str, ...]


class Anchors:
    """The definitions and statements of one file."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._heads: dict[_Statement, str] = {}

    def anchor(self, location: Location) -> Anchor:
        """The definition and the statement around a location."""
        statement, definitions = self._around(location)
        return Anchor(".".join(definitions), self._head(statement) if statement is not None else "")

    def statement_line(self, location: Location) -> int:
        """The first line of the statement around a location, in the same cell."""
        return self.statement_lines(location)[0]

    def statement_lines(self, location: Location) -> tuple[int, int]:
        """The first and the last line of the statement around a location, in the same cell; a compound statement
        ends where its first block begins. Where there is no statement, it is the line of the location."""
        statement, _ = self._around(location)
        if statement is None:
            return location.line, location.line
        shift = self._module.line_of(location) - location.line
        return _first_line(statement) - shift, _last_line(statement) - shift

    def _around(self, location: Location) -> _Around:
        line = self._module.line_of(location)
        found: _Statement | None = None
        definitions: tuple[str, ...] = ()
        inner = self._among(self._module.tree, line, location.column)
        while inner is not None:
            found = inner
            inner = self._among(found, line, location.column)
            # Between the statements of a block there are only comments.
            between = inner is None and (line > _last_line(found) or self._is_comment(line, found))
            if isinstance(found, _Definition) and (inner is not None or between):
                definitions += (found.name,)
            if between:
                found = None
        return _Around(found, definitions)

    def _among(self, around: ast.AST, line: int, column: int) -> _Statement | None:
        """The statement in the blocks of another one that a place is in."""
        there = [
            node
            for node in _children(around)
            if _first_line(node) <= line <= (node.end_lineno or node.lineno)
        ]
        for node in there:
            place = self._module.location(node)
            if _first_line(node) == line and self._before(line, place.column) and column < place.column:
                return None
            if node is there[-1] or (line, column) < (node.end_lineno or node.lineno, place.end_column):
                return node
        return None

    def _before(self, line: int, column: int) -> str:
        """What stands before a column of a line, without white space."""
        source = self._module.source
        return source[line - 1][: column - 1].strip() if 0 < line <= len(source) else ""

    def _is_comment(self, line: int, statement: _Statement) -> bool:
        is_compound = any(True for _ in _children(statement))
        return is_compound and self._module.line_text(line).lstrip().startswith("#")

    def _head(self, statement: _Statement) -> str:
        if statement not in self._heads:
            self._heads[statement] = _short(" ".join(ast.unparse(_without_blocks(statement)).split()))
        return self._heads[statement]


def _children(node: ast.AST) -> Iterator[_Statement]:
    """The statements and handlers in the blocks of a statement, in order."""
    for name in _BLOCKS:
        for inner in getattr(node, name, ()):
            if isinstance(inner, ast.match_case):
                yield from inner.body
            else:
                yield inner


def _first_line(node: _Statement) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _last_line(node: _Statement) -> int:
    """The last line of a statement; of a compound one the last before its first block, perhaps a blank one."""
    for inner in _children(node):
        return max(node.lineno, _first_line(inner) - 1)
    return node.end_lineno or node.lineno


def _without_blocks(statement: _Statement) -> ast.AST:
    if not any(hasattr(statement, name) for name in _BLOCKS):
        return statement
    head = copy.copy(statement)
    for name in (*_BLOCKS, "decorator_list"):
        if hasattr(head, name):
            setattr(head, name, [])
    return head


def _short(statement: str) -> str:
    if len(statement) <= _LONGEST:
        return statement
    digest = hashlib.sha256(statement.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{statement[: _LONGEST - len(digest) - 1]}…{digest}"
