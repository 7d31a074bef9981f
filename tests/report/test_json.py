"""The JSON output is the contract: the keys of the documentation, valid by the schema that is shipped."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from bnlint.findings import Report
from bnlint.report._style import Style
from bnlint.report.json import render

SCHEMA = json.loads((files("bnlint.report") / "schema.json").read_text(encoding="utf-8"))


def test_contract(report: Report) -> None:
    document = json.loads(render(report, Style()))
    finding = document["findings"][0]
    finding["fingerprint"] = re.sub("[0-9a-f]{32}", "FINGERPRINT", finding["fingerprint"])
    assert document == {
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
                "definition": "",
                "fingerprint": "FINGERPRINT",
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
                    "replacements": [],
                },
                "evidence": None,
            }
        ],
        "suppressed": [],
        "fixed": [],
        "refused": [],
        "errors": [
            {
                "path": "old.py",
                "line": 12,
                "message": "This statement is not Python and was left out. Correct it.",
            }
        ],
        "notes": [],
        "summary": {"files": 120, "parsed": 14, "programs": 3, "incomplete": [], "seconds": 0.432},
    }


def test_repairs_and_suppressions(everything: Report) -> None:
    document = json.loads(render(everything, Style()))
    judged, in_notebook, finding = document["findings"]
    assert judged["definition"] == "loss"
    assert in_notebook["fix"]["replacements"] == [
        {
            "path": "notes.ipynb",
            "line": 2,
            "column": 1,
            "end_line": 2,
            "end_column": 20,
            "cell": 2,
            "text": "",
        }
    ]
    assert [piece["text"] for piece in finding["fix"]["replacements"]] == [
        "with tf.control_dependencies(updates):\n    ",
        "2",
    ]
    commented, known = document["suppressed"]
    assert (commented["code"], commented["line"]) == ("BN101", 5)
    assert commented["suppression"] == {
        "kind": "comment",
        "reason": "measured, harmless",
        "place": {"path": "model.py", "line": 5, "column": 77, "cell": None},
    }
    assert known["suppression"] == {"kind": "baseline", "reason": "", "place": None}
    assert [(entry["code"], entry["path"], entry["line"]) for entry in document["fixed"]] == [
        ("BN202", "train.py", 2)
    ]
    assert [(entry["code"], entry["cell"], entry["reason"]) for entry in document["refused"]] == [
        ("BN201", 2, "the repaired file does not parse")
    ]
    assert document["notes"] == ["1 entry of the baseline is stale."]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(version=2),
        lambda document: document.update(extra=1),
        lambda document: document["findings"][0].update(line=0),
        lambda document: document["findings"][0].pop("cell"),
        lambda document: document["findings"][0]["fix"].update(applicability="maybe"),
        lambda document: document["summary"].update(files=-1),
        lambda document: document["findings"][0].update(fingerprint="1"),
        lambda document: document["suppressed"][0].pop("suppression"),
        lambda document: document["suppressed"][0]["suppression"].update(kind="wish"),
        lambda document: document["refused"][0].pop("reason"),
        lambda document: document["fixed"][0].update(fix=None),
        lambda document: document["findings"][1]["fix"]["replacements"][0].pop("text"),
    ],
)
def test_the_schema_is_strict(everything: Report, change: Any) -> None:
    document = json.loads(render(everything, Style()))
    jsonschema.validate(document, SCHEMA)
    change(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
