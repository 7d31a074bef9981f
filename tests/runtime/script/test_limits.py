"""Whatever the script does, it ends, and what was seen until then is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnlint.runtime.script import limits

Run = Callable[..., Any]


def test_a_hang_ends_at_the_time_limit_with_all_its_children(run: Run, tmp_path: Path) -> None:
    seen = run(
        """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
        """,
        options=("--timeout", "2"),
    )
    assert seen.ended == "timeout"
    assert seen.code == 128 + signal.SIGKILL
    assert not _running(int(seen.out))


@pytest.mark.skipif(not limits.can_watch_memory(), reason="memory is watched through /proc")
def test_memory_that_is_used_is_limited_and_not_what_is_reserved(run: Run) -> None:
    reserved = run(
        """
        import mmap
        space = mmap.mmap(-1, 8 << 30)
        print("reserved")
        """,
        options=("--memory", "1"),
    )
    assert reserved.out == "reserved\n"
    used = run(
        """
        import time
        held = []
        while True:
            held.append(bytearray(b"x" * (16 << 20)))
            time.sleep(0.01)
        """,
        options=("--memory", "0.5"),
    )
    assert used.ended == "memory"
    assert used.code == 128 + signal.SIGKILL


def test_a_script_that_forks_reports_once(run: Run) -> None:
    seen = run(
        """
        import os, sys
        child = os.fork()
        if child == 0:
            print("child", flush=True)
            sys.exit(3)
        print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        """
    )
    assert seen.out == "child\nstatus 3\n"
    assert seen.ended == ""


def test_redirected_streams_do_not_hide_the_report(run: Run) -> None:
    seen = run(
        """
        import os, sys
        sys.stdout = open(os.devnull, "w")
        os.close(1), os.close(2)
        """
    )
    assert seen.code == 2
    assert seen.report["run"]["entry"] == "script.py"


def test_what_the_script_leaves_running_is_ended(run: Run) -> None:
    seen = run(
        """
        import subprocess, sys
        quiet = subprocess.DEVNULL
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=quiet, stderr=quiet)
        print(left.pid)
        """
    )
    assert not _running(int(seen.out))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reaches_the_script_and_the_report_is_written(tmp_path: Path, number: int) -> None:
    (tmp_path / "script.py").write_text(
        "import time\nopen('ready', 'w').close()\n"
        "try:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('tidy', flush=True)\n    raise\n"
    )
    command = [
        sys.executable,
        "-m",
        "bnlint",
        "run",
        "--output-format",
        "json",
        "--output-file",
        "r.json",
        "script.py",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (tmp_path / "ready").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == ("tidy\n" if number == signal.SIGINT else "")
    assert '"ended": "interrupt"' in (tmp_path / "r.json").read_text()


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
