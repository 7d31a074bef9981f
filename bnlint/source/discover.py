"""Finds the Python files and notebooks below the paths that the user gave."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnlint.findings import Problem

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    _Ignored = tuple[str, GitIgnoreSpec]

_SUFFIXES = (".py", ".ipynb")
_SKIPPED = frozenset(
    "__pycache__ __pypackages__ _build buck-out build dist env node_modules site-packages venv".split()
)


def display_path(path: Path) -> str:
    """The path for the user: relative to the current folder, with ``/``."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:
        # On Windows there is no way from one drive to another.
        return path.as_posix()


Excluded = Callable[..., bool]
"""Whether the user leaves a path out; with ``folder=True`` the path is a folder."""


def discover(
    paths: Sequence[Path], *, root: Path, excluded: Excluded | None = None
) -> tuple[list[Path], list[Problem]]:
    """The files to look at, absolute, sorted and each once, and what could not be looked into.

    In a folder these are the ``.py`` and ``.ipynb`` files that no ``.gitignore`` between the project's ``root``
    and the file leaves out; hidden folders, virtual environments and build folders are skipped, and links to
    folders are not followed. A file or folder that is named by itself is taken anyway, unless it is ``excluded``.
    """
    walk = _Walk(root, excluded)
    for path in paths:
        walk.take(os.path.abspath(path))
    return walk.result(), walk.problems


class _Walk:
    def __init__(self, root: Path, excluded: Excluded | None) -> None:
        self.problems: list[Problem] = []
        self._root = os.path.abspath(root)
        self._excluded = excluded or (lambda path, folder=False: False)
        self._files: set[str] = set()
        self._links: set[str] = set()

    def take(self, path: str) -> None:
        """Adds a file, or all files below a folder."""
        if os.path.isdir(path):
            if not self._excluded(Path(path), folder=True):
                self._folder(path)
        elif os.path.isfile(path):
            if not self._excluded(Path(path)):
                self._files.add(path)
        elif os.path.exists(path):
            self._problem(path, "This is neither a file nor a folder. Name a Python file instead.")
        else:
            self._problem(
                path, "There is no such file or folder, or it may not be read. Check how it is spelled."
            )

    def result(self) -> list[Path]:
        """The files; a link counts only if what it leads to was not found."""
        known = {os.path.realpath(path) for path in self._files} if self._links else set()
        for link in sorted(self._links - self._files):
            target = os.path.realpath(link)
            if target not in known:
                known.add(target)
                self._files.add(link)
        return [Path(path) for path in sorted(self._files)]

    def _folder(self, top: str) -> None:
        pending = [(top, self._ignored_above(top))]
        while pending:
            folder, ignored = pending.pop()
            try:
                with os.scandir(folder) as scan:
                    entries = {entry.name: entry for entry in scan}
            except OSError as error:
                self._problem(
                    folder, f"The folder cannot be read ({error.strerror}). Allow it or exclude it."
                )
                continue
            if "pyvenv.cfg" in entries and folder != top:
                continue
            if ".gitignore" in entries:
                ignored = [*ignored, *self._ignored_in(folder)]
            for name, entry in entries.items():
                if entry.is_dir(follow_symlinks=False):
                    if (
                        name not in _SKIPPED
                        and name[0] != "."
                        and not self._is_out(entry.path + "/", ignored)
                    ):
                        pending.append((entry.path, ignored))
                elif name.endswith(_SUFFIXES) and not self._is_out(entry.path, ignored):
                    self._file(entry)

    def _file(self, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            if os.path.isfile(entry.path):
                self._links.add(entry.path)
            elif not os.path.exists(entry.path):
                self._problem(entry.path, "The link leads nowhere. Repair it, remove it or exclude it.")
        elif entry.is_file():
            self._files.add(entry.path)

    def _is_out(self, path: str, ignored: list[_Ignored]) -> bool:
        if self._excluded(Path(path), folder=path.endswith("/")):
            return True
        for folder, spec in reversed(ignored):
            # The nearest .gitignore that speaks of the path decides.
            verdict = spec.check_file(path[len(folder) + 1 :]).include
            if verdict is not None:
                return verdict
        return False

    def _ignored_above(self, folder: str) -> list[_Ignored]:
        found: list[_Ignored] = []
        for parent in reversed(Path(folder).parents):
            if parent.is_relative_to(self._root) and (parent / ".gitignore").is_file():
                found += self._ignored_in(str(parent))
        return found

    def _ignored_in(self, folder: str) -> list[_Ignored]:
        path = os.path.join(folder, ".gitignore")
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return [(folder, _spec(file.read().splitlines()))]
        except OSError as error:
            self._problem(
                path, f"The file cannot be read ({error.strerror}), so nothing is ignored. Allow reading it."
            )
            return []

    def _problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(display_path(Path(path)), 1, message))


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    def is_valid(pattern: str) -> bool:
        try:
            GitIgnoreSpec.from_lines([pattern])
        except (ValueError, re.error):
            return False
        return True

    # Git passes over patterns that make no sense, too.
    return GitIgnoreSpec.from_lines(filter(is_valid, patterns))
