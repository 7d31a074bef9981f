"""Each rule's bad program fails when it is run, its repaired program passes, and `docs/proof.md` says so.

`make proof` writes the page.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from .cases import CASES, TORCH, Case

if not hasattr(os, "fork"):
    pytest.skip("`bnlint run` needs Linux or macOS", allow_module_level=True)

from .measure import measure
from .observer import Observers
from .page import PAGE, key, page, rows


def _missing(case: Case) -> list[str]:
    needed = ["torch"] if TORCH in case.on else ["tensorflow", "tf_keras", "tf_slim"]
    return [name for name in needed if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize(
    ("code", "case"),
    [
        pytest.param(code, case, id=f"{code}-{case.program}")
        for code, cases in CASES.items()
        for case in cases
    ],
)
def test_proof(
    code: str,
    case: Case,
    observers: Observers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if missing := _missing(case):
        pytest.skip(f"not installed: {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    row = measure(code, case, observers, tmp_path)
    assert code in row.flagged.split(", ")
    assert not row.clean
    if not case.unseen:
        assert (case.shown_as or code) in row.fails.split(", ")
        assert not row.passes
    known = rows(PAGE.read_text(encoding="utf-8"))
    if request.config.getoption("--write-proof", default=False):
        PAGE.write_text(page({**known, key(code, case): row.line()}), encoding="utf-8")
    else:
        assert row.line() == known.get(key(code, case)), "run `make proof`"
