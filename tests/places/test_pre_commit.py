"""The hooks of `.pre-commit-hooks.yaml`, run by the real pre-commit when the real git commits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bnlint.cli import main

ROOT = Path(__file__).parents[2]
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}

Install = Callable[[str], None]


@pytest.fixture
def install(project: Path, published: Path, git: Any, environment: dict[str, str]) -> Install:
    """Installs one of the hooks in the project."""

    def use(hook: str) -> None:
        revision = git(published, "rev-parse", "HEAD").stdout.strip()
        repository = {"repo": str(published), "rev": revision, "hooks": [{"id": hook}]}
        (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [repository]}))
        git(project, "add", ".pre-commit-config.yaml")
        git(project, "commit", "--quiet", "--message", "use bnlint")
        command = [sys.executable, "-m", "pre_commit", "install"]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return use


def _commit(project: Path, git: Any) -> tuple[int, str]:
    """Commit everything; the exit code and what was said."""
    git(project, "add", "--all")
    done = git(project, "commit", "--message", "change", check=False)
    return done.returncode, done.stdout + done.stderr


def _append(path: Path, text: str = "\n# A comment.\n") -> None:
    path.write_text(path.read_text() + text)


def test_pre_commit_takes_the_manifest() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(HOOKS) == {"bnlint", "bnlint-fix"}


def test_a_commit_with_a_finding_is_blocked_and_one_without_passes(
    project: Path, git: Any, install: Install, repaired: str
) -> None:
    install("bnlint")
    train = project / "train.py"
    _append(train)
    code, said = _commit(project, git)
    assert code != 0
    assert "train.py:11:" in said
    assert "BN101" in said
    train.write_text(repaired)
    code, said = _commit(project, git)
    assert code == 0, said
    assert git(project, "status", "--porcelain").stdout == ""


def test_only_the_files_of_the_commit_are_reported_but_their_programs_are_read(
    project: Path, git: Any, install: Install
) -> None:
    install("bnlint")
    _append(project / "model.py")
    code, said = _commit(project, git)
    assert code == 0, said
    assert "Passed" in said
    _append(project / "train.py")
    code, said = _commit(project, git)
    assert code != 0
    # The layer that the finding is about is in a file that is not part of the commit.
    assert "model.py:6:" in said


def test_notebooks(project: Path, git: Any, install: Install) -> None:
    install("bnlint")
    program = (project / "train.py").read_text()
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": program}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (project / "train.ipynb").write_text(json.dumps(notebook))
    code, said = _commit(project, git)
    assert code != 0
    assert "train.ipynb" in said
    assert "BN101" in said


def test_a_fix_blocks_the_commit_once(project: Path, git: Any, install: Install, repaired: str) -> None:
    install("bnlint-fix")
    train = project / "train.py"
    _append(train)
    code, said = _commit(project, git)
    assert code != 0
    assert "files were modified by this hook" in said
    assert train.read_text() == repaired + "\n# A comment.\n"
    code, said = _commit(project, git)
    assert code == 0, said
    assert git(project, "show", "HEAD:train.py").stdout == train.read_text()
    assert main(["check", "--quiet", str(project)]) == 0


def test_a_file_without_a_safe_fix_stays_and_blocks_the_commit(
    project: Path, git: Any, install: Install
) -> None:
    shutil.copy(ROOT / "fixtures" / "demo" / "train.py", project / "python2.py")
    _append(project / "python2.py", "print 'a file for Python 2 is never fixed'\n")
    install("bnlint-fix")
    before = (project / "python2.py").read_text()
    code, said = _commit(project, git)
    assert code != 0
    assert "files were modified" not in said
    assert "BN101" in said
    assert (project / "python2.py").read_text() == before
