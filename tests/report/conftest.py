from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnlint.findings import Applicability, Finding, Fix, Group, Location, Problem, Report, Step, Summary

TRAIN = """\
import tensorflow as tf
import model

loss = model.loss(tf.placeholder(tf.float32, [None, 8]))
train_op = tf.train.AdamOptimizer().minimize(loss)
"""
MODEL = """\
import tensorflow as tf


def loss(x):
    return tf.reduce_mean(tf.layers.batch_normalization(x, training=True))
"""

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file in the current folder, which is empty at first."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str) -> None:
        Path(name).write_text(text, encoding="utf-8")

    return write_file


@pytest.fixture
def report(write: Write) -> Report:
    """One finding with three steps and a fix, and one problem."""
    write("train.py", TRAIN)
    write("model.py", MODEL)
    step = Location("train.py", 5, 12, 5, 51)
    finding = Finding(
        "BN101",
        "update-ops-never-run",
        Group.ERROR,
        step,
        "nothing runs the update operations of the batch norm that is trained here",
        (
            Step(Location("model.py", 5, 27, 5, 74), "normalised here in training mode"),
            Step(step, "trained here without the updates"),
        ),
        Fix(Applicability.SAFE, "run the update operations before the train step"),
    )
    return Report(
        [finding],
        [Problem("old.py", 12, "This statement is not Python and was left out. Correct it.")],
        Summary(files=120, parsed=14, programs=3, seconds=0.4321),
    )
