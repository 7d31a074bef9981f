"""In a notebook only the changed lines of source differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROGRAM, TRAIN, WITH, Run

HEAD, TAIL = PROGRAM.split(TRAIN)
FIXED_CELL = f"a = 1\n{WITH}\n    {TRAIN}\nb = 2"
CELL = f"a = 1\n{TRAIN}\nb = 2"
OUTPUTS = [{"output_type": "stream", "name": "stdout", "text": ["é\\n", '{"source": ["x"]}']}]
Notebook = dict[str, Any]


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def notebook(cell: object) -> Notebook:
    def code(source: object) -> Notebook:
        return {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {"source": ["no", 1.50, None, True]},
            "outputs": OUTPUTS,
            "source": source,
        }

    return {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": ['# Über "x"\n', "\\u00e9"]},
            code(lines(HEAD.rstrip("\n"))),
            code(cell),
            code(lines(TAIL.strip("\n"))),
        ],
        "metadata": {"kernelspec": {"language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that are only in one of the two."""
    old, new = before.split("\n"), after.split("\n")
    return [line for line in old if line not in new], [line for line in new if line not in old]


@pytest.mark.parametrize("indent", [1, 4, None])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("as_list", [True, False])
def test_the_rest_is_the_same_byte_for_byte(
    indent: int | None, ascii_only: bool, as_list: bool, run: Run, tmp_path: Path
) -> None:
    def written(cell: str) -> str:
        made = notebook(lines(cell) if as_list else cell)
        return json.dumps(made, indent=indent, ensure_ascii=ascii_only) + "\n"

    path = tmp_path / "a.ipynb"
    path.write_text(written(f"# é\n{CELL}"), encoding="utf-8")
    done = run("--fix", "--quiet", "a.ipynb")
    assert path.read_text(encoding="utf-8") == written(f"# é\n{FIXED_CELL}"), done
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # As the first, the last and the only line.
        (f"{TRAIN}\nb = 2", f"{WITH}\n    {TRAIN}\nb = 2"),
        (f"a = 1\n{TRAIN}", f"a = 1\n{WITH}\n    {TRAIN}"),
        (TRAIN, f"{WITH}\n    {TRAIN}"),
        (f"a = 1\n{TRAIN}\n", f"a = 1\n{WITH}\n    {TRAIN}\n"),
        # Beside magics.
        (
            f"%matplotlib inline\n!ls\n{TRAIN}\nx = !ls\n%time a = 1\n",
            f"%matplotlib inline\n!ls\n{WITH}\n    {TRAIN}\nx = !ls\n%time a = 1\n",
        ),
        (f"%%time\n{TRAIN}\n", f"%%time\n{WITH}\n    {TRAIN}\n"),
    ],
)
def test_any_place_in_a_cell(before: str, after: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook(lines(before)), indent=1), encoding="utf-8")
    done = run("--fix", "--quiet", "a.ipynb")
    assert path.read_text(encoding="utf-8") == json.dumps(notebook(lines(after)), indent=1), done


def test_the_diff_of_a_notebook(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook(lines(CELL)), indent=1), encoding="utf-8")
    done = run("--diff", "--quiet", "a.ipynb")
    marked = [line for line in done.stdout.split("\n") if line[:1] in "+-"][2:]
    assert marked[:3] == [
        f'-    "{TRAIN}\\n",',
        f'+    "{WITH}\\n",',
        f'+    "    {TRAIN}\\n",',
    ]


def test_carriage_returns_in_a_cell(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook(CELL.replace("\n", "\r\n"))), encoding="utf-8")
    run("--fix", "--quiet", "a.ipynb")
    assert json.loads(path.read_text())["cells"][2]["source"] == FIXED_CELL.replace("\n", "\r\n")


def test_an_added_import_goes_into_the_same_cell(run: Run, tmp_path: Path) -> None:
    made = notebook(lines(CELL.replace("tf.train.A", "A")))
    made["cells"][1]["source"] = lines(
        "from tensorflow import layers, losses, nn, placeholder, float32, bool as boolean\n"
        "from tensorflow.train import AdamOptimizer\n"
        + HEAD.split("\n", 1)[1].replace("tf.bool", "boolean").replace("tf.", "")
    )
    made["cells"][3]["source"] = lines(
        "from tensorflow import Session, global_variables_initializer\n" + TAIL.replace("tf.", "")
    )
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(made, indent=1), encoding="utf-8")
    done = run("--fix", "--quiet", "a.ipynb")
    made["cells"][2]["source"] = lines("import tensorflow as tf\n" + FIXED_CELL.replace("tf.train.A", "A"))
    assert json.loads(path.read_text()) == made, done


def test_format_3(run: Run, tmp_path: Path) -> None:
    made: Notebook = {
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "source": ["x"]},
                    {"cell_type": "code", "input": lines(HEAD), "language": "python", "outputs": []},
                    {"cell_type": "code", "input": lines(CELL), "language": "python", "outputs": OUTPUTS},
                    {"cell_type": "code", "input": lines(TAIL), "language": "python", "outputs": []},
                ]
            }
        ],
    }
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(made, indent=2), encoding="utf-8")
    done = run("--fix", "--quiet", "a.ipynb")
    made["worksheets"][0]["cells"][2]["input"] = lines(FIXED_CELL)
    assert path.read_text(encoding="utf-8") == json.dumps(made, indent=2), done


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (lines(f"%time {TRAIN}"), "IPython"),
        (lines(f"  a = 1\n  {TRAIN}"), "IPython"),
        ([TRAIN[:10], TRAIN[10:]], "unusual"),
        ([f"a = 1\n{TRAIN}"], "unusual"),
    ],
)
def test_what_is_refused(cell: list[str], reason: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    before = json.dumps(notebook(cell))
    path.write_text(before, encoding="utf-8")
    done = run("--fix", "a.ipynb")
    assert path.read_text(encoding="utf-8") == before
    assert done.returncode == 1
    assert reason in done.stdout + done.stderr, done
