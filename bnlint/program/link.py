"""Which files form one program: the import graph and its entries, found without parsing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlint.program.project import Project
from bnlint.source.files import Files
from bnlint.source.gate import Relevance, relevance
from bnlint.source.imports import imports, imports_by_text, texts

_MAIN_GUARD = re.compile(
    rb"^if\s*\(?\s*(?:__name__\s*==\s*['\"]__main__['\"]|['\"]__main__['\"]\s*==\s*__name__)", re.M
)


@dataclass(frozen=True, slots=True)
class Program:
    """An entry and the project's files that it imports, itself included."""

    entry: Path
    files: frozenset[Path]


class Linker:
    """The files of a project, what matters in them, and how they import each other."""

    def __init__(
        self,
        project: Project,
        files: Iterable[Path],
        source: Files | None = None,
        norms: Sequence[re.Pattern[bytes]] = (),
        before: Linker | None = None,
    ) -> None:
        """``source`` gives the bytes of the files, by default those on the disk; ``norms`` are words that speak
        of normalisation in this project; ``before`` is from an earlier run, and what it knows of files that have
        not changed is taken over."""
        self.project = project
        self._before = before if before is not None and before._norms == norms else None
        self._source = source or Files()
        self._norms: Sequence[re.Pattern[bytes]] = norms
        self.files = list(files)
        self.data: dict[Path, bytes] = {}
        self.relevance: dict[Path, Relevance] = {}
        self.unreadable: list[tuple[Path, str]] = []
        self._imports: dict[Path, frozenset[Path]] = {}
        self._dynamic: dict[Path, bool] = {}
        self._texts: dict[tuple[Path, Path], frozenset[Path]] = {}
        self._stems = {path.stem for path in self.files}
        for path in self.files:
            self._load(path)
        self._before = None

    def _load(self, path: Path) -> None:
        try:
            data = self._source.read(path)
        except OSError as error:
            self.unreadable.append((path, error.strerror or str(error)))
            data = b""
        self.data[path] = data
        before = self._before
        if before is not None and before.data.get(path) == data:
            self.relevance[path] = before.relevance[path]
            if before.project is self.project and path in before._imports:
                self._imports[path] = before._imports[path]
        else:
            self.relevance[path] = relevance(data, self._norms)

    def imported(self, path: Path) -> frozenset[Path]:
        """The project's files that a file imports."""
        found = self._imports.get(path)
        if found is None:
            if path not in self.data:
                self._load(path)
            found = self._imports[path] = frozenset(self._resolve(path))
        return found

    def _resolve(self, path: Path) -> Iterable[Path]:
        for item in imports(self.data[path]):
            target = self.project.find(path, item.module, item.level, path)
            if target is None:
                continue
            folder = target if target.is_dir() else target.parent if target.name == "__init__.py" else None
            if target.is_file():
                yield target
            if folder is not None:
                for name in item.names:
                    inner = self.project.inside(folder, name)
                    if inner is not None and inner.is_file():
                        yield inner

    def closure(self, entry: Path) -> frozenset[Path]:
        """A file and everything that it imports, directly or not."""
        seen: set[Path] = set()
        pending = [entry]
        while pending:
            path = pending.pop()
            if path not in seen:
                seen.add(path)
                pending.extend(self.imported(path))
                if not pending and any(self._names_modules(file) for file in seen):
                    pending.extend({target for file in seen for target in self._told(file, entry)} - seen)
        return frozenset(seen)

    def _names_modules(self, path: Path) -> bool:
        found = self._dynamic.get(path)
        if found is None:
            found = self._dynamic[path] = imports_by_text(self.data[path])
        return found

    def _told(self, path: Path, entry: Path) -> frozenset[Path]:
        """The project's files whose names, or the names of something in them, a file has as texts."""
        found = self._texts.get((path, entry.parent))
        if found is None:
            modules = {text.rpartition(".")[0] for text in texts(self.data[path]) if "." in text}
            modules |= texts(self.data[path])
            known = {name for name in modules if name.rpartition(".")[2] in self._stems}
            targets = (self.project.find(path, name, 0, entry) for name in known)
            found = frozenset(target for target in targets if target is not None and target.is_file())
            self._texts[path, entry.parent] = found
        return found

    def programs(self) -> list[Program]:
        """The programs in which a normalisation may take part."""
        if not any(self.relevance[path] & Relevance.NORM for path in self.files):
            return []
        imported = {target for path in self.files for target in self.imported(path) if target != path}
        entries = {path for path in self.files if path not in imported or _MAIN_GUARD.search(self.data[path])}
        found = []
        reached: set[Path] = set()
        for path in sorted(self.files, key=lambda path: path not in entries):
            # What no entry reaches are modules that import one another: any of them may be the entry.
            if path in reached and path not in entries:
                continue
            files = self.closure(path)
            reached |= files
            if any(self.relevance[file] & Relevance.NORM for file in files):
                found.append(Program(path, files))
        return found
