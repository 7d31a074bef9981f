"""Writes changed cells into the JSON of a notebook, in which nothing else changes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bnlint.fixes.errors import EditError
from bnlint.fixes.splice import hunks, spliced
from bnlint.source.notebook import Cell

_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r'[^\s,\]}"\[{]+')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED_END = re.compile(r"(?:\\r\\n|\\n|\\r|\\u000[aA]|\\u000[dD])\Z")
_PIECE = re.compile(r"\\r\\n|\\u000[dD]\\u000[aA]|\\u[0-9a-fA-F]{4}|\\.|[^\\]+?", re.DOTALL)
_ENDS = ("\n", "\r", "\r\n")


class _Member(NamedTuple):
    """A value in JSON text: where it begins and ends."""

    start: int
    end: int


def decoded(data: bytes) -> str:
    """The text of a notebook.

    Raises EditError if it cannot be written again as it is.
    """
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise EditError("the notebook is not UTF-8") from error


def spliced_notebook(data: bytes, changed: Mapping[Cell, str]) -> bytes:
    """The bytes of a notebook in which the Python of some cells has become another.

    Raises EditError.
    """
    text = decoded(data)
    # From the last cell on, so that the places of those before stay right.
    for cell, after in sorted(changed.items(), key=lambda item: -item[0].number):
        place = _source(text, cell.number)
        text = text[: place.start] + _changed(text, place, cell, after) + text[place.end :]
    return (codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b"") + text.encode("utf-8")


def _changed(text: str, place: _Member, cell: Cell, after: str) -> str:
    """The JSON text of a cell's source after a change."""
    before, original = cell.text.split("\n"), cell.original.split("\n")
    if len(before) != len(original):
        raise EditError("the cell cannot be told apart from its magics")
    ascii_only = text.isascii()

    def quoted(line: str) -> str:
        return json.dumps(line, ensure_ascii=ascii_only)[1:-1]

    if text[place.start] == "[":
        elements = list(_elements(text, place))
        raw = [text[element.start + 1 : element.end - 1] for element in elements]
    else:
        elements = []
        raw = ["".join(line) for line in _raw_lines(text[place.start + 1 : place.end - 1])]
    lines = [_line(piece) for piece in raw]
    if not lines or lines[-1].end:
        lines.append(_Line("", ""))
    if [json.loads(f'"{line.content}"').replace("\0", "") for line in lines] != original:
        raise EditError("the lines of the cell are stored in an unusual way")
    usual = next((line.end for line in lines if line.end), "\\n")

    def made(content: str, neighbour: int, instead: bool) -> _Line:
        known = min(neighbour, len(lines) - 1)
        return _Line(quoted(content), lines[known].end or lines[max(0, known - 1)].end or usual)

    _refuse_magics(before, original, after.split("\n"))
    result = spliced(lines, before, after.split("\n"), made)
    contents = [
        line.content + ((line.end or usual) if index < len(result) - 1 else "")
        for index, line in enumerate(result)
    ]
    if not elements:
        if text[place.start] == "[":
            raise EditError("the lines of the cell are stored in an unusual way")
        return f'"{"".join(contents)}"'
    if not contents[-1]:
        # A list of lines has none for what follows the last line end.
        contents.pop()
    head = text[place.start : elements[0].start]
    tail = text[elements[-1].end : place.end]
    between = text[elements[0].end : elements[1].start] if len(elements) > 1 else f",{head[1:]}"
    return head + between.join(f'"{content}"' for content in contents) + tail


def _refuse_magics(before: list[str], original: list[str], after: list[str]) -> None:
    for hunk in hunks(before, after):
        if before[hunk.start : hunk.end] != original[hunk.start : hunk.end]:
            raise EditError("an IPython command would be changed")


class _Line(NamedTuple):
    """A line as it is written in JSON: its characters and its end."""

    content: str
    end: str


def _line(raw: str) -> _Line:
    (line, *rest) = list(_raw_lines(raw)) or [("", "")]
    if rest and rest != [("", "")]:
        raise EditError("the lines of the cell are stored in an unusual way")
    return _Line(*line)


def _raw_lines(raw: str) -> Iterator[tuple[str, str]]:
    """The lines of the inside of a JSON string, each with its end; the last one has none."""
    content: list[str] = []
    for match in _PIECE.finditer(raw):
        piece = match.group()
        if piece[0] == "\\" and json.loads(f'"{piece}"', strict=False) in _ENDS:
            yield "".join(content), piece
            content = []
        else:
            content.append(piece)
    yield "".join(content), ""


def _source(text: str, number: int) -> _Member:
    """Where the source of a cell is."""
    start = _SPACE.match(text, 0)
    top = dict(_members(text, start.end() if start else 0))
    if "cells" in top:
        cells = list(_elements(text, top["cells"]))
    else:
        cells = [
            cell
            for sheet in _elements(text, top["worksheets"])
            for key, listed in _members(text, sheet.start)
            if key == "cells"
            for cell in _elements(text, listed)
        ]
    members = dict(_members(text, cells[number - 1].start))
    return members["source"] if "source" in members else members["input"]


def _members(text: str, start: int) -> Iterator[tuple[str, _Member]]:
    """The members of the object that begins at an offset."""
    position = _skip(text, start + 1)
    while text[position] != "}":
        end = _end(text, position)
        key = json.loads(text[position:end])
        position = _skip(text, _skip(text, end) + 1)
        end = _end(text, position)
        yield key, _Member(position, end)
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _elements(text: str, place: _Member) -> Iterator[_Member]:
    """The elements of the array at a place."""
    position = _skip(text, place.start + 1)
    while text[position] != "]":
        end = _end(text, position)
        yield _Member(position, end)
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _end(text: str, position: int) -> int:
    """Where the value ends that begins at an offset."""
    if text[position] not in '"[{':
        scalar = _SCALAR.match(text, position)
        return scalar.end() if scalar else position + 1
    depth = 0
    for token in _TOKEN.finditer(text, position):
        if token.group() in ("[", "{"):
            depth += 1
        elif token.group() in ("]", "}"):
            depth -= 1
        if depth == 0:
            return token.end()
    return len(text)
