"""Brings a change of text into the lines of the original, whatever they are made of."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple, TypeVar

from bnlint.fixes.errors import EditError
from bnlint.source.read import declared_encoding

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
FORM_FEEDS = re.compile(r"^\f+", re.MULTILINE)
"""Those at the beginning of lines, which LibCST loses."""
_Raw = TypeVar("_Raw")


class Hunk(NamedTuple):
    """Lines that change: ``before[start:end]`` become ``after[new_start:new_end]``."""

    start: int
    end: int
    new_start: int
    new_end: int


def hunks(before: Sequence[str], after: Sequence[str]) -> list[Hunk]:
    """What changes between two lists of lines."""
    head = 0
    shorter = min(len(before), len(after))
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    matcher = SequenceMatcher(
        None, before[head : len(before) - tail], after[head : len(after) - tail], autojunk=False
    )
    return [
        Hunk(start + head, end + head, new_start + head, new_end + head)
        for tag, start, end, new_start, new_end in matcher.get_opcodes()
        if tag != "equal"
    ]


def spliced(
    raw: Sequence[_Raw], before: Sequence[str], after: Sequence[str], made: Callable[[str, int, bool], _Raw]
) -> list[_Raw]:
    """The raw lines after a change: those that stay are the same objects.

    ``made`` makes a raw line of a text, the index of the raw line whose neighbour it is, and whether it comes
    right in the place of that line.
    """
    result: list[_Raw] = []
    position = 0
    for hunk in hunks(before, after):
        result += raw[position : hunk.start]
        for offset, text in enumerate(after[hunk.new_start : hunk.new_end]):
            neighbour = min(hunk.start + offset, max(hunk.start, hunk.end - 1))
            result.append(made(text, neighbour, hunk.start + offset < hunk.end))
        position = hunk.end
    return [*result, *raw[position:]]


def spliced_bytes(data: bytes, before: str, after: str) -> bytes:
    """The bytes of a Python file in which ``before`` becomes ``after``.

    Both have ``\\n`` line ends; form feeds at the beginning of their lines do not count. Lines that stay keep their
    bytes; new ones end like their neighbours.
    Raises EditError if the encoding of the file has no such characters.
    """
    encoding, text = decoded(data)
    raw = list(raw_lines(text))
    old, new = (FORM_FEEDS.sub("", lines).split("\n") for lines in (before, after))
    feeds = [FORM_FEEDS.match(content) for content, _ in raw]
    if [content[feed.end() if feed else 0 :] for (content, _), feed in zip(raw, feeds, strict=True)] != old:
        raise EditError("the file is not what was analysed")
    usual = next((end for _, end in raw if end), "\n")

    def made(line: str, neighbour: int, instead: bool) -> tuple[str, str]:
        end = raw[min(neighbour, len(raw) - 1)][1]
        if not end and neighbour:
            end = raw[neighbour - 1][1]
        feed = feeds[neighbour] if instead else None
        return (feed.group() if feed else "") + line, end or usual

    lines = spliced(raw, old, new, made)
    # A line that came to be the last has no end, one that was the last needs one.
    lines = [(line, end or usual) for line, end in lines[:-1]] + [(lines[-1][0], "")]
    try:
        joined = "".join(line + end for line, end in lines)
        if len(list(raw_lines(joined))) != len(new):
            # A bare carriage return at the end of one line and a line feed after it would be one line end.
            raise EditError("the line ends of the file are too mixed")
        coded = joined.encode(encoding)
    except UnicodeEncodeError as error:
        raise EditError(f"the encoding of the file ({encoding}) lacks characters of the fix") from error
    return (codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b"") + coded


def raw_lines(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a text, each with its end; the last one has none."""
    for match in _LINE.finditer(text):
        line = match.group()
        content = line.rstrip("\r\n")
        end = line[len(content) :]
        yield content, end
        if not end:
            return


def decoded(data: bytes) -> tuple[str, str]:
    """The encoding of a Python file, and its text, which encodes to the same bytes again.

    Raises EditError if there is none.
    """
    encoding = declared_encoding(data)
    data = data.removeprefix(codecs.BOM_UTF8)
    for name in (encoding.removesuffix("-sig"), "utf-8"):
        try:
            text = data.decode(name)
            if text.encode(name) == data:
                return name, text
        except (LookupError, ValueError):
            continue
    raise EditError("the text is not in the encoding that the file declares")
