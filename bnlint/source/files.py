"""The bytes of files: what is on the disk, or what would be there after edits that are not written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Overlay = Mapping[Path, bytes]
"""By absolute path, the bytes that take the place of those on the disk."""


class Files:
    """Reads files."""

    def __init__(self, overlay: Overlay | None = None) -> None:
        self.overlay: Overlay = overlay or {}

    def read(self, path: Path) -> bytes:
        """The bytes of a file.

        Raises OSError if it cannot be read.
        """
        data = self.overlay.get(path)
        return path.read_bytes() if data is None else data
