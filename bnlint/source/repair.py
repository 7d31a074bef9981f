"""Makes text parse: first as Python 2, then without the statements that no Python can read."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from typing import NamedTuple

from bnlint.source.python2 import normalise
from bnlint.source.tokens import Line, Token, logical_lines

_MOST_LEFT_OUT = 40
"""A text with more broken statements than this is not worth the time."""
_DEEPEST = 200
"""The longest chain of operators and calls that is kept, because whoever walks the tree recurses into it."""
_LONG = 1000
"""Such a chain is looked for before parsing only if a physical line has more characters than this."""

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
        return ast.parse(text)


def repair(text: str) -> Repaired:
    """Parses the text: as it is, or as Python 2, or without its broken statements.

    Raises UnreadableError if none of that helps.
    """
    left_out: list[LeftOut] = []
    if _may_be_deep(text):
        # Some versions of Python do not raise RecursionError on such a statement but crash.
        text, left_out = _without_deep_statements(text)
    try:
        return Repaired(text, parse(text), False, left_out)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        normalised = normalise(text)
    text = normalised or text
    for _ in range(_MOST_LEFT_OUT):
        try:
            return Repaired(text, parse(text), normalised is not None, sorted(left_out))
        except SyntaxError as error:
            text, gone = _without_error(text, error, left_out)
        except (RecursionError, MemoryError):
            text, gone = _without_deep_statements(text)
            if not gone:
                raise UnreadableError(1, "nested too deeply") from None
        except ValueError as error:
            raise UnreadableError(1, str(error)) from None
        left_out += gone
    raise UnreadableError(min(left_out).line, f"more than {_MOST_LEFT_OUT} statements are not Python")


def _may_be_deep(text: str) -> bool:
    return any(
        len(line) > _LONG and sum(map(line.count, ".([+-*/%|&~")) > _DEEPEST or line.count(" not ") > _DEEPEST
        for line in text.split("\n")
    )


def _without_deep_statements(text: str) -> tuple[str, list[LeftOut]]:
    left_out = []
    lines = logical_lines(text)
    for index in reversed(range(len(lines))):
        if _depth(lines[index].tokens) > _DEEPEST:
            text = _blank(text, lines, *_extent(lines, index))
            left_out.append(LeftOut(lines[index].first, "nested too deeply"))
    return text, left_out


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
        elif token.kind == "op" or token.text in ("not", "lambda", "await"):
            depth += 1
            inside[-1] += 1
            deepest = max(deepest, depth)
            if token.text in "([{":
                inside.append(0)
    return deepest


def _without_error(text: str, error: SyntaxError, before: list[LeftOut]) -> tuple[str, list[LeftOut]]:
    """The text without the smallest statement that holds the error."""
    lines = logical_lines(text)
    if not lines or error.lineno is None:
        raise UnreadableError(error.lineno or 1, error.msg)
    index = _at(lines, error.lineno)
    empty = _EMPTY_BLOCK.match(error.msg)
    if empty:
        header = lines[_at(lines, int(empty[1])) if empty[1] else max(0, index - 1)]
        if header.is_header:
            return _insert(text, header.tokens[-1].end, " pass"), [LeftOut(header.first, error.msg)]
    if "expected 'except' or 'finally'" in error.msg:
        lonely = _lonely_try(lines, index)
        if lonely is not None:
            start = lonely.tokens[0].start
            gone = [] if before else [LeftOut(lonely.first, error.msg)]
            return text[:start] + "if 1" + text[start + len("try") :], gone
    while _is_left_out(lines[index], before):
        index = _enclosing(lines, index)
    stray = isinstance(error, IndentationError) and not empty
    begin, end = _extent(lines, index, stray)
    return _blank(text, lines, begin, end, keep=not stray), [LeftOut(lines[index].first, error.msg)]


def _at(lines: list[Line], number: int) -> int:
    """The index of the logical line that has this physical line."""
    return max(0, bisect_right([line.first for line in lines], number) - 1)


def _is_left_out(line: Line, before: list[LeftOut]) -> bool:
    return line.keyword == "pass" and any(line.first == gone.line for gone in before)


def _enclosing(lines: list[Line], index: int) -> int:
    """The header of the block around a line, or else the line before."""
    if index == 0:
        raise UnreadableError(lines[0].first, "nothing around the broken statement can be left out")
    outside = (i for i in range(index - 1, -1, -1) if lines[i].indent < lines[index].indent)
    return next(outside, index - 1)


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


def _lonely_try(lines: list[Line], index: int) -> Line | None:
    """The nearest ``try`` before a line that no handler follows."""
    for i in range(index, -1, -1):
        if lines[i].keyword == "try":
            end = _end_of_suite(lines, i)
            if end == len(lines) or lines[end].keyword not in ("except", "finally"):
                return lines[i]
    return None


def _blank(text: str, lines: list[Line], begin: int, end: int, keep: bool = True) -> str:
    """The text with empty lines in the place of some logical lines, the first of which becomes ``pass``
    unless a clause like ``else`` goes or ``keep`` is false."""
    first = lines[begin]
    last = lines[end - 1].tokens[-1].end
    filler = text[first.start : first.tokens[0].start]
    filler = filler + "pass" if keep and first.keyword not in _CLAUSES else ""
    return text[: first.start] + filler + "\n" * text.count("\n", first.start, last) + text[last:]


def _insert(text: str, position: int, new: str) -> str:
    return text[:position] + new + text[position:]
