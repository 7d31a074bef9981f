"""What the script does and says arrives as if nobody watched. No framework is needed for that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_arguments_streams_and_modules(run: Run, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    seen = run(
        """
        import sys
        from helper import double
        if __name__ == "__main__":
            print(sys.argv, sys.stdin.read(), double(21), __file__)
            print("aside", file=sys.stderr)
        """,
        "--steps",
        "3",
        "--help",
        stdin="typed",
        options=("--timeout", "60"),
    )
    assert seen.out == "['script.py', '--steps', '3', '--help'] typed 42 script.py\n"
    assert "aside" in seen.err


def test_a_script_without_a_framework_has_nothing_to_report(run: Run) -> None:
    seen = run("print('done')")
    assert (seen.code, seen.out) == (2, "done\n")
    assert "no framework" in seen.err
    assert seen.report["observations"] == []


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(7)", 7),
        ("sys.exit('a reason')", 1),
        ("os._exit(5)", 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
        ("raise KeyError('k')", 1),
    ],
)
def test_the_exit_code_is_that_of_the_script(run: Run, ending: str, code: int) -> None:
    seen = run(f"import os, signal, sys\nprint('before', flush=True)\n{ending}\n")
    assert seen.code == code
    assert seen.out == "before\n"
    assert seen.report["run"]["entry"] == "script.py"


def test_a_traceback_shows_only_the_script(run: Run) -> None:
    seen = run(
        """
        def broken():
            raise ValueError("inside")
        try:
            broken()
        except ValueError as error:
            raise RuntimeError("outside") from error
        """
    )
    assert seen.code == 1
    assert 'File "script.py", line 3, in broken' in seen.err
    assert "RuntimeError: outside" in seen.err
    assert "bnlint/runtime" not in seen.err
    assert seen.ended == "exception"


def test_a_syntax_error_is_that_of_python(run: Run) -> None:
    seen = run("x = (\n")
    assert seen.code == 1
    assert "SyntaxError" in seen.err
    assert "bnlint/" not in seen.err


def test_modules_and_packages_are_run_as_python_runs_them(tmp_path: Path) -> None:
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("VALUE = 3\n")
    (package / "__main__.py").write_text(
        "import sys\nfrom .part import VALUE\nprint(VALUE, sys.argv[1:], __name__)\n"
    )
    command = [sys.executable, "-m", "bnlint", "run", "--output-format", "json", "-m", "tool", "-x", "1"]
    seen = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert seen.stdout == "3 ['-x', '1'] __main__\n"
    missing = subprocess.run(
        [*command[:-3], "nowhere"], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert missing.returncode == 2
    assert missing.stderr == (
        "bnlint: There is no module 'nowhere' that could be run. Check the name and the current folder.\n"
    )


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="without a safe path the shell's Python would take them, too"
)
def test_a_file_of_the_user_may_be_called_like_a_module_of_python(run: Run, tmp_path: Path) -> None:
    for name in ("dataclasses.py", "journal.py", "limits.py"):
        (tmp_path / name).write_text("raise SystemExit('imported by bnlint')\n")
    assert run("print('fine')", environment={"PYTHONSAFEPATH": "1"}).out == "fine\n"


def test_no_descriptors_are_inherited_and_the_temporary_folder_is_its_own(run: Run, tmp_path: Path) -> None:
    seen = run(
        """
        import os, tempfile
        print(sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2)[:1] or [])
        print(tempfile.gettempdir())
        open(os.path.join(tempfile.gettempdir(), "left"), "w").close()
        """
    )
    descriptors, folder = seen.out.splitlines()
    # Listing the folder takes one itself.
    assert descriptors in ("[3]", "[]")
    assert "bnlint-run-" in folder
    assert not Path(folder).exists()


def test_a_temporary_folder_can_be_kept(run: Run, tmp_path: Path) -> None:
    run(
        "import tempfile; print(1, file=open(tempfile.gettempdir() + '/left', 'w'))",
        options=("--temporary", "kept"),
    )
    assert (tmp_path / "kept" / "left").read_text() == "1\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "`bnlint run` needs a script"),
        (("none.py",), "The script none.py cannot be read (No such file or directory)"),
        (("--timeout", "0", "x.py"), "'0' is not a number above 0"),
        (("--max-steps", "few", "x.py"), "'few' is not a whole number above 0"),
        (("--evidence", "/nowhere/x", "ok.py"), "/nowhere/x cannot be written"),
        (("folder",), "folder is a folder without a __main__.py"),
        (("data.bin",), "it holds NUL bytes"),
        (("old.py",), "old.py:3: the file is written in Python 2 and cannot be translated"),
    ],
)
def test_bad_input_is_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "ok.py").write_text("pass\n")
    (tmp_path / "data.bin").write_bytes(b"\0\1")
    (tmp_path / "old.py").write_text("print 'a'\nx = 1\ny = = 2\n")
    command = [sys.executable, "-m", "bnlint", "run", "--output-format", "json", *arguments]
    seen = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert seen.returncode == 2
    assert sentence in seen.stderr
    assert "Traceback" not in seen.stderr
