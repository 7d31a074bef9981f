"""Options that say different things are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.cli import main

IN_TURN = "Do one after the other."


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--unsafe-fixes", "Add one of them."),
        ("--statistics --output-format json", "--statistics is for the text formats"),
        ("--prune-baseline", "--prune-baseline needs --baseline FILE"),
        ("--config a.toml --isolated", "Leave one of them out."),
        ("--fix --add-ignore why", f"--fix and --add-ignore are two different things to do. {IN_TURN}"),
        ("--diff --write-baseline b.json", f"--diff and --write-baseline are two different things to do. {IN_TURN}"),
        ("--show-files --fix", "two different things to do"),
        ("--baseline b.json --prune-baseline --diff", "--prune-baseline and --diff are two different things to do."),
        ("--baseline b.json --prune-baseline --show-files", "--prune-baseline and --show-files are two different"),
        ("--baseline b.json --prune-baseline --write-baseline c.json", "--prune-baseline and --write-baseline are two"),
        ("--diff --output-format sarif", "--diff prints a diff and no report, which --output-format sarif is for."),
        ("--write-baseline b.json --output-file report.txt", "--write-baseline makes none. Leave one of them out."),
        ("--add-ignore=", "--add-ignore needs a reason"),
    ],
)  # fmt: skip
def test_refused(
    arguments: str,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", *arguments.split()]) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_files_goes_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("import tensorflow as tf\n\ny = tf.layers.batch_normalization(1)\n")
    assert main(["check", "--show-files", "--output-file", "files.txt"]) == 0
    assert Path("files.txt").read_text() == "a.py\n"
    assert capsys.readouterr().out == ""
