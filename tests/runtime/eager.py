"""Runs scripts of eager TensorFlow 2 and Keras under `bnlint run`, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bnlint.runtime.observed import LayerSeen, Mode, Observed, Passage, Purpose, RunSeen
from bnlint.runtime.script import journal

needs_tensorflow = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("tensorflow", "keras", "tf_keras")),
    reason="TensorFlow, Keras and tf-keras are not installed",
)
both = pytest.mark.parametrize("legacy", [False, True], ids=["keras3", "tf-keras"])

PATIENCE = 280


class Seen:
    """What `bnlint run` made of a script."""

    def __init__(self, script: str, finished: subprocess.CompletedProcess[str], folder: Path) -> None:
        self.script = dedent(script)
        self.code, self.out, self.err = finished.returncode, finished.stdout, finished.stderr
        self.report: Any = json.loads((folder / "report.json").read_text("utf-8"))
        self.observed: Observed = journal.read_evidence(folder / "seen.json").observed

    def line(self, words: str) -> int:
        (found,) = [number for number, line in enumerate(self.script.splitlines(), 1) if words in line]
        return found

    def layer(self, name: str) -> LayerSeen:
        (found,) = [layer for layer in self.observed.layers if layer.name == name]
        return found

    def runs(self, name: str, purpose: Purpose) -> list[RunSeen]:
        key = self.layer(name).key
        return [
            run
            for run in self.observed.runs
            if run.purpose is purpose and any(passage.layer == key for passage in run.passages)
        ]

    def passages(self, name: str, purpose: Purpose) -> list[Passage]:
        key = self.layer(name).key
        return [
            passage for run in self.runs(name, purpose) for passage in run.passages if passage.layer == key
        ]

    def modes(self, name: str, purpose: Purpose) -> set[Mode]:
        return {passage.mode for passage in self.passages(name, purpose)}

    def findings(self) -> set[tuple[str, int]]:
        return {(finding["code"], finding["line"]) for finding in self.report["findings"]}


def environment(legacy: bool) -> dict[str, str]:
    return {
        **os.environ,
        "BNLINT_TRACEBACK": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_USE_LEGACY_KERAS": "1" if legacy else "0",
    }


def observe(folder: Path, script: str, *options: str, legacy: bool = False) -> Seen:
    (folder / "script.py").write_text(dedent(script), "utf-8")
    outputs = ["--output-format", "json", "--output-file", "report.json", "--evidence", "seen.json"]
    finished = subprocess.run(
        [sys.executable, "-m", "bnlint", "run", *outputs, *options, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(legacy),
    )
    assert finished.returncode in (0, 1) and "Traceback" not in finished.stderr, finished.stderr
    return Seen(script, finished, folder)
