"""What projects without a configuration pay for there being such a thing: next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnlint.settings import table
from bnlint.settings.lookup import Lookup

READERS = (
    "tomllib",
    "tomli",
    "pathspec",
    "bnlint.settings.parse",
    "bnlint.settings.versions",
    "bnlint.settings.norms",
)


def imported(folder: Path) -> set[str]:
    code = (
        # What measures the coverage of this process has loaded some of them already.
        "import sys; before = set(sys.modules)\n"
        "from bnlint.cli import main; assert main(['check', '--quiet', '.']) == 0\n"
        f"print(*(name for name in {(*READERS, 'bnlint.registry')!r} if name in sys.modules.keys() - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_nothing_is_loaded_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import tensorflow as tf\nsess.run(x, feed_dict={})\n")
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    (tmp_path / "requirements.txt").write_text("tensorflow==2\n")
    assert imported(tmp_path) <= {"bnlint.settings.versions"}


def test_to_choose_rules_does_not_load_them(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    (tmp_path / "bnlint.toml").write_text('select = ["BN1"]\nignore = ["BN101"]\n')
    found = imported(tmp_path)
    assert "bnlint.settings.parse" in found
    assert "bnlint.registry" not in found


def test_each_folder_is_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def in_folder(folder: str) -> None:
        looked.append(folder)

    monkeypatch.setattr("bnlint.settings.lookup.in_folder", in_folder)
    lookup = Lookup()
    for name in ("a.py", "b.py", "deep/c.py", "deep/down/d.py", "deep/down/e.py"):
        path = tmp_path / name
        assert not lookup.excluded(path)
        assert not lookup.ignored_in(path, "BN101")
        lookup.of(path)
    lookup.known_norms([tmp_path / "a.py", tmp_path / "deep/c.py"])
    assert sorted(looked) == sorted(set(looked))
    assert {str(tmp_path), str(tmp_path / "deep/down")} < set(looked)
    assert len(looked) == len((tmp_path / "deep/down/d.py").parents)


def test_requirements_are_only_read_when_a_version_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("tensorflow==2.4\n")
    (tmp_path / "deep").mkdir()
    read: list[str] = []
    real = Path.read_text

    def read_text(path: Path, *arguments: object, **more: object) -> str:
        read.append(path.name)
        return real(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", read_text)
    lookup = Lookup()
    settings = [lookup.of(tmp_path / name) for name in ("a.py", "b.py", "deep/c.py")]
    assert read == []
    (tmp_path / "setup.py").write_text("")
    assert [dict(found.target_versions) for found in settings[:2]] == [{"tensorflow": "2.4"}] * 2
    assert settings[0] is settings[1]
    assert "requirements.txt" in read


def test_a_pyproject_that_does_not_mention_bnlint_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_parsed", None)
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    assert table.in_folder(os.fspath(tmp_path)) is None
