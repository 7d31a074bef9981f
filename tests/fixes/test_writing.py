"""A file is written whole or not at all, whatever happens."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from bnlint.fixes import Change, write

from .conftest import FIXED, PROGRAM, Run

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def train(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


def raising(function: str, code: int) -> str:
    """Python that makes a function of ``os`` fail."""
    return f"import os\ndef fail(*a, **k): raise OSError({code}, os.strerror({code}))\nos.{function} = fail"


def test_a_process_writes_what_it_says(process: Run, train: Path) -> None:
    done = process("--fix", "train.py")
    assert (train.read_text(), done.returncode) == (FIXED, 0)
    assert "BN101" in done.stdout
    again = process("--fix", "train.py")
    assert (train.read_text(), again.returncode) == (FIXED, 0)


def test_a_diff_writes_nothing(process: Run, train: Path) -> None:
    known = train.stat()
    done = process("--diff", "train.py")
    assert train.read_text() == PROGRAM
    assert train.stat().st_mtime_ns == known.st_mtime_ns
    assert done.returncode == 1
    assert done.stdout.startswith("--- a/train.py\n+++ b/train.py\n@@ ")
    assert "Nothing was written" in done.stderr


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk(function: str, process: Run, train: Path) -> None:
    done = process("--fix", "train.py", before=raising(function, errno.ENOSPC))
    assert train.read_text() == PROGRAM
    assert os.listdir(train.parent) == ["train.py"]
    assert done.returncode == 2
    assert "Make room on the disk" in done.stdout + done.stderr
    # What was not written is still a finding.
    assert "BN101" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_disk_that_takes_no_more(process: Run, train: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    done = process("--fix", "train.py", before=limit)
    assert train.read_text() == PROGRAM
    assert os.listdir(train.parent) == ["train.py"]
    assert done.returncode == 2, done


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("fsync = os.fsync\ndef die(*a):\n    os.kill(os.getpid(), 9)\nos.fsync = die", PROGRAM),
        ("def die(*a):\n    os.kill(os.getpid(), 9)\nos.replace = die", PROGRAM),
        (
            "replace = os.replace\ndef die(*a):\n    replace(*a)\n    os.kill(os.getpid(), 9)\nos.replace = die",
            FIXED,
        ),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="processes are not killed like this")
def test_a_killed_process_leaves_the_old_or_the_new(
    before: str, expected: str, process: Run, train: Path
) -> None:
    done = process("--fix", "train.py", before=f"import os\n{before}")
    assert done.returncode == -9
    assert train.read_text() == expected


def test_an_interrupted_process_leaves_nothing_behind(process: Run, train: Path) -> None:
    stop = "import os\ndef stop(*a): raise KeyboardInterrupt\nos.replace = stop"
    done = process("--fix", "train.py", before=stop)
    assert done.returncode == 2
    assert train.read_text() == PROGRAM
    assert os.listdir(train.parent) == ["train.py"]


def test_a_file_that_was_changed_meanwhile(process: Run, train: Path) -> None:
    # The editor saves when the new file is ready to take the place of the old one.
    save = (
        "import os\nfsync = os.fsync\n"
        "def save(*a):\n    open('train.py', 'a').write('# mine')\n    fsync(*a)\n"
        "os.fsync = save"
    )
    done = process("--fix", "train.py", before=save)
    assert train.read_text() == PROGRAM + "# mine"
    assert os.listdir(train.parent) == ["train.py"]
    assert done.returncode == 2
    assert "changed by another program" in done.stdout + done.stderr


def test_a_file_that_was_changed_since_it_was_read(train: Path) -> None:
    train.write_text("mine")
    (problem,) = write({train: Change(PROGRAM.encode(), FIXED.encode())})
    assert "changed by another program" in problem.message
    assert train.read_text() == "mine"


def test_a_file_that_is_gone(train: Path) -> None:
    train.unlink()
    (problem,) = write({train: Change(PROGRAM.encode(), FIXED.encode())})
    assert "cannot be written" in problem.message
    assert not train.exists()


def test_a_read_only_file(run: Run, train: Path) -> None:
    train.chmod(0o444)
    done = run("--fix", "train.py")
    assert train.read_text() == PROGRAM
    assert stat.S_IMODE(train.stat().st_mode) == 0o444
    assert done.returncode == 2
    assert "not written: train.py:1\n  The file is read-only" in done.stdout
    assert "could not write everything: 1 problem" in done.stdout
    assert "not checked" not in done.stdout
    assert "--fix would fix" not in done.stdout


@pytest.mark.skipif(AS_ROOT or sys.platform == "win32", reason="root may write everywhere")
def test_a_read_only_folder(run: Run, train: Path) -> None:
    train.parent.chmod(0o555)
    try:
        done = run("--fix", "train.py")
    finally:
        train.parent.chmod(0o755)
    assert train.read_text() == PROGRAM
    assert done.returncode == 2
    assert "Allow writing to its folder" in done.stdout + done.stderr


def test_a_folder_in_which_no_file_can_be_made(process: Run, train: Path) -> None:
    refuse = raising("open", errno.EACCES).replace(
        "os.open = fail", "import tempfile\ntempfile.mkstemp = fail"
    )
    done = process("--fix", "train.py", before=refuse)
    assert train.read_text() == PROGRAM
    assert done.returncode == 2
    assert "Allow writing to its folder" in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_a_link_stays_a_link(run: Run, train: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = train.rename(tmp_path / "real" / "code.py")
    train.symlink_to(real)
    run("--fix", "train.py")
    assert train.is_symlink()
    assert real.read_text() == FIXED
    assert os.listdir(real.parent) == ["code.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such bits")
def test_the_mode_is_kept(tmp_path: Path) -> None:
    for mode in (0o755, 0o600, 0o644, 0o4755):
        path = tmp_path / f"{mode:o}.py"
        path.write_text("a")
        path.chmod(mode)
        assert write({path: Change(b"a", b"b")}) == []
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("b", mode)


def test_one_file_that_fails_does_not_keep_the_others(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    for path in (first, second):
        path.write_text("old")
    first.chmod(0o444)
    problems = write({path: Change(b"old", b"new") for path in (first, second)})
    assert [problem.path.rpartition("/")[2] for problem in problems] == ["a.py"]
    assert (first.read_text(), second.read_text()) == ("old", "new")


def test_files_that_one_fix_changes_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.py", "b.py", "c.py", "d.py")]
    for path in paths:
        path.write_text("old")
    a, b, c, d = paths
    c.chmod(0o444)
    partners = {a: {b}, b: {a, c}, c: {b}, d: set()}
    problems = write({path: Change(b"old", b"new", frozenset(partners[path])) for path in paths})
    assert [path.read_text() for path in paths] == ["old", "old", "old", "new"]
    assert len(problems) == 3
    assert "c.py" in problems[0].message and "together" in problems[0].message
    assert sorted(os.listdir(tmp_path)) == ["a.py", "b.py", "c.py", "d.py"]
