"""One line for each finding."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Finding, Report
from bnlint.report._style import Style
from bnlint.report._text import closing, place, plain, silencer


def render(report: Report, style: Style) -> str:
    """``path:line:column: CODE message`` for each finding, then what could not be checked, and what was done."""
    return "".join(f"{line}\n" for line in (*_lines(report, style), *closing(report, style)))


def _lines(report: Report, style: Style) -> Iterator[str]:
    for finding in report.findings:
        mark = f" ({finding.evidence.verdict.value})" if finding.evidence else ""
        yield f"{_head(finding)} {plain(finding.message)}{mark}"
    for problem in report.problems:
        yield f"{plain(problem.path)}:{problem.line}:1: error: {plain(problem.message)}"
    if style.suppressed:
        for entry in report.suppressed:
            yield f"{_head(entry.finding)} suppressed {silencer(entry.suppression)}"
    if style.summary:
        for finding in report.fixed:
            yield f"{_head(finding)} fixed"
    for refused in report.refused:
        yield f"{_head(refused.finding)} not fixed: {plain(refused.reason)}"


def _head(finding: Finding) -> str:
    return f"{place(finding.location)}: {finding.code}"
