"""A source file that was read: its tree, and where in the file each node is."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

from bnlint.findings import Location, Problem

_LONGEST_ALIGNED = 500
"""Aligning the characters of two lines takes quadratic time, so longer lines are not aligned."""


class Module:
    """A parsed file.

    ``text`` is what was parsed. It has the line numbers of the original, whose lines are what
    ``source_line`` gives; the two differ in Python 2 files, in notebooks, and where a broken statement
    was left out (``left_out`` has the lines where one began).
    """

    __slots__ = (
        "_alignments",
        "_cells",
        "_locations",
        "_plain",
        "_split",
        "_told",
        "display",
        "left_out",
        "path",
        "problems",
        "python2",
        "text",
        "tree",
    )

    def __init__(
        self,
        path: Path,
        display: str,
        text: str,
        tree: ast.Module,
        *,
        original: str | None = None,
        python2: bool = False,
        problems: Sequence[Problem] = (),
        left_out: Sequence[int] = (),
        cells: Sequence[tuple[int, int]] = (),
    ) -> None:
        """``display`` is the path for the user; ``cells`` are, in a notebook, the first line of each code
        cell in the text and the number of the cell in the file."""
        self.path = path
        self.display = display
        self.text = text
        self.tree = tree
        self.python2 = python2
        self.problems = list(problems)
        self.left_out = list(left_out)
        self._plain = original is None and text.isascii()
        self._split: list[str] | None = None
        self._told = None if original is None else original.split("\n")
        self._cells = list(cells)
        self._locations: dict[ast.AST, Location] = {}
        self._alignments: dict[int, list[tuple[int, int, int]]] = {}

    @property
    def _lines(self) -> list[str]:
        # Of most files nobody asks for the lines.
        if self._split is None:
            self._split = self.text.split("\n")
        return self._split

    @property
    def _original(self) -> list[str]:
        return self._lines if self._told is None else self._told

    def location(self, node: ast.AST) -> Location:
        """Where a node is, as the user counts; a node without a place is at the beginning of the file."""
        known = self._locations.get(node)
        if known is not None:
            return known
        line = getattr(node, "lineno", 1)
        end_line = getattr(node, "end_lineno", None) or line
        column = self._column(line, getattr(node, "col_offset", 0))
        end_column = self._column(end_line, getattr(node, "end_col_offset", None) or 0)
        cell, shift = self._cell(line)
        made = Location(self.display, line - shift, column, end_line - shift, max(end_column, 1), cell)
        self._locations[node] = made
        return made

    def line_text(self, line: int) -> str:
        """A line of the analysed text, counted from 1; empty if there is no such line."""
        return self._lines[line - 1] if 0 < line <= len(self._lines) else ""

    def text_of(self, node: ast.stmt) -> str:
        """The lines of the analysed text on which a statement stands."""
        return "\n".join(self._lines[node.lineno - 1 : node.end_lineno])

    def source_line(self, location: Location) -> str | None:
        """The line of the original at which a location of this file begins."""
        line = self.line_of(location)
        return self._original[line - 1] if 0 < line <= len(self._original) else None

    @property
    def source(self) -> Sequence[str]:
        """The lines of the original; in a notebook those of all code cells."""
        return self._original

    @property
    def cells(self) -> Sequence[tuple[int, int]]:
        """In a notebook, the first line of each code cell in the text and the number of the cell in the file."""
        return self._cells

    def line_of(self, location: Location) -> int:
        """The line of the text at which a location of this file begins; 0 if there is no such cell."""
        if not self._cells:
            return location.line
        starts = (start for start, number in self._cells if number == location.cell)
        return next((start + location.line - 1 for start in starts), 0)

    def place(self, line: int, column: int, end_column: int) -> Location:
        """The location of a piece of a line of the original, columns as the user counts."""
        cell, shift = self._cell(line)
        return Location(self.display, line - shift, column, line - shift, end_column, cell)

    def _cell(self, line: int) -> tuple[int | None, int]:
        """The cell of a line, and the number of lines before that cell."""
        if not self._cells:
            return None, 0
        index = bisect_right(self._cells, line, key=lambda cell: cell[0]) - 1
        start, number = self._cells[max(0, index)]
        return number, start - 1

    def _column(self, line: int, offset: int) -> int:
        """The column in the original of a UTF-8 offset in a line of the analysed text."""
        if self._plain:
            return offset + 1
        text = self.line_text(line)
        if not text.isascii():
            offset = len(text.encode()[:offset].decode(errors="ignore"))
        original = self._original[line - 1] if 0 < line <= len(self._original) else text
        if text == original:
            return offset + 1
        if line not in self._alignments:
            self._alignments[line] = _align(text, original)
        found = 0
        for start, begin, size in self._alignments[line]:
            if start <= offset:
                found = begin + min(offset - start, size)
        return found + 1


def _align(text: str, original: str) -> list[tuple[int, int, int]]:
    """The pieces that two lines have in common: where in the first, where in the second, how long."""
    if len(text) + len(original) > 2 * _LONGEST_ALIGNED:
        return [(0, 0, len(original))]
    head = _common(text, original)
    rest, original_rest = text[head:], original[head:]
    tail = _common(rest[::-1], original_rest[::-1])
    matcher = SequenceMatcher(
        None, rest[: len(rest) - tail], original_rest[: len(original_rest) - tail], autojunk=False
    )
    middle = [(head + start, head + begin, size) for start, begin, size in matcher.get_matching_blocks()]
    return [(0, 0, head), *middle, (len(text) - tail, len(original) - tail, tail)]


def _common(first: str, second: str) -> int:
    """The number of characters with which both begin."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))
