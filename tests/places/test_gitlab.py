"""`docs/gitlab-ci.yml`: what GitLab takes, and what its script does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "docs" / "gitlab-ci.yml"
JOB = yaml.safe_load(EXAMPLE.read_text())["bnlint"]


def _run(project: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script as a GitLab runner does: all lines in one shell."""
    return subprocess.run(
        ["bash", "-c", "\n".join(["set -eo pipefail", *JOB["script"]])],
        cwd=project,
        env={**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _report(project: Path) -> list[dict[str, object]]:
    name = JOB["artifacts"]["reports"]["codequality"]
    return json.loads((project / name).read_text())  # type: ignore[no-any-return]


def test_the_public_schema_accepts_it() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    # The schema's YAML has tags of GitLab's own; without this reader they are an error.
    command += ["--data-transform", "gitlab-ci"]
    done = subprocess.run([*command, str(EXAMPLE)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_finding_is_reported_logged_and_fails_the_job(project: Path, environment: dict[str, str]) -> None:
    done = _run(project, environment)
    assert done.returncode == 1, done.stderr
    assert "BN101" in done.stdout
    assert [entry["check_name"] for entry in _report(project)] == ["BN101"]
    assert JOB["artifacts"]["when"] == "always"


def test_clean_passes_with_an_empty_report(project: Path, environment: dict[str, str], repaired: str) -> None:
    (project / "train.py").write_text(repaired)
    done = _run(project, environment)
    assert done.returncode == 0, done.stderr
    assert _report(project) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX")
def test_what_could_not_be_checked_fails_the_job(project: Path, environment: dict[str, str]) -> None:
    (project / "train.py").write_bytes(b"# batch_normalization \xff\n")
    done = _run(project, environment)
    assert done.returncode == 2, done.stdout
