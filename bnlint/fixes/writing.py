"""Writes what fixes make of files, unless these have changed in the meantime."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from bnlint.atomic import Staged
from bnlint.findings import Problem
from bnlint.fixes import Change
from bnlint.source.discover import display_path

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def write(changes: Mapping[Path, Change]) -> list[Problem]:
    """Write the files; returns what could not be written, and why.

    All new files are complete on the disk before the first takes the place of an old one.
    """
    reasons: dict[Path, str] = {}
    staged: dict[Path, _Staged] = {}
    try:
        for path, change in sorted(changes.items()):
            _attempt(path, reasons, partial(_stage, staged, path, change))
        for path in changes:
            lacking = _lacking(path, changes, reasons)
            if lacking and path not in reasons:
                reasons[path] = (
                    f"A fix changes this file together with {display_path(lacking)}, which could not be "
                    "written, so this file is as it was, too. See to the other one and run bnlint again."
                )
        for path, file in staged.items():
            if path not in reasons:
                _attempt(path, reasons, file.commit)
    finally:
        for file in staged.values():
            file.discard()
    return [
        Problem(display_path(path), 1, reason, unwritten=True) for path, reason in sorted(reasons.items())
    ]


def _stage(staged: dict[Path, _Staged], path: Path, change: Change) -> None:
    staged[path] = _Staged(path, change)


def _attempt(path: Path, reasons: dict[Path, str], work: Callable[[], None]) -> None:
    try:
        work()
    except _RefusedError as refused:
        reasons[path] = str(refused)
    except OSError as error:
        reasons[path] = (
            f"The file cannot be written ({error.strerror or error}) and is as it was. {_advice(error)}"
        )


def _lacking(path: Path, changes: Mapping[Path, Change], failed: Collection[Path]) -> Path | None:
    """A file that fails and without which a file must not be written, perhaps by way of others."""
    seen = {path}
    pending = [path]
    while pending:
        for partner in sorted(changes[pending.pop()].partners):
            if partner in failed:
                return partner
            if partner in changes and partner not in seen:
                seen.add(partner)
                pending.append(partner)
    return None


class _RefusedError(Exception):
    """A file must not be written; the text is a sentence for the user."""


class _Staged:
    """The new bytes of a file that is still the one that was analysed, on the way to take its place.

    Raises OSError and _RefusedError.
    """

    def __init__(self, path: Path, change: Change) -> None:
        self._path = path
        self._before = change.before
        known = path.stat()
        self._refuse_changed()
        if not known.st_mode & _WRITABLE or not os.access(path, os.W_OK):
            raise _RefusedError(
                "The file is read-only, so it is as it was. Allow writing to it and run bnlint again."
            )
        self._new = Staged(path, change.after)

    def commit(self) -> None:
        """Put the new file in the place of the old one, unless that has changed in the meantime."""
        self._refuse_changed()
        self._new.commit()

    def discard(self) -> None:
        """Leave nothing behind; after the commit there is nothing."""
        self._new.discard()

    def _refuse_changed(self) -> None:
        if self._path.read_bytes() != self._before:
            raise _RefusedError(
                "The file was changed by another program while bnlint was at work, so nothing was written to it. "
                "Run bnlint again."
            )


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the disk and run bnlint again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Allow writing to its folder and run bnlint again."
    return "Check the file and its folder, and run bnlint again."
