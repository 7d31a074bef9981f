"""Makes text parse: first as Python 2, then without the statements that no Python can read."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from typing import NamedTuple

from bnlint.source.python2 import normalise
from bnlint.source.tokens import Line, Token, logical_lines
from bnlint.walk import walk

_MOST_LEFT_OUT = 40
"""A text with more broken statements than this is not worth the time."""
_MOST_TEXT = 2_000_000
"""Nor is parsing more characters than this in all, because every broken statement costs one more attempt."""
_DEEPEST = 200
"""The longest chain of operators and calls that is kept, because whoever walks the tree recurses into it."""
_LONG = 1000
"""Such a chain is looked for before parsing only if a physical line has more characters than this."""

_PLACED = (ast.stmt, ast.expr, ast.arg, ast.keyword, ast.alias, ast.excepthandler)
"""Nodes that have a place."""
_CLAUSES = frozenset(("elif", "else", "except", "finally"))
_EMPTY_BLOCK = re.compile(r"expected an indented block(?:.* on line (\d+))?")


class LeftOut(NamedTuple):
    """A statement that was replaced by ``pass`` or blanked: its first line, and why."""

    line: int
    reason: str


class Repaired(NamedTuple):
    """Text that parses, with as many lines as the original had."""

    text: str
    tree: ast.Module
    python2: bool
    left_out: list[LeftOut]


class UnreadableError(Exception):
    """The text is beyond repair."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def parse(text: str) -> ast.Module:
    """``ast.parse`` without its warnings about the user's escapes and comparisons."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _compact(ast.parse(text))


def _compact(tree: ast.Module) -> ast.Module:
    """The same tree with each line number in memory once, not once for each node: a tenth of what it takes."""
    numbers: dict[int, int] = {}
    for node in walk(tree):
        if isinstance(node, _PLACED):
            node.lineno = numbers.setdefault(node.lineno, node.lineno)
            if node.end_lineno is not None:
                node.end_lineno = numbers.setdefault(node.end_lineno, node.end_lineno)
    return tree


def repair(text: str) -> Repaired:
    """Parses the text: as it is, or as Python 2, or without its broken statements.

    Raises UnreadableError if none of that helps.
    """
    left_out: list[LeftOut] = []
    if _may_be_deep(text):
        # Some versions of Python do not raise RecursionError on such a statement but crash.
        draft = _Draft(text)
        left_out = draft.leave_out_deep()
        text = draft.text()
    try:
        return Repaired(text, parse(text), False, left_out)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        normalised = normalise(text)
    draft = _Draft(normalised or text)
    attempts = max(3, min(_MOST_LEFT_OUT, _MOST_TEXT // (len(text) + 1)))
    for _ in range(attempts):
        text = draft.text()
        try:
            return Repaired(text, parse(text), normalised is not None, sorted(left_out))
        except SyntaxError as error:
            left_out += draft.leave_out(error)
        except (RecursionError, MemoryError):
            deep = draft.leave_out_deep()
            if not deep:
                raise UnreadableError(1, "nested too deeply") from None
            left_out += deep
        except ValueError as error:
            raise UnreadableError(1, str(error)) from None
    raise UnreadableError(min(left_out).line, f"{attempts} statements or more are not Python")


def _may_be_deep(text: str) -> bool:
    return any(
        len(line) > _LONG and sum(map(line.count, (*".([+-*/%|&~", " not ", " if ", "lambda"))) > _DEEPEST
        for line in text.split("\n")
    )


class _Draft:
    """Text that loses its broken statements one by one while the rest stays in its lines."""

    def __init__(self, text: str) -> None:
        self._original = text
        self._physical = text.split("\n")
        self._lines = logical_lines(text)
        self._starts = [line.first for line in self._lines]
        self._gone: set[int] = set()

    def text(self) -> str:
        return "\n".join(self._physical)

    def leave_out_deep(self) -> list[LeftOut]:
        """Leaves out the statements whose tree would be too deep."""
        deep = [index for index, line in enumerate(self._lines) if _depth(line.tokens) > _DEEPEST]
        for index in deep:
            self._blank(index, *_extent(self._lines, index))
        return [LeftOut(self._lines[index].first, "nested too deeply") for index in deep]

    def leave_out(self, error: SyntaxError) -> list[LeftOut]:
        """Leaves out the smallest statement that holds the error."""
        if not self._lines or error.lineno is None:
            raise UnreadableError(error.lineno or 1, error.msg)
        index = self._at(error.lineno)
        empty = _EMPTY_BLOCK.match(error.msg)
        if empty:
            header = self._lines[self._at(int(empty[1])) if empty[1] else max(0, index - 1)]
            if header.is_header and header.first not in self._gone:
                self._gone.add(header.first)
                self._edit(header, header.tokens[-1], ": pass")
                return [LeftOut(header.first, error.msg)]
        if "expected 'except' or 'finally'" in error.msg:
            lonely = self._lonely_try(index)
            if lonely is not None:
                before = len(self._gone)
                self._gone.add(lonely.first)
                self._edit(lonely, lonely.tokens[0], "if 1")
                return [] if before else [LeftOut(lonely.first, error.msg)]
        while self._lines[index].first in self._gone:
            index = self._enclosing(index)
        stray = isinstance(error, IndentationError) and not empty
        self._blank(index, *_extent(self._lines, index, stray), keep=not stray)
        return [LeftOut(self._lines[index].first, error.msg)]

    def _at(self, number: int) -> int:
        """The index of the logical line that has this physical line."""
        return max(0, bisect_right(self._starts, number) - 1)

    def _enclosing(self, index: int) -> int:
        """The header of the block around a line, or else the line before."""
        if index == 0:
            raise UnreadableError(self._starts[0], "nothing around a broken statement can be left out")
        indent = self._lines[index].indent
        outside = (i for i in range(index - 1, -1, -1) if self._lines[i].indent < indent)
        return next(outside, index - 1)

    def _lonely_try(self, index: int) -> Line | None:
        """The nearest ``try`` before a line that no handler follows."""
        for i in range(index, -1, -1):
            line = self._lines[i]
            if line.keyword == "try" and line.first not in self._gone:
                end = _end_of_suite(self._lines, i)
                if (
                    end == len(self._lines)
                    or self._lines[end].keyword not in ("except", "finally")
                    or self._lines[end].first in self._gone
                ):
                    return line
        return None

    def _blank(self, index: int, begin: int, end: int, keep: bool = True) -> None:
        """Empties the physical lines of some logical lines; ``pass`` stands for the one at ``index`` unless
        it is a clause like ``else`` or ``keep`` is false."""
        self._gone.update(self._starts[begin:end])
        line = self._lines[index]
        indentation = re.match(r"\s*", self._physical[line.first - 1])
        for number in range(self._lines[begin].first, self._lines[end - 1].last + 1):
            self._physical[number - 1] = ""
        if keep and indentation and line.keyword not in _CLAUSES:
            self._physical[line.first - 1] = indentation[0] + "pass"

    def _edit(self, line: Line, token: Token, new: str) -> None:
        """Replaces the first or the last token of a line."""
        number = line.first if token is line.tokens[0] else line.last
        column = token.start - self._original.rfind("\n", 0, token.start) - 1
        old = self._physical[number - 1]
        self._physical[number - 1] = old[:column] + new + old[column + len(token.text) :]


def _depth(tokens: list[Token]) -> int:
    """How deep the tree of one logical line can be: operators, calls and brackets between two commas."""
    inside = [0]
    depth = deepest = 0
    for token in tokens:
        if token.text == ",":
            depth -= inside[-1]
            inside[-1] = 0
        elif token.text in ")]}":
            if len(inside) > 1:
                depth -= inside.pop()
        elif token.kind == "op" or token.text in ("not", "if", "lambda", "await"):
            depth += 1
            inside[-1] += 1
            deepest = max(deepest, depth)
            if token.text in "([{":
                inside.append(0)
    return deepest


def _extent(lines: list[Line], index: int, stray: bool = False) -> tuple[int, int]:
    """The lines of the statement at ``index``: decorators, suite, and the clauses that go with it.

    A ``stray`` line, whose indentation fits nowhere, takes with it those that are indented like it.
    """
    indent = lines[index].indent
    begin, end = index, index + 1
    while begin and lines[begin - 1].keyword == "@" and lines[begin - 1].indent == indent:
        begin -= 1
    if stray:
        while end < len(lines) and lines[end].indent >= indent:
            end += 1
    elif lines[index].is_header:
        end = _end_of_suite(lines, index)
        if lines[index].keyword not in _CLAUSES:
            while end < len(lines) and lines[end].indent == indent and lines[end].keyword in _CLAUSES:
                end = _end_of_suite(lines, end)
    return begin, end


def _end_of_suite(lines: list[Line], index: int) -> int:
    indent = lines[index].indent
    return next((i for i in range(index + 1, len(lines)) if lines[i].indent <= indent), len(lines))
