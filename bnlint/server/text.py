"""Text as the protocol counts it: lines, and columns in the units that client and server agreed on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsprotocol import types

Encoding = types.PositionEncodingKind | str

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
# UTF-16 is what every client speaks, so it also stands for encodings that nobody knows.
_CODECS: dict[Encoding, tuple[str, int]] = {types.PositionEncodingKind.Utf8: ("utf-8", 1)}
_UTF16 = ("utf-16-le", 2)


def split_lines(text: str) -> list[str]:
    """The lines with their ends; the last one has none and may be empty.

    ``str.splitlines`` also ends lines at form feeds and other characters that no editor takes for line ends.
    """
    lines = _LINE.findall(text)
    if not lines or lines[-1][-1] in "\r\n":
        lines.append("")
    return lines


def units(text: str, encoding: Encoding) -> int:
    """How long a text is in the units of an encoding."""
    if encoding == types.PositionEncodingKind.Utf32 or text.isascii():
        return len(text)
    codec, size = _CODECS.get(encoding, _UTF16)
    return len(text.encode(codec, "surrogatepass")) // size


def characters(line: str, column: int, encoding: Encoding) -> int:
    """How many characters of a line are before a column that is counted in the units of an encoding."""
    content = line.rstrip("\r\n")
    if encoding == types.PositionEncodingKind.Utf32 or content.isascii():
        return min(column, len(content))
    codec, size = _CODECS.get(encoding, _UTF16)
    return len(content.encode(codec, "surrogatepass")[: column * size].decode(codec, "ignore"))


def position(lines: Sequence[str], line: int, column: int, encoding: Encoding) -> types.Position:
    """The position of a line and a column that count from 0 and in characters; it is moved into the text."""
    if line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    content = lines[line].rstrip("\r\n")
    return types.Position(line, units(content[:column], encoding))


def changed(text: str, changes: Sequence[types.TextDocumentContentChangeEvent], encoding: Encoding) -> str:
    """The text after the changes, each of which refers to the text after the one before."""
    for change in changes:
        if isinstance(change, types.TextDocumentContentChangePartial):
            lines = split_lines(text)
            start = _offset(lines, change.range.start, encoding)
            end = _offset(lines, change.range.end, encoding)
            text = text[:start] + change.text + text[max(start, end) :]
        else:
            text = change.text
    return text


def _offset(lines: Sequence[str], place: types.Position, encoding: Encoding) -> int:
    if place.line >= len(lines):
        return sum(map(len, lines))
    before = sum(len(line) for line in lines[: place.line])
    return before + characters(lines[place.line], place.character, encoding)
