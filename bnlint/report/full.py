"""Findings with their code underlined and the steps that make the bug, for people to read."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from bnlint.findings import Finding, Group, Location, Report
from bnlint.report._sources import Sources
from bnlint.report._style import Style
from bnlint.report._text import advice, closing, place, plain, proof, silencer

_TAB = 4
_MOST_LINES = 4
"""A longer span is shown by its first and last line."""
_COLOURS = {
    "bold": "1",
    "red": "1;31",
    "green": "1;32",
    "yellow": "1;33",
    "blue": "1;34",
    "cyan": "1;36",
    "dim": "2",
}
_GROUP_COLOURS = {Group.ERROR: "red", Group.WARNING: "yellow", Group.INFO: "blue", Group.PREVIEW: "cyan"}


def render(report: Report, style: Style) -> str:
    """Each finding with its path through the program, then what could not be checked, and what was done."""
    sources = Sources()
    blocks = ["\n".join(_Block(finding, sources, style).lines()) for finding in report.findings]
    for part in (_problems, _suppressed, _fixed, _refused, closing):
        lines = "\n".join(part(report, style))
        if lines:
            blocks.append(lines)
    return "".join(f"{block}\n" for block in "\n\n".join(blocks).split("\n")) if blocks else ""


def _problems(report: Report, style: Style) -> Iterator[str]:
    for problem in report.problems:
        heading = "not written" if problem.unwritten else "not checked"
        yield f"{_paint(heading, 'red', style)}: {plain(problem.path)}:{problem.line}"
        yield from _wrap(plain(problem.message), "  ", "  ", style)


def _suppressed(report: Report, style: Style) -> Iterator[str]:
    if style.suppressed:
        for entry in report.suppressed:
            yield _listed("suppressed", "dim", entry.finding, style)
            yield from _wrap(silencer(entry.suppression), "  ", "  ", style)


def _fixed(report: Report, style: Style) -> Iterator[str]:
    if style.summary:
        for finding in report.fixed:
            yield _listed("fixed", "green", finding, style)


def _refused(report: Report, style: Style) -> Iterator[str]:
    for refused in report.refused:
        yield _listed("not fixed", "yellow", refused.finding, style)
        yield from _wrap(plain(refused.reason), "  ", "  ", style)


def _listed(what: str, colour: str, finding: Finding, style: Style) -> str:
    title = _paint(f"{finding.code} {finding.name}", "bold", style)
    return f"{_paint(what, colour, style)}: {title} at {place(finding.location)}"


class _Block:
    """The lines for one finding. All source lines in it share one margin for their numbers."""

    def __init__(self, finding: Finding, sources: Sources, style: Style) -> None:
        self._finding = finding
        self._sources = sources
        self._style = style
        places = [finding.location, *(step.location for step in finding.steps)]
        self._margin = max(3, *(len(str(where.end_line + 1)) for where in places))

    def lines(self) -> Iterator[str]:
        finding = self._finding
        colour = _GROUP_COLOURS[finding.group]
        title = f"{finding.code} {finding.name}"
        yield f"{_paint(finding.group.value, colour, self._style)}: {_paint(title, 'bold', self._style)}"
        yield from _wrap(plain(finding.message), "  ", "  ", self._style)
        yield f"{' ' * self._margin}{self._dim('-->')} {place(finding.location)}"
        yield from self._excerpt(finding.location, colour, context=1)
        for number, step in enumerate(finding.steps, 1):
            yield self._bar()
            head = f"{number:>{self._margin}}. "
            where = place(step.location)
            wrapped = _wrap(f"{where}  {plain(step.message)}", head, " " * len(head), self._style)
            first, *rest = wrapped
            number_end = len(head) - 1
            yield self._cyan(first[:number_end]) + first[number_end:]
            yield from rest
            if step.location != finding.location or step.location.cell != finding.location.cell:
                yield from self._excerpt(step.location, "cyan")
        ends = [text for text in (proof(finding), advice(finding)) if text]
        if ends:
            yield self._bar()
        margin = " " * self._margin
        for text in ends:
            yield from _wrap(plain(text), f"{margin} = ", f"{margin}   ", self._style)

    def _excerpt(self, location: Location, colour: str, context: int = 0) -> Iterator[str]:
        """The lines of a location with its span underlined."""
        source = self._sources.lines(location)
        first, last = location.line, max(location.line, location.end_line)
        if not 0 < first <= len(source):
            return
        last = min(last, len(source))
        if context:
            yield self._bar()
        for number in range(max(1, first - context), first):
            if source[number - 1].strip():
                yield self._code(number, _Line(source[number - 1], 0, 0, self._room))
        shown = range(first, last + 1)
        for number in shown:
            if len(shown) > _MOST_LINES and first < number < last:
                if number == first + 1:
                    yield f"{'...':>{self._margin}}"
                continue
            text = source[number - 1]
            start = location.column - 1 if number == first else len(text) - len(text.lstrip())
            end = location.end_column - 1 if number == last else len(text.rstrip())
            line = _Line(text, start, end, self._room)
            yield self._code(number, line)
            yield f"{self._bar()} {_paint(line.underline, colour, self._style)}"
        for number in range(last + 1, min(last + context, len(source)) + 1):
            if source[number - 1].strip():
                yield self._code(number, _Line(source[number - 1], 0, 0, self._room))

    @property
    def _room(self) -> int:
        return self._style.width - self._margin - 3

    def _code(self, number: int, line: _Line) -> str:
        return f"{self._dim(f'{number:>{self._margin}} |')} {line.text}".rstrip()

    def _bar(self) -> str:
        return self._dim(" " * (self._margin + 1) + "|")

    def _dim(self, text: str) -> str:
        return _paint(text, "dim", self._style)

    def _cyan(self, text: str) -> str:
        return _paint(text, "cyan", self._style)


class _Line:
    """A source line as a terminal shows it, cut to its room around the span, and the span's underline."""

    def __init__(self, text: str, start: int, end: int, room: int) -> None:
        pieces = list(_pieces(text.rstrip()))
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + _width(piece))
        start = max(0, min(start, len(pieces)))
        end = max(start, min(end, len(pieces)))
        left, right = _window(ends, start, end, room)
        before, after = "..." * (left > 0), "..." * (right < len(pieces))
        start, end = max(left, min(start, right)), min(end, right)
        indent = len(before) + ends[start] - ends[left]
        self.text = before + "".join(pieces[left:right]) + after
        self.underline = " " * indent + "^" * max(1, ends[end] - ends[start])


def _window(ends: Sequence[int], start: int, end: int, room: int) -> tuple[int, int]:
    """The first and the last piece to show, so that the span is in view."""
    count = len(ends) - 1
    if ends[-1] <= room:
        return 0, count
    room -= 6  # for the dots on both sides
    left = 0
    while left < start and ends[end] - ends[left] > room:
        left += 1
    right = left
    while right < count and ends[right + 1] - ends[left] <= room:
        right += 1
    return left, right


def _pieces(text: str) -> Iterator[str]:
    """What stands for each character: spaces for a tab, nothing that a terminal would obey."""
    column = 0
    for char in text:
        if char == "\t":
            piece = " " * (_TAB - column % _TAB)
        elif char.isprintable() or char == " " or unicodedata.category(char) == "Zs":
            piece = char
        else:
            piece = "?"
        column += _width(piece)
        yield piece


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _wrap(text: str, first: str, following: str, style: Style) -> list[str]:
    return textwrap.wrap(
        text,
        style.width,
        initial_indent=first,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _paint(text: str, colour: str, style: Style) -> str:
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if style.colour and text else text
