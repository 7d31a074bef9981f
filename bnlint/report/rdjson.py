"""The Reviewdog Diagnostic Format: reviewdog comments on the changed lines of a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnlint.findings import Applicability, Finding, Fix, Group, Location, Problem, Report, Step
from bnlint.report._sources import Sources
from bnlint.report._style import Style
from bnlint.report._text import advice, located, trouble
from bnlint.report._unicode import dump

NEEDS_REPLACEMENTS = True

_SEVERITIES = {Group.ERROR: "ERROR", Group.WARNING: "WARNING", Group.INFO: "INFO", Group.PREVIEW: "INFO"}

_Point = tuple[int, int]
"""A line and a column."""


def render(report: Report, style: Style) -> str:
    """A diagnostic for each finding and each problem."""
    sources = Sources()
    diagnostics = [_diagnostic(finding, sources) for finding in report.findings]
    diagnostics += [_problem(problem) for problem in report.problems]
    return dump({"source": {"name": "bnlint"}, "diagnostics": diagnostics})


def _diagnostic(finding: Finding, sources: Sources) -> dict[str, Any]:
    diagnostic: dict[str, Any] = {
        "message": "\n\n".join(filter(None, [located(finding), advice(finding)])),
        "location": _location(finding.location, sources),
        "severity": _SEVERITIES[finding.group],
        "code": {"value": finding.code},
    }
    suggestion = _suggestion(finding.fix, finding.location, sources) if finding.fix else None
    if suggestion:
        diagnostic["suggestions"] = [suggestion]
    if finding.steps:
        diagnostic["related_locations"] = [
            _related(step, number, sources) for number, step in enumerate(finding.steps, 1)
        ]
    return diagnostic


def _related(step: Step, number: int, sources: Sources) -> dict[str, Any]:
    cell = "" if step.location.cell is None else f"cell {step.location.cell}: "
    return {
        "message": f"{number}. {cell}{step.message}",
        "location": _location(step.location, sources),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "message": trouble(problem),
        "location": {"path": problem.path, "range": {"start": {"line": problem.line}}},
        "severity": "ERROR",
    }


def _location(location: Location, sources: Sources) -> dict[str, Any]:
    return {"path": location.path, "range": _range(location, sources)}


def _range(location: Location, sources: Sources) -> dict[str, Any]:
    start = _position(location, location.line, location.column, sources)
    end = _position(location, location.end_line, location.end_column, sources)
    if not ("column" in start and "column" in end):
        # Without columns the range means whole lines.
        start.pop("column", None)
        end.pop("column", None)
    return {"start": start, "end": end}


def _position(location: Location, line: int, column: int, sources: Sources) -> dict[str, int]:
    """A position in the file's line; the format counts the columns in bytes of UTF-8."""
    lines = sources.lines(location)
    if not 0 < line <= len(lines):
        return {"line": line}
    before = lines[line - 1][: column - 1]
    return {"line": line, "column": len(before.encode("utf-8", "surrogatepass")) + 1}


def _suggestion(fix: Fix, where: Location, sources: Sources) -> dict[str, Any] | None:
    """The fix as one replacement, from the first place to the last: half of a fix must not be applied.

    None if it is only to be shown, if it changes other files, or a notebook, of which reviewdog only knows the
    JSON.
    """
    pieces = sorted(fix.replacements, key=lambda piece: piece.location)
    if fix.applicability is Applicability.DISPLAY or not pieces:
        return None
    if any(piece.location.path != where.path or piece.location.cell is not None for piece in pieces):
        return None
    lines = sources.lines(where)
    here = _start(pieces[0].location)
    text = ""
    for piece in pieces:
        between = _between(lines, here, _start(piece.location))
        if between is None:
            return None
        text += between + piece.text
        here = _end(piece.location)
    if here[0] > len(lines):
        return None
    first = pieces[0].location
    span = Location(where.path, first.line, first.column, *here)
    return {"range": _range(span, sources), "text": text}


def _between(lines: Sequence[str], start: _Point, end: _Point) -> str | None:
    """The text between two points; None if they are not in this order and in the file."""
    (first, column), (last, end_column) = start, end
    if start > end or last > len(lines):
        return None
    if first == last:
        return lines[first - 1][column - 1 : end_column - 1]
    inner = lines[first : last - 1]
    return "\n".join([lines[first - 1][column - 1 :], *inner, lines[last - 1][: end_column - 1]])


def _start(location: Location) -> _Point:
    return location.line, location.column


def _end(location: Location) -> _Point:
    return location.end_line, location.end_column
