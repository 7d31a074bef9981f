"""Writes files whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

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
    """The new bytes of a file, in a file beside it that is still to take its place.

    Raises OSError and _RefusedError.
    """

    def __init__(self, path: Path, change: Change) -> None:
        # A link stays a link: the file that it leads to is replaced.
        self._target = Path(os.path.realpath(path))
        self._before = change.before
        self._temporary: str | None = None
        known = self._target.stat()
        self._refuse_changed()
        if not known.st_mode & _WRITABLE or not os.access(self._target, os.W_OK):
            raise _RefusedError(
                "The file is read-only, so it is as it was. Allow writing to it and run bnlint again."
            )
        try:
            self._stage(change.after, known)
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Put the new file in the place of the old one, at one blow."""
        assert self._temporary is not None
        self._refuse_changed()
        os.replace(self._temporary, self._target)
        self._temporary = None
        _sync_folder(self._target.parent)

    def discard(self) -> None:
        """Leave nothing behind; after the commit there is nothing."""
        if self._temporary is not None:
            with suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None

    def _refuse_changed(self) -> None:
        if self._target.read_bytes() != self._before:
            raise _RefusedError(
                "The file was changed by another program while bnlint was at work, so nothing was written to it. "
                "Run bnlint again."
            )

    def _stage(self, data: bytes, known: os.stat_result) -> None:
        folder, name = self._target.parent, self._target.name
        descriptor, self._temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if hasattr(os, "fchown"):
                with suppress(OSError):
                    # Only root may give files away. The mode comes second, because this may take bits away.
                    os.fchown(file.fileno(), known.st_uid, known.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(known.st_mode))
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk, too, where the system can do this."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the disk and run bnlint again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Allow writing to its folder and run bnlint again."
    return "Check the file and its folder, and run bnlint again."
