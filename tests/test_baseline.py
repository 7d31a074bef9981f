"""The baseline, as the user meets it: the real command on real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODEL = """\
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])
norm = tf.layers.batch_normalization(x, training=True)
loss = tf.losses.mean_squared_error(y, tf.layers.dense(norm, 1))


def build(loss):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
    return train_op


"""
RUN = "tf.Session().run(build(loss))\n"
ENTRY = {
    "code": "BN101",
    "path": "a.py",
    "definition": "build",
    "statement": "train_op = tf.train.AdamOptimizer(0.001).minimize(loss)",
    "count": 1,
}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bnlint", "check", "--isolated", "--output-format", "concise"]
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path / folder, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
def known(run: Run, tmp_path: Path) -> Path:
    """A program with a bug, and a baseline that knows it."""
    (tmp_path / "a.py").write_text(MODEL + RUN)
    done = run("--write-baseline", "base.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 finding" in done.stderr
    return tmp_path / "base.json"


def _entries(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["version"] == 1
    return list(document["entries"])


def test_known_findings_are_not_reported(run: Run, known: Path) -> None:
    assert run().returncode == 1
    assert _entries(known) == [ENTRY]
    done = run("--baseline", "base.json", "--show-suppressed")
    assert done.returncode == 0
    assert "a.py:10:16: BN101 suppressed by the baseline" in done.stdout
    assert "1 suppressed" in done.stdout
    assert "note:" not in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        f"# moved\n\n\n{MODEL}",
        MODEL.replace("(1e-3)", "(\n        1e-3,  # slow\n    )"),
        MODEL.replace("1e-3", "0.001"),
        MODEL.replace("loss = tf.losses", "loss = 2 * tf.losses").replace("norm", "hidden"),
        MODEL.replace("    return", "    print('built')\n    return").replace(
            "def build(loss)", "@cached\ndef build(loss, *rest)"
        ),
        MODEL.replace("    train_op", "    if loss is not None:\n        train_op"),
        MODEL.replace("    return", "    print 'built'\n    return"),
    ],
)
def test_known_findings_survive_changes_around_them(run: Run, known: Path, text: str) -> None:
    (known.parent / "a.py").write_text(
        text.replace("hidden=", "norm=").replace("@cached", "@staticmethod") + RUN
    )
    done = run("--baseline", "base.json")
    assert done.returncode == 0, done.stdout


def test_other_statements_and_definitions_are_new(run: Run, known: Path) -> None:
    for text in (MODEL.replace("1e-3", "1e-4"), MODEL.replace("build", "make")):
        (known.parent / "a.py").write_text(text + RUN.replace("build", "make" if "make" in text else "build"))
        done = run("--baseline", "base.json")
        assert done.returncode == 1, done.stdout
        assert "An entry of the baseline base.json is no longer found: BN101 in a.py." in done.stdout


def test_one_more_of_the_same_is_new(run: Run, known: Path) -> None:
    again = "    tf.Session().run(train_op)\n    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)\n"
    (known.parent / "a.py").write_text(MODEL.replace("    return", f"{again}    return") + RUN)
    done = run("--baseline", "base.json")
    assert done.returncode == 1
    assert done.stdout.count(": BN101") == 1
    assert "a.py:12:" in done.stdout
    assert run("--write-baseline", "base.json").returncode == 0
    assert _entries(known) == [{**ENTRY, "count": 2}]
    assert run("--baseline", "base.json").returncode == 0


def test_stale_entries_are_told_and_pruned(run: Run, known: Path) -> None:
    (known.parent / "b.py").write_text(MODEL + RUN)
    (known.parent / "c.py").write_text(MODEL + RUN)
    assert run("--write-baseline", "base.json").returncode == 0
    fixed = "x = 1\n"
    (known.parent / "a.py").write_text(fixed)
    (known.parent / "c.py").unlink()
    done = run("--baseline", "base.json")
    assert done.returncode == 0
    assert (
        "2 entries of the baseline base.json are no longer found: BN101 in a.py, BN101 in c.py."
        in done.stdout
    )
    assert len(_entries(known)) == 3
    # What nobody looked at may still be there, but what is gone is gone.
    done = run("b.py", "--baseline", "base.json")
    assert "An entry of the baseline base.json is no longer found: BN101 in c.py." in done.stdout
    done = run("--baseline", "base.json", "--prune-baseline")
    assert done.returncode == 0
    assert "Took 2 stale entries out of base.json" in done.stderr
    assert "note:" not in done.stdout
    assert [entry["path"] for entry in _entries(known)] == ["b.py"]
    assert "Took 0 stale entries" in run("--baseline", "base.json", "--prune-baseline").stderr


def test_all_stale_where_nothing_normalises_any_more(run: Run, known: Path) -> None:
    (known.parent / "a.py").write_text("x = 1\n")
    assert "no longer found" in run("--baseline", "base.json").stdout
    assert run("--baseline", "base.json", "--prune-baseline").returncode == 0
    assert _entries(known) == []


def test_counts_are_pruned(run: Run, known: Path) -> None:
    known.write_text(json.dumps({"version": 1, "entries": [{**ENTRY, "count": 3}]}))
    assert "Took 1 stale entry" in run("--baseline", "base.json", "--prune-baseline").stderr
    assert _entries(known) == [ENTRY]


def test_rules_that_were_not_asked_leave_nothing_stale(run: Run, known: Path) -> None:
    done = run("--baseline", "base.json", "--select", "BN102")
    assert (done.returncode, "stale" in done.stdout or "no longer" in done.stdout) == (0, False)


def test_nothing_is_stale_where_not_everything_was_read(run: Run, known: Path) -> None:
    (known.parent / "a.py").write_text("batch_norm = \0\n")
    done = run("--baseline", "base.json", "--prune-baseline")
    assert done.returncode == 2
    assert _entries(known) == [ENTRY]


def test_paths_are_relative_to_the_file(run: Run, known: Path) -> None:
    folder = known.parent / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "b.py").write_text(MODEL + RUN)
    assert run("deep", "--write-baseline", "deep/base.json").returncode == 0
    assert [entry["path"] for entry in _entries(known.parent / "deep" / "base.json")] == ["er/b.py"]
    assert run("b.py", "--baseline", "../base.json", folder="deep/er").returncode == 0
    assert run(str(folder), "--baseline", str(known.parent / "deep" / "base.json")).returncode == 0


def test_comments_go_first(run: Run, known: Path) -> None:
    text = MODEL.replace("minimize(loss)", "minimize(loss)  # bnlint: ignore[BN101]")
    (known.parent / "a.py").write_text(text + RUN)
    done = run("--baseline", "base.json")
    assert done.returncode == 0
    assert "no longer found" in done.stdout
    assert run("--write-baseline", "base.json").returncode == 0
    assert _entries(known) == []


def test_a_new_baseline_keeps_what_the_old_one_knows(run: Run, known: Path) -> None:
    (known.parent / "b.py").write_text(MODEL + RUN)
    assert run("--baseline", "base.json", "--write-baseline", "base.json").returncode == 0
    assert [entry["path"] for entry in _entries(known)] == ["a.py", "b.py"]


def test_the_file_is_stable(run: Run, known: Path) -> None:
    (known.parent / "Zoë.py").write_text(MODEL + RUN, encoding="utf-8")
    assert run("--write-baseline", "base.json").returncode == 0
    first = known.read_bytes()
    assert run("--write-baseline", "base.json").returncode == 0
    assert known.read_bytes() == first
    assert "Zoë.py".encode() in first and first.endswith(b"]\n}\n")
    assert first.count(b"\n") > 12  # one line for each value


def test_notebooks(run: Run, tmp_path: Path) -> None:
    def write(*sources: str) -> None:
        cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source} for source in sources]
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))

    write(MODEL, RUN)
    assert run("--write-baseline", "base.json").returncode == 0
    write("%matplotlib inline\n", MODEL, RUN)
    assert run("--baseline", "base.json").returncode == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 is not JSON"),
        ("{\n 'version': 1}", "line 2 is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", 'not an object with "version" and "entries"'),
        ("{}", 'not an object with "version" and "entries"'),
        ('{"version": 2, "entries": []}', "has the version 2, and this bnlint reads version 1"),
        ('{"version": "1", "entries": []}', "has the version '1'"),
        ('{"version": 1}', '"entries" is not a list'),
        ('{"version": 1, "entries": {}}', '"entries" is not a list'),
        ('{"version": 1, "entries": [7]}', "entry 1 is not an object"),
        (
            json.dumps({"version": 1, "entries": [ENTRY, {**ENTRY, "path": 7}]}),
            '"path" of entry 2 is not a text',
        ),
        (json.dumps({"version": 1, "entries": [{**ENTRY, "count": 0}]}), '"count" of entry 1'),
        (json.dumps({"version": 1, "entries": [{**ENTRY, "count": True}]}), '"count" of entry 1'),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_broken_files(run: Run, known: Path, text: str | bytes, words: str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    known.write_bytes(data)
    done = run("--baseline", "base.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr and "base.json" in done.stderr
    assert "Traceback" not in done.stderr
    # Nor is it overwritten: who knows what it is.
    done = run("--write-baseline", "base.json")
    assert done.returncode == 2
    assert "is not overwritten" in done.stderr
    assert known.read_bytes() == data


def test_a_source_file_is_never_overwritten(run: Run, known: Path) -> None:
    assert run("--write-baseline", "a.py").returncode == 2
    assert (known.parent / "a.py").read_text() == MODEL + RUN


def test_missing_files(run: Run, known: Path) -> None:
    done = run("--baseline", "other.json")
    assert done.returncode == 2
    assert "There is no baseline file other.json" in done.stderr
    done = run("--baseline", ".")
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    done = run("--write-baseline", "nowhere/base.json")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions that hold")
def test_read_only_folder(run: Run, known: Path) -> None:
    (known.parent / "a.py").write_text("x = 1\n")
    before = known.read_bytes()
    known.parent.chmod(0o555)
    try:
        done = run("--baseline", "base.json", "--prune-baseline")
    finally:
        known.parent.chmod(0o755)
    assert done.returncode == 2
    assert known.read_bytes() == before
    assert sorted(path.name for path in known.parent.iterdir()) == ["a.py", "base.json"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_permissions_and_links_are_kept(run: Run, known: Path) -> None:
    known.chmod(0o640)
    (known.parent / "link.json").symlink_to("base.json")
    (known.parent / "b.py").write_text(MODEL + RUN)
    assert run("--write-baseline", "link.json").returncode == 0
    assert (known.parent / "link.json").is_symlink()
    assert known.stat().st_mode & 0o777 == 0o640
    assert len(_entries(known)) == 2


def test_pruning_needs_a_file(run: Run, known: Path) -> None:
    done = run("--prune-baseline")
    assert done.returncode == 2
    assert "--baseline FILE" in done.stderr
