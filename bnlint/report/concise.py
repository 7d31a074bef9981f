"""One line for each finding."""

from __future__ import annotations

from bnlint.findings import Report
from bnlint.report._style import Style
from bnlint.report._text import closing, place, plain


def render(report: Report, style: Style) -> str:
    """``path:line:column: CODE message`` for each finding, then what could not be checked."""
    lines = [
        f"{place(finding.location)}: {finding.code} {plain(finding.message)}" for finding in report.findings
    ]
    lines += [
        f"{plain(problem.path)}:{problem.line}:1: error: {plain(problem.message)}"
        for problem in report.problems
    ]
    lines += closing(report, style)
    return "".join(f"{line}\n" for line in lines)
