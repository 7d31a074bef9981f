"""The formats for people, line by line as they are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnlint.findings import Applicability, Finding, Fix, Group, Location, RemoveStatement, Report, Step
from bnlint.report import concise, full
from bnlint.report._style import Style

Write = Callable[[str, str], None]
BARE = Style(summary=False)


def _one(location: Location, message: str = "it is wrong", group: Group = Group.ERROR) -> Report:
    return Report([Finding("BN101", "update-ops-never-run", group, location, message)])


def _code(report: Report, style: Style = BARE) -> list[str]:
    """What is below the arrow."""
    lines = full.render(report, style).splitlines()
    return lines[1 + next(number for number, line in enumerate(lines) if "-->" in line) :]


def test_full(report: Report) -> None:
    assert full.render(report, Style()) == (
        """\
error: BN101 update-ops-never-run
  nothing runs the update operations of the batch norm that is trained here
   --> train.py:5:12
    |
  4 | loss = model.loss(tf.placeholder(tf.float32, [None, 8]))
  5 | train_op = tf.train.AdamOptimizer().minimize(loss)
    |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    |
  1. model.py:5:27  normalised here in training mode
  5 |     return tf.reduce_mean(tf.layers.batch_normalization(x, training=True))
    |                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    |
  2. train.py:5:12  trained here without the updates
    |
    = fix (safe): run the update operations before the train step

not checked: old.py:12
  This statement is not Python and was left out. Correct it.

Found 1 error in 1 file, could not check everything: 1 problem (120 files, 3 programs, 0.4 s).
"""
    )


def test_colours_change_nothing_else(report: Report) -> None:
    coloured = full.render(report, Style(colour=True))
    assert "\x1b[1;31merror\x1b[0m: \x1b[1mBN101 update-ops-never-run\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == full.render(report, Style())


def test_concise(report: Report) -> None:
    assert concise.render(report, BARE) == (
        "train.py:5:12: BN101 nothing runs the update operations of the batch norm that is trained here\n"
        "old.py:12:1: error: This statement is not Python and was left out. Correct it.\n"
    )


def test_nothing_to_say() -> None:
    for module in (full, concise):
        assert module.render(Report(), BARE) == ""
        assert module.render(Report(), Style()) == "Found nothing (0 files, 0 programs, 0.0 s).\n"


def test_concise_says_what_was_done(everything: Report) -> None:
    style = Style(suppressed=True)
    assert concise.render(everything, style).splitlines()[3:] == [
        "old.py:12:1: error: This statement is not Python and was left out. Correct it.",
        "model.py:5:27: BN101 suppressed by the comment at model.py:5:77: measured, harmless",
        "old.py:1:1: BN102 suppressed by the baseline",
        "train.py:2:1: BN202 fixed",
        "notes.ipynb:cell 2:2:5: BN201 not fixed: the repaired file does not parse",
        "note: 1 entry of the baseline is stale.",
        "Fixed 1 finding, left 1 error, 1 warning, 1 info in 3 files, 2 suppressed, could not check everything: "
        "1 problem (120 files, 3 programs, 0.4 s). Too large to be analysed to the end: huge/main.py.",
        "--fix would fix 1 of them.",
    ]


def test_full_says_what_was_done(everything: Report) -> None:
    text = full.render(everything, Style(suppressed=True))
    assert (
        text.partition("not checked: ")[2]
        == """\
old.py:12
  This statement is not Python and was left out. Correct it.

suppressed: BN101 update-ops-never-run at model.py:5:27
  by the comment at model.py:5:77: measured, harmless
suppressed: BN102 some-name at old.py:1:1
  by the baseline

fixed: BN202 other-name at train.py:2:1

not fixed: BN201 evaluated-in-training-mode at notes.ipynb:cell 2:2:5
  the repaired file does not parse

note: 1 entry of the baseline is stale.
Fixed 1 finding, left 1 error, 1 warning, 1 info in 3 files, 2 suppressed, could not check everything: \
1 problem (120 files, 3 programs, 0.4 s). Too large to be analysed to the end: huge/main.py.
--fix would fix 1 of them.
"""
    )


@pytest.mark.parametrize("module", [full, concise])
def test_suppressed_findings_are_only_counted_unless_asked_for(everything: Report, module: Any) -> None:
    text = module.render(everything, Style())
    assert ", 2 suppressed" in text
    assert "measured, harmless" not in text


@pytest.mark.parametrize("module", [full, concise])
def test_quiet_tells_only_what_stands_in_the_way(everything: Report, module: Any) -> None:
    text = module.render(everything, BARE)
    assert "BN202" not in text
    assert "stale" not in text
    assert "the repaired file does not parse" in text


def test_nothing_is_left(everything: Report) -> None:
    everything.findings, everything.suppressed, everything.refused = [], [], []
    everything.problems, everything.notes, everything.summary.incomplete = [], [], []
    assert concise.render(everything, Style()).splitlines()[-1] == (
        "Fixed 1 finding, nothing is left (120 files, 3 programs, 0.4 s)."
    )


@pytest.mark.parametrize(
    ("fixes", "hint"),
    [
        ([], []),
        ([(Applicability.DISPLAY, True)], []),
        ([(Applicability.SAFE, False)], []),
        ([(Applicability.SAFE, True), (Applicability.SAFE, True)], ["--fix would fix 2 of them."]),
        ([(Applicability.UNSAFE, True)], ["--fix --unsafe-fixes would fix 1 of them."]),
        (
            [(Applicability.SAFE, True), (Applicability.UNSAFE, True)],
            ["--fix would fix 1 of them, and 1 more with --unsafe-fixes."],
        ),
    ],
)
def test_the_hint_counts_what_can_be_fixed(fixes: list[tuple[Applicability, bool]], hint: list[str]) -> None:
    findings = []
    for line, (applicability, applicable) in enumerate(fixes, 1):
        where = Location("a.py", line, 1, line, 2)
        edits = (RemoveStatement(where),) if applicable else ()
        findings.append(Finding("BN101", "x", Group.ERROR, where, "m", fix=Fix(applicability, "f", edits)))
    assert concise.render(Report(findings), Style()).splitlines()[len(fixes) + 1 :] == hint


def test_groups_in_the_summary(write: Write) -> None:
    where = Location("a.py", 1, 1, 1, 2)
    report = Report([Finding("BN101", "x", group, where, "m") for group in [*Group, *Group]])
    assert (
        concise.render(report, Style())
        .splitlines()[-1]
        .startswith("Found 2 errors, 2 warnings, 2 info, 2 preview in 1 file (")
    )


def test_tabs_and_wide_characters_are_aligned(write: Write) -> None:
    write("a.py", "\tx = '漢字e\u0301', bn(x)\n")
    assert _code(_one(Location("a.py", 1, 14, 1, 19))) == [
        "    |",
        "  1 |     x = '漢字e\u0301', bn(x)",
        "    | " + 17 * " " + "^^^^^",
    ]


def test_long_lines_are_cut_around_the_span(write: Write) -> None:
    write("a.py", "a" * 200 + "bn(x)" + "c" * 200)
    _, line, underline = _code(_one(Location("a.py", 1, 201, 1, 206)))
    assert len(line) <= 100
    assert line.startswith("  1 | ...aaa")
    assert line.endswith("c...") or line.endswith("bn(x)...")
    column = underline.index("^")
    assert line[column : underline.rindex("^") + 1] == "bn(x)"


def test_a_span_longer_than_the_screen_keeps_its_beginning(write: Write) -> None:
    write("a.py", "x = " + "b" * 500)
    _, line, underline = _code(_one(Location("a.py", 1, 5, 1, 505)), Style(summary=False, width=60))
    assert len(line) <= 60
    assert underline.index("^") == line.index("b")
    assert set(line[underline.index("^") : underline.rindex("^") + 1]) == {"b"}


def test_spans_of_several_lines(write: Write) -> None:
    write("a.py", "x = bn(\n    1,\n)\ny = bn(\n\n    2,\n    3,\n)\n")
    assert _code(_one(Location("a.py", 1, 5, 3, 2)))[1:] == [
        "  1 | x = bn(",
        "    |     ^^^",
        "  2 |     1,",
        "    |     ^^",
        "  3 | )",
        "    | ^",
        "  4 | y = bn(",
    ]
    assert _code(_one(Location("a.py", 4, 5, 8, 2)))[1:] == [
        "  3 | )",
        "  4 | y = bn(",
        "    |     ^^^",
        "...",
        "  8 | )",
        "    | ^",
    ]


def test_numbers_of_all_lines_share_one_margin(write: Write) -> None:
    write("a.py", "\n" * 12344 + "x = 1\n")
    report = Report(
        [
            Finding(
                "BN101",
                "x",
                Group.WARNING,
                Location("a.py", 12345, 1, 12345, 2),
                "m",
                (Step(Location("b.py", 1, 1, 1, 2), "here"),),
            )
        ]
    )
    write("b.py", "y = 2\n")
    lines = full.render(report, BARE).splitlines()
    assert "12345 | x = 1" in lines
    assert "    1 | y = 2" in lines
    assert "    1. b.py:1:1  here" in lines


def test_long_messages_are_wrapped_below_each_other(write: Write) -> None:
    where = Location("a.py", 1, 1, 1, 2)
    words = "many words " * 20
    fix = Fix(Applicability.DISPLAY, words)
    report = Report([Finding("BN101", "x", Group.INFO, where, words, (Step(where, words),), fix)])
    lines = full.render(report, BARE).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].startswith("  many") or lines[2].startswith("  words")
    assert any(line.startswith("    = advice: many words") for line in lines)


def test_files_that_are_gone_or_shorter_are_reported_without_code(write: Write) -> None:
    assert _code(_one(Location("gone.py", 1, 1, 1, 5))) == []
    write("a.py", "x\n")
    assert _code(_one(Location("a.py", 9, 1, 9, 5))) == []
    write("broken.ipynb", "{")
    assert _code(_one(Location("broken.ipynb", 1, 1, 1, 5, 1))) == []


def test_notebooks(write: Write) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["import x\n", "%magic\n", "y = bn(x)"]},
    ]
    write("a.ipynb", json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}))
    report = _one(Location("a.ipynb", 3, 5, 3, 10, 2))
    assert concise.render(report, BARE) == "a.ipynb:cell 2:3:5: BN101 it is wrong\n"
    assert full.render(report, BARE).splitlines()[2:] == [
        "   --> a.ipynb:cell 2:3:5",
        "    |",
        "  2 | %magic",
        "  3 | y = bn(x)",
        "    |     ^^^^^",
    ]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("x = 'é'\n".encode("latin-1"), "x = 'é'"),
        ("# coding: latin-1\r\nx = 'é'\r\n".encode("latin-1"), "x = 'é'"),
        (b"\xef\xbb\xbf# coding: nonsense\nx = 'e'\n", "x = 'e'"),
        ("x = 'é'\n".encode("utf-8-sig"), "x = 'é'"),
    ],
)
def test_encodings(write: Write, data: bytes, shown: str) -> None:
    Path("a.py").write_bytes(data)
    line = 2 if b"coding" in data else 1
    assert any(text.endswith(f"{line} | {shown}") for text in _code(_one(Location("a.py", line, 1, line, 2))))


def test_nothing_commands_the_terminal(write: Write) -> None:
    Path("a\x1b.py").write_text("x = '\x1b[2J\x07'\n")
    report = _one(Location("a\x1b.py", 1, 1, 1, 2), "bad\x1b[31m\nnews")
    for text in (full.render(report, Style()), concise.render(report, Style())):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "bad?[31m news" in text
