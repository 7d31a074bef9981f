"""What a run of the program says about findings: ``bnlint run --evidence FILE`` writes it, ``bnlint check`` reads it.

A finding is confirmed if the run found the same bug at one of the places that it names. It is contradicted if every
layer and run that it is about was seen to do the right thing; then it does not count.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bnlint.findings import Evidence, Finding, Group, Report, Silencer, Suppressed, Suppression, Verdict
from bnlint.runtime.script import journal

if TYPE_CHECKING:
    from bnlint.rule import Rule

_MOST_NAMED = 5


class Witness:
    """What was seen of one run, and of which files it can speak."""

    def __init__(self, entry: journal.Entry, path: Path) -> None:
        self._observed = entry.observed
        self._path = path
        self._changed = {name for name, digest in entry.files.items() if _digest(name) != digest}
        self._files = set(entry.files) - self._changed
        self._confirmed: dict[str, list[Finding]] = {}

    @classmethod
    def load(cls, path: Path) -> Witness:
        """Read what ``bnlint run --evidence`` wrote.

        Raises UserError if it is not such a file.
        """
        return cls(journal.read_evidence(path), path)

    def apply(self, report: Report) -> None:
        """Mark the findings that the run confirms, and take out those that it contradicts, with the reason."""
        by_code = _rules({finding.code for finding in report.findings})
        reported = []
        for finding in report.findings:
            evidence = self._about(finding, by_code[finding.code])
            marked = replace(finding, evidence=evidence)
            if evidence is None or evidence.verdict is Verdict.CONFIRMED:
                reported.append(marked)
                continue
            suppression = Suppression(Silencer.EVIDENCE, None, evidence.message)
            report.suppressed.append(Suppressed(replace(marked, group=Group.INFO), suppression))
            report.notes.append(
                f"{finding.location.path}:{finding.location.line}: {finding.code} is contradicted and does not count: "
                f"{evidence.message}"
            )
        report.findings[:] = reported
        report.notes.extend(self._notes(report))

    def _about(self, finding: Finding, rule: Rule) -> Evidence | None:
        from bnlint.runtime.refutations import names

        places = [finding.location, *(step.location for step in finding.steps)]
        if not {place.path for place in places} <= self._files:
            return None
        if finding.code not in self._confirmed:
            self._confirmed[finding.code] = list(rule.confirm(self._observed))
        run = f"in the run of {self._observed.entry}"
        for seen in self._confirmed[finding.code]:
            if names(finding, (seen.location, *(step.location for step in seen.steps))):
                return Evidence(Verdict.CONFIRMED, f"{run}, {seen.message}.")
        clause = rule.contradict(finding, self._observed)
        return Evidence(Verdict.CONTRADICTED, f"{run}, {clause}.") if clause else None

    def _notes(self, report: Report) -> Iterable[str]:
        again = f"Run `bnlint run --evidence {self._path.as_posix()} {self._observed.entry}` again."
        if self._changed:
            names = sorted(self._changed)
            told = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
            yield f"The evidence in {self._path.as_posix()} does not count for files that have changed: {told}. {again}"
        elif not self._files & set(report.summary.analysed):
            yield (
                f"The evidence in {self._path.as_posix()} is about none of these files. Was the script run in this "
                "folder? Paths are relative to it."
            )


def digests(paths: Iterable[str]) -> dict[str, str]:
    """What the files hold now, in short, by their paths; of those that can be read."""
    found = {path: _digest(path) for path in paths}
    return {path: digest for path, digest in found.items() if digest}


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(os.path.abspath(path)).read_bytes()).hexdigest()
    except (OSError, ValueError):
        # Of a name that no file can have, too.
        return ""


def _rules(codes: set[str]) -> dict[str, Rule]:
    if not codes:
        return {}
    from bnlint.registry import rules

    return {rule.code: rule for rule in rules() if rule.code in codes}
