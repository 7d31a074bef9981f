"""By what a finding is recognised in a later report, although lines have moved."""

from __future__ import annotations

import hashlib
from collections import Counter

from bnlint.findings import Finding, Report

_Place = tuple[object, ...]


class Fingerprints:
    """The fingerprints of all findings in a report: each has its own.

    What a fingerprint is made of are the rule, the file, and the definition and the statement around the finding.
    Findings that agree in all of these are told apart by their order in the file. Also those count that are not
    reported, so that a fingerprint is the same whatever is suppressed or left out.
    """

    def __init__(self, report: Report) -> None:
        suppressed = (entry.finding for entry in report.suppressed)
        known = {_place(finding): finding for finding in (*report.everything, *report.findings, *suppressed)}
        alike: Counter[_Place] = Counter()
        self._known: dict[_Place, str] = {}
        for place, finding in sorted(known.items(), key=lambda item: _order(item[1])):
            marks = _marks(finding)
            alike[marks] += 1
            self._known[place] = digest(*marks, alike[marks])

    def of(self, finding: Finding) -> str:
        """The fingerprint of a finding of the report: 32 hexadecimal digits."""
        return self._known[_place(finding)]


def digest(*parts: object) -> str:
    """A short name for what the parts say: 32 hexadecimal digits."""
    text = "\0".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _marks(finding: Finding) -> tuple[str, ...]:
    anchor = finding.anchor
    if anchor is None:
        return finding.code, finding.location.path, finding.message
    return finding.code, finding.location.path, anchor.definition, anchor.statement


def _place(finding: Finding) -> _Place:
    return finding.code, finding.location, finding.location.cell, finding.message


def _order(finding: Finding) -> tuple[object, ...]:
    location = finding.location
    return location.path, location.cell or 0, location, finding.code, finding.message
