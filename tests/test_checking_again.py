"""A checker that is asked again says the same: no run leaves anything behind that another would see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bnlint.check import Checker, Options
from bnlint.findings import Report

FIXTURES = Path(__file__).parent.parent / "fixtures"
CASES = [
    case
    for folder in sorted(FIXTURES.iterdir())
    if folder.is_dir()
    for case in ([folder] if folder.name == "demo" else sorted(folder.iterdir()))
    if case.name.startswith(("bad_", "good_", "demo"))
]


def _timeless(report: Report) -> Report:
    return replace(report, summary=replace(report.summary, seconds=0.0))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_it_says_the_same_again_and_after_a_change_and_back(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case if case.is_dir() else case.parent)
    checker = Checker(Options(select=("ALL",), project_root=Path.cwd()))
    first = _timeless(checker.check([case]))
    assert _timeless(checker.check([case])) == first
    # A file that is alone shares nothing with what is read anew.
    for path in sorted(case.rglob("*.py")) if case.is_dir() else []:
        changed = {path: path.read_bytes() + b"\n"}
        assert _timeless(checker.check([case], changed)) == first
        gone = {path: b""}
        afresh = Checker(checker.options).check([case], gone)
        assert _timeless(checker.check([case], gone)) == _timeless(afresh)
    assert _timeless(checker.check([case])) == first


def test_files_that_come_and_go_are_noticed(tmp_path: Path) -> None:
    train, model = tmp_path / "train.py", tmp_path / "model.py"
    train.write_text((FIXTURES / "demo" / "train.py").read_text())
    checker = Checker(Options(project_root=tmp_path))
    assert _codes(checker, train) == []
    model.write_text((FIXTURES / "demo" / "model.py").read_text())
    assert _codes(checker, train) == ["BN101"]
    model.write_text("def logits(images):\n    return images\n")
    assert _codes(checker, train) == []
    model.unlink()
    assert _codes(checker, train) == []


def test_a_changed_file_that_only_its_importer_knows_is_read_again(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("model.py\n")
    train, model = tmp_path / "train.py", tmp_path / "model.py"
    train.write_text((FIXTURES / "demo" / "train.py").read_text())
    model.write_text((FIXTURES / "demo" / "model.py").read_text())
    checker = Checker(Options(project_root=tmp_path))
    before = _codes(checker, train)
    model.write_text("def logits(images):\n    return images\n")
    assert _codes(checker, train) == []
    assert _codes(checker, train, {model: (FIXTURES / "demo" / "model.py").read_bytes()}) == before


def _codes(checker: Checker, path: Path, overlay: Mapping[Path, bytes] | None = None) -> list[str]:
    return [finding.code for finding in checker.check([path], overlay).findings]
