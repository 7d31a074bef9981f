"""Runs programs under observation, quickly: in forks of one process that has imported the framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bnlint.runtime.observed import Observed
from bnlint.runtime.script import journal

from .cases import KERAS2, KERAS3, TENSORFLOW1, TORCH

PATIENCE = 120
"""Seconds after which a program is taken to hang; none comes near it."""
_FORKS = Path(__file__).parent / "forks.py"
_ROOT = _FORKS.parents[2]


@dataclass
class Ran:
    """What was seen of a program, and how it ended."""

    observed: Observed
    code: int
    said: str
    """All that it wrote to its standard streams."""


class Observer:
    """One process that forks; the first program waits for it to import the framework."""

    def __init__(self, folder: Path, framework: str, legacy: bool = False) -> None:
        """``legacy``: Keras is tf-keras."""
        self._folder = folder
        self._framework = framework
        self._legacy = legacy
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, script: str, arguments: tuple[str, ...] = ()) -> Ran:
        """Run a script in its folder, as `bnlint run SCRIPT` does."""
        own = Path(tempfile.mkdtemp(dir=self._folder))
        job = {"folder": str(folder), "patience": PATIENCE}
        for name in ("plan", "said", "temporary", "journal"):
            job[name] = str(own / name)
        (own / "temporary").mkdir()
        plan = {
            "target": script, "is_module": False, "arguments": list(arguments), "max_steps": None, "every": None,
            "api": "auto", "journal": job["journal"],
        }  # fmt: skip
        (own / "plan").write_text(json.dumps(plan), "utf-8")
        code = int(self._ask(json.dumps(job)))
        said = (own / "said").read_text("utf-8", "replace")
        entry = journal.read(job["journal"])
        assert entry is not None and not entry.refused, said
        return Ran(entry.observed, code, said)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(PATIENCE)

    def _ask(self, job: str) -> str:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None and self._process.stdout is not None
        print(job, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()

    def _start(self) -> subprocess.Popen[str]:
        paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        said = self._folder / f"{self._framework} {self._legacy:d}"
        with said.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, str(_FORKS), self._framework],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": paths, "TF_USE_LEGACY_KERAS": f"{self._legacy:d}"},
            )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", said.read_text("utf-8", "replace")
        return process


class Observers:
    """An observer for each of what programs are run on; each is started when it is first needed."""

    def __init__(self, folder: Path) -> None:
        legacy = Observer(folder, "tensorflow", legacy=True)
        self._made = {
            TENSORFLOW1: legacy,
            KERAS2: legacy,
            KERAS3: Observer(folder, "tensorflow"),
            TORCH: Observer(folder, "torch"),
        }

    def on(self, what: str) -> Observer:
        """The observer that runs programs on what a case names."""
        return self._made[what]

    def close(self) -> None:
        """End their processes."""
        for observer in self._made.values():
            observer.close()
