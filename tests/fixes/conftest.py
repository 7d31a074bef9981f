from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bnlint.cli import main
from bnlint.findings import Edit, Location
from bnlint.fixes.sources import Sources

TRAIN = "train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)"
WITH = "with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):"
PROGRAM = f"""\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 1])
training = tf.placeholder(tf.bool, [])
net = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training)
loss = tf.losses.mean_squared_error(y, tf.layers.dense(tf.nn.relu(net), 1))
{TRAIN}
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for batch, target in batches():
        session.run(train_op, {{x: batch, y: target, training: True}})
"""
FIXED = PROGRAM.replace(TRAIN, f"{WITH}\n    {TRAIN}")
"""The program in which the updates are never run (BN101), and what it should be."""


class Done(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["check", *arguments])
        return Done(code, _written(out), _written(err))

    return run


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in an empty folder, in a process of its own.

    ``before`` are statements that are executed first in that process.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, before: str = "") -> Done:
        code = f"{before}\nimport sys\nfrom bnlint.cli import main\nsys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code] if before else [sys.executable, "-m", "bnlint"]
        environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1"}
        # Not in text mode, which would lose carriage returns.
        done = subprocess.run(
            [*command, "check", *arguments], capture_output=True, env=environment, timeout=100, check=False
        )
        return Done(done.returncode, _text(done.stdout), _text(done.stderr))

    return run


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return _text(stream.buffer.read())


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def place(text: str, piece: str, nth: int = 0, path: str = "a.py", cell: int | None = None) -> Location:
    """Where a piece of a text is."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(piece, start + 1)
    end = start + len(piece)

    def position(offset: int) -> tuple[int, int]:
        return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)

    return Location(path, *position(start), *position(end), cell)


def edited(text: str, *edits: Edit) -> str:
    """What edits make of the file ``a.py``."""
    path = Path(os.path.abspath("a.py"))
    data = text.encode()
    sources = Sources(lambda asked: data, lambda display: True)
    assert sources.fits(edits)
    sources.add(edits)
    return sources.changed().get(path, data).decode()
