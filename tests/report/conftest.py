from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema

from bnlint.findings import (
    Anchor,
    Applicability,
    Finding,
    Fix,
    Group,
    Location,
    Problem,
    Refused,
    RemoveStatement,
    Replacement,
    Report,
    RuleInfo,
    Silencer,
    Step,
    Summary,
    Suppressed,
    Suppression,
    WrapStatement,
)

TRAIN = """\
import tensorflow as tf
import model

loss = model.loss(tf.placeholder(tf.float32, [None, 8]))
train_op = tf.train.AdamOptimizer().minimize(loss)
"""
MODEL = """\
import tensorflow as tf


def loss(x):
    return tf.reduce_mean(tf.layers.batch_normalization(x, training=True))
"""

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["import bn\n", "y = bn.normalise(x)"]},
    ],
    "metadata": {},
    "nbformat": 4,
}
PAGE = """\
# BN101 update-ops-never-run

Group `error`: no known false positive.

The update operations never run.

## What it does

Reports a train step
without {updates}.

It is silent elsewhere.

## Why it is bad

The statistics stay where they began.
"""

Write = Callable[[str, str], None]
Valid = Callable[[str, str], None]

_SCHEMAS = Path(__file__).parent / "schemas"
_COMMAND = re.compile(r"::(error|warning|notice) (?:\w+=[^\r\n:,]*(?:,|(?=::)))+::[^\r\n]*")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file in the current folder, which is empty at first."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str) -> None:
        Path(name).write_text(text, encoding="utf-8")

    return write_file


@pytest.fixture
def report(write: Write) -> Report:
    """One finding with three steps and a fix, and one problem."""
    write("train.py", TRAIN)
    write("model.py", MODEL)
    step = Location("train.py", 5, 12, 5, 51)
    finding = Finding(
        "BN101",
        "update-ops-never-run",
        Group.ERROR,
        step,
        "nothing runs the update operations of the batch norm that is trained here",
        (
            Step(Location("model.py", 5, 27, 5, 74), "normalised here in training mode"),
            Step(step, "trained here without the updates"),
        ),
        Fix(Applicability.SAFE, "run the update operations before the train step"),
    )
    return Report(
        [finding],
        [Problem("old.py", 12, "This statement is not Python and was left out. Correct it.")],
        Summary(files=120, parsed=14, programs=3, seconds=0.4321),
    )


@pytest.fixture
def everything(report: Report, write: Write) -> Report:
    """A report that has something to say of every kind."""
    write("notes.ipynb", json.dumps(NOTEBOOK))
    where = Location("train.py", 5, 12, 5, 51)
    finding = report.findings[0]
    finding = Finding(
        finding.code,
        finding.name,
        finding.group,
        where,
        finding.message,
        finding.steps,
        Fix(
            Applicability.SAFE,
            "run the update operations before the train step",
            (WrapStatement(where, "tf.control_dependencies(updates)"),),
            (
                Replacement(Location("train.py", 5, 1, 5, 1), "with tf.control_dependencies(updates):\n    "),
                Replacement(Location("train.py", 5, 44, 5, 44), "2"),
            ),
        ),
        Anchor("", "train_op = tf.train.AdamOptimizer().minimize(loss)"),
    )
    cell = Location("notes.ipynb", 2, 5, 2, 20, 2)
    in_notebook = Finding(
        "BN201",
        "evaluated-in-training-mode",
        Group.WARNING,
        cell,
        "evaluated with {is_training: True}",
        (Step(cell, "evaluated here"),),
        Fix(
            Applicability.UNSAFE,
            "take it out",
            (RemoveStatement(cell),),
            (Replacement(Location("notes.ipynb", 2, 1, 2, 20, 2), ""),),
        ),
        Anchor("", "y = bn.normalise(x)"),
    )
    judged = Finding(
        "BN301",
        "small-batch",
        Group.INFO,
        Location("model.py", 4, 1, 5, 75),
        "the batches are small",
        fix=Fix(Applicability.DISPLAY, "take larger batches"),
        anchor=Anchor("loss", "def loss(x):"),
    )
    comment = Location("model.py", 5, 77, 5, 112)
    report.findings = [judged, in_notebook, finding]
    report.suppressed = [
        Suppressed(
            Finding("BN101", "update-ops-never-run", Group.ERROR, Location("model.py", 5, 27, 5, 74), "kept"),
            Suppression(Silencer.COMMENT, comment, "measured, harmless"),
        ),
        Suppressed(
            Finding("BN102", "some-name", Group.WARNING, Location("old.py", 1, 1, 1, 2), "old"),
            Suppression(Silencer.BASELINE, None, ""),
        ),
    ]
    report.fixed = [Finding("BN202", "other-name", Group.ERROR, Location("train.py", 2, 1, 2, 13), "gone")]
    report.refused = [Refused(in_notebook, "the repaired file does not parse")]
    report.notes = ["1 entry of the baseline is stale."]
    report.summary.incomplete = ["huge/main.py"]
    report.rules = (
        RuleInfo(
            "BN101",
            "update-ops-never-run",
            Group.ERROR,
            "The update operations never run.",
            PAGE,
            (Applicability.SAFE,),
        ),
    )
    return report


@pytest.fixture(scope="session")
def valid() -> Valid:
    """Fails unless a text is what readers of a format demand."""
    contract = json.loads((files("bnlint.report") / "schema.json").read_text(encoding="utf-8"))
    sarif = jsonschema.Draft4Validator(_schema("sarif-schema-2.1.0.json"))
    gitlab = jsonschema.Draft7Validator(_schema("gitlab-codeclimate.json"))
    junit = xmlschema.XMLSchema(_SCHEMAS / "junit-10.xsd")
    own = {
        "json": jsonschema.Draft202012Validator(contract),
        "gitlab": jsonschema.Draft202012Validator(_schema("gitlab-report.json")),
        "rdjson": jsonschema.Draft202012Validator(_schema("rdjson.json")),
    }

    def check(name: str, text: str) -> None:
        if name in ("full", "concise"):
            assert all(line.isprintable() for line in text.split("\n"))
        elif name == "github":
            assert all(_COMMAND.fullmatch(line) for line in text.split("\n")[:-1]), text
        elif name == "junit":
            junit.validate(ElementTree.fromstring(text.encode("ascii")))
        else:
            document = json.loads(text.encode("ascii"))
            if name == "sarif":
                sarif.validate(document)
                _consistent(document["runs"][0])
            else:
                own[name].validate(document)
            if name == "gitlab":
                for issue in document:
                    gitlab.validate(issue)
                marks = [issue["fingerprint"] for issue in document]
                assert len(set(marks)) == len(marks)

    return check


def _schema(name: str) -> Any:
    return json.loads((_SCHEMAS / name).read_text(encoding="utf-8"))


def _consistent(run: Any) -> None:
    """What the standard says of a run and its schema does not."""
    codes = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(codes)) == len(codes)
    for result in run["results"]:
        assert codes[result["ruleIndex"]] == result["ruleId"]
        assert re.fullmatch(r"(?:[^{}]|\{\{|\}\})*", result["message"]["text"])
        for location in (*result["locations"], *result.get("relatedLocations", ())):
            artifact = location["physicalLocation"]["artifactLocation"]
            assert re.fullmatch(r"[\w./~:%-]+", artifact["uri"], re.ASCII)
            # What is relative has a base, and nothing else has.
            assert ("uriBaseId" in artifact) != artifact["uri"].startswith("file:///")
