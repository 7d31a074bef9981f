"""The report as JSON."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from bnlint.findings import Report
from bnlint.report import json as check_json
from bnlint.report._style import Style
from bnlint.runtime.oracle import TITLES
from bnlint.runtime.pages import document

from .samples import broken, deep, empty, healthy, hostile, same, verification


@pytest.fixture(scope="module")
def schema() -> Any:
    text = (files("bnlint.report") / "schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


@pytest.mark.parametrize("sample", [broken, healthy, deep, empty, hostile])
def test_a_run_keeps_the_contract(sample: Any, schema: Any) -> None:
    seen, report = sample()
    written = json.loads(document.render_run(seen, report))
    schema.validate(written)
    # The part that `bnlint check` writes, too, is the same.
    alone = json.loads(check_json.render(report, Style()))
    assert {key: written[key] for key in alone} == alone
    assert [entry["layer"] for entry in written["observations"]] == [layer.key for layer in seen.layers]


def test_the_figures_of_a_layer() -> None:
    seen, report = broken()
    first = document.observations(seen, report)[0]
    assert first["verdict"] == "FAIL"
    assert [cause["code"] for cause in first["causes"]] == ["BN101", "BN301"]
    assert first["place"] == {"path": "train.py", "line": 7, "column": 10, "cell": None}
    assert first["momentum"] == 0.999
    assert first["training"][0]["formula"] == "batch statistics"
    assert first["training"][0]["moved"] is False
    assert first["inference"] == []
    assert first["left_out"] == [{"path": "train.py", "line": 24, "column": 1, "cell": None}]
    assert first["statistics"]["last"]["variance"]["mean"] == 1.0


def test_numbers_that_are_not_finite(schema: Any) -> None:
    seen, report = healthy()
    seen.layers[0].last_mean = same(float("nan"))
    seen.layers[1].divergence = float("inf")
    text = document.render_run(seen, report)
    schema.validate(json.loads(text, parse_constant=pytest.fail))
    assert json.loads(text)["observations"][0]["statistics"]["last"]["mean"]["mean"] == "NaN"
    assert json.loads(text)["observations"][1]["divergence"] == "Infinity"


def test_a_verification_keeps_the_contract(schema: Any) -> None:
    written = json.loads(document.render_verification(verification()))
    schema.validate(written)
    assert written["ok"] is False
    assert {entry["check"]: entry["title"] for entry in written["checks"]} == TITLES
    assert [entry["check"] for entry in written["checks"] if entry["verdict"] == "FAIL"] == [3]
    assert [entry["verdict"] for entry in written["observations"]] == ["PASS", "FAIL", "PASS"]
    assert "run" not in written


def test_the_schema_refuses_what_is_not_in_it(schema: Any) -> None:
    written = json.loads(document.render_run(*broken()))
    written["observations"][0]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(written)
    del written["observations"][0]["surprise"], written["observations"][0]["verdict"]
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(written)
    schema.validate(json.loads(check_json.render(Report(), Style())))
