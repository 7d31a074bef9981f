from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

PATIENCE = 240


@dataclass
class Outcome:
    """What a user sees of `bnlint run`."""

    code: int
    out: str
    err: str
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> str:
        return str(self.report["run"]["ended"])


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a script under observation, in a folder of its own."""

    def made(
        script: str,
        *arguments: str,
        options: tuple[str, ...] = (),
        name: str = "script.py",
        stdin: str = "",
        environment: dict[str, str] | None = None,
    ) -> Outcome:
        (tmp_path / name).write_text(dedent(script), "utf-8")
        report = tmp_path / "report.json"
        command = [
            sys.executable,
            "-m",
            "bnlint",
            "run",
            "--output-format",
            "json",
            "--output-file",
            str(report),
        ]
        finished = subprocess.run(
            [*command, *options, name, *arguments],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **(environment or {})},
        )
        seen = json.loads(report.read_text("utf-8")) if report.exists() else {}
        return Outcome(finished.returncode, finished.stdout, finished.stderr, seen)

    return made
