"""Every fixture is checked strictly: each expected finding on its line, and no other."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bnlint.check import Options, check
from bnlint.findings import Group
from bnlint.registry import rules

FIXTURES = Path(__file__).parent.parent / "fixtures"
_EXPECT = re.compile(r"#\s*expect:\s*([A-Z0-9, ]+)")
_NOT_CASES = {"demo"}


def _cases() -> list[Path]:
    return [
        case
        for folder in sorted(FIXTURES.iterdir())
        if folder.is_dir() and folder.name not in _NOT_CASES
        for case in sorted(folder.iterdir())
        if case.name.startswith(("bad_", "good_"))
    ]


def _expected(case: Path) -> Counter[tuple[str, int | None, int, str]]:
    found: Counter[tuple[str, int | None, int, str]] = Counter()
    for path in [case] if case.is_file() else sorted(case.rglob("*")):
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            for number, cell in enumerate(cells, 1):
                if cell["cell_type"] == "code":
                    text = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
                    _collect(text, path, number, found)
        elif path.suffix == ".py":
            _collect(path.read_text(encoding="utf-8", errors="replace"), path, None, found)
    return found


def _collect(
    text: str, path: Path, cell: int | None, found: Counter[tuple[str, int | None, int, str]]
) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        for match in _EXPECT.finditer(line.split("todo-expect")[0]):
            for code in match[1].replace(",", " ").split():
                found[(path.name, cell, number, code)] += 1


def _codes(case: Path) -> tuple[str, ...]:
    default = [rule.code for rule in rules() if rule.group in (Group.ERROR, Group.WARNING)]
    return (*default, case.parent.name.upper())


@pytest.mark.parametrize("case", _cases(), ids=lambda case: f"{case.parent.name}/{case.name}")
def test_fixture(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = case if case.is_dir() else case.parent
    monkeypatch.chdir(root)
    report = check([case], Options(select=_codes(case), project_root=root))
    reported = Counter(
        (finding.location.path.rpartition("/")[2], finding.location.cell, finding.location.line, finding.code)
        for finding in report.findings
    )
    assert reported == _expected(case), "\n".join(
        f"{finding.location.path}:{finding.location.line} {finding.code} {finding.message}"
        for finding in report.findings
    )


def test_every_rule_has_fixtures() -> None:
    folders = {folder.name.upper() for folder in FIXTURES.iterdir()}
    missing = [rule.code for rule in rules() if rule.code not in folders]
    assert set(missing) <= {"BN001", "BN002"}
