"""Words that several formats say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bnlint.findings import Applicability, Finding, Group, Location, Problem, Report, Silencer, Suppression
from bnlint.report._style import Style

ADVICE = {
    Applicability.SAFE: "fix (safe)",
    Applicability.UNSAFE: "fix (changes the model)",
    Applicability.DISPLAY: "advice",
}
"""What the message of a fix is."""


def place(location: Location) -> str:
    """``path:line:column``, in a notebook ``path:cell N:line:column``."""
    cell = "" if location.cell is None else f"cell {location.cell}:"
    return plain(f"{location.path}:{cell}{location.line}:{location.column}")


def plain(text: str) -> str:
    """The text on one line and without control characters, which could command the terminal."""
    return "".join(char if char.isprintable() or char == " " else "?" for char in " ".join(text.split()))


def located(finding: Finding) -> str:
    """The message, with the cell and its line for formats that only know lines of files."""
    where = finding.location
    cell = "" if where.cell is None else f"cell {where.cell}, line {where.line}: "
    return cell + finding.message


def advice(finding: Finding) -> str:
    """What to do about a finding, empty if nothing is known."""
    return f"{ADVICE[finding.fix.applicability]}: {finding.fix.message}" if finding.fix else ""


def proof(finding: Finding) -> str:
    """What a run of the program says about a finding, empty if nothing is known."""
    return f"{finding.evidence.verdict.value}: {finding.evidence.message}" if finding.evidence else ""


def details(finding: Finding) -> list[str]:
    """The message, the steps with their places, the evidence and the advice, each on a line."""
    steps = (
        f"{number}. {place(step.location)}  {plain(step.message)}"
        for number, step in enumerate(finding.steps, 1)
    )
    return [plain(located(finding)), *steps, *filter(None, [plain(proof(finding)), plain(advice(finding))])]


def trouble(problem: Problem) -> str:
    """What a problem means, for formats that list it among findings."""
    return f"could not be {'written' if problem.unwritten else 'checked'}: {plain(problem.message)}"


def silencer(suppression: Suppression) -> str:
    """By what a finding is suppressed, and why."""
    if suppression.silencer is Silencer.BASELINE:
        by = "by the baseline"
    elif suppression.silencer is Silencer.EVIDENCE:
        by = "by the evidence"
    elif suppression.location is None:
        by = "by a comment"
    else:
        by = f"by the comment at {place(suppression.location)}"
    return f"{by}: {plain(suppression.reason)}" if suppression.reason.strip() else by


def closing(report: Report, style: Style) -> list[str]:
    """The lines that end a report: notes, statistics and summary, as far as they are wanted."""
    lines = [f"note: {plain(note)}" for note in report.notes] if style.summary else []
    if style.statistics and report.findings:
        counts = Counter((finding.code, finding.name) for finding in report.findings)
        width = len(str(max(counts.values())))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"{count:>{width}}  {code}  {name}" for (code, name), count in ranked]
    if style.summary:
        lines.append(_summary(report))
        lines += _hint(report)
    return lines


def _summary(report: Report) -> str:
    figures = report.summary
    looked = (
        f"{_count(figures.files, 'file')}, {_count(figures.programs, 'program')}, {figures.seconds:.1f} s"
    )
    parts = [_verdict(report)]
    if report.suppressed:
        parts.append(f"{len(report.suppressed):,} suppressed")
    if report.problems:
        verb = "write" if all(problem.unwritten for problem in report.problems) else "check"
        parts.append(f"could not {verb} everything: {_count(len(report.problems), 'problem')}")
    return f"{', '.join(parts)} ({looked}).{_partly(figures.incomplete)}"


def _verdict(report: Report) -> str:
    fixed = f"Fixed {_count(len(report.fixed), 'finding')}" if report.fixed else ""
    if not report.findings:
        return f"{fixed}, nothing is left" if fixed else "Found nothing"
    groups = Counter(finding.group for finding in report.findings)
    parts = ", ".join(_count(groups[group], group.value) for group in Group if groups[group])
    found = f"{parts} in {_count(len({finding.location.path for finding in report.findings}), 'file')}"
    return f"{fixed}, left {found}" if fixed else f"Found {found}"


def _hint(report: Report) -> Iterator[str]:
    """Which options would repair how many of the findings."""
    refused = {_identity(entry.finding) for entry in report.refused}
    unwritten = {problem.path for problem in report.problems if problem.unwritten}
    fixes = Counter(
        finding.fix.applicability
        for finding in report.findings
        if finding.fix
        and finding.fix.edits
        and _identity(finding) not in refused
        and unwritten.isdisjoint(edit.location.path for edit in finding.fix.edits)
    )
    safe, unsafe = fixes[Applicability.SAFE], fixes[Applicability.UNSAFE]
    if safe and unsafe:
        yield f"--fix would fix {safe:,} of them, and {unsafe:,} more with --unsafe-fixes."
    elif safe:
        yield f"--fix would fix {safe:,} of them."
    elif unsafe:
        yield f"--fix --unsafe-fixes would fix {unsafe:,} of them."


def _identity(finding: Finding) -> tuple[object, ...]:
    return finding.code, finding.location, finding.location.cell


def _partly(entries: list[str]) -> str:
    """Which programs were not analysed to their end; a few of them by name."""
    if not entries:
        return ""
    named = ", ".join(entries[:3]) + (f" and {len(entries) - 3} more" if len(entries) > 3 else "")
    return f" Too large to be analysed to the end: {plain(named)}."


def _count(number: int, noun: str) -> str:
    plural = noun if number == 1 or noun in (Group.INFO.value, Group.PREVIEW.value) else f"{noun}s"
    return f"{number:,} {plural}"
