"""The patterns of ``.gitignore``, relative to the folder of a configuration file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence


class Patterns:
    """Which paths some patterns match; a folder that is matched takes everything in it along."""

    def __init__(self, patterns: Sequence[str], folder: str = "") -> None:
        """Raises ValueError if a pattern makes no sense."""
        from pathspec import GitIgnoreSpec

        try:
            self._spec = GitIgnoreSpec.from_lines(patterns)
        except re.error as error:
            raise ValueError(str(error)) from error
        self._folder = folder

    def match(self, path: str, *, folder: bool = False) -> bool:
        """Whether an absolute path, of a folder or a file, is matched; none outside of the folder is."""
        try:
            relative = os.path.relpath(path, self._folder).replace(os.sep, "/")
        except ValueError:
            # On Windows there is no way from one drive to another.
            return False
        if relative in (".", "..") or relative.startswith("../"):
            return False
        return self._spec.match_file(f"{relative}/" if folder else relative)
