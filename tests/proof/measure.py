"""Measures one row of the table: what `bnlint check` and `bnlint run` say of a program, before and after its repair."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bnlint.check import Checker, Options
from bnlint.findings import Applicability, Finding, Group, Report
from bnlint.fixes import repair, write
from bnlint.registry import rules
from bnlint.runtime.judge import judge

from .cases import Case
from .observer import Observers, Ran
from .page import Row

FIXTURES = Path(__file__).parents[2] / "fixtures"
_DEFAULT = [rule.code for rule in rules() if rule.group in (Group.ERROR, Group.WARNING)]
_KINDS = {Applicability.SAFE: "safe", Applicability.UNSAFE: "unsafe", Applicability.DISPLAY: "shown"}


def measure(code: str, case: Case, observers: Observers, folder: Path) -> Row:
    """Check, run, repair, check and run; ``folder`` is empty and the current one."""
    program = _copied(code, case.program, folder)
    checker = Checker(Options(select=(*_DEFAULT, code), project_root=folder))
    before = checker.check([folder])
    own = next((finding for finding in before.findings if finding.code == code), None)
    row = Row(code, case, _codes(before.findings))
    row.fix = _KINDS[own.fix.applicability] if own is not None and own.fix is not None else "none"
    if not case.unseen:
        row.fails = _everywhere(_fails(*ran, case) for ran in _runs(program, case, observers))
    if case.twin:
        _empty(folder)
        program = _copied(code, case.twin, folder)
    else:
        outcome = repair(before, lambda overlay: checker.check([folder], overlay), unsafe=True)
        assert not write(outcome.changes)
    row.clean = _codes(checker.check([folder]).findings)
    if not case.unseen:
        row.passes = _everywhere(_passes(*ran) for ran in _runs(program, case, observers))
    return row


def _copied(code: str, name: str, folder: Path) -> str:
    """The name of the script; a folder's scripts are copied beside each other."""
    source = FIXTURES / code.lower() / name
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        shutil.copy(source, folder)
    return name


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _runs(program: str, case: Case, observers: Observers) -> Iterator[tuple[Ran, Report]]:
    for what in case.on:
        ran = observers.on(what).run(Path(os.getcwd()), program)
        yield ran, judge(ran.observed, Options(select=("ALL",), isolated=True))


def _everywhere(outcomes: Iterator[str]) -> str:
    """What comes out on everything that the program is run on."""
    first, *others = outcomes
    assert all(other == first for other in others), [first, *others]
    return first


def _fails(ran: Ran, report: Report, case: Case) -> str:
    assert ran.code == case.ends, ran.said
    return _codes(report.findings)


def _passes(ran: Ran, report: Report) -> str:
    assert ran.code == 0, ran.said
    # A program of which nothing is seen passes nothing.
    assert ran.observed.layers, ran.said
    assert not report.problems, report.problems
    return _codes(report.findings)


def _codes(findings: list[Finding]) -> str:
    return ", ".join(sorted({finding.code for finding in findings}))
