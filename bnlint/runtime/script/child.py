"""What the child process does: it runs the script as Python would, under observation.

Nothing of the user's is imported before the script starts, and nothing of bnlint's that the script does not need.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any, NoReturn

from bnlint.errors import UserError
from bnlint.runtime import compat
from bnlint.runtime.exceptions import short
from bnlint.runtime.script.frames import Frames
from bnlint.runtime.script.recorder import EnoughSteps, Recorder
from bnlint.runtime.script.sources import compile_script, load_users_modules_from, new_main


def main(plan: str) -> None:
    """Run the script; the plan is what ``parent.Job`` says, as a JSON file."""
    with open(plan, encoding="utf-8") as file:
        job: dict[str, Any] = json.load(file)
    frames = Frames()
    entry = job["target"] if job["is_module"] else frames.display(job["target"])
    recorder = Recorder(entry, job["journal"], frames, job["max_steps"], job["every"])
    try:
        code = _prepare(job, recorder)
    except UserError as error:
        _refuse(str(error), recorder)
    except Exception as error:  # the script has not begun, so this is no error of its
        if os.environ.get("BNLINT_TRACEBACK"):
            raise
        _refuse(
            f"The script could not be prepared, which is a fault of bnlint ({type(error).__name__}: {error}). "
            "Please report it; with BNLINT_TRACEBACK=1 in the environment the whole traceback is shown.",
            recorder,
        )
    _flush_at_every_end(recorder)
    recorder.begin()
    _execute(code, recorder)


def _refuse(why: str, recorder: Recorder) -> NoReturn:
    recorder.refused = why
    recorder.changed()
    recorder.flush()
    sys.exit(2)


def _prepare(job: dict[str, Any], recorder: Recorder) -> Callable[[], None]:
    """Everything before the first line of the script; returns what runs it."""
    sys.argv = [job["target"], *job["arguments"]]
    if job["is_module"]:
        sys.path.insert(0, os.getcwd())
        path, package, spec = _module(job["target"])
        sys.argv[0] = path
        folder = os.getcwd()
    else:
        path, package, spec = job["target"], None, None
        folder = os.path.dirname(os.path.abspath(path))
        if os.path.isdir(path):
            folder = os.path.abspath(path)
            path, package = os.path.join(path, "__main__.py"), ""
        sys.path.insert(0, folder)
    with open(path, "rb") as file:
        data = file.read()
    compat.prepare(path, data, [folder], job["api"], recorder)
    load_users_modules_from([folder])
    # Python 3.13 and earlier differ in whether the path is absolute; tracebacks show what the user typed.
    code = _compiled(path, data)
    module = new_main(path, package)
    module.__spec__ = spec
    return lambda: exec(code, module.__dict__)


def _module(name: str) -> tuple[str, str, Any]:
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None or not spec.origin or not spec.has_location:
        raise UserError(
            f"There is no module {name!r} that could be run. Check the name and the current folder."
        )
    return spec.origin, spec.parent or "", spec


def _compiled(path: str, data: bytes) -> CodeType:
    try:
        return compile_script(path, data)
    except SyntaxError as error:
        # As Python does: the error and no traceback.
        error.__traceback__ = None
        sys.excepthook(type(error), error, None)
        sys.exit(1)


def _execute(run: Callable[[], None], recorder: Recorder) -> None:
    try:
        run()
    except EnoughSteps:
        # Threads and queues of the framework may keep the process alive, and the script has done what was asked.
        recorder.flush()
        _leave(recorder)
    except SystemExit:
        raise
    except BaseException as error:
        recorder.observed.ended = "interrupt" if isinstance(error, KeyboardInterrupt) else "exception"
        _keep(error, recorder)
        recorder.changed()
        recorder.flush()
        _without_ours(error, set())
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


def _keep(error: BaseException, recorder: Recorder) -> None:
    """Keep what ended the script, and where in the user's code."""
    recorder.observed.error = short(error)
    recorder.observed.error_site = recorder.frames.raised(error.__traceback__)


def _leave(recorder: Recorder) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(0)


def _flush_at_every_end(recorder: Recorder) -> None:
    atexit.register(recorder.flush)
    for name in ("_exit", "abort", "execv", "execve"):
        _flush_before(os, name, recorder)


def _flush_before(module: Any, name: str, recorder: Recorder) -> None:
    original = getattr(module, name)

    def flushed(*arguments: Any, **keywords: Any) -> Any:
        recorder.flush()
        return original(*arguments, **keywords)

    setattr(module, name, flushed)


def _without_ours(error: BaseException | None, seen: set[int]) -> None:
    """Take the frames of bnlint out of the tracebacks."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
    kept: list[TracebackType] = []
    step = error.__traceback__
    while step is not None:
        if not os.path.abspath(step.tb_frame.f_code.co_filename).startswith(ours):
            kept.append(step)
        step = step.tb_next
    for this, following in zip(kept, [*kept[1:], None], strict=True):
        this.tb_next = following
    error.__traceback__ = kept[0] if kept else None
    _without_ours(error.__cause__, seen)
    _without_ours(error.__context__, seen)
