"""``bnlint explain FILE:LINE``: what a user is told about a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NET = """\
import tensorflow as tf
from mylib.ops import bn


def net(x, train):
    x = bn(
        x,
        train)
    return tf.layers.batch_normalization(x, training=train)


def spare(x):
    return tf.layers.batch_normalization(x, training=True)
"""
TRAIN = """\
import sys
import tensorflow as tf
from net import net
DEBUG = False
x = tf.placeholder(tf.float32, [None, 3])
y = net(x, True)
step = tf.train.AdamOptimizer().minimize(tf.reduce_mean(y))
if DEBUG:
    print(net(x, False))
with tf.Session() as sess:
    sess.run(step, {x: data})
    test = sess.run(y, {x: test_data})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


def explain(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "bnlint", "explain", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, " ".join(done.stdout.split()), done.stderr


def test_a_finding_is_shown_with_all_that_is_known(folder: Path) -> None:
    code, text, _ = explain(folder, "train.py:7")
    assert code == 0
    assert "error: BN101 update-ops-never-run" in text
    assert "It trains the normalisation at net.py:9; its update operations are never read" in text
    assert "It runs at train.py:11." in text


def test_a_step_of_a_finding_elsewhere_says_so(folder: Path) -> None:
    _, text, _ = explain(folder, "net.py:9")
    assert "It is a step of BN101 at train.py:7" in text
    assert "Its phase is `True` (given at the call)." in text
    assert "`net` called at train.py:6" in text


@pytest.mark.parametrize("line", [6, 7, 8])
def test_a_wrapper_that_is_not_known_is_named_with_what_to_do(folder: Path, line: int) -> None:
    _, text, _ = explain(folder, f"net.py:{line}")
    assert "bnlint does not know what `mylib.ops.bn` does" in text
    assert '[tool.bnlint.known-norm-layers] "mylib.ops.bn" = "tf.layers.batch_normalization"' in text


def test_the_evidence_for_the_phase_of_a_run(folder: Path) -> None:
    _, text, _ = explain(folder, "train.py:12")
    assert "It is taken for evaluation." in text
    assert "Because it is fed `test_data` (evidence, weight 2; train.py:12)." in text
    assert "It runs the normalisation at net.py:9 in training mode." in text


def test_a_phase_that_is_not_known_is_why_rules_are_silent(folder: Path) -> None:
    (folder / "train.py").write_text(TRAIN.replace("net(x, True)", "net(x, len(sys.argv) > 2)"))
    _, text, _ = explain(folder, "net.py:9")
    assert "Because the phase is not known, the rules about it are silent here." in text


def test_a_line_that_no_program_comes_to(folder: Path) -> None:
    _, text, _ = explain(folder, "train.py:9")
    assert "a condition around it is known to be false" in text


def test_a_function_that_no_program_calls(folder: Path) -> None:
    _, text, _ = explain(folder, "net.py:13")
    assert "In net.py, interpreted on its own with unknown arguments" in text
    assert "No train step is known to train through it" in text


def test_a_file_that_is_not_looked_into(folder: Path) -> None:
    (folder / "other.py").write_text("print(1)\n")
    _, text, _ = explain(folder, "other.py:1")
    assert "so it is not looked into" in text


def test_a_rule_that_is_off_says_what_it_would_say(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.bnlint]\nignore = ["BN101"]\n')
    _, text, _ = explain(folder, "train.py:7")
    assert "BN101 update-ops-never-run is off for this file (group error); it would say:" in text
    assert "No finding is reported" in text


def test_a_finding_that_is_suppressed(folder: Path) -> None:
    lines = TRAIN.splitlines()
    lines[6] += "  # bnlint: ignore[BN101] statistics are not used"
    (folder / "train.py").write_text("\n".join(lines) + "\n")
    _, text, _ = explain(folder, "train.py:7")
    assert "BN101 update-ops-never-run is suppressed by a comment (statistics are not used)" in text


def test_a_line_of_a_notebook_cell(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "code", "source": "import tensorflow as tf\n"},
        {"cell_type": "markdown", "source": "text"},
        {
            "cell_type": "code",
            "source": "x = tf.zeros([2, 2])\ny = tf.layers.batch_normalization(x, training=True)\n",
        },
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}))
    code, text, _ = explain(tmp_path, "n.ipynb:cell 3:2")
    assert code == 0
    assert "A batch normalisation is applied here" in text
    code, _, error = explain(tmp_path, "n.ipynb:2")
    assert (code, error) == (
        2,
        "bnlint: n.ipynb is a notebook: name the cell, too, as in n.ipynb:cell 3:2.\n",
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("train.py:99", "train.py has no line 99."),
        ("train.py:0", "train.py has no line 0."),
        ("train.py", "'train.py' names no line."),
        ("gone.py:3", "gone.py cannot be read (No such file or directory)."),
    ],
)
def test_a_place_that_does_not_exist(folder: Path, place: str, sentence: str) -> None:
    code, text, error = explain(folder, place)
    assert (code, text) == (2, "")
    assert error.startswith(f"bnlint: {sentence}")
