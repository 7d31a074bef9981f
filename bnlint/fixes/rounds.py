"""Tries fixes out on the whole program, in passes, and keeps those that do what they promise and nothing else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bnlint.check import with_deep_stack
from bnlint.findings import Applicability, Finding, Refused, Report
from bnlint.fixes import Change, Look, Outcome
from bnlint.fixes.errors import EditError
from bnlint.fixes.matching import Lines, matched
from bnlint.fixes.sources import Sources, lines_of
from bnlint.source.files import Files

_MOST_PASSES = 10


@dataclass(frozen=True, slots=True)
class _State:
    """The bytes of the edited files, and what is found with them."""

    overlay: dict[Path, bytes]
    report: Report
    partners: dict[Path, set[Path]] = field(default_factory=dict)
    """By file, the other files that fixes edit together with it."""


class _Failure(Exception):
    """Fixes do not do what they should; the text is a clause that says why."""


class Repair:
    """One request to repair what a report holds."""

    def __init__(self, report: Report, look: Look, files: Files, *, unsafe: bool) -> None:
        self._look = look
        self._files = files
        self._taken = {Applicability.SAFE, *([Applicability.UNSAFE] if unsafe else [])}
        self._start = _State({}, report)
        self._disk: dict[Path, bytes] = {}
        self._refused: list[Refused] = []
        """The findings are those of the last accepted state."""

    def outcome(self) -> Outcome:
        """Try everything."""
        state = self._start
        for _ in range(_MOST_PASSES):
            wanted = self._eligible(state.report.findings)
            if not wanted:
                break
            after = self._settle(state, wanted)
            if after is state:
                break
            state = after
        if state is not self._start:
            gone = self._matched(self._start, state, self._start.report.findings)
            state.report.fixed = [f for f in self._start.report.findings if id(f) not in gone]
        state.report.refused = list(self._refused)
        changes = {
            path: Change(self._disk[path], data, frozenset(state.partners.get(path, ())))
            for path, data in sorted(state.overlay.items())
            if data != self._disk[path]
        }
        return Outcome(state.report, changes)

    def _settle(self, state: _State, group: Sequence[Finding]) -> _State:
        """Apply as many fixes of a group as are right, and refuse the others."""
        group = self._eligible(group)
        if not group:
            return state
        try:
            after = self._attempt(state, group)
        except _Failure as failure:
            if len(group) == 1:
                self._refused.append(Refused(group[0], str(failure)))
                return state
            half = len(group) // 2
            after = self._settle(state, group[:half])
            rest = list(group[half:])
            if after is not state:
                same = self._matched(state, after)
                rest = [same[id(finding)] for finding in rest if id(finding) in same]
            return self._settle(after, rest)
        if after is not state:
            same = self._matched(state, after)
            self._refused = [
                Refused(same[id(refused.finding)], refused.reason)
                for refused in self._refused
                if id(refused.finding) in same
            ]
        return after

    def _attempt(self, state: _State, group: Sequence[Finding]) -> _State:
        """The state with the fixes of a group, and with those of what they bring about.

        Raises _Failure if a finding stays that should be gone, or if one comes to stay.
        """
        current = state
        origins = {id(finding): finding for finding in group}
        """By the ``id`` of what is still to be fixed now, what it was at first."""
        waiting = list(group)
        fixed: list[Finding] = []
        for _ in range(_MOST_PASSES):
            # LibCST goes as deep as the code does.
            chosen, changed, impossible = with_deep_stack(partial(self._apply, current, waiting))
            for finding, reason in impossible:
                if id(finding) in origins:
                    self._refused.append(Refused(origins[id(finding)], reason))
            if not chosen:
                break
            done = {id(finding) for finding in chosen}
            fixed += [origins[id(finding)] for finding in chosen if id(finding) in origins]
            following = self._looked(current, changed, chosen)
            same = self._matched(current, following, chosen)
            stays = next((finding for finding in chosen if id(finding) in same), None)
            if stays is not None:
                raise _Failure("the finding would still be there")
            out = {id(finding) for finding, _ in impossible}
            origins = {
                id(same[id(finding)]): origins[id(finding)]
                for finding in waiting
                if id(finding) in same and id(finding) in origins and id(finding) not in done | out
            }
            # What was there at the start is known; what came since must go again.
            new = self._new(state, following)
            waiting = self._eligible(
                [f for f in following.report.findings if id(f) in origins or any(f is one for one in new)]
            )
            current = following
            if not waiting:
                break
        if current is not state:
            self._verify(state, current, fixed)
        return current

    def _verify(self, before: _State, after: _State, fixed: Sequence[Finding]) -> None:
        new = self._new(before, after)
        if new:
            where = new[0].location
            raise _Failure(f"it would bring about {new[0].code} at {where.path}:{where.line}")
        same = self._matched(before, after, fixed)
        if any(id(finding) in same for finding in fixed):
            raise _Failure("the finding would come back")

    def _new(self, before: _State, after: _State) -> list[Finding]:
        known = {id(finding) for finding in self._matched(before, after).values()}
        return [finding for finding in after.report.everything if id(finding) not in known]

    def _looked(self, state: _State, changed: dict[Path, bytes], fixed: Sequence[Finding]) -> _State:
        """What is found after more changes.

        Raises _Failure if bnlint could then not see all that it saw before.
        """
        overlay = {**state.overlay, **changed}
        report = self._look(overlay)
        problems = Counter((problem.path, problem.message) for problem in report.problems)
        problems -= Counter((problem.path, problem.message) for problem in state.report.problems)
        for path, message in problems:
            raise _Failure(f"{path} could not be checked any more: {message}")
        for path in set(report.summary.incomplete) - set(state.report.summary.incomplete):
            raise _Failure(f"the program of {path} would become too large to be checked as a whole")
        return _State(overlay, report, _partners(state.partners, fixed))

    def _apply(
        self, state: _State, findings: Sequence[Finding]
    ) -> tuple[list[Finding], dict[Path, bytes], list[tuple[Finding, str]]]:
        """The findings whose fixes go together, the bytes that come of them, and the fixes that cannot be made."""
        impossible: list[tuple[Finding, str]] = []
        waiting = list(findings)
        sources = self._sources(state)
        while True:
            sources.clear()
            chosen: list[Finding] = []
            for finding in waiting:
                assert finding.fix is not None
                try:
                    if sources.fits(finding.fix.edits):
                        sources.add(finding.fix.edits)
                        chosen.append(finding)
                except EditError as error:
                    impossible.append((finding, str(error)))
                    break
            else:
                try:
                    return chosen, sources.changed(), impossible
                except EditError as error:
                    if len(chosen) > 1:
                        # What goes wrong together is done in parts.
                        waiting = chosen[: len(chosen) // 2]
                        continue
                    impossible.append((chosen[0], str(error)))
            # Those that were put off may go well without the one that cannot be made.
            out = {id(finding) for finding, _ in impossible}
            waiting = [finding for finding in findings if id(finding) not in out]

    def _sources(self, state: _State) -> Sources:
        files = Files({**self._files.overlay, **state.overlay})

        def read(path: Path) -> bytes:
            data = files.read(path)
            self._disk.setdefault(path, data)
            return data

        analysed = set(state.report.summary.analysed)
        return Sources(read, analysed.__contains__)

    def _eligible(self, findings: Sequence[Finding]) -> list[Finding]:
        refused = {id(refused.finding) for refused in self._refused}
        return [
            finding
            for finding in findings
            if finding.fix is not None
            and finding.fix.edits
            and finding.fix.applicability in self._taken
            and id(finding) not in refused
        ]

    def _matched(self, before: _State, after: _State, last: Sequence[Finding] = ()) -> dict[int, Finding]:
        changed: dict[Path, tuple[Lines, Lines]] = {}
        for path, data in after.overlay.items():
            old = before.overlay.get(path, self._disk[path])
            if old != data:
                changed[path] = lines_of(path, old), lines_of(path, data)
        return matched(before.report, after.report, changed, {id(finding) for finding in last})


def _partners(known: dict[Path, set[Path]], fixed: Sequence[Finding]) -> dict[Path, set[Path]]:
    """Which files belong together after some more fixes."""
    partners = {path: set(others) for path, others in known.items()}
    for finding in fixed:
        assert finding.fix is not None
        paths = {Path(os.path.abspath(edit.location.path)) for edit in finding.fix.edits}
        for path in paths:
            partners.setdefault(path, set()).update(paths - {path})
    return partners
