"""Exceptions of user's code and of frameworks, for a sentence."""

from __future__ import annotations

import re

_MOST = 300
_NOISE = (
    "Exception encountered when calling",
    "Arguments received by",
    "Graph execution error:",
    "Detected at node",
    "in user code:",
)
_CLUTTER = re.compile(r"\x1b\[\d*m|^\(\d+\) [A-Z_]+: |^\{\{.*?\}\} | \[Op:\w+\].*$")
"""Frameworks put their words between colours, operations and numbers."""


def short(error: BaseException) -> str:
    """An exception in a line: its type and what it says first."""
    name = type(error).__name__
    # A KeyError quotes its key, and with it the ends of its lines.
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    lines = [line for line in map(str.strip, str(said).splitlines()) if line]
    # Where an operation was defined comes before what is wrong with it, and so does the way through the user's code.
    start = max((number for number, line in enumerate(lines, 1) if line.startswith("Node: ")), default=0)
    again = [line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")]
    told = again or [line for line in lines[start:] if not _is_noise(line)] or lines
    text = _CLUTTER.sub("", told[0]) if told else ""
    return f"{name}: {text[:_MOST]}" if text else name


def _is_noise(line: str) -> bool:
    return line.startswith(_NOISE) or line.endswith("root error(s) found.")
