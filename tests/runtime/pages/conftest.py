from __future__ import annotations

from pathlib import Path

import pytest

from .samples import PROGRAM


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that the findings of the samples point into is in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(PROGRAM, encoding="utf-8")
