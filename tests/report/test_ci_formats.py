"""The formats of CI services, as these print and show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bnlint.findings import (
    Applicability,
    Finding,
    Fix,
    Group,
    Location,
    Problem,
    RemoveStatement,
    Replacement,
    Report,
)
from bnlint.report import github, gitlab, junit, rdjson, sarif
from bnlint.report._style import Style

Write = Callable[[str, str], None]


def test_github(everything: Report) -> None:
    assert github.render(everything, Style()).splitlines() == [
        "::notice file=model.py,line=4,endLine=5,title=BN301 small-batch::"
        "the batches are small%0Aadvice: take larger batches",
        "::warning file=notes.ipynb,line=2,endLine=2,col=5,endColumn=20,title=BN201 evaluated-in-training-mode::"
        "cell 2, line 2: evaluated with {is_training: True}"
        "%0A1. notes.ipynb:cell 2:2:5  evaluated here%0Afix (changes the model): take it out",
        "::error file=train.py,line=5,endLine=5,col=12,endColumn=51,title=BN101 update-ops-never-run::"
        "nothing runs the update operations of the batch norm that is trained here"
        "%0A1. model.py:5:27  normalised here in training mode"
        "%0A2. train.py:5:12  trained here without the updates"
        "%0Afix (safe): run the update operations before the train step",
        "::error file=old.py,line=12,title=bnlint::"
        "could not be checked: This statement is not Python and was left out. Correct it.",
        "::notice title=bnlint::1 entry of the baseline is stale.",
    ]


def test_github_escapes_what_would_end_a_command() -> None:
    where = Location("a,b:c%\r\n.py", 1, 1, 1, 2)
    report = Report([Finding("BN101", "x", Group.ERROR, where, "50% of a,b::c")])
    assert github.render(report, Style()) == (
        "::error file=a%2Cb%3Ac%25%0D%0A.py,line=1,endLine=1,col=1,endColumn=2,title=BN101 x::50%25 of a,b::c\n"
    )


def test_gitlab(everything: Report) -> None:
    judged, in_notebook, finding, problem = json.loads(gitlab.render(everything, Style()))
    assert finding.pop("fingerprint") != judged["fingerprint"]
    assert finding == {
        "type": "issue",
        "check_name": "BN101",
        "description": "nothing runs the update operations of the batch norm that is trained here",
        "content": {
            "body": "nothing runs the update operations of the batch norm that is trained here\n"
            "1. model.py:5:27  normalised here in training mode\n"
            "2. train.py:5:12  trained here without the updates\n"
            "fix (safe): run the update operations before the train step"
        },
        "categories": ["Bug Risk"],
        "location": {"path": "train.py", "lines": {"begin": 5, "end": 5}},
        "other_locations": [
            {"path": "model.py", "lines": {"begin": 5, "end": 5}},
            {"path": "train.py", "lines": {"begin": 5, "end": 5}},
        ],
        "severity": "critical",
    }
    assert in_notebook["description"] == "cell 2, line 2: evaluated with {is_training: True}"
    assert [issue["severity"] for issue in (judged, in_notebook, problem)] == ["minor", "major", "blocker"]
    assert problem["description"].startswith("could not be checked: ")


def test_gitlab_tells_a_problem_once() -> None:
    problem = Problem("a.py", 1, "No.")
    assert len(json.loads(gitlab.render(Report(problems=[problem, problem]), Style()))) == 1


def _suites(report: Report) -> Any:
    return ElementTree.fromstring(junit.render(report, Style()))


def test_junit(everything: Report) -> None:
    root = _suites(everything)
    assert root.attrib == {"name": "bnlint", "time": "0.432", "tests": "6", "failures": "3", "errors": "1"}
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [
        ("model.py", "2"),
        ("notes.ipynb", "1"),
        ("old.py", "2"),
        ("train.py", "1"),
    ]
    assert root[2].attrib == {"name": "old.py", "tests": "2", "failures": "0", "errors": "1", "skipped": "1"}
    (failure,) = root.findall("./testsuite[@name='train.py']/testcase/failure")
    assert failure.attrib == {
        "type": "error",
        "message": "nothing runs the update operations of the batch norm that is trained here",
    }
    assert failure.text.splitlines()[1] == "1. model.py:5:27  normalised here in training mode"
    assert [skipped.get("message") for skipped in root.iter("skipped")] == [
        "suppressed by the comment at model.py:5:77: measured, harmless",
        "suppressed by the baseline",
    ]
    assert [case.get("name") for case in root.iter("testcase")][2] == (
        "BN201 evaluated-in-training-mode at notes.ipynb:cell 2:2:5"
    )
    assert root[0].findtext("system-out") == "1 entry of the baseline is stale.\n"


def test_junit_of_a_clean_run_has_a_case_that_passes() -> None:
    root = _suites(Report())
    assert root.get("tests") == "1"
    (case,) = root.iter("testcase")
    assert len(case) == 0


def test_junit_holds_no_control_characters() -> None:
    where = Location("\x00\x1b\ud800.py", 1, 1, 1, 2)
    root = _suites(Report([Finding("BN101", "x", Group.ERROR, where, "<\x08\ufffe&\n]]>")]))
    assert root[0].get("name") == "???.py"
    assert root.find(".//failure").get("message") == "<??&\n]]>"


def _diagnostics(report: Report) -> Any:
    return json.loads(rdjson.render(report, Style()))["diagnostics"]


def test_rdjson(everything: Report) -> None:
    judged, in_notebook, finding, problem = _diagnostics(everything)
    place = {"path": "train.py", "range": _span(5, 12, 5, 51)}
    assert finding == {
        "message": "nothing runs the update operations of the batch norm that is trained here\n\n"
        "fix (safe): run the update operations before the train step",
        "location": place,
        "severity": "ERROR",
        "code": {"value": "BN101"},
        # The two replacements of the fix as one, so that nobody applies half of it.
        "suggestions": [
            {
                "range": _span(5, 1, 5, 44),
                "text": "with tf.control_dependencies(updates):\n    "
                "train_op = tf.train.AdamOptimizer().minimiz2",
            }
        ],
        "related_locations": [
            {
                "message": "1. normalised here in training mode",
                "location": {"path": "model.py", "range": _span(5, 27, 5, 74)},
            },
            {"message": "2. trained here without the updates", "location": place},
        ],
    }
    assert in_notebook["message"].startswith("cell 2, line 2: ")
    assert "suggestions" not in in_notebook
    assert "suggestions" not in judged
    assert problem["location"] == {"path": "old.py", "range": {"start": {"line": 12}}}


def test_rdjson_counts_columns_in_bytes(write: Write) -> None:
    write("a.py", "é = '漢𝄞'; x = bn(é)\n")
    (diagnostic,) = _diagnostics(_fixed_by(Location("a.py", 1, 15, 1, 20)))
    assert diagnostic["location"]["range"] == _span(1, 21, 1, 27)


def test_rdjson_of_a_file_that_is_gone_has_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (diagnostic,) = _diagnostics(_fixed_by(Location("gone.py", 1, 1, 2, 3)))
    assert diagnostic["location"]["range"] == {"start": {"line": 1}, "end": {"line": 2}}
    assert "suggestions" not in diagnostic


@pytest.mark.parametrize(
    ("replacements", "suggestion"),
    [
        ([((2, 1, 3, 1), "")], ((2, 1, 3, 1), "")),
        ([((3, 1, 3, 2), "z"), ((1, 2, 1, 2), "!")], ((1, 2, 3, 2), "!a\nbb\nz")),
        ([((1, 1, 1, 3), ""), ((1, 2, 1, 3), "")], None),
        ([((1, 1, 9, 1), "")], None),
    ],
)
def test_rdjson_suggests_the_whole_fix_or_nothing(
    write: Write,
    replacements: list[tuple[tuple[int, int, int, int], str]],
    suggestion: tuple[tuple[int, int, int, int], str] | None,
) -> None:
    write("a.py", "aa\nbb\ncc\n")
    pieces = tuple(Replacement(Location("a.py", *span), text) for span, text in replacements)
    (diagnostic,) = _diagnostics(_fixed_by(Location("a.py", 1, 1, 1, 2), *pieces))
    expected = None if suggestion is None else [{"range": _span(*suggestion[0]), "text": suggestion[1]}]
    assert diagnostic.get("suggestions") == expected


def test_rdjson_suggests_nothing_if_another_file_changes_too(write: Write) -> None:
    write("a.py", "aa\n")
    write("b.py", "bb\n")
    pieces = [Replacement(Location(path, 1, 1, 1, 2), "x") for path in ("a.py", "b.py")]
    (diagnostic,) = _diagnostics(_fixed_by(Location("a.py", 1, 1, 1, 2), *pieces))
    assert "suggestions" not in diagnostic


@pytest.mark.parametrize("module", [rdjson, sarif])
def test_what_is_only_to_be_shown_is_not_offered(write: Write, module: Any) -> None:
    write("a.py", "aa\n")
    where = Location("a.py", 1, 1, 1, 2)
    report = _fixed_by(where, Replacement(where, "instead"))
    assert "instead" in module.render(report, Style())
    (finding,) = report.findings
    assert finding.fix
    advice = replace(finding, fix=replace(finding.fix, applicability=Applicability.DISPLAY))
    assert "instead" not in module.render(Report([advice]), Style())


@pytest.mark.parametrize("module", [github, gitlab, junit, rdjson, sarif])
def test_half_characters_are_replaced(module: Any) -> None:
    where = Location("a\ud800.py", 1, 1, 1, 2)
    report = Report([Finding("BN101", "x", Group.ERROR, where, "b\udcff")], [Problem("c\udfff.py", 1, "No.")])
    text = module.render(report, Style())
    assert text.encode("utf-8")
    assert "\\ud" not in text


def _fixed_by(where: Location, *pieces: Replacement) -> Report:
    fix = Fix(Applicability.SAFE, "f", (RemoveStatement(where),), pieces)
    return Report([Finding("BN101", "x", Group.ERROR, where, "m", fix=fix)])


def _span(line: int, column: int, end_line: int, end_column: int) -> dict[str, dict[str, int]]:
    return {"start": {"line": line, "column": column}, "end": {"line": end_line, "column": end_column}}
