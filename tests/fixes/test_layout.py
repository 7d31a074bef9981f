"""What is not edited keeps every byte, whatever the file is made of."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnlint.fixes.errors import EditError
from bnlint.fixes.splice import hunks, spliced, spliced_bytes

from .conftest import FIXED, PROGRAM, TRAIN, WITH, Run

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="Git is not installed")


def mixed(text: str) -> bytes:
    """Every third line ends in one of the three ways."""
    lines = text.split("\n")
    ends = ["\r\n", "\n", "\r"]
    return "".join(line + ends[number % 3] for number, line in enumerate(lines[:-1])).encode()


def mixed_fixed() -> bytes:
    lines = mixed(PROGRAM).decode().splitlines(keepends=True)
    index = next(number for number, line in enumerate(lines) if line.startswith(TRAIN))
    end = lines[index][len(TRAIN) :]
    lines[index : index + 1] = [WITH + end, f"    {TRAIN}{end}"]
    return "".join(lines).encode()


LATIN = "# -*- coding: latin-1 -*-\n# Grüße\n"
CASES = {
    "plain": (PROGRAM.encode(), FIXED.encode()),
    "crlf": (PROGRAM.replace("\n", "\r\n").encode(), FIXED.replace("\n", "\r\n").encode()),
    "cr": (PROGRAM.replace("\n", "\r").encode(), FIXED.replace("\n", "\r").encode()),
    "mixed": (mixed(PROGRAM), mixed_fixed()),
    "bom": (b"\xef\xbb\xbf" + PROGRAM.encode(), b"\xef\xbb\xbf" + FIXED.encode()),
    "latin-1": ((LATIN + PROGRAM).encode("latin-1"), (LATIN + FIXED).encode("latin-1")),
    "no final newline": (PROGRAM.rstrip().encode(), FIXED.rstrip().encode()),
    "form feeds": (
        PROGRAM.replace(TRAIN, f"\f\n\f{TRAIN}").replace("net =", "\f\fnet =").encode(),
        PROGRAM.replace(TRAIN, f"\f\n\f{WITH}\n    {TRAIN}").replace("net =", "\f\fnet =").encode(),
    ),
    "trailing space": (
        PROGRAM.replace("\n\n", "\n  \t \n\n\n").replace(TRAIN, f"{TRAIN}  \t").encode(),
        FIXED.replace("\n\n", "\n  \t \n\n\n").replace(TRAIN, f"{TRAIN}  \t").encode(),
    ),
    "odd characters": (
        ("# a\u2028b\x1cc\x85d\x0be\n" + PROGRAM).encode(),
        ("# a\u2028b\x1cc\x85d\x0be\n" + FIXED).encode(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_only_the_edited_lines_change(name: str, run: Run, tmp_path: Path) -> None:
    before, after = CASES[name]
    path = tmp_path / "train.py"
    path.write_bytes(before)
    path.chmod(0o640)
    done = run("--fix", "--quiet", "train.py")
    assert path.read_bytes() == after, done
    assert done.returncode == 0, done
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["train.py"]


@needs_git
@pytest.mark.parametrize("name", ["crlf", "mixed", "latin-1", "no final newline"])
def test_git_takes_the_diff(name: str, process: Run, tmp_path: Path) -> None:
    before, after = CASES[name]
    path = tmp_path / "my train.py"
    path.write_bytes(before)
    done = process("--diff", "--quiet", "my train.py")
    assert path.read_bytes() == before
    assert done.returncode == 1, done
    command = ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"]
    with_bytes = done.stdout.encode("utf-8", "surrogateescape")
    subprocess.run(command, cwd=tmp_path, input=with_bytes, check=True)
    assert path.read_bytes() == after


@needs_git
def test_a_diff_goes_into_a_file(process: Run, tmp_path: Path) -> None:
    before, after = CASES["latin-1"]
    (tmp_path / "train.py").write_bytes(before)
    process("--diff", "--quiet", "--output-file", "fix.diff", "train.py")
    subprocess.run(["git", "apply", "fix.diff"], cwd=tmp_path, check=True)
    assert (tmp_path / "train.py").read_bytes() == after


def test_a_fix_that_the_encoding_cannot_hold() -> None:
    with pytest.raises(EditError, match="latin-1"):
        spliced_bytes(b"# coding: latin-1\na\n", "# coding: latin-1\na\n", "# coding: latin-1\n\u20ac\n")


LINES = st.lists(st.sampled_from(["a", "b", "  a", "", "c\u2028", "é"]), min_size=1, max_size=9)
ENDS = st.lists(st.sampled_from(["\n", "\r\n"]), min_size=9, max_size=9)


@given(LINES, LINES, ENDS)
def test_any_change_of_text_becomes_that_of_bytes(
    before: list[str], after: list[str], ends: list[str]
) -> None:
    raw = "".join(line + end for line, end in zip(before[:-1], ends, strict=False)) + before[-1]
    made = spliced_bytes(raw.encode(), "\n".join(before), "\n".join(after)).decode()
    assert made.replace("\r\n", "\n") == "\n".join(after)


def test_line_ends_that_would_run_together() -> None:
    with pytest.raises(EditError, match="too mixed"):
        spliced_bytes(b"a\rb\n\nc", "a\nb\n\nc", "a\n\nc")


@given(LINES, LINES)
def test_lines_outside_of_the_hunks_are_the_same_objects(before: list[str], after: list[str]) -> None:
    raw = [object() for _ in before]
    new = spliced(raw, before, after, lambda line, neighbour, instead: line)
    assert len(new) == len(after)
    kept = [line for line in new if not isinstance(line, str)]
    changed = sum(hunk.end - hunk.start for hunk in hunks(before, after))
    assert kept == [line for line in raw if line in kept]
    assert len(kept) == len(before) - changed
