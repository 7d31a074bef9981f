"""What holds for the fixes of every fixture."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bnlint.check import Checker, Options
from bnlint.findings import Applicability, Group, Report
from bnlint.fixes import Outcome, repair
from bnlint.fixes.errors import EditError
from bnlint.fixes.replacements import resolve
from bnlint.fixes.sources import Source, lines_of
from bnlint.fixes.splice import Hunk, hunks
from bnlint.fixes.tree import Tree
from bnlint.registry import rules
from bnlint.source.files import Files, Overlay

FIXTURES = Path(__file__).parents[2] / "fixtures"
DEFAULT = [rule.code for rule in rules() if rule.group in (Group.ERROR, Group.WARNING)]
CASES = [
    case
    for folder in sorted(FIXTURES.iterdir())
    if folder.is_dir() and folder.name != "demo"
    for case in sorted(folder.iterdir())
    if case.name.startswith("bad_")
]
FOLDERS = [folder for folder in sorted(FIXTURES.iterdir()) if folder.is_dir()]
RUFF = shutil.which(
    "ruff", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
)


def name(path: Path) -> str:
    return str(path.relative_to(FIXTURES))


def looking(case: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Overlay], Report]:
    root = case if case.is_dir() else case.parent
    monkeypatch.chdir(root)
    checker = Checker(Options(select=(*DEFAULT, case.parent.name.upper()), project_root=root))
    return lambda overlay: checker.check([case], overlay)


def codes(report: Report) -> Counter[str]:
    return Counter(finding.code for finding in report.findings)


@pytest.mark.parametrize("unsafe", [False, True], ids=["safe", "unsafe"])
@pytest.mark.parametrize("case", CASES, ids=name)
def test_fix(case: Path, unsafe: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    look = looking(case, monkeypatch)
    before = look({})
    if not any(finding.fix and finding.fix.edits for finding in before.findings):
        return
    outcome = repair(before, look, unsafe=unsafe)
    after = look({path: change.after for path, change in outcome.changes.items()})
    taken = (Applicability.SAFE, Applicability.UNSAFE) if unsafe else (Applicability.SAFE,)

    # What was found is gone, if it can be fixed, and nothing has come.
    assert codes(after) == codes(before) - Counter(finding.code for finding in outcome.report.fixed)
    refused = [(found.finding.code, found.finding.location) for found in outcome.report.refused]
    for finding in after.findings:
        if finding.fix and finding.fix.edits and finding.fix.applicability in taken:
            assert (finding.code, finding.location) in refused
    assert len(after.problems) == len(before.problems)
    for found in outcome.report.refused:
        assert any(why in found.reason for why in ("Python 2", "cannot be read", "IPython")), found.reason

    # Fixing again changes nothing.
    overlay = {path: change.after for path, change in outcome.changes.items()}
    again = repair(after, lambda more: look({**overlay, **more}), unsafe=unsafe)
    assert again.changes == {}
    formatted_alike(outcome)


def formatted_alike(outcome: Outcome) -> None:
    """A formatter changes no line more than before, except for those that were edited."""
    if RUFF is None:
        return
    for path, change in outcome.changes.items():
        if path.suffix == ".py":
            old, new = change.before.decode().split("\n"), change.after.decode().split("\n")
            edited = statements(change.after, hunks(old, new))
            known = {old[line] for line in reformatted(change.before)}
            unknown = [new[line] for line in reformatted(change.after) - edited if new[line] not in known]
            assert unknown == []


def statements(data: bytes, edits: Sequence[Hunk]) -> set[int]:
    """The lines of the simple statements that were edited."""
    lines = {line for hunk in edits for line in range(hunk.new_start, hunk.new_end)}
    for node in ast.walk(ast.parse(data)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            # A line that was taken out leaves nothing but its place.
            own = range(node.lineno - 1, node.end_lineno or node.lineno)
            if lines.intersection(own) or any(hunk.new_start in own for hunk in edits):
                lines.update(own)
    return lines


def reformatted(data: bytes) -> set[int]:
    """The lines that a formatter would change."""
    command = [str(RUFF), "format", "--isolated", "--stdin-filename", "a.py", "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    found = hunks(data.decode().split("\n"), done.stdout.decode().split("\n"))
    return {line for hunk in found for line in range(hunk.start, hunk.end)}


@pytest.mark.parametrize("case", CASES, ids=name)
def test_replacements_come_to_the_same_as_the_edits(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = looking(case, monkeypatch)
    report = look({})
    resolve(report, Files())
    for finding in report.findings:
        fix = finding.fix
        if fix is None or not fix.edits:
            continue
        if not fix.replacements:
            # Python 2, and what cannot be read.
            assert (
                fix.applicability is Applicability.DISPLAY or repair(report, look, unsafe=True).report.refused
            )
            continue
        alone = Report([finding], summary=report.summary, everything=[finding])
        fixed = repair(alone, lambda overlay: Report(summary=report.summary), unsafe=True)
        for path, change in fixed.changes.items():
            before, after = lines_of(path, change.before), lines_of(path, change.after)
            assert {cell: "\n".join(lines) for cell, lines in after.items()} == {
                cell: replaced("\n".join(lines), fix, path, cell) for cell, lines in before.items()
            }


def replaced(text: str, fix: object, path: Path, cell: int | None) -> str:
    """A text with the replacements of a fix, made as an editor makes them."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    own = [
        replacement
        for replacement in fix.replacements  # type: ignore[attr-defined]
        if Path(replacement.location.path).resolve() == path.resolve() and replacement.location.cell == cell
    ]
    for replacement in sorted(own, key=lambda made: made.location, reverse=True):
        where = replacement.location
        start = starts[where.line - 1] + where.column - 1
        end = starts[where.end_line - 1] + where.end_column - 1
        text = text[:start] + replacement.text + text[end:]
    return text


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_what_is_not_edited_comes_back_as_it_was(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".py", ".ipynb"):
            continue
        data = path.read_bytes()
        try:
            source = Source(path, path.name, data)
        except EditError:
            continue
        for cell in lines_of(path, data):
            text = source.draft(cell).text()
            assert Tree(text).module.code == text
        assert source.bytes() == data
