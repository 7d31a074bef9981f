"""The rules as SARIF describes them."""

from __future__ import annotations

import re
from typing import Any

from bnlint.findings import Group, Report, RuleInfo

LEVELS = {Group.ERROR: "error", Group.WARNING: "warning", Group.INFO: "note", Group.PREVIEW: "note"}
"""How bad a finding is."""

_PRECISIONS = {
    Group.ERROR: "very-high",
    Group.WARNING: "high",
    Group.INFO: "medium",
    Group.PREVIEW: "low",
}
_SEVERITIES = {
    Group.ERROR: "error",
    Group.WARNING: "warning",
    Group.INFO: "recommendation",
    Group.PREVIEW: "recommendation",
}
_WHAT_IT_DOES = re.compile(r"^## What it does\s*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LONGEST = 1000
"""GitHub cuts descriptions after 1024 characters."""


def described_rules(report: Report) -> list[dict[str, Any]]:
    """The rules that were asked, and all that found something, sorted by code."""
    known = {rule.code: rule for rule in report.rules}
    for finding in (*report.findings, *(entry.finding for entry in report.suppressed)):
        if finding.code not in known:
            summary = finding.name.replace("-", " ")
            known[finding.code] = RuleInfo(finding.code, finding.name, finding.group, summary, "")
    return [_rule(known[code]) for code in sorted(known)]


def _rule(rule: RuleInfo) -> dict[str, Any]:
    summary = rule.summary or rule.name
    page = rule.page or summary
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": _cut(summary)},
        "fullDescription": {"text": _cut(_paragraph(page) or summary)},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {
            "enabled": rule.group in (Group.ERROR, Group.WARNING),
            "level": LEVELS[rule.group],
        },
        "properties": {
            "tags": ["correctness", "batch-normalization", "machine-learning"],
            "precision": _PRECISIONS[rule.group],
            "problem.severity": _SEVERITIES[rule.group],
            "group": rule.group.value,
            "fixable": [applicability.value for applicability in rule.fixable],
        },
    }


def _paragraph(page: str) -> str:
    """What the page says under "What it does", without line breaks inside of paragraphs."""
    found = _WHAT_IT_DOES.search(page)
    paragraphs = found[1].strip().split("\n\n") if found else []
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
