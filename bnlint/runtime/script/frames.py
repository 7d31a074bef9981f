"""Finds the user's lines: on the stack, or in the stack that a framework keeps of an operation."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from collections.abc import Iterable
from types import CodeType, FrameType, TracebackType

import bnlint
from bnlint.findings import Location

MOST_CALLERS = 5
"""How many of the user's lines are kept of one stack, besides the innermost."""


class Frames:
    """Tells the user's code from that of Python, of installed distributions and of bnlint."""

    def __init__(self, folder: str | None = None) -> None:
        """``folder`` is what displayed paths are relative to: the current folder when the script was started."""
        self._folder = folder or os.getcwd()
        places = sysconfig.get_paths()
        others = {places[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in places}
        others.add(os.path.dirname(os.path.abspath(bnlint.__file__)))
        self._others = tuple(os.path.realpath(place) + os.sep for place in others)
        self._users: dict[str, bool] = {}
        self._known: dict[tuple[CodeType, int], Location] = {}

    def is_users(self, filename: str) -> bool:
        """Whether the user wrote a file."""
        known = self._users.get(filename)
        if known is None:
            path = os.path.realpath(os.path.join(self._folder, filename))
            installed = path.startswith(self._others) or "site-packages" in path or "dist-packages" in path
            known = self._users[filename] = not filename.startswith("<") and not installed
        return known

    def here(self) -> list[Location]:
        """The user's lines on the way to the caller, innermost first; at most ``MOST_CALLERS`` and one."""
        found: list[Location] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and len(found) <= MOST_CALLERS:
            if self.is_users(frame.f_code.co_filename):
                found.append(self._location(frame))
            frame = frame.f_back
        return found

    def at(self, frame: FrameType) -> Location:
        """Where a frame of the user's code is."""
        return self._location(frame)

    def text(self, place: Location) -> str:
        """The whole file of a place; empty if it cannot be read."""
        return "".join(linecache.getlines(os.path.join(self._folder, place.path)))

    def innermost(self, stack: Iterable[tuple[str, int]]) -> Location | None:
        """The user's line in a kept stack of files and lines, outermost first."""
        for filename, line in reversed(list(stack)):
            if self.is_users(filename):
                return self.line(filename, line)
        return None

    def raised(self, trace: TracebackType | None) -> Location | None:
        """The user's innermost place in a traceback."""
        found = None
        while trace is not None:
            code = trace.tb_frame.f_code
            if self.is_users(code.co_filename):
                found = self._look_up(code, trace.tb_lasti, trace.tb_lineno)
            trace = trace.tb_next
        return found

    def line(self, filename: str, line: int) -> Location:
        """A whole line of a file, without its indentation."""
        text = linecache.getline(os.path.join(self._folder, filename), line).rstrip()
        start = len(text) - len(text.lstrip())
        return Location(self.display(filename), line, start + 1, line, len(text) + 1)

    def display(self, filename: str) -> str:
        """The path for the user."""
        path = os.path.join(self._folder, filename)
        try:
            return os.path.relpath(path, self._folder).replace(os.sep, "/")
        except ValueError:
            # On Windows there is no way from one drive to another.
            return path.replace(os.sep, "/")

    def _location(self, frame: FrameType) -> Location:
        key = frame.f_code, frame.f_lasti
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._look_up(frame.f_code, frame.f_lasti, frame.f_lineno)
        return known

    def _look_up(self, code: CodeType, instruction: int, number: int) -> Location:
        whole = self.line(code.co_filename, number)
        if sys.version_info < (3, 11):
            return whole
        positions = list(code.co_positions())
        line, end_line, column, end_column = positions[instruction // 2]
        if line is None or column is None or end_line is None or end_column is None:
            return whole
        return Location(whole.path, line, column + 1, end_line, end_column + 1)
