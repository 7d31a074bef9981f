"""The report for the terminal."""

from __future__ import annotations

import re

import pytest

from bnlint.runtime.oracle import Verification
from bnlint.runtime.pages.terminal import render_run, render_verification

from .samples import broken, deep, empty, healthy, hostile, verification

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_what_a_reader_sees_of_a_broken_program() -> None:
    text = render_run(*broken(), width=120)
    lines = text.split("\n")
    assert lines[0].startswith(
        "FAIL: Both batch-norm layers never learned their statistics: after 3,001 training"
    )
    header = next(line for line in lines if line.startswith("layer"))
    columns = "layer|built at|training|inference|moved|momentum|divergence|alone|verdict"
    assert re.split(r"\s{2,}", header.strip()) == columns.split("|")
    row = next(line for line in lines if line.startswith("BatchNorm_1 "))
    cells = re.split(r"\s{2,}", row.strip())
    assert cells == [
        "BatchNorm_1",
        "train.py:10",
        "batch",
        "left out!",
        "no!",
        "0.999 / 1",
        "34",
        "–",
        "FAIL",
    ]
    assert "FAIL never learned their statistics [BN101]" in text
    assert "BatchNorm and BatchNorm_1: The evaluation at train.py:24 uses the weights" in text
    assert "error: BN101 update-ops-never-run" in text
    assert "13 | train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)" in text


def test_causes_of_several_layers_are_told_in_the_plural() -> None:
    text = render_run(*broken(), width=120)
    assert "FAIL are left out when the model is evaluated [BN301]" in text
    assert text.count("What is measured there is another network than the one that was trained.") == 1


@pytest.mark.parametrize("width", [120, 60])
def test_colours_change_nothing_else(width: int) -> None:
    plain = render_run(*broken(), width=width)
    coloured = render_run(*broken(), colour=True, width=width)
    assert not ANSI.search(plain)
    assert "\x1b[1;31mFAIL\x1b[0m" in coloured
    assert [line.rstrip() for line in ANSI.sub("", coloured).split("\n")] == [
        line.rstrip() for line in plain.split("\n")
    ]


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = render_run(*healthy(), width=100)
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "30"), ("TERM", "dumb"), ("TTY_COMPATIBLE", "1")):
        monkeypatch.setenv(name, value)
    assert render_run(*healthy(), width=100) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert ANSI.search(render_run(*healthy(), colour=True, width=100))


@pytest.mark.parametrize("width", [40, 80, 99, 100, 140])
def test_lines_fit(width: int) -> None:
    for sample in (broken, healthy, empty):
        table = render_run(*sample(), width=width).split("\nerror: ")[0]
        assert max(map(len, table.split("\n"))) <= width, sample
        if sample is not empty:
            assert "divergence" in table


def test_two_hundred_layers() -> None:
    text = render_run(*deep(200, 23), width=120)
    assert len(text.split("\n")) < 40
    rows = [line for line in text.split("\n") if line.endswith(("FAIL", "PASS"))]
    assert len(rows) == 1
    assert rows[0].startswith("resnet/stage2/unit9/bn")
    assert "PASS: 199 other layers, from resnet/stage1/unit1/bn to resnet/stage14/unit5/bn" in text


def test_two_hundred_broken_layers() -> None:
    seen, report = deep(200)
    for passage in seen.runs[0].passages:
        passage.moved = False
    text = render_run(seen, report, width=120)
    assert len(text.split("\n")) < 80
    assert "and 170 layers more that are not well." in text
    assert "and 195 more layers" in text


def test_nothing_was_seen() -> None:
    text = render_run(*empty())
    assert text.startswith("SKIP: No batch-norm layer was seen in this run.\n")
    assert "note: The script raised ValueError: no data." in text


def test_no_text_of_the_program_commands_the_terminal() -> None:
    for width in (120, 60):
        text = render_run(*hostile(), width=width)
        assert all(line.isprintable() for line in text.split("\n"))


def test_verification() -> None:
    text = render_verification(verification(), title="model.build", width=110)
    assert text.startswith(
        "FAIL: 1 of 3 batch-norm layers does not learn its statistics as it should.\nmodel.build ("
    )
    rows = [line.split()[0] for line in text.split("\n") if line.endswith(("FAIL", "PASS"))]
    assert rows == ["block2/bn", "block1/bn", "block3/bn"]
    assert "block2/bn: A training step left the moving statistics where they were." in text
    assert "[BN101]" in text
    assert "Not checked whether a frozen layer does not move: no layer is declared frozen." in text
    assert render_verification(Verification()).startswith("SKIP: No batch-norm layer was found in the model.")
