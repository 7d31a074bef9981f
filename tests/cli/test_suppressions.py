"""Comments that suppress findings, as the user meets them: the real command on real files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MODEL = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])
norm = tf.layers.batch_normalization(x, training=True)
loss = tf.losses.mean_squared_error(y, tf.layers.dense(norm, 1))
"""
TRAIN = "train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)"

RUN = "tf.Session().run(train_op)"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "bnlint",
            "check",
            "--isolated",
            "--output-format",
            "concise",
            *arguments,
        ]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def _codes(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [
        line.split()[1] for line in done.stdout.splitlines() if ": BN" in line and "suppressed" not in line
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"{TRAIN}  # bnlint: ignore[BN101] set by hand",
        f"# bnlint: ignore[BN101] set by hand\n{TRAIN}",
        f"# bnlint: ignore-file[BN1] set by hand\n\n{TRAIN}",
        f"{TRAIN}  # noqa: BN101 set by hand",
    ],
)
def test_suppressed_findings_are_counted_and_listed(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(f"{MODEL}{text}\n{RUN}\n")
    done = run("a.py", "--show-suppressed")
    assert done.returncode == 0, done.stdout
    assert "1 suppressed" in done.stdout
    assert "BN101 suppressed by the comment at a.py:" in done.stdout
    assert "set by hand" in done.stdout
    assert "set by hand" not in run("a.py").stdout


def test_unused_comments_are_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{MODEL}{TRAIN}  # bnlint: ignore[BN101, BN102] set by hand\n{RUN}\n")
    done = run("a.py")
    assert done.returncode == 1
    assert "a.py:7:57: BN003 this comment suppresses nothing for BN102" in done.stdout


def test_unused_comments_are_found_where_nothing_normalises(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1  # bnlint: ignore[BN101]\n")
    assert _codes(run("a.py")) == ["BN003"]


def test_comments_for_rules_that_were_not_asked_are_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{MODEL}x = 1  # bnlint: ignore[BN101]\n")
    assert run("a.py", "--ignore", "BN101").returncode == 0
    assert run("a.py", "--select", "BN003,BN102").returncode == 0
    assert run("a.py", "--select", "BN003,BN101").returncode == 1


def test_nothing_is_called_unused_where_not_everything_was_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{MODEL}import b\nx = 1  # bnlint: ignore[BN101]\n")
    (tmp_path / "b.py").write_text("batch_norm = \0\n")
    done = run(".")
    assert done.returncode == 2
    assert "BN003" not in done.stdout


def test_fix_takes_unused_comments_out(run: Run, tmp_path: Path) -> None:
    text = f"{MODEL}{TRAIN}  # bnlint: ignore[BN101, BN102] why  # note\n{RUN}  # bnlint: ignore[BN2]\n"
    text = f"# bnlint: ignore-file[BN301]\n{text}"
    (tmp_path / "a.py").write_text(text)
    done = run("a.py", "--fix")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "a.py").read_text() == f"{MODEL}{TRAIN}  # bnlint: ignore[BN101] why  # note\n{RUN}\n"


def _add(run: Run, path: Path, data: bytes, reason: str = "accepted") -> bytes:
    """What ``--add-ignore`` makes of a file, which is clean after it and does not change again."""
    path.write_bytes(data)
    done = run(path.name, "--add-ignore", reason)
    assert (done.returncode, _codes(done)) == (0, []), done.stdout + done.stderr
    after = path.read_bytes()
    again = run(path.name, "--add-ignore", reason)
    assert (again.returncode, path.read_bytes()) == (0, after)
    return after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (TRAIN, f"{TRAIN}  # bnlint: ignore[BN101] accepted"),
        (f"{TRAIN}  # note", f"# bnlint: ignore[BN101] accepted\n{TRAIN}  # note"),
        (f"{TRAIN}   ", f"{TRAIN}  # bnlint: ignore[BN101] accepted"),
        (
            f"if loss is not None:\n\t{TRAIN} # note",
            f"if loss is not None:\n\t# bnlint: ignore[BN101] accepted\n\t{TRAIN} # note",
        ),
        (
            "train_op = tf.group(\n    tf.train.AdamOptimizer().minimize(loss),\n)",
            "train_op = tf.group(  # bnlint: ignore[BN101] accepted\n    tf.train.AdamOptimizer().minimize(loss),\n)",
        ),
        (
            "train_op = \\\n    tf.train.AdamOptimizer().minimize(loss)",
            "# bnlint: ignore[BN101] accepted\ntrain_op = \\\n    tf.train.AdamOptimizer().minimize(loss)",
        ),
        (
            "train_op = tf.train.AdamOptimizer(name='''a\nb''').minimize(loss)",
            "# bnlint: ignore[BN101] accepted\ntrain_op = tf.train.AdamOptimizer(name='''a\nb''').minimize(loss)",
        ),
        (f"text = '''\n'''; {TRAIN}", f"text = '''\n'''; {TRAIN}  # bnlint: ignore[BN101] accepted"),
        (
            f"{TRAIN.replace('1e-3', '1e-3, name=' + repr('a' * 60))}",
            f"# bnlint: ignore[BN101] accepted\n{TRAIN.replace('1e-3', '1e-3, name=' + repr('a' * 60))}",
        ),
        (
            f"{TRAIN}  # bnlint: ignore[BN301, BN003] other",
            f"{TRAIN}  # bnlint: ignore[BN301, BN003, BN101] other; accepted",
        ),
        (
            f"# bnlint: ignore[BN003, BN301] accepted\n{TRAIN}",
            f"# bnlint: ignore[BN003, BN301, BN101] accepted\n{TRAIN}",
        ),
        (
            f"{TRAIN}  # noqa: E501",
            f"# bnlint: ignore[BN101] accepted\n{TRAIN}  # noqa: E501",
        ),
        (
            f"{TRAIN}  # bnlint: ignor[BN101] misspelt",
            f"# bnlint: ignore[BN003, BN101] accepted\n{TRAIN}  # bnlint: ignor[BN101] misspelt",
        ),
    ],
)
def test_add_ignore(run: Run, tmp_path: Path, before: str, after: str) -> None:
    made = _add(run, tmp_path / "a.py", f"{MODEL}{before}\n{RUN}\n".encode())
    assert made.decode() == f"{MODEL}{after}\n{RUN}\n"


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_add_ignore_keeps_line_ends_and_encoding(run: Run, tmp_path: Path, end: bytes) -> None:
    text = f"# coding: latin-1\nname = 'é'\n{MODEL}{TRAIN} # é\n{RUN}".encode("latin-1").replace(b"\n", end)
    # One line that ends otherwise, and none at the end of the file.
    text = text.replace(b"import tensorflow as tf" + end, b"import tensorflow as tf\n")
    made = _add(run, tmp_path / "a.py", text, "déjà vu")
    comment = "# bnlint: ignore[BN101] déjà vu".encode("latin-1")
    assert made == text.replace(TRAIN.encode(), comment + end + TRAIN.encode())


def test_add_ignore_writes_what_the_encoding_lacks_in_ascii(run: Run, tmp_path: Path) -> None:
    text = f"# coding: latin-1\n{MODEL}{TRAIN}  # é\n{RUN}\n".encode("latin-1")
    assert rb"# bnlint: ignore[BN101] \u6f22" in _add(run, tmp_path / "a.py", text, "漢")


def test_add_ignore_keeps_byte_order_mark(run: Run, tmp_path: Path) -> None:
    made = _add(run, tmp_path / "a.py", b"\xef\xbb\xbf" + f"{MODEL}{TRAIN}\n{RUN}\n".encode())
    assert made.startswith(b"\xef\xbb\xbfimport") and made.count(b"\xef\xbb\xbf") == 1


def test_add_ignore_in_python2(run: Run, tmp_path: Path) -> None:
    made = _add(run, tmp_path / "a.py", f"{MODEL}print 'a'; {TRAIN}\nprint 'b'\n{RUN}\n".encode())
    assert made.decode() == f"{MODEL}print 'a'; {TRAIN}  # bnlint: ignore[BN101] accepted\nprint 'b'\n{RUN}\n"


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("indent", [1, None])
def test_add_ignore_in_notebooks(run: Run, tmp_path: Path, as_list: bool, indent: int | None) -> None:
    def notebook(*sources: str) -> bytes:
        cells = [
            {
                "cell_type": "code",
                "metadata": {"é": [1.0, 1e-05]},
                "outputs": [{"text": "<é>"}],
                "source": source.splitlines(keepends=True) if as_list else source,
            }
            for source in sources
        ]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, indent=indent).encode() + b"\n"

    comment = "# bnlint: ignore[BN101] accepted"
    made = _add(run, tmp_path / "a.ipynb", notebook("%pylab\n", f"!ls\n{MODEL}", f"%%time\n{TRAIN}\n{RUN}"))
    assert made == notebook("%pylab\n", f"!ls\n{MODEL}", f"%%time\n{TRAIN}  {comment}\n{RUN}")
    made = _add(run, tmp_path / "a.ipynb", notebook(MODEL, f"if 1:\n    {TRAIN}  # é", RUN))
    assert made == notebook(MODEL, f"if 1:\n    {comment}\n    {TRAIN}  # é", RUN)


def test_add_ignore_for_several_files_and_findings(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{MODEL}{TRAIN}\n{RUN}\n{TRAIN}; {RUN}  # bnlint: ignore[BN102]\n")
    (tmp_path / "b.py").write_text(f"{MODEL}{TRAIN}\n{RUN}\n")
    done = run(".", "--add-ignore", " more\nthan one  line ")
    assert done.returncode == 0, done.stdout
    assert (
        tmp_path / "b.py"
    ).read_text() == f"{MODEL}{TRAIN}  # bnlint: ignore[BN101] more than one line\n{RUN}\n"
    assert (tmp_path / "a.py").read_text().count("more than one line") == 2


def test_add_ignore_says_where_it_cannot_write(run: Run, tmp_path: Path) -> None:
    data = f"{MODEL}{TRAIN}\n{RUN}\n".encode() + b"# \xe9\n"
    (tmp_path / "a.py").write_bytes(data)
    done = run("a.py", "--add-ignore", "why")
    assert done.returncode == 2
    assert "a.py:1:1: error: No comment can be written into this file: the text is not in" in done.stdout
    assert (tmp_path / "a.py").read_bytes() == data


def test_add_ignore_needs_a_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{MODEL}{TRAIN}\n")
    done = run("a.py", "--add-ignore", " ")
    assert done.returncode == 2
    assert "reason" in done.stderr
    assert (tmp_path / "a.py").read_text() == f"{MODEL}{TRAIN}\n"
