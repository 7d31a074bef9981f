"""The user's lines on the stack, also where AutoGraph runs a translation of them."""

from __future__ import annotations

from types import CodeType, FrameType

from bnlint.findings import Location
from bnlint.runtime.script.frames import MOST_CALLERS, Frames

_GENERATED = "__autograph_generated_file"
_OWN = __file__.rpartition("runtime")[0]
_KERAS = ("/keras/src/", "/tf_keras/src/")


def here(frames: Frames) -> list[Location]:
    """The user's lines on the way to the caller, innermost first."""
    found = frames.here()
    if not any(_GENERATED in place.path for place in found):
        return found
    from tensorflow.python.util import tf_stack

    # TensorFlow knows from which line each line of the translation came.
    mapped: list[Location] = []
    for frame in reversed(list(tf_stack.extract_stack())):
        if _GENERATED not in frame.filename and frames.is_users(frame.filename):
            place = frames.line(frame.filename, frame.lineno)
            if place not in mapped[-1:]:
                mapped.append(place)
    return mapped[: MOST_CALLERS + 1]


def line_of(frames: Frames, frame: FrameType) -> Location | None:
    """Where a frame of the user's is; it must be the innermost of the user's if it runs a translation."""
    if _GENERATED in frame.f_code.co_filename:
        return next(iter(here(frames)), None)
    return frames.at(frame)


class Callers:
    """Tells whether the user's code or the framework called something."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._passes: dict[CodeType, bool] = {}

    def user(self, frame: FrameType | None) -> FrameType | None:
        """The user's frame that made the call which ``frame`` is about to make; None if the framework made it."""
        while frame is not None and self._passes_on(frame.f_code):
            frame = frame.f_back
        return frame if frame is not None and self._frames.is_users(frame.f_code.co_filename) else None

    def codes(self, frame: FrameType | None) -> set[CodeType]:
        """The user's functions on the way to a frame; the module only if it is the innermost of them."""
        found: set[CodeType] = set()
        while frame is not None and len(found) <= MOST_CALLERS:
            code = frame.f_code
            if self._frames.is_users(code.co_filename) and (not found or code.co_name != "<module>"):
                found.add(code)
            frame = frame.f_back
        return found

    def _passes_on(self, code: CodeType) -> bool:
        known = self._passes.get(code)
        if known is None:
            name = code.co_filename.replace("\\", "/")
            of_keras = any(part in name for part in _KERAS)
            known = self._passes[code] = (
                name.startswith(_OWN)
                or "/autograph/" in name
                or name.endswith(("traceback_utils.py", "/eager/backprop.py"))
                or (of_keras and code.co_name == "__call__")
            )
        return known


def built_at(frames: Frames, thing: object, frame: FrameType | None) -> list[Location]:
    """The user's lines that build an object, from within its ``__init__``: those inside of it are left out."""
    inside = 0
    while frame is not None:
        code = frame.f_code
        if frames.is_users(code.co_filename):
            if code.co_name != "__init__" or not code.co_varnames:
                break
            if frame.f_locals.get(code.co_varnames[0]) is not thing:
                break
            inside += 1
        frame = frame.f_back
    return here(frames)[inside:]
