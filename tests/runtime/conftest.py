from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _processes_are_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs under `bnlint run` ends without writing down what was covered; tracing it takes a third more time."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
