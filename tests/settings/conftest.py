"""Temporary projects, and the command run in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bnlint.cli import main

UNUSED = """\
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 8])
phase = tf.placeholder(tf.bool, [])
h = {norm}
step = tf.train.AdamOptimizer().minimize(tf.reduce_mean(h))
with tf.Session() as sess:
    for batch in batches:
        sess.run(step, {{x: batch, phase: True}})
"""
"""A training whose updates are never run: BN101 in line 5, if ``norm`` is known to be one."""
BAD = UNUSED.format(norm="tf.layers.batch_normalization(tf.layers.dense(x, 8), training=phase)")
_LINE = re.compile(r"(?P<path>.+?):\d+:\d+: (?P<code>BN\d+) ")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Folder:
    """A temporary project, and what bnlint says in it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capsys = capsys

    def put(self, name: str, text: str | bytes) -> Folder:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self

    def run(self, *arguments: str) -> Done:
        code = main(arguments)
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def found(self, *arguments: str) -> list[tuple[str, str]]:
        """The paths and codes of what ``bnlint check`` reports."""
        done = self.run("check", "--output-format", "concise", "--quiet", *arguments)
        assert done.returncode in (0, 1), done
        lines = [_LINE.match(line) for line in done.stdout.splitlines()]
        return [(line["path"], line["code"]) for line in lines if line]

    def codes(self, *arguments: str) -> list[str]:
        return [code for _, code in self.found(*arguments)]

    def refused(self, *arguments: str) -> str:
        """What ``bnlint check`` says when it cannot do its job."""
        done = self.run("check", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done
        return done.stderr.removeprefix("bnlint: ").rstrip("\n")

    def config(self, *arguments: str) -> dict[str, Any]:
        done = self.run("config", "--output-format", "json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Folder:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "BNLINT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    return Folder(tmp_path, capsys)
