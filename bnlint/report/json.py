"""Machine-readable output; ``schema.json`` beside this file says what it holds."""

from __future__ import annotations

import json
from typing import Any

from bnlint.findings import Finding, Fix, Report, Step
from bnlint.report._style import Style

VERSION = 1
"""Changes when a key is removed or gets another meaning."""


def render(report: Report, style: Style) -> str:
    """The report as a JSON document."""
    summary = report.summary
    document = {
        "version": VERSION,
        "findings": [_finding(finding) for finding in report.findings],
        "errors": [
            {"path": problem.path, "line": problem.line, "message": problem.message}
            for problem in report.problems
        ],
        "summary": {
            "files": summary.files,
            "parsed": summary.parsed,
            "programs": summary.programs,
            "incomplete": summary.incomplete,
            "seconds": round(summary.seconds, 3),
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    where = finding.location
    return {
        "code": finding.code,
        "name": finding.name,
        "group": finding.group.value,
        "path": where.path,
        "line": where.line,
        "column": where.column,
        "end_line": where.end_line,
        "end_column": where.end_column,
        "cell": where.cell,
        "message": finding.message,
        "steps": [_step(step) for step in finding.steps],
        "fix": _fix(finding.fix) if finding.fix else None,
    }


def _step(step: Step) -> dict[str, Any]:
    where = step.location
    return {
        "path": where.path,
        "line": where.line,
        "column": where.column,
        "cell": where.cell,
        "message": step.message,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {"applicability": fix.applicability.value, "message": fix.message}
