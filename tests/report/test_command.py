"""The formats as the command prints them, on programs with bugs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Valid = Callable[[str, str], None]

FIXTURES = Path(__file__).parents[2] / "fixtures"
FORMATS = ["concise", "full", "github", "gitlab", "json", "junit", "rdjson", "sarif"]
LAYER = "tf.layers.batch_normalization(x, training=True)"
TRAIN = f"""\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
loss = tf.reduce_mean({LAYER})
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(100):
        sess.run(train_op, {{x: [[1.0] * 8]}})
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The folder of a program in two files."""
    return Path(shutil.copytree(FIXTURES / "bn101" / "bad_model_in_other_file", tmp_path / "program"))


def _check(folder: Path, *arguments: str, code: int = 1, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bnlint", "check", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", FORMATS)
def test_findings(program: Path, name: str, valid: Valid) -> None:
    text = _check(program, "--output-format", name)
    valid(name, text)
    assert "BN101" in text
    if name != "concise":
        assert "model.py" in text  # a step in the other file


@pytest.mark.parametrize("name", FORMATS)
def test_a_clean_program(tmp_path: Path, name: str, valid: Valid) -> None:
    (tmp_path / "clean.py").write_text("import os\n")
    valid(name, _check(tmp_path, "--output-format", name, code=0))


@pytest.mark.parametrize("name", ["full", "sarif"])
def test_in_a_file(program: Path, name: str) -> None:
    printed = _check(program, "--quiet", "--output-format", name)
    assert _check(program, "--quiet", "--output-format", name, "--output-file", "report") == ""
    written = (program / "report").read_text(encoding="utf-8")
    # Nothing but the time that it took may differ.
    assert [len(line) for line in written.splitlines()] == [len(line) for line in printed.splitlines()]


@pytest.mark.parametrize("name", ["concise", "github", "gitlab", "junit"])
def test_names_and_code_outside_of_ascii(tmp_path: Path, name: str, valid: Valid) -> None:
    (tmp_path / "prüfung, 100%: ü.py").write_text(f"# 漢字 𝄞\n{TRAIN}", encoding="utf-8")
    valid(name, _check(tmp_path, "--output-format", name, PYTHONUTF8="0", PYTHONIOENCODING="ascii"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_cannot_be_read(program: Path, name: str, valid: Valid) -> None:
    text = _check(program, "missing.py", ".", "--output-format", name, code=2)
    valid(name, text)
    assert "missing.py" in text
    assert "BN101" in text


@pytest.mark.parametrize("name", FORMATS)
def test_notebooks(tmp_path: Path, name: str, valid: Valid) -> None:
    sources = ["# Title", TRAIN]
    cells = [
        {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
        for kind, source in zip(("markdown", "code"), sources, strict=True)
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    text = _check(tmp_path, "--output-format", name)
    valid(name, text)
    assert "cell 2" in text or '"cell": 2' in text


@pytest.mark.parametrize("name", ["gitlab", "json", "sarif"])
def test_fingerprints_survive_moved_lines(tmp_path: Path, name: str) -> None:
    file = tmp_path / "train.py"
    file.write_text(TRAIN)
    before = _fingerprints(name, _check(tmp_path, "--output-format", name))
    file.write_text(TRAIN.replace("\n", "\n\n# a comment\n", 3))
    after = _fingerprints(name, _check(tmp_path, "--output-format", name))
    assert before == after != []
    file.write_text(TRAIN.replace("AdamOptimizer()", "AdamOptimizer(0.1)"))
    assert _fingerprints(name, _check(tmp_path, "--output-format", name)) != before


def _fingerprints(name: str, text: str) -> list[str]:
    document = json.loads(text)
    if name == "sarif":
        return [result["partialFingerprints"]["bnlint/v1"] for result in document["runs"][0]["results"]]
    findings = document["findings"] if name == "json" else document
    return [finding["fingerprint"] for finding in findings]


def test_a_fix_as_other_tools_apply_it(tmp_path: Path) -> None:
    """The replacements of every format make the file that ``--fix`` makes."""
    file = tmp_path / "train.py"
    file.write_text(TRAIN)
    (finding,) = json.loads(_check(tmp_path, "--output-format", "json"))["findings"]
    from_json = _replaced(
        TRAIN,
        [
            ((piece["line"], piece["column"], piece["end_line"], piece["end_column"]), piece["text"])
            for piece in finding["fix"]["replacements"]
        ],
    )
    (result,) = json.loads(_check(tmp_path, "--output-format", "sarif"))["runs"][0]["results"]
    (change,) = result["fixes"][0]["artifactChanges"]
    keys = ("startLine", "startColumn", "endLine", "endColumn")
    from_sarif = _replaced(
        TRAIN,
        [
            (tuple(piece["deletedRegion"][key] for key in keys), piece["insertedContent"]["text"])
            for piece in change["replacements"]
        ],
    )
    (diagnostic,) = json.loads(_check(tmp_path, "--output-format", "rdjson"))["diagnostics"]
    (suggestion,) = diagnostic["suggestions"]
    span = suggestion["range"]
    where = (*_point(span["start"]), *_point(span["end"]))
    from_rdjson = _replaced(TRAIN, [(where, suggestion["text"])])
    text = _check(tmp_path, "--fix", code=0)
    assert "fixed: BN101" in text
    assert "Fixed 1 finding, nothing is left" in text
    assert from_json == from_sarif == from_rdjson == file.read_text() != TRAIN


def _point(position: dict[str, int]) -> tuple[int, int]:
    return position["line"], position["column"]


def _replaced(text: str, pieces: list[tuple[tuple[int, ...], str]]) -> str:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for (line, column, end_line, end_column), new in sorted(pieces, reverse=True):
        text = text[: starts[line - 1] + column - 1] + new + text[starts[end_line - 1] + end_column - 1 :]
    return text


def test_suppressed_findings(tmp_path: Path, valid: Valid) -> None:
    comment = "  # bnlint: ignore[BN101] measured, harmless"
    (tmp_path / "train.py").write_text(TRAIN.replace("minimize(loss)", "minimize(loss)" + comment))
    assert ", 1 suppressed" in _check(tmp_path, code=0)
    assert "measured, harmless" in _check(tmp_path, "--show-suppressed", code=0)
    sarif = _check(tmp_path, "--output-format", "sarif", code=0)
    valid("sarif", sarif)
    (result,) = json.loads(sarif)["runs"][0]["results"]
    assert result["suppressions"][0]["justification"] == "measured, harmless"
    (entry,) = json.loads(_check(tmp_path, "--output-format", "json", code=0))["suppressed"]
    assert entry["suppression"]["kind"] == "comment"
    junit = ElementTree.fromstring(_check(tmp_path, "--output-format", "junit", code=0))
    assert len(list(junit.iter("skipped"))) == 1
    assert _check(tmp_path, "--output-format", "github", code=0) == ""
    assert json.loads(_check(tmp_path, "--output-format", "gitlab", code=0)) == []
