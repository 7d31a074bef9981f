"""SARIF 2.1.0, which code scanning services and many editors read."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import bnlint
from bnlint.findings import (
    Applicability,
    Finding,
    Fix,
    Location,
    Problem,
    Replacement,
    Report,
    Silencer,
    Suppressed,
    Suppression,
)
from bnlint.report._fingerprints import Fingerprints
from bnlint.report._sarif_rules import LEVELS, described_rules
from bnlint.report._style import Style
from bnlint.report._text import ADVICE, advice, located, proof
from bnlint.report._unicode import dump, whole

NEEDS_REPLACEMENTS = True

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_KINDS = {Silencer.COMMENT: "inSource", Silencer.BASELINE: "external", Silencer.EVIDENCE: "external"}


def render(report: Report, style: Style) -> str:
    """One run, with the rules that were asked, the findings, and those that are suppressed."""
    rules = described_rules(report)
    results = _Results([rule["id"] for rule in rules], Fingerprints(report))
    run = {
        "tool": {"driver": {"name": "bnlint", "version": bnlint.__version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "results": [
            *map(results.result, report.findings),
            *map(results.suppressed, report.suppressed),
        ],
    }
    return dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _invocation(report: Report) -> dict[str, Any]:
    notifications = [_problem(problem) for problem in report.problems]
    for entry in report.summary.incomplete:
        text = "This program is too large to be analysed to the end. It is not clean, but no more is known of it."
        place = {"physicalLocation": {"artifactLocation": _artifact(entry)}}
        notifications.append({"level": "warning", "message": _message(text), "locations": [place]})
    notifications += [{"level": "note", "message": _message(note)} for note in report.notes]
    return {"executionSuccessful": not report.problems, "toolExecutionNotifications": notifications}


def _problem(problem: Problem) -> dict[str, Any]:
    place = {
        "physicalLocation": {
            "artifactLocation": _artifact(problem.path),
            "region": {"startLine": problem.line},
        }
    }
    return {"level": "error", "message": _message(problem.message), "locations": [place]}


class _Results:
    """Makes the results. ``rules`` are the codes of the rules in the order of the run's list."""

    def __init__(self, rules: list[str], fingerprints: Fingerprints) -> None:
        self._indices = {code: index for index, code in enumerate(rules)}
        self._fingerprints = fingerprints

    def result(self, finding: Finding) -> dict[str, Any]:
        """A finding with all that proves it and all that is known about its repair."""
        result: dict[str, Any] = {
            "ruleId": finding.code,
            "ruleIndex": self._indices[finding.code],
            "level": LEVELS[finding.group],
            "message": _message("\n\n".join(filter(None, [located(finding), advice(finding)]))),
            "locations": [_location(finding.location, definition=_definition(finding))],
            "partialFingerprints": {"bnlint/v1": self._fingerprints.of(finding)},
            "properties": {"group": finding.group.value},
        }
        if finding.steps:
            steps = [_location(step.location, step.message) for step in finding.steps]
            flow = {"locations": [{"location": step} for step in steps]}
            result["codeFlows"] = [{"threadFlows": [flow]}]
            result["relatedLocations"] = [{"id": number, **step} for number, step in enumerate(steps, 1)]
        if finding.evidence:
            result["properties"]["evidence"] = proof(finding)
        if finding.fix:
            result["properties"]["fix"] = finding.fix.applicability.value
            fix = _fix(finding.fix)
            if fix:
                result["fixes"] = [fix]
        return result

    def suppressed(self, entry: Suppressed) -> dict[str, Any]:
        """A finding that is not reported, with the reason."""
        return {**self.result(entry.finding), "suppressions": [_suppression(entry.suppression)]}


def _definition(finding: Finding) -> str:
    return finding.anchor.definition if finding.anchor else ""


def _suppression(suppression: Suppression) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": _KINDS[suppression.silencer], "status": "accepted"}
    if suppression.reason:
        described["justification"] = suppression.reason
    if suppression.location:
        described["location"] = _location(suppression.location)
    return described


def _fix(fix: Fix) -> dict[str, Any] | None:
    """The fix, if it may be applied and can be said in terms of the file's text.

    In a notebook it cannot: the artifact is the JSON, in which the cell's lines have other places.
    """
    by_path: dict[str, list[dict[str, Any]]] = {}
    for piece in fix.replacements:
        if piece.location.cell is not None:
            return None
        by_path.setdefault(piece.location.path, []).append(_replacement(piece))
    if not by_path or fix.applicability is Applicability.DISPLAY:
        return None
    return {
        "description": _message(f"{ADVICE[fix.applicability]}: {fix.message}"),
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": pieces} for path, pieces in by_path.items()
        ],
    }


def _replacement(piece: Replacement) -> dict[str, Any]:
    return {"deletedRegion": _region(piece.location), "insertedContent": {"text": piece.text}}


def _location(location: Location, message: str = "", definition: str = "") -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": _artifact(location.path),
            "region": _region(location),
        }
    }
    logical: list[dict[str, Any]] = []
    if definition:
        logical.append({"fullyQualifiedName": definition})
    if location.cell is not None:
        # The region counts lines in the cell.
        logical.append({"name": f"cell {location.cell}", "kind": "cell"})
        place["properties"] = {"cell": location.cell}
    if logical:
        place["logicalLocations"] = logical
    if message:
        place["message"] = _message(message)
    return place


def _region(location: Location) -> dict[str, int]:
    return {
        "startLine": location.line,
        "startColumn": location.column,
        "endLine": location.end_line,
        "endColumn": location.end_column,
    }


def _artifact(path: str) -> dict[str, str]:
    """A file: relative to the folder in which bnlint ran, which its readers know better than this file."""
    if os.path.isabs(path):
        return {"uri": "file:///" + _quoted(path.lstrip("/"), safe="/:")}
    return {"uri": _quoted(path, safe="/"), "uriBaseId": "%SRCROOT%"}


def _quoted(path: str, safe: str) -> str:
    try:
        name = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        name = whole(path).encode()
    return quote(name, safe=safe)


def _message(text: str) -> dict[str, str]:
    """A message; braces stand for arguments unless they are doubled."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}
