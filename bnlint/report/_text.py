"""What the text formats have in common."""

from __future__ import annotations

from collections import Counter

from bnlint.findings import Group, Location, Report
from bnlint.report._style import Style


def place(location: Location) -> str:
    """``path:line:column``, in a notebook ``path:cell N:line:column``."""
    cell = "" if location.cell is None else f"cell {location.cell}:"
    return plain(f"{location.path}:{cell}{location.line}:{location.column}")


def plain(text: str) -> str:
    """The text on one line and without control characters, which could command the terminal."""
    return "".join(char if char.isprintable() or char == " " else "?" for char in " ".join(text.split()))


def closing(report: Report, style: Style) -> list[str]:
    """The lines that end a report: statistics and summary, as far as they are wanted."""
    lines = []
    if style.statistics and report.findings:
        counts = Counter((finding.code, finding.name) for finding in report.findings)
        width = len(str(max(counts.values())))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"{count:>{width}}  {code}  {name}" for (code, name), count in ranked]
    if style.summary:
        lines.append(_summary(report))
    return lines


def _summary(report: Report) -> str:
    figures = report.summary
    looked = (
        f"{_count(figures.files, 'file')}, {_count(figures.programs, 'program')}, {figures.seconds:.1f} s"
    )
    if report.findings:
        groups = Counter(finding.group for finding in report.findings)
        parts = ", ".join(_count(groups[group], group.value) for group in Group if groups[group])
        files = len({finding.location.path for finding in report.findings})
        verdict = f"Found {parts} in {_count(files, 'file')}"
    else:
        verdict = "Found nothing"
    missed = (
        f", could not check everything: {_count(len(report.problems), 'problem')}" if report.problems else ""
    )
    return f"{verdict}{missed} ({looked}).{_partly(figures.incomplete)}"


def _partly(entries: list[str]) -> str:
    """Which programs were not analysed to their end; a few of them by name."""
    if not entries:
        return ""
    named = ", ".join(entries[:3]) + (f" and {len(entries) - 3} more" if len(entries) > 3 else "")
    return f" Too large to be analysed to the end: {named}."


def _count(number: int, noun: str) -> str:
    plural = noun if number == 1 or noun in (Group.INFO.value, Group.PREVIEW.value) else f"{noun}s"
    return f"{number:,} {plural}"
