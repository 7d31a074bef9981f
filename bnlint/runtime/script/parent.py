"""Starts the child that runs the script, passes everything through, holds the limits, and reads what was seen."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import bnlint
from bnlint.errors import UserError
from bnlint.runtime.observed import Observed
from bnlint.runtime.script import journal, limits

_LOOK = 0.1
"""Seconds between two looks at the memory."""
_LAST_WORDS = 10.0
"""Seconds that the script has to end by itself after Ctrl-C."""
_START = (
    "import sys; sys.path[:1] = sys.path[1:1] if sys.path[:1] == [''] else sys.path[:1]; "
    "sys.path.append(sys.argv.pop(1)); from bnlint.runtime.script.child import main; main(sys.argv.pop(1))"
)
"""Not ``-m``: that would put the current folder first on the path, where a file of the user may be called like a
module of Python."""


@dataclass(slots=True)
class Job:
    """What to run, and how."""

    target: str
    """The path of the script, or the name of the module."""
    is_module: bool = False
    arguments: Sequence[str] = field(default_factory=list)
    max_steps: int | None = None
    timeout: float | None = None
    """Seconds."""
    memory: float | None = None
    """GiB; None: nine tenths of what the machine has."""
    every: int | None = None
    temporary: str | None = None
    """The script's folder for temporary files; None: a new one, which is removed at the end."""
    api: str = "auto"
    """``tf1``, ``tf2`` or ``auto``: as which TensorFlow ``import tensorflow`` is understood."""


@dataclass(slots=True)
class Ended:
    """What was seen, and how the script ended."""

    observed: Observed
    code: int
    """The exit code, as a shell has it: 128 and the signal's number if a signal ended it."""


def run(job: Job) -> Ended:
    """Run the script under observation.

    Raises UserError if it cannot be run.
    """
    if os.name != "posix":
        raise UserError("`bnlint run` needs Linux or macOS: it ends the script as a group of processes.")
    _check(job)
    folder = tempfile.mkdtemp(prefix="bnlint-run-")
    try:
        return _run(job, Path(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(job: Job) -> None:
    if job.is_module:
        return
    if os.path.isdir(job.target):
        if os.path.isfile(os.path.join(job.target, "__main__.py")):
            return
        raise UserError(f"{job.target} is a folder without a __main__.py. Name the script to run.")
    try:
        data = Path(job.target).read_bytes()
    except OSError as error:
        raise UserError(
            f"The script {job.target} cannot be read ({error.strerror}). Check the path; what comes after it are "
            "arguments of the script."
        ) from error
    if b"\0" in data:
        raise UserError(
            f"{job.target} is not Python source text: it holds NUL bytes. Name the script to run."
        )
    from bnlint.runtime.script.sources import is_python2

    is_python2(job.target, data)


def _run(job: Job, folder: Path) -> Ended:
    told = folder / "journal.json"
    temporary = Path(os.path.abspath(job.temporary)) if job.temporary else folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    plan = folder / "plan.json"
    plan.write_text(
        json.dumps({**asdict(job), "arguments": list(job.arguments), "journal": str(told)}), "utf-8"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    root = os.path.dirname(os.path.dirname(os.path.abspath(bnlint.__file__)))
    command = [sys.executable, "-c", _START, root, str(plan)]
    with _forwarding() as signals:
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            ended, code = _wait(process, job, signals)
        finally:
            # What the script left running goes with it.
            if limits.alive(process.pid):
                limits.end(process.pid)
            process.wait()
    return _outcome(job, told, ended, code)


def _wait(process: subprocess.Popen[bytes], job: Job, signals: list[int]) -> tuple[str, int]:
    begin = time.monotonic()
    most = int(job.memory * 2**30) if job.memory else int(limits.physical_memory() * 0.9)
    watch = most > 0 and limits.can_watch_memory()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return "", process.wait(_LOOK)
        if signals:
            number = signals[0]
            limits.send(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_WORDS)
            limits.end(process.pid, signal.SIGKILL)
            process.wait()
            return "interrupt", -number
        if job.timeout and time.monotonic() - begin > job.timeout:
            limits.end(process.pid)
            return "timeout", process.wait()
        if watch and limits.memory_of(process.pid) > most:
            limits.end(process.pid, signal.SIGKILL)
            return "memory", process.wait()


def _outcome(job: Job, told: Path, ended: str, code: int) -> Ended:
    try:
        entry = journal.read(told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"What was seen of {job.target} cannot be read ({type(error).__name__}): is the disk of the temporary "
            "folder full? Make room, or set TMPDIR to another folder."
        ) from error
    if entry is not None and entry.refused:
        raise UserError(entry.refused)
    observed = entry.observed if entry is not None else Observed(job.target)
    if ended:
        observed.ended = ended
    elif code < 0 and not observed.ended:
        observed.ended = f"signal {-code}"
        if -code == signal.SIGKILL:
            observed.notes.append(
                "The script was killed by signal 9. Nobody but the system does that, usually because memory ran out."
            )
    if entry is None:
        observed.notes.append("The script ended before anything could be observed.")
    return Ended(observed, 128 - code if code < 0 else code)


@contextlib.contextmanager
def _forwarding() -> Iterator[list[int]]:
    """Notes the signals that ask to end, so that the script gets them, too: it is in a group of its own."""
    got: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {}
    with contextlib.suppress(ValueError):  # not the main thread: then nobody sends signals here
        for number in numbers:
            before[number] = signal.signal(number, lambda which, frame: got.append(which))
    try:
        yield got
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
