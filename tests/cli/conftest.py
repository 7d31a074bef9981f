from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bnlint.findings import Finding, Group, Location, Problem, Report, Summary
from bnlint.settings.lookup import Options

Check = Callable[..., Report]


class Engine:
    """Stands for the engine: gives the report that a test wants and remembers what it was asked."""

    def __init__(self) -> None:
        self.report = Report(summary=Summary(files=2, parsed=1, programs=1, seconds=0.25, analysed=["a.py"]))
        self.error: BaseException | None = None
        self.paths: Sequence[Path] = ()
        self.options = Options()
        self.progress: Callable[[str], None] | None = None

    def checker(self, options: Options, progress: Any = None) -> Engine:
        self.options, self.progress = options, progress
        return self

    def check(self, paths: Sequence[Path], overlay: Any = None) -> Report:
        self.paths = paths
        if self.error:
            raise self.error
        return self.report

    def find(self, code: str = "BN101", path: str = "a.py", message: str = "it is wrong") -> None:
        where = Location(path, 3, 5, 3, 9)
        self.report.findings.append(Finding(code, "update-ops-never-run", Group.ERROR, where, message))

    def fail(self, path: str = "b.py", message: str = "The file cannot be read.") -> None:
        self.report.problems.append(Problem(path, 7, message))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    engine = Engine()
    module = ModuleType("bnlint.check")
    module.Checker = engine.checker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bnlint.check", module)
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "BNLINT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    return engine
