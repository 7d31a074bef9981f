"""How much memory a group of processes has, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_GRACE = 3.0
"""Seconds between asking a group to end and ending it."""


def memory_of(group: int) -> int:
    """The bytes of memory that the processes of a group hold, pages that they share counted once; 0 if not known.

    This is the resident memory: TensorFlow reserves much more address space than it uses, so that a limit of that
    would say nothing.
    """
    private = shared = 0
    for process in _members(group):
        try:
            with open(f"/proc/{process}/statm", encoding="ascii") as file:
                _, resident, common, *_ = map(int, file.read().split())
        except (OSError, ValueError):
            continue
        private += resident - common
        shared = max(shared, common)
    return (private + shared) * _PAGE


def can_watch_memory() -> bool:
    """Whether ``memory_of`` knows."""
    return sys.platform.startswith("linux") and os.path.exists("/proc/self/statm")


def physical_memory() -> int:
    """The bytes of memory of the machine; 0 if not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (AttributeError, ValueError, OSError):
        return 0


def send(group: int, number: int) -> None:
    """Send a signal to a group, if there is one left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def end(group: int, first: int = signal.SIGTERM, grace: float = _GRACE) -> None:
    """Ask a group to end, and end it if it does not."""
    send(group, first)
    until = time.monotonic() + grace
    while time.monotonic() < until:
        if not alive(group):
            return
        time.sleep(0.05)
    send(group, signal.SIGKILL)


def alive(group: int) -> bool:
    """Whether a process of the group is running; one that has ended and was not waited for is not."""
    if os.path.isdir("/proc/self"):
        return any(True for _ in _members(group))
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _members(group: int) -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    # The name of the program is in parentheses and may hold anything.
                    state, _, of = file.read().rpartition(")")[2].split()[:3]
            except (OSError, ValueError):
                continue
            if int(of) == group and state not in "ZX":
                yield int(name)
