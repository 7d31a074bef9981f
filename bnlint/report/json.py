"""Machine-readable output; ``schema.json`` beside this file says what it holds."""

from __future__ import annotations

import json
from typing import Any

from bnlint.findings import Evidence, Finding, Fix, Location, Refused, Replacement, Report, Step, Suppressed
from bnlint.report._fingerprints import Fingerprints
from bnlint.report._style import Style

VERSION = 1
"""Changes when a key is removed or gets another meaning."""

NEEDS_REPLACEMENTS = True


def render(report: Report, style: Style) -> str:
    """The report as a JSON document."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """What the document holds."""
    summary = report.summary
    fingerprints = Fingerprints(report)
    return {
        "version": VERSION,
        "findings": [_finding(finding, fingerprints) for finding in report.findings],
        "suppressed": [_suppressed(entry, fingerprints) for entry in report.suppressed],
        "fixed": [_named(finding) for finding in report.fixed],
        "refused": [_refused(refused) for refused in report.refused],
        "errors": [
            {"path": problem.path, "line": problem.line, "message": problem.message}
            for problem in report.problems
        ],
        "notes": report.notes,
        "summary": {
            "files": summary.files,
            "parsed": summary.parsed,
            "programs": summary.programs,
            "incomplete": summary.incomplete,
            "seconds": round(summary.seconds, 3),
        },
    }


def _finding(finding: Finding, fingerprints: Fingerprints) -> dict[str, Any]:
    return {
        **_named(finding),
        "definition": finding.anchor.definition if finding.anchor else "",
        "fingerprint": fingerprints.of(finding),
        "steps": [_step(step) for step in finding.steps],
        "fix": _fix(finding.fix) if finding.fix else None,
        "evidence": _evidence(finding.evidence) if finding.evidence else None,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {"verdict": evidence.verdict.value, "message": evidence.message}


def _named(finding: Finding) -> dict[str, Any]:
    """What a finding is and where."""
    return {
        "code": finding.code,
        "name": finding.name,
        "group": finding.group.value,
        **_span(finding.location),
        "message": finding.message,
    }


def _suppressed(entry: Suppressed, fingerprints: Fingerprints) -> dict[str, Any]:
    suppression = entry.suppression
    return {
        **_finding(entry.finding, fingerprints),
        "suppression": {
            "kind": suppression.silencer.value,
            "reason": suppression.reason,
            "place": _place(suppression.location) if suppression.location else None,
        },
    }


def _refused(refused: Refused) -> dict[str, Any]:
    return {**_named(refused.finding), "reason": refused.reason}


def _step(step: Step) -> dict[str, Any]:
    return {**_place(step.location), "message": step.message}


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "replacements": [_replacement(replacement) for replacement in fix.replacements],
    }


def _replacement(replacement: Replacement) -> dict[str, Any]:
    return {**_span(replacement.location), "text": replacement.text}


def _place(where: Location) -> dict[str, Any]:
    return {"path": where.path, "line": where.line, "column": where.column, "cell": where.cell}


def _span(where: Location) -> dict[str, Any]:
    return {
        "path": where.path,
        "line": where.line,
        "column": where.column,
        "end_line": where.end_line,
        "end_column": where.end_column,
        "cell": where.cell,
    }
