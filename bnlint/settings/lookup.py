"""Which settings apply to a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bnlint.settings.errors import SettingsError
from bnlint.settings.model import Settings
from bnlint.settings.table import in_folder, named

if TYPE_CHECKING:
    from bnlint.settings.norms import KnownNorms
    from bnlint.settings.patterns import Patterns
    from bnlint.settings.versions import Declared

__all__ = ["Lookup", "Options", "SettingsError"]

COMMAND_LINE = "command line"
"""The origin of what the caller says."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller says, such as the command line; it goes before every configuration file.

    ``select`` takes the place of all that the configuration says about which rules are on; ``extend_select`` and
    ``ignore`` are added to it.
    """

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    config: Path | None = None
    """A configuration file to use for all files, instead of the nearest."""
    isolated: bool = False
    """Whether to use no configuration file."""
    project_root: Path | None = None


@dataclass(slots=True)
class _Configuration:
    """What one configuration file says, or none, together with the options."""

    settings: Settings
    excluded: Patterns | None
    ignores: list[tuple[Patterns, tuple[str, ...]]]
    in_folders: dict[str, Settings] = field(default_factory=dict)
    """The settings of each folder: they differ in the versions of libraries."""


class Lookup:
    """Finds the settings of each file: those of the nearest configuration file above it."""

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._nearest: dict[str, _Configuration] = {}
        self._places: dict[Path, dict[str, Declared]] = {}
        self._only: _Configuration | None = None
        """What applies everywhere, if nothing has to be looked for."""
        if self._options.isolated:
            self._only = self._without_file()

    def of(self, path: Path) -> Settings:
        """What applies to a file or folder.

        Raises SettingsError.
        """
        absolute = os.path.abspath(path)
        folder = absolute if os.path.isdir(absolute) else os.path.dirname(absolute)
        configuration = self._above(folder)
        found = configuration.in_folders.get(folder)
        if found is None:
            found = configuration.in_folders[folder] = self._in_folder(configuration.settings, Path(folder))
        return found

    def ignored_in(self, path: Path, code: str) -> bool:
        """Whether ``per-file-ignores`` leave a rule's findings in a file out.

        Raises SettingsError.
        """
        from bnlint.settings.model import is_among

        absolute = os.path.abspath(path)
        return any(
            is_among(code, codes) and patterns.match(absolute)
            for patterns, codes in self._above(os.path.dirname(absolute)).ignores
        )

    def excluded(self, path: Path, *, folder: bool = False) -> bool:
        """Whether ``exclude`` leaves a file or folder out, also when it is named on the command line.

        Raises SettingsError.
        """
        absolute = str(path)
        patterns = self._above(os.path.dirname(absolute)).excluded
        return patterns is not None and patterns.match(absolute, folder=folder)

    def known_norms(self, paths: Iterable[Path]) -> KnownNorms | None:
        """The layers of the user's own in the configurations that apply to files; None if there are none.

        Raises SettingsError.
        """
        folders = {os.path.dirname(path) for path in paths}
        settings = {id(found): found for found in (self._above(folder).settings for folder in folders)}
        if not any(found.known_norm_layers for found in settings.values()):
            return None
        from bnlint.settings.norms import KnownNorms

        return KnownNorms(settings.values())

    # -- configurations ----------------------------------------------------------------------------------

    def _above(self, folder: str) -> _Configuration:
        """The configuration that applies in a folder, which is absolute."""
        if self._only is not None:
            return self._only
        found = self._nearest.get(folder)
        if found is None:
            found = self._nearest[folder] = self._look(folder)
        return found

    def _look(self, folder: str) -> _Configuration:
        if self._options.config is not None:
            from bnlint.settings.parse import parse

            self._only = self._configuration(parse(named(self._options.config)))
            return self._only
        table = in_folder(folder)
        if table is not None:
            from bnlint.settings.parse import parse

            return self._configuration(parse(table))
        parent = os.path.dirname(folder)
        return self._without_file() if parent == folder else self._above(parent)

    def _without_file(self) -> _Configuration:
        return self._configuration(Settings(Path.cwd()))

    def _configuration(self, settings: Settings) -> _Configuration:
        excluded, ignores = None, []
        if settings.exclude or settings.per_file_ignores:
            from bnlint.settings.patterns import Patterns

            folder = str(settings.folder)
            excluded = Patterns(settings.exclude, folder) if settings.exclude else None
            ignores = [
                (Patterns((pattern,), folder), codes) for pattern, codes in settings.per_file_ignores.items()
            ]
        return _Configuration(self._with_options(settings), excluded, ignores)

    def _with_options(self, settings: Settings) -> Settings:
        given = self._options
        origins = dict(settings.origins)
        if given.select:
            for key in ("select", "extend-select", "ignore", "extend-ignore"):
                origins.pop(key, None)
            settings = replace(settings, select=given.select, extend_select=(), ignore=())
        for key, value in (
            ("select", given.select),
            ("extend-select", given.extend_select),
            ("extend-ignore", given.ignore),
            ("project-root", given.project_root),
        ):
            if value:
                both = key in origins and key != "project-root"
                origins[key] = f"{origins[key]}, {COMMAND_LINE}" if both else COMMAND_LINE
        root = given.project_root or settings.project_root
        return replace(
            settings,
            extend_select=(*settings.extend_select, *given.extend_select),
            ignore=(*settings.ignore, *given.ignore),
            project_root=Path(os.path.abspath(root)) if root else None,
            origins=origins,
        )

    def _in_folder(self, settings: Settings, folder: Path) -> Settings:
        from bnlint.settings.versions import Versions

        # A configuration lies where the requirements do, wherever it says that imports begin.
        root = self._options.project_root or (settings.project_root and settings.folder)
        outermost = Path(os.path.abspath(root)) if root else None
        versions = Versions(settings.target_versions, folder, outermost, self._declared)
        return replace(settings, target_versions=versions)

    def _declared(self, folder: Path) -> dict[str, Declared]:
        from bnlint.settings.versions import places

        found = self._places.get(folder)
        if found is None:
            found = self._places[folder] = places(folder)
        return found
