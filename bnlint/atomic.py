"""Writes files whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


class Staged:
    """The new bytes of a file, complete on the disk beside it, that are still to take its place.

    A link stays a link: the file that it leads to is replaced. A file keeps its mode, and its owner as far as this
    is allowed. Raises OSError.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self.target = Path(os.path.realpath(path))
        self._temporary: str | None = None
        try:
            self._write(data)
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Put the new file in the place of the old one, at one blow.

        Raises OSError.
        """
        assert self._temporary is not None
        os.replace(self._temporary, self.target)
        self._temporary = None
        _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Leave nothing behind; after the commit there is nothing."""
        if self._temporary is not None:
            with suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None

    def _write(self, data: bytes) -> None:
        folder, name = self.target.parent, self.target.name
        descriptor, self._temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".tmp", dir=folder)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            self._take_over_rights(file.fileno())
            os.fsync(file.fileno())

    def _take_over_rights(self, descriptor: int) -> None:
        if not hasattr(os, "fchown"):
            return
        try:
            known = self.target.stat()
        except FileNotFoundError:
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(descriptor, 0o666 & ~mask)
            return
        with suppress(OSError):
            # Only root may give files away. The mode comes second, because this may take bits away.
            os.fchown(descriptor, known.st_uid, known.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(known.st_mode))


def write(path: Path, data: bytes) -> None:
    """Write one file.

    Raises OSError.
    """
    staged = Staged(path, data)
    try:
        staged.commit()
    finally:
        staged.discard()


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk, too, where the system can do this."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
