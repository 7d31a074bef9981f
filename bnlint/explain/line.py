"""Explains one line of a program: the findings that touch it, and all that is known about it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bnlint.check import Checker, Options
from bnlint.errors import UserError
from bnlint.explain.events import sentences
from bnlint.explain.observe import Called, LineObserver, Seen
from bnlint.findings import Finding, Problem, Report, Suppression
from bnlint.settings.lookup import Lookup
from bnlint.source.discover import display_path
from bnlint.source.files import Files
from bnlint.source.gate import Relevance, relevance
from bnlint.source.module import Module

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class About:
    """What one program did at the line, in sentences."""

    program: str
    alone: bool
    """Whether functions were interpreted on their own, because no program calls them."""
    calls: list[tuple[Called, int]]
    events: list[list[str]]
    incomplete: str = ""


@dataclass(slots=True)
class Explanation:
    """All that is to be said about a line."""

    path: str
    line: int
    cell: int | None
    text: str
    """The line itself."""
    here: Report
    """A report with the findings at the line."""
    part_of: list[Finding] = field(default_factory=list)
    """The findings elsewhere of which the line is a step."""
    remarks: list[str] = field(default_factory=list)
    """Why a rule is silent, as far as one sentence can say it."""
    abouts: list[About] = field(default_factory=list)


def explain(path: Path, line: int, cell: int | None, options: Options) -> Explanation:
    """Check the programs of a file and tell what is known about one of its lines.

    Raises UserError if there is no such line, or the configuration makes no sense.
    """
    display = display_path(path)
    checker = Checker(options)
    module = checker.module(path, Files(), _bytes(path))
    if isinstance(module, Problem):
        raise UserError(f"{module.path}:{module.line}: {module.message}")
    text = _line(module, display, line, cell)
    statement, function = _around(module, line, cell)
    observer = LineObserver(display, _lines_of(module, statement, line), cell)
    report = checker.check([path], observer=observer)
    made = Explanation(display, line, cell, text.strip(), Report(problems=report.problems))
    _place_findings(made, report, observer, checker.settings, path)
    seen = [program for program in observer.programs if program.calls or _events(program, observer)]
    made.abouts = list(_abouts(seen, observer))
    if not made.abouts:
        made.remarks.extend(_not_reached(path, statement, function, observer, report))
    return made


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{display_path(path)} cannot be read ({error.strerror}). Check how it is spelled."
        ) from error


def _line(module: Module, display: str, line: int, cell: int | None) -> str:
    from bnlint.findings import Location

    if path_is_notebook(module.path) and cell is None:
        raise UserError(f"{display} is a notebook: name the cell, too, as in {display}:cell 3:{line}.")
    text = module.source_line(Location(display, line, 1, line, 1, cell)) if line > 0 else None
    if text is None:
        raise UserError(f"{display} has no line {line}{'' if cell is None else f' in cell {cell}'}.")
    return text


def path_is_notebook(path: Path) -> bool:
    """Whether lines are counted by cell."""
    return path.suffix == ".ipynb"


def _place_findings(
    made: Explanation, report: Report, observer: LineObserver, settings: Lookup, path: Path
) -> None:
    reported = {_key(finding): finding for finding in report.findings}
    suppressed = {_key(item.finding): item.suppression for item in report.suppressed}
    said = {_key(finding): finding for program in observer.programs for finding in program.findings}
    for key, finding in {**said, **reported}.items():
        if not observer.covers(finding.location):
            if any(observer.covers(step.location) for step in finding.steps):
                made.part_of.append(finding)
        elif key in reported:
            made.here.findings.append(finding)
        else:
            why = _silent(finding, suppressed.get(key), settings, path)
            made.remarks.append(f"{finding.code} {finding.name} {why}: {finding.message}.")


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.code, finding.location, finding.location.cell


def _silent(finding: Finding, suppression: Suppression | None, settings: Lookup, path: Path) -> str:
    if suppression is not None:
        reason = f" ({suppression.reason})" if suppression.reason else ""
        return f"is suppressed by a comment{reason}"
    if not settings.of(path).enables(finding.code, finding.group):
        return f"is off for this file (group {finding.group.value}); it would say"
    if settings.ignored_in(path, finding.code):
        return "is left out in this file by per-file-ignores; it would say"
    return "is not reported"


def _events(program: Seen, observer: LineObserver) -> list[list[str]]:
    found: dict[tuple[str, ...], None] = {}
    for event in program.trace.events:
        if observer.covers(event.site):
            said = tuple(sentences(event, program.trace))
            if said:
                found.setdefault(said)
    return [list(said) for said in found]


def _abouts(seen: list[Seen], observer: LineObserver) -> Iterator[About]:
    known: set[tuple[object, ...]] = set()
    for program in seen:
        trace = program.trace
        events = _events(program, observer)
        key = (*program.calls, *map(tuple, events))
        if key in known:
            continue
        known.add(key)
        yield About(trace.entry, not trace.driven, list(program.calls.items()), events, trace.incomplete)


def _not_reached(
    path: Path,
    statement: ast.stmt | None,
    function: _Function | None,
    observer: LineObserver,
    report: Report,
) -> Iterator[str]:
    """Why nothing was seen at the line."""
    kind = relevance(_bytes(path))
    if kind is Relevance.NONE:
        yield "The file speaks neither of normalisation nor of training, so it is not looked into."
        return
    if not report.summary.programs and not observer.programs:
        yield "No file that is imported here, or imports this one, speaks of normalisation."
        return
    for entry in report.summary.incomplete:
        yield f"The program {entry} is too large to be analysed to the end; the line may lie in the rest."
    if statement is None:
        yield "There is no statement at this line."
        return
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield f"`{statement.name}` is defined here. Ask for a line inside it to see what happens there."
        return
    if not any(isinstance(node, ast.Call) for node in ast.walk(statement)):
        yield "Nothing is called at this line."
        return
    if function is not None:
        yield (
            f"No program comes to this line: either `{function.name}` is never called, or the code before the line "
            "returns, or a condition around it is known to be false."
        )
        if kind is not Relevance.NORM:
            yield "The file does not speak of normalisation, so its functions are not interpreted on their own."
    else:
        yield "No program comes to this line: a condition around it is known to be false, or code before it ends."


def _around(module: Module, line: int, cell: int | None) -> tuple[ast.stmt | None, _Function | None]:
    """The innermost statement at a line and the innermost function around it."""
    statement: ast.stmt | None = None
    function: _Function | None = None
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.stmt):
            continue
        where = module.location(node)
        if where.cell == cell and where.line <= line <= where.end_line:
            statement = node
            if isinstance(node, _Function) and where.line < line:
                function = node
    return statement, function


def _lines_of(module: Module, statement: ast.stmt | None, line: int) -> range:
    """The lines of a statement over several lines, of a compound one those of its head; else the line itself."""
    if statement is None:
        return range(line, line + 1)
    where = module.location(statement)
    last = where.end_line
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
        last = max(where.line, min(module.location(part).line - 1 for part in body))
    return range(where.line, last + 1) if where.line <= line <= last else range(line, line + 1)
