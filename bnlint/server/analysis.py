"""One project: what is open in it, and what bnlint says about that."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlint.check import Checker
from bnlint.findings import Finding, Problem, Report
from bnlint.fixes import resolve
from bnlint.server.workspace import Snapshot
from bnlint.settings.lookup import Lookup, Options
from bnlint.source.files import Files, Overlay


class Occasion(enum.IntEnum):
    """What an analysis is made for; the greatest counts if several things have happened."""

    TYPED = 0
    SAVED = 1
    OPENED = 2


@dataclass
class Analysis:
    """The report on the open files of a project, and the texts that it is about."""

    report: Report
    snapshot: Snapshot
    paths: Sequence[Path]
    resolved: bool = False

    def resolve(self) -> None:
        """Work out the fixes in terms of text, once."""
        if not self.resolved:
            self.resolved = True
            resolve(self.report, Files(self.snapshot.overlay))

    def page(self, code: str) -> str:
        """A rule's page."""
        return next((rule.page for rule in self.report.rules if rule.code == code), "")


class Project:
    """The open files below one folder. It is used in one thread at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._options = Options(project_root=root)
        self._checker = Checker(self._options)
        self._known: set[tuple[object, ...]] = set()
        """By what the findings are recognised that were shown last."""

    def analyse(self, paths: Sequence[Path], snapshot: Snapshot, occasion: Occasion) -> Analysis:
        """Check open files.

        A statement that somebody is about to type cannot be read, and what it does for the program is missing.
        Until it is complete only those findings are shown that were there before.

        Raises UserError.
        """
        report = self._checker.check(paths, snapshot.overlay)
        if occasion is not Occasion.OPENED and any(self._is_broken(path) for path in paths):
            report.findings = [
                finding
                for finding in report.findings
                if _identity(finding) in self._known
                or (occasion is Occasion.SAVED and _is_problem(finding, report))
            ]
        else:
            self._known = {_identity(finding) for finding in report.findings}
        return Analysis(report, snapshot, paths)

    def check_again(self, analysis: Analysis, overlay: Overlay) -> Report:
        """Check the files of an analysis with other bytes in the place of some of them.

        Raises UserError.
        """
        return self._checker.check(analysis.paths, {**analysis.snapshot.overlay, **overlay})

    def forget(self) -> None:
        """Read the configuration anew the next time."""
        self._checker.settings = Lookup(self._options)

    def _is_broken(self, path: Path) -> bool:
        known = self._checker.parsed.get(path)
        return known is not None and (isinstance(known[1], Problem) or bool(known[1].problems))


def _identity(finding: Finding) -> tuple[object, ...]:
    return finding.code, finding.location.path, finding.location.cell, finding.anchor


def _is_problem(finding: Finding, report: Report) -> bool:
    """Whether a finding says that something cannot be read."""
    place = finding.location.path, finding.location.line
    return not finding.steps and place in {(problem.path, problem.line) for problem in report.problems}
