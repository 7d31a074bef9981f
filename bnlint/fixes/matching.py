"""Recognises the findings of one report in another, after files have changed."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from bnlint.findings import Finding, Location, Report
from bnlint.fixes.splice import Hunk, hunks

Lines = Mapping[int | None, list[str]]
"""The lines of a file; of a notebook by the number of the cell."""


class Shift:
    """Where the lines of a text went."""

    def __init__(self, before: list[str], after: list[str]) -> None:
        self.before = before
        self.after = after
        self._hunks = hunks(before, after)
        self._starts = [hunk.start for hunk in self._hunks]

    def lines(self, line: int) -> range:
        """The lines that a line can have become: of a changed one, all that took the place of its hunk."""
        index = bisect_right(self._starts, line - 1) - 1
        hunk = self._hunks[index] if index >= 0 else Hunk(0, 0, 0, 0)
        if hunk.start <= line - 1 < hunk.end:
            return range(hunk.new_start + 1, hunk.new_end + 1)
        moved = line + hunk.new_end - hunk.end
        return range(moved, moved + 1)


class _Place(NamedTuple):
    code: str
    path: str
    cell: int | None


def matched(
    before: Report, after: Report, changed: Mapping[Path, tuple[Lines, Lines]], last: Collection[int] = ()
) -> dict[int, Finding]:
    """By the ``id`` of each finding of all that the first report knows, the same one in the second.

    ``changed`` are the lines of the files that differ. Findings whose ``id`` is in ``last`` are those that
    should be gone: the others are looked for first.
    """
    old = _by_place(before.everything)
    new = _by_place(after.everything)
    found: dict[int, Finding] = {}
    for place, findings in old.items():
        left = new.get(place, [])
        shift = _shift(place, changed)
        order = sorted(findings, key=lambda finding: id(finding) in last)
        for same in _tests(shift):
            for finding in order:
                if id(finding) in found:
                    continue
                for index, other in enumerate(left):
                    if same(finding, other):
                        found[id(finding)] = left.pop(index)
                        break
    return found


_Same = Callable[[Finding, Finding], bool]


def _tests(shift: Shift | None) -> list[_Same]:
    """Ways to tell that two findings of a rule in a file are the same, the surest first."""
    if shift is None:
        return [
            lambda old, new: old.location == new.location and old.message == new.message,
            lambda old, new: old.location == new.location,
            lambda old, new: old.location.line == new.location.line,
        ]

    def text(lines: list[str], where: Location) -> str:
        return lines[where.line - 1].strip() if where.line <= len(lines) else ""

    def words(old: Finding, new: Finding) -> bool:
        return text(shift.before, old.location) == text(shift.after, new.location)

    def lines(old: Finding, new: Finding) -> bool:
        return new.location.line in shift.lines(old.location.line)

    return [lambda old, new: lines(old, new) and words(old, new), lines, words]


def _shift(place: _Place, changed: Mapping[Path, tuple[Lines, Lines]]) -> Shift | None:
    texts = changed.get(Path(os.path.abspath(place.path)))
    if texts is None:
        return None
    return Shift(texts[0].get(place.cell, []), texts[1].get(place.cell, []))


def _by_place(findings: Iterable[Finding]) -> dict[_Place, list[Finding]]:
    places: dict[_Place, list[Finding]] = {}
    for finding in findings:
        where = finding.location
        places.setdefault(_Place(finding.code, where.path, where.cell), []).append(finding)
    return places
