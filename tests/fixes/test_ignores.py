"""Places that the command hardly ever comes to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnlint.findings import Finding, Group, Location
from bnlint.fixes.ignores import suppressing
from bnlint.source.files import Files


def _written(path: Path, data: bytes, *lines: int, reason: str = "why", cell: int | None = None) -> bytes:
    """The file with comments for findings at some lines."""
    findings = [
        Finding("BN101", "some-bug", Group.ERROR, Location(str(path), line, 1, line, 1, cell), "it is wrong")
        for line in lines
    ]
    changes = suppressing(findings, reason, Files({path: data})).changes
    return changes[path].after if path in changes else data


@pytest.mark.parametrize(
    ("before", "line", "after"),
    [
        ("#!/usr/bin/env python\n", 1, "#!/usr/bin/env python\n# bnlint: ignore-file[BN101] why\n"),
        (
            "#!/bin/sh\n# coding: utf-8\nx = 1",
            1,
            "#!/bin/sh\n# coding: utf-8\n# bnlint: ignore-file[BN101] why\nx = 1",
        ),
        ("\nx = 1\n", 1, "# bnlint: ignore-file[BN101] why\n\nx = 1\n"),
        ("x = 1\n", 99, "# bnlint: ignore-file[BN101] why\nx = 1\n"),
        ("# bnlint: ignore-file[BN2] old\n\nx = 1", 2, "# bnlint: ignore-file[BN2, BN101] old; why\n\nx = 1"),
        ("# Copyright\n\nx = 1\n", 1, "# bnlint: ignore[BN101] why\n# Copyright\n\nx = 1\n"),
        ("x = 1\nx = f(\n", 2, "x = 1\nx = f(  # bnlint: ignore[BN101] why\n"),
        ("@a\ndef f(): pass", 2, "@a  # bnlint: ignore[BN101] why\ndef f(): pass"),
        ("", 1, "# bnlint: ignore-file[BN101] why\n"),
    ],
)
def test_places(tmp_path: Path, before: str, line: int, after: str) -> None:
    path = tmp_path / "a.py"
    assert _written(path, before.encode(), line).decode() == after
    assert _written(path, after.encode()).decode() == after


def test_no_place_between_two_texts_that_go_on(tmp_path: Path) -> None:
    text = b"a = '''\n'''; b = 1; c = '''\n'''"
    path = tmp_path / "a.py"
    finding = Finding("BN101", "some-bug", Group.ERROR, Location(str(path), 2, 6, 2, 11), "it is wrong")
    made = suppressing([finding], "why", Files({path: text}))
    assert made.changes == {}
    [problem] = made.problems
    assert (problem.line, problem.message[:61]) == (
        2, "No comment can be written for the finding at this line, becau"
    )  # fmt: skip


def test_one_comment_for_a_statement(tmp_path: Path) -> None:
    made = _written(tmp_path / "a.py", b"x = f(\n  1,\n  2)\n", 2, 3, 1)
    assert made == b"x = f(  # bnlint: ignore[BN101] why\n  1,\n  2)\n"


def test_without_a_reason(tmp_path: Path) -> None:
    assert _written(tmp_path / "a.py", b"x = 1", 1, reason="") == b"x = 1  # bnlint: ignore[BN101]"


def test_several_directives_in_one_comment(tmp_path: Path) -> None:
    before = b"a()  # bnlint: ignore[BN2] old  # bnlint: ignore[BN3]  # note\n"
    after = b"a()  # bnlint: ignore[BN2, BN101] old; why  # bnlint: ignore[BN3]  # note\n"
    assert _written(tmp_path / "a.py", before, 1) == after


def test_unknown_encoding_and_missing_files_are_left_out(tmp_path: Path) -> None:
    assert _written(tmp_path / "a.py", b"x = 1\ny = '\xff'\n", 1) == b"x = 1\ny = '\xff'\n"
    where = Location(str(tmp_path / "b.py"), 1, 1, 1, 1)
    made = suppressing([Finding("BN101", "some-bug", Group.ERROR, where, "")], "why", Files())
    assert made.changes == {}
    assert [problem.message for problem in made.problems] == [
        "No comment can be written into this file: it cannot be read (No such file or directory). "
        "Correct it and run bnlint again."
    ]


def test_form_feeds_stay(tmp_path: Path) -> None:
    before = b"a()\n\f\nb()\n\fc()\n"
    after = b"a()\n\f\nb()  # bnlint: ignore[BN101] why\n\fc()  # bnlint: ignore[BN101] why\n"
    assert _written(tmp_path / "a.py", before, 3, 4) == after


def test_the_cell_is_unknown(tmp_path: Path) -> None:
    def notebook(*sources: str) -> bytes:
        cells = [{"cell_type": "code", "source": source} for source in sources]
        return json.dumps({"cells": cells}).encode()

    made = _written(tmp_path / "a.ipynb", notebook("%%bash\nls", "x = 1"), 1)
    assert made == notebook("%%bash\nls", "# bnlint: ignore-file[BN101] why\nx = 1")
