"""SARIF: what code scanning services read of it."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from bnlint.findings import Finding, Group, Location, Report, Step
from bnlint.report._style import Style
from bnlint.report.sarif import render


def _run(report: Report) -> Any:
    return json.loads(render(report, Style()))["runs"][0]


def test_a_result(everything: Report) -> None:
    result = _run(everything)["results"][2]
    artifact = {"uri": "train.py", "uriBaseId": "%SRCROOT%"}
    region = {"startLine": 5, "startColumn": 12, "endLine": 5, "endColumn": 51}
    trained = {
        "physicalLocation": {"artifactLocation": artifact, "region": region},
        "message": {"text": "trained here without the updates"},
    }
    normalised = {
        "physicalLocation": {
            "artifactLocation": {"uri": "model.py", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 5, "startColumn": 27, "endLine": 5, "endColumn": 74},
        },
        "message": {"text": "normalised here in training mode"},
    }
    fingerprint = result.pop("partialFingerprints")["bnlint/v1"]
    assert len(fingerprint) == 32
    assert result == {
        "ruleId": "BN101",
        "ruleIndex": 0,
        "level": "error",
        "message": {
            "text": "nothing runs the update operations of the batch norm that is trained here\n\n"
            "fix (safe): run the update operations before the train step"
        },
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
        "properties": {"group": "error", "fix": "safe"},
        "codeFlows": [{"threadFlows": [{"locations": [{"location": normalised}, {"location": trained}]}]}],
        "relatedLocations": [{"id": 1, **normalised}, {"id": 2, **trained}],
        "fixes": [
            {
                "description": {"text": "fix (safe): run the update operations before the train step"},
                "artifactChanges": [
                    {
                        "artifactLocation": artifact,
                        "replacements": [
                            {
                                "deletedRegion": {
                                    "startLine": 5,
                                    "startColumn": 1,
                                    "endLine": 5,
                                    "endColumn": 1,
                                },
                                "insertedContent": {"text": "with tf.control_dependencies(updates):\n    "},
                            },
                            {
                                "deletedRegion": {
                                    "startLine": 5,
                                    "startColumn": 44,
                                    "endLine": 5,
                                    "endColumn": 44,
                                },
                                "insertedContent": {"text": "2"},
                            },
                        ],
                    }
                ],
            }
        ],
    }


def test_the_run(everything: Report) -> None:
    run = _run(everything)
    assert run["columnKind"] == "unicodeCodePoints"
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    told = [
        (item["level"], item["message"]["text"][:20]) for item in invocation["toolExecutionNotifications"]
    ]
    assert told == [
        ("error", "This statement is no"),
        ("warning", "This program is too "),
        ("note", "1 entry of the basel"),
    ]
    assert _run(Report())["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    assert _run(Report())["results"] == []


def test_rules_come_with_their_pages(everything: Report) -> None:
    rules = {rule["id"]: rule for rule in _run(everything)["tool"]["driver"]["rules"]}
    rule = rules["BN101"]
    assert rule["name"] == "update-ops-never-run"
    assert rule["shortDescription"] == {"text": "The update operations never run."}
    assert rule["fullDescription"] == {
        "text": "Reports a train step without {updates}.\n\nIt is silent elsewhere."
    }
    assert rule["help"]["text"] == rule["help"]["markdown"]
    assert rule["help"]["markdown"].startswith("# BN101 update-ops-never-run\n")
    assert rule["defaultConfiguration"] == {"enabled": True, "level": "error"}
    assert rule["properties"]["precision"] == "very-high"
    assert rule["properties"]["fixable"] == ["safe"]
    # A rule of which nothing is known but that it found something.
    assert rules["BN301"]["defaultConfiguration"] == {"enabled": False, "level": "note"}


def test_suppressed_findings_say_why(everything: Report) -> None:
    results = _run(everything)["results"]
    assert ["suppressions" in result for result in results] == [False, False, False, True, True]
    (comment,) = results[3]["suppressions"]
    assert (comment["kind"], comment["justification"]) == ("inSource", "measured, harmless")
    assert comment["location"]["physicalLocation"]["region"]["startColumn"] == 77
    assert results[4]["suppressions"] == [{"kind": "external", "status": "accepted"}]


def test_notebooks(everything: Report) -> None:
    result = _run(everything)["results"][1]
    assert result["message"]["text"].startswith("cell 2, line 2: evaluated with {{is_training: True}}")
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "notes.ipynb"
    assert location["physicalLocation"]["region"]["startLine"] == 2
    assert location["logicalLocations"] == [{"name": "cell 2", "kind": "cell"}]
    assert location["properties"] == {"cell": 2}
    assert result["relatedLocations"][0]["properties"] == {"cell": 2}
    # Of the artifact's JSON the lines of the cell are other lines.
    assert "fixes" not in result


def test_advice_is_no_fix(everything: Report) -> None:
    result = _run(everything)["results"][0]
    assert result["message"]["text"] == "the batches are small\n\nadvice: take larger batches"
    assert result["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "loss"}]
    assert "fixes" not in result


@pytest.mark.parametrize(
    "path", ["a b/ü#?.py", "c:d.py", "100%.py", "../up.py", os.fsdecode(b"latin-\xe9.py"), "-.py", "a\nb.py"]
)
def test_paths_become_relative_uris(path: str) -> None:
    where = Location(path, 1, 1, 1, 2)
    report = Report([Finding("BN101", "x", Group.ERROR, where, "m", (Step(where, "s"),))])
    artifact = _run(report)["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uriBaseId"] == "%SRCROOT%"
    assert unquote_to_bytes(artifact["uri"]) == os.fsencode(path)
    assert not set(artifact["uri"]) & set(" #?:\n")


@pytest.mark.skipif(os.name == "nt", reason="there a path without a drive is not absolute")
def test_absolute_paths_become_file_uris() -> None:
    report = Report([Finding("BN101", "x", Group.ERROR, Location("/a b/c.py", 1, 1, 1, 2), "m")])
    artifact = _run(report)["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": "file:///a%20b/c.py"}
