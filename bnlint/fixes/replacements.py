"""What fixes come to in terms of text: spans of the original lines and what takes their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bnlint.check import with_deep_stack
from bnlint.findings import Finding, Location, Replacement, Report
from bnlint.fixes.errors import EditError
from bnlint.fixes.sources import Sources, lines_of
from bnlint.fixes.splice import Hunk, hunks
from bnlint.source.files import Files


def resolve(report: Report, files: Files) -> None:
    """Work out the replacements of all fixes in a report; a fix that cannot be made gets none."""
    # LibCST goes as deep as the code does.
    with_deep_stack(lambda: _resolve(report, files))


def _resolve(report: Report, files: Files) -> None:
    # Where nothing says which files the programs have, it is not for this to refuse.
    known = set(report.summary.analysed)
    sources = Sources(files.read, lambda path: not known or path in known)
    for index, finding in enumerate(report.findings):
        if finding.fix is not None and finding.fix.edits:
            made = _replacements(finding, files, sources)
            report.findings[index] = replace(finding, fix=replace(finding.fix, replacements=made))


def _replacements(finding: Finding, files: Files, sources: Sources) -> tuple[Replacement, ...]:
    assert finding.fix is not None
    sources.clear()
    try:
        sources.add(finding.fix.edits)
        changed = sources.changed()
        return tuple(
            replacement
            for place in dict.fromkeys(edit.location.path for edit in finding.fix.edits)
            if (path := Path(os.path.abspath(place))) in changed
            for replacement in _of_file(place, path, files.read(path), changed[path])
        )
    except EditError:
        return ()


def _of_file(display: str, path: Path, before: bytes, after: bytes) -> Iterator[Replacement]:
    old, new = lines_of(path, before), lines_of(path, after)
    for cell, lines in old.items():
        for hunk in hunks(lines, new[cell]):
            yield from _of_hunk(display, cell, lines, new[cell], hunk)


def _of_hunk(
    display: str, cell: int | None, old: list[str], new: list[str], hunk: Hunk
) -> Iterator[Replacement]:
    """The replacements of one hunk: line by line if there are as many lines as before, else in one piece."""
    before, after = old[hunk.start : hunk.end], new[hunk.new_start : hunk.new_end]
    if len(before) == len(after):
        for offset, (line, text) in enumerate(zip(before, after, strict=True)):
            if line != text:
                yield _minimal(display, cell, hunk.start + offset, [line], [text])
    elif not before and hunk.start < len(old):
        # Whole lines come in before a line.
        place = Location(display, hunk.start + 1, 1, hunk.start + 1, 1, cell)
        yield Replacement(place, "".join(f"{line}\n" for line in after))
    elif not after and hunk.end < len(old):
        place = Location(display, hunk.start + 1, 1, hunk.end + 1, 1, cell)
        yield Replacement(place, "")
    elif not before or not after:
        # At the end of the text the line before is a part of it.
        yield _minimal(
            display, cell, hunk.start - 1, old[hunk.start - 1 : hunk.end], [old[hunk.start - 1], *after]
        )
    else:
        yield _minimal(display, cell, hunk.start, before, after)


def _minimal(display: str, cell: int | None, start: int, old: list[str], new: list[str]) -> Replacement:
    """The replacement without what both texts have in common at the beginning and at the end."""
    before, after = "\n".join(old), "\n".join(new)
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    line, column = _position(before, head)
    end_line, end_column = _position(before, len(before) - tail)
    place = Location(display, start + line, column, start + end_line, end_column, cell)
    return Replacement(place, after[head : len(after) - tail])


def _position(text: str, offset: int) -> tuple[int, int]:
    begin = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - begin + 1
