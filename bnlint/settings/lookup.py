"""Which settings apply to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bnlint.errors import UserError
from bnlint.settings.model import Settings


class SettingsError(UserError):
    """The configuration makes no sense; the text is a sentence for the user that names the file."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller says, such as the command line; it goes before every configuration file."""

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    config: Path | None = None
    """A configuration file to use for all files, instead of the nearest."""
    isolated: bool = False
    """Whether to use no configuration file."""
    project_root: Path | None = None


class Lookup:
    """Finds the settings of each file: those of the nearest configuration file above it."""

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()

    def of(self, path: Path) -> Settings:
        """What applies to a file or folder.

        Raises SettingsError.
        """
        from bnlint.program.project import find_root
        from bnlint.settings.versions import declared

        given = self._options
        return Settings(
            path.parent,
            select=given.select,
            extend_select=given.extend_select,
            ignore=given.ignore,
            target_versions=declared(given.project_root or find_root(path)),
            project_root=given.project_root,
        )

    def ignored_in(self, path: Path, code: str) -> bool:
        """Whether ``per-file-ignores`` leave a rule's findings in a file out.

        Raises SettingsError.
        """
        return False

    def excluded(self, path: Path, *, folder: bool = False) -> bool:
        """Whether ``exclude`` leaves a file or folder out, also when it is named on the command line.

        Raises SettingsError.
        """
        return False
