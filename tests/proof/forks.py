"""Runs scripts under observation, as `bnlint run` does, in forks of a process that has imported a framework once.

Its argument is the framework. It reads jobs from its standard input, one a line, and answers each with a line: the
exit code. A job is what ``bnlint.runtime.script.child`` calls a plan, with the folder to run it in and how long it may
take.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from typing import Any, NoReturn


def main() -> None:
    _import_frameworks(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(_run(json.loads(line)), file=answers, flush=True)


def _import_frameworks(name: str) -> None:
    """As ``bnlint.runtime.compat`` does it; nothing is computed before the fork."""
    if name == "torch":
        import torch  # noqa: F401

        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401

    if os.environ["TF_USE_LEGACY_KERAS"] == "0":
        import keras  # noqa: F401

        return
    import tf_keras  # noqa: F401

    from bnlint.runtime.compat import slim

    slim.prepare()
    import tf_slim  # noqa: F401


def _run(job: dict[str, Any]) -> int:
    process = os.fork()
    if process == 0:
        _observe(job)
    until = time.monotonic() + job["patience"]
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -signal.SIGKILL


def _observe(job: dict[str, Any]) -> NoReturn:
    """In the fork: run the script, and end as a process does."""
    import atexit

    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(job["folder"])
        said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ["TMPDIR"] = job["temporary"]
        tempfile.tempdir = None
        from bnlint.runtime.script.child import main as observe

        try:
            observe(job["plan"])
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
