"""The two output streams, and what they can bear."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from bnlint.errors import UserError

_PATIENCE = 1.0
"""Seconds before progress is shown."""
_INTERVAL = 0.1
"""Seconds between two progress lines."""
_CLEAR_LINE = "\r\x1b[K"


def write(text: str) -> None:
    """Write to standard output, at once.

    Characters that its encoding does not have are escaped. If the reader has gone, the text is dropped.

    Raises UserError if the text cannot be written.
    """
    stream = sys.stdout
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding, "surrogateescape")
        # A diff holds bytes of the user's files, whatever their encoding.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape")
    except UnicodeEncodeError:
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python flushes again when it exits; then nothing may fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"The output cannot be written: {error.strerror}.") from error


def say(sentence: str) -> None:
    """Tell the user something on standard error."""
    write_error(f"bnlint: {sentence}\n")


def colours(stream: TextIO | None) -> bool:
    """Whether to use colours: on a terminal, unless ``NO_COLOR`` or ``FORCE_COLOR`` say otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO | None, default: int) -> int:
    """The width of the terminal, or the default if the stream is none."""
    if stream is not None and _is_terminal(stream):
        try:
            return os.get_terminal_size(stream.fileno()).columns or default
        except OSError:
            pass
    return default


class Progress:
    """A line on standard error that says what is being done: on a terminal, and after the first second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PATIENCE
        self._shown = False
        self._wanted = _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def __call__(self, text: str) -> None:
        """Show what is being done now."""
        now = time.monotonic()
        if self._wanted and now >= self._next:
            self._next = now + _INTERVAL
            self._shown = True
            write_error(_CLEAR_LINE + text[: columns(sys.stderr, 80) - 1])

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._shown = False
            write_error(_CLEAR_LINE)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def write_error(text: str) -> None:
    """Write to standard error, if there is one."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            # There is nowhere left to complain to; the exit code still tells.
            pass
