from __future__ import annotations

from collections.abc import Iterator

import pytest

from .observer import Observers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-proof", action="store_true", help="write what is measured to docs/proof.md")


@pytest.fixture(autouse=True)
def _processes_are_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observers end without writing down what was covered; tracing them takes nearly half as much time again."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def observers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observers]:
    made = Observers(tmp_path_factory.mktemp("observer"))
    yield made
    made.close()
