"""GitLab's Code Quality report, which is shown in merge requests."""

from __future__ import annotations

from typing import Any

from bnlint.findings import Finding, Group, Location, Problem, Report
from bnlint.report._fingerprints import Fingerprints, digest
from bnlint.report._style import Style
from bnlint.report._text import details, located, plain, trouble
from bnlint.report._unicode import dump

_SEVERITIES = {Group.ERROR: "critical", Group.WARNING: "major", Group.INFO: "minor", Group.PREVIEW: "info"}


def render(report: Report, style: Style) -> str:
    """An issue for each finding and each problem."""
    fingerprints = Fingerprints(report)
    issues = [_issue(finding, fingerprints) for finding in report.findings]
    # GitLab keeps one issue of those that have the same fingerprint.
    problems = {_fingerprint(problem): problem for problem in report.problems}
    issues += [_problem(problem, fingerprint) for fingerprint, problem in problems.items()]
    return dump(issues)


def _issue(finding: Finding, fingerprints: Fingerprints) -> dict[str, Any]:
    issue: dict[str, Any] = {
        "type": "issue",
        "check_name": finding.code,
        "description": plain(located(finding)),
        "content": {"body": "\n".join(details(finding))},
        "categories": ["Bug Risk"],
        "location": _location(finding.location),
        "severity": _SEVERITIES[finding.group],
        "fingerprint": fingerprints.of(finding),
    }
    if finding.steps:
        issue["other_locations"] = [_location(step.location) for step in finding.steps]
    return issue


def _problem(problem: Problem, fingerprint: str) -> dict[str, Any]:
    return {
        "type": "issue",
        "check_name": "bnlint",
        "description": trouble(problem),
        "categories": ["Compatibility"],
        "location": {"path": problem.path, "lines": {"begin": problem.line, "end": problem.line}},
        "severity": "blocker",
        "fingerprint": fingerprint,
    }


def _fingerprint(problem: Problem) -> str:
    return digest(problem.path, problem.line, problem.message)


def _location(location: Location) -> dict[str, Any]:
    return {"path": location.path, "lines": {"begin": location.line, "end": location.end_line}}
