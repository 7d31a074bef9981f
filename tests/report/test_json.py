"""The JSON output is the contract: the keys of the documentation, valid by the schema that is shipped."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnlint.findings import Applicability, Finding, Fix, Group, Location, Problem, Report, Step, Summary
from bnlint.report._style import Style
from bnlint.report.json import render

SCHEMA = json.loads((files("bnlint.report") / "schema.json").read_text(encoding="utf-8"))


def test_contract(report: Report) -> None:
    assert json.loads(render(report, Style())) == {
        "version": 1,
        "findings": [
            {
                "code": "BN101",
                "name": "update-ops-never-run",
                "group": "error",
                "path": "train.py",
                "line": 5,
                "column": 12,
                "end_line": 5,
                "end_column": 51,
                "cell": None,
                "message": "nothing runs the update operations of the batch norm that is trained here",
                "steps": [
                    {
                        "path": "model.py",
                        "line": 5,
                        "column": 27,
                        "cell": None,
                        "message": "normalised here in training mode",
                    },
                    {
                        "path": "train.py",
                        "line": 5,
                        "column": 12,
                        "cell": None,
                        "message": "trained here without the updates",
                    },
                ],
                "fix": {
                    "applicability": "safe",
                    "message": "run the update operations before the train step",
                },
            }
        ],
        "errors": [
            {
                "path": "old.py",
                "line": 12,
                "message": "This statement is not Python and was left out. Correct it.",
            }
        ],
        "summary": {"files": 120, "parsed": 14, "programs": 3, "incomplete": [], "seconds": 0.432},
    }


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


_texts = st.text(st.characters(codec=None), min_size=1)
_numbers = st.integers(1, 10**6)
_locations = st.builds(
    Location, _texts, _numbers, _numbers, _numbers, _numbers, st.none() | st.integers(1, 99)
)
_findings = st.builds(
    Finding,
    st.from_regex(r"\A[A-Z]+[0-9]{3}\Z"),
    st.just("some-name"),
    st.sampled_from(Group),
    _locations,
    _texts,
    st.lists(st.builds(Step, _locations, _texts), max_size=3).map(tuple),
    st.none() | st.builds(Fix, st.sampled_from(Applicability), _texts),
)
_reports = st.builds(
    Report,
    st.lists(_findings, max_size=3),
    st.lists(st.builds(Problem, _texts, _numbers, _texts), max_size=2),
    st.builds(Summary, st.integers(0), st.integers(0), st.integers(0), st.floats(0, 1e6)),
)


@given(_reports)
def test_every_report_is_valid_and_ascii(report: Report) -> None:
    text = render(report, Style())
    assert text.isascii()
    jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(version=2),
        lambda document: document.update(extra=1),
        lambda document: document["findings"][0].update(line=0),
        lambda document: document["findings"][0].pop("cell"),
        lambda document: document["findings"][0]["fix"].update(applicability="maybe"),
        lambda document: document["summary"].update(files=-1),
    ],
)
def test_the_schema_is_strict(report: Report, change: Any) -> None:
    document = json.loads(render(report, Style()))
    change(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
