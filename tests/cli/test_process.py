"""What only a process of its own shows: pipes, signals, start-up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BNLINT = [sys.executable, "-m", "bnlint"]


def _run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*BNLINT, *arguments], capture_output=True, text=True, timeout=60, **options
    )


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
@pytest.mark.parametrize("arguments", [["rules"], ["rule", "BN101"], ["check", "--help"], ["--version"]])
def test_closed_pipe(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*BNLINT, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_interruption() -> None:
    code = (
        "import signal, sys, threading, types\n"
        "module = types.ModuleType('bnlint.check')\n"
        "stop = lambda *arguments: (signal.raise_signal(signal.SIGINT), threading.Event().wait(30))\n"
        "module.Checker = lambda *arguments: types.SimpleNamespace(check=stop)\n"
        "sys.modules['bnlint.check'] = module\n"
        "from bnlint.cli import main\n"
        "sys.exit(main(['check']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bnlint: Interrupted; the check is not complete.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*BNLINT, "rules"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "bnlint: The output cannot be written: No space left on device.\n"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX descriptors")
def test_closed_output() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *BNLINT, "rules"], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_start_up_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bnlint.cli import main; main(['--version'])\n"
        "print([name for name in ('shutil', 'dataclasses', 'inspect', 'json', 'ast', 'importlib.metadata',"
        " 'bnlint.findings', 'bnlint.registry', 'bnlint.check', 'libcst', 'numpy') if name in sys.modules])"
    )
    # Without site, whose .pth files import what they like.
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{paths}"},
    )
    assert done.stdout.splitlines()[1:] == ["[]"], done.stderr


def test_ascii_terminal_shows_any_page() -> None:
    done = _run("rule", "BN101", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_progress_on_a_terminal_after_a_second(tmp_path: Path) -> None:
    code = (
        "import sys, time; from bnlint.cli.terminal import Progress\n"
        "progress = Progress(); progress('early'); time.sleep(1.1); progress('late ' * 100); progress.close()"
    )
    shown = _on_terminal([sys.executable, "-c", code])
    assert shown.startswith("\r\x1b[Klate late")
    assert shown.endswith("\r\x1b[K")
    assert "early" not in shown
    assert len(shown) < 110
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.stderr == b""


def _on_terminal(command: list[str]) -> str:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(ours)
    process.wait(60)
    return seen.decode()
