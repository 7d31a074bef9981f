"""The project around the files: where it begins, and which file an import means."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_MARKERS = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")


def find_root(path: Path) -> Path:
    """The project's folder: the nearest one above with a marker, else the folder of the path itself."""
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        if is_root(folder):
            return folder
    return start


def is_root(folder: Path) -> bool:
    """Whether something in a folder says that a project begins there."""
    return any((folder / marker).exists() for marker in _MARKERS)


class Project:
    """A project's folder and how imports inside it are resolved.

    Like Python, an import is first looked for beside the program's entry; then in the project's root and
    its ``src`` folder; then, as Python 2 did, beside the importing file and in the folders above it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[tuple[Path, str], Path | None] = {}
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, importer: Path, dotted: str, level: int, entry: Path | None = None) -> Path | None:
        """The file, or the folder of a package without ``__init__.py``, that an import means."""
        if level:
            folder = importer.parent
            for _ in range(level - 1):
                folder = folder.parent
            return self.inside(folder, dotted) if dotted else self._package(folder)
        for folder in self._search(importer, entry):
            found = self.inside(folder, dotted)
            if found is not None and found != importer:
                return found
        return self._in_other_case(importer.parent, dotted, importer)

    def _in_other_case(self, folder: Path, name: str, importer: Path) -> Path | None:
        """The module beside the importer that is meant where upper and lower case are one."""
        listed = self._listed.get(folder)
        if listed is None:
            listed = self._listed[folder] = {child.name.lower(): child for child in folder.glob("*.py")}
        found = listed.get(f"{name.lower()}.py")
        return found if found != importer else None

    def _search(self, importer: Path, entry: Path | None) -> Iterable[Path]:
        folders = [self.root, self.root / "src", importer.parent]
        if entry is not None:
            folders.insert(0, entry.parent)
        if importer.is_relative_to(self.root):
            folders.extend(folder for folder in importer.parent.parents if folder.is_relative_to(self.root))
        return dict.fromkeys(folders)

    def inside(self, folder: Path, dotted: str) -> Path | None:
        """The module or package of that name below a folder."""
        key = (folder, dotted)
        if key not in self._known:
            target = folder.joinpath(*dotted.split("."))
            module = target.with_name(target.name + ".py")
            self._known[key] = module if module.is_file() else self._package(target)
        return self._known[key]

    def _package(self, folder: Path) -> Path | None:
        initial = folder / "__init__.py"
        if initial.is_file():
            return initial
        return folder if folder.is_dir() and folder != self.root and _has_python(folder) else None


def _has_python(folder: Path) -> bool:
    return any(child.suffix == ".py" for child in folder.iterdir())
