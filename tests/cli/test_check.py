"""`bnlint check` as the user sees it: options, output, exit codes. The engine is a stand-in."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bnlint.cli import main


def test_clean_is_0(engine: Any, capsys: Any) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "Found nothing (2 files, 1 program, 0.2 s).\n"
    assert engine.paths == [Path(".")]


def test_findings_are_1(engine: Any, capsys: Any) -> None:
    engine.find()
    assert main(["check", "x", "y"]) == 1
    assert "error: BN101 update-ops-never-run" in capsys.readouterr().out
    assert engine.paths == [Path("x"), Path("y")]


def test_problems_are_2_even_beside_findings(engine: Any, capsys: Any) -> None:
    engine.find()
    engine.fail()
    assert main(["check", "--exit-zero"]) == 2
    out = capsys.readouterr().out
    assert "BN101" in out
    assert "not checked: b.py:7\n  The file cannot be read.\n" in out


def test_exit_zero(engine: Any) -> None:
    engine.find()
    assert main(["check", "--exit-zero"]) == 0


def test_concise(engine: Any, capsys: Any) -> None:
    engine.find()
    engine.fail()
    assert main(["check", "--output-format", "concise", "--quiet"]) == 2
    assert capsys.readouterr().out == (
        "a.py:3:5: BN101 it is wrong\nb.py:7:1: error: The file cannot be read.\n"
    )


def test_json(engine: Any, capsys: Any) -> None:
    engine.find()
    assert main(["check", "--output-format=json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "BN101"


def test_statistics_come_last_and_most_frequent_first(engine: Any, capsys: Any) -> None:
    engine.find("BN105")
    engine.find()
    engine.find()
    assert main(["check", "--statistics", "--output-format", "concise"]) == 1
    assert capsys.readouterr().out.splitlines()[3:] == [
        "2  BN101  update-ops-never-run",
        "1  BN105  update-ops-never-run",
        "Found 3 errors in 1 file (2 files, 1 program, 0.2 s).",
    ]


def test_statistics_are_not_part_of_the_json_contract(engine: Any, capsys: Any) -> None:
    assert main(["check", "--statistics", "--output-format", "json"]) == 2
    assert "count the codes" in capsys.readouterr().err


def test_show_files(engine: Any, capsys: Any) -> None:
    engine.find()
    assert main(["check", "--show-files"]) == 0
    assert capsys.readouterr().out == "a.py\n"
    engine.fail()
    assert main(["check", "--show-files"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "a.py\n"
    assert "b.py:7: The file cannot be read." in captured.err


def test_quiet_leaves_out_summary_and_progress(engine: Any, capsys: Any) -> None:
    assert main(["check", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert engine.progress is None


def test_codes_are_comma_separated_repeatable_and_prefixes(engine: Any) -> None:
    assert main(["check", "--select", "bn101, BN2", "--select", "BN3", "--ignore", "BN301"]) == 0
    assert engine.options.select == ("BN101", "BN2", "BN3")
    assert engine.options.ignore == ("BN301",)
    assert main(["check", "--select", "ALL"]) == 0
    assert engine.options.select == ("ALL",)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--select", "BN101,BN1O1"], "There is no rule 'BN1O1'. Did you mean BN101?"),
        (["--ignore", "update-ops-never-run"], "Did you mean BN101?"),
        (["--ignore", "ALL"], "There is no rule 'ALL'."),
        (["--select", ","], "--select needs the code of a rule"),
    ],
)
def test_unknown_codes(engine: Any, capsys: Any, arguments: list[str], sentence: str) -> None:
    assert main(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bnlint: ")
    assert sentence in captured.err


def test_project_root(engine: Any, tmp_path: Path, capsys: Any) -> None:
    assert main(["check", "--project-root", str(tmp_path)]) == 0
    assert engine.options.project_root == tmp_path
    assert main(["check", "--project-root", "nowhere"]) == 2
    assert "there is no folder 'nowhere'" in capsys.readouterr().err


def test_interruption_is_a_sentence(engine: Any, capsys: Any) -> None:
    engine.error = KeyboardInterrupt()
    assert main(["check"]) == 2
    assert capsys.readouterr().err == "bnlint: Interrupted; the check is not complete.\n"


def test_a_bug_in_bnlint_is_a_sentence(engine: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.error = KeyError("x")
    assert main(["check"]) == 2
    error = capsys.readouterr().err
    assert "This is a bug in bnlint, not in your code: KeyError: 'x'" in error
    assert "conftest.py:" in error
    monkeypatch.setenv("BNLINT_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["check"])


def test_colour(engine: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.find()
    main(["check"])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["check"])
    assert "\x1b[1;31merror\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["check"])
    assert "\x1b" not in capsys.readouterr().out


def test_characters_that_the_output_does_not_have(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.find(path="modèle\udcff.py", message="→")
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    assert main(["check", "--output-format", "concise", "--quiet"]) == 1
    assert buffer.getvalue().replace(os.linesep.encode(), b"\n") == b"mod\\xe8le?.py:3:5: BN101 \\u2192\n"


def test_no_output_at_all(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.find()
    engine.fail()
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["check"]) == 2
    assert main(["check", "--show-files"]) == 2
