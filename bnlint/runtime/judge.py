"""From what was seen of a running program to a report with the findings of the rules."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bnlint.check import Checker
from bnlint.findings import Finding, Problem, Report, Suppressed
from bnlint.runtime.observed import Observed
from bnlint.settings.lookup import Options
from bnlint.source.anchors import Anchors
from bnlint.source.files import Files
from bnlint.source.suppressions import Comments


def judge(observed: Observed, options: Options | None = None) -> Report:
    """Ask every rule about what was seen.

    What the settings turn off is left out, and what a comment suppresses is kept apart, as in ``bnlint check``.

    Raises SettingsError if the configuration makes no sense.
    """
    return _Judge(options or Options()).report(observed)


class _Judge:
    def __init__(self, options: Options) -> None:
        self._checker = Checker(options)
        self._comments: dict[str, tuple[Anchors, Comments] | None] = {}

    def report(self, observed: Observed) -> Report:
        from bnlint.registry import rules
        from bnlint.rule import describe

        report = Report(asked=[observed.entry])
        report.summary.programs = 1
        report.summary.seconds = observed.seconds
        found: dict[tuple[object, ...], Finding] = {}
        for rule in rules():
            try:
                for finding in rule.confirm(observed):
                    found.setdefault((finding.code, finding.location, finding.message), finding)
            except Exception as error:  # a rule that crashes must not keep the others from reporting
                report.problems.append(
                    Problem(
                        observed.entry,
                        1,
                        f"The rule {rule.code} crashed on what was seen ({type(error).__name__}: {error}). Please "
                        "report it; the other rules were asked.",
                    )
                )
        for finding in sorted(found.values(), key=lambda each: (each.location, each.code, each.message)):
            self._sort(finding, report)
        report.rules = tuple(map(describe, rules()))
        report.summary.analysed = sorted({finding.location.path for finding in report.everything})
        return report

    def _sort(self, finding: Finding, report: Report) -> None:
        path = Path(os.path.abspath(finding.location.path))
        settings = self._checker.settings
        if not settings.of(path).enables(finding.code, finding.group) or settings.ignored_in(
            path, finding.code
        ):
            return
        known = self._of(path, finding.location.path)
        suppression = None
        if known is not None:
            anchors, comments = known
            finding = replace(finding, anchor=anchors.anchor(finding.location))
            lines = anchors.statement_lines(finding.location)
            suppression = comments.silence(finding.code, finding.location, lines)
        report.everything.append(finding)
        if suppression is None:
            report.findings.append(finding)
        else:
            report.suppressed.append(Suppressed(finding, suppression))

    def _of(self, path: Path, display: str) -> tuple[Anchors, Comments] | None:
        if display not in self._comments:
            module = self._checker.module(path, Files())
            known = None if isinstance(module, Problem) else (Anchors(module), Comments(module))
            self._comments[display] = known
        return self._comments[display]
