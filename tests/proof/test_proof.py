"""Each rule's bad program fails when it is run, its repaired program passes, and `docs/proof.md` says so.

`make proof` writes the page.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from .cases import CASES

if any(importlib.util.find_spec(name) is None for name in ("tensorflow", "tf_keras", "tf_slim")):
    pytest.skip("TensorFlow, tf-keras and tf-slim are not installed", allow_module_level=True)
if not hasattr(os, "fork"):
    pytest.skip("`bnlint run` needs Linux or macOS", allow_module_level=True)

from .measure import measure
from .observer import Observer
from .page import PAGE, page, rows


@pytest.mark.parametrize("code", CASES)
def test_proof(
    code: str,
    observer: Observer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[code]
    row = measure(code, case, observer, tmp_path)
    assert code in row.flagged.split(", ")
    assert not row.clean
    if not case.unseen:
        assert (case.shown_as or code) in row.fails.split(", ")
        assert not row.passes
    known = rows(PAGE.read_text(encoding="utf-8"))
    if request.config.getoption("--write-proof", default=False):
        PAGE.write_text(page({**known, code: row.line()}), encoding="utf-8")
    else:
        assert row.line() == known.get(code), "run `make proof`"
