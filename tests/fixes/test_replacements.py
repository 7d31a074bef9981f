"""Fixes in terms of text: the smallest spans, as an editor counts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    InsertStatement,
    NameArgument,
    RemoveStatement,
    ReplaceExpression,
    Report,
    WrapStatement,
)
from bnlint.fixes import resolve
from bnlint.source.files import Files

from .conftest import place

Spans = list[tuple[int, int, int, int, str]]


def resolved(text: str, *edits: Edit) -> Spans:
    path = Path("a.py").absolute()
    return spans(report(*edits), Files({path: text.encode()}))


def report(*edits: Edit) -> Report:
    fix = Fix(Applicability.SAFE, "", edits)
    return Report([Finding("A", "a", Group.ERROR, edits[0].location, "", fix=fix)])


def spans(report: Report, files: Files) -> Spans:
    resolve(report, files)
    (finding,) = report.findings
    assert finding.fix
    return [
        (
            made.location.line,
            made.location.column,
            made.location.end_line,
            made.location.end_column,
            made.text,
        )
        for made in finding.fix.replacements
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_what_changes_is_replaced(end: str) -> None:
    text = "a = 1\nö = f(é, True)\nb = 2\n"
    edit = NameArgument(place(text, "True"), "training")
    assert resolved(text.replace("\n", end), edit) == [(2, 10, 2, 10, "training=")]


def test_several_places_are_several_replacements() -> None:
    text = "f(a)\ng()\nf(b)\n"
    edits = ReplaceExpression(place(text, "a"), "c"), ReplaceExpression(place(text, "b"), "d")
    assert resolved(text, *edits) == [(1, 3, 1, 4, "c"), (3, 3, 3, 4, "d")]


def test_lines_that_come_in_or_go() -> None:
    text = "a\nb\nc"
    assert resolved(text, InsertStatement(place(text, "b"), "x")) == [(2, 1, 2, 1, "x\n")]
    assert resolved(text, InsertStatement(place(text, "c"), "x", after=True)) == [(3, 2, 3, 2, "\nx")]
    assert resolved(text, RemoveStatement(place(text, "b"))) == [(2, 1, 3, 1, "")]
    assert resolved(text, RemoveStatement(place(text, "c"))) == [(2, 2, 3, 2, "")]
    assert resolved(text, WrapStatement(place(text, "b"), "x")) == [(2, 1, 2, 1, "with x:\n    ")]


def test_a_fix_that_cannot_be_made_has_none() -> None:
    text = "f(a, b)\n"
    assert resolved(text, NameArgument(place(text, "a"), "k")) == []
    assert resolved("print a\n", ReplaceExpression(place("print a\n", "a"), "b")) == []


def test_a_notebook_counts_by_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [
        {"cell_type": "markdown", "source": ["x\n", "y"]},
        {"cell_type": "code", "source": "a = 1\nb = 2"},
        {"cell_type": "code", "source": ["%ls\n", "f(a)"]},
    ]
    Path("a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    edit = ReplaceExpression(place("%ls\nf(a)", "a", path="a.ipynb", cell=3), "b")
    made = report(edit)
    assert spans(made, Files()) == [(2, 3, 2, 4, "b")]
    assert made.findings[0].fix and made.findings[0].fix.replacements[0].location.cell == 3
