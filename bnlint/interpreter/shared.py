"""Modules that only define things: executed once, and used by every program that imports them.

Most of a project's modules hold functions and classes; executing them builds no graph and runs nothing, so the
outcome is the same in every program. What programs change in them is taken back before the next one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bnlint.dataflow import Const
from bnlint.interpreter.store import MISSING, Change
from bnlint.interpreter.values import ApiObject, Function, ModuleValue, Mutable, Tuple

_MOST_OBJECTS = 5000
"""So many objects behind the names of a module are taken back between programs."""


Top = tuple[str, Path | None]
"""The first name of an absolute import, and the folder in which it was found; None for a library."""


def home_of(path: Path | None, dotted: str) -> Path | None:
    """The folder in which the first name of an import was found that led to a path."""
    if path is None:
        return None
    last = (
        path.parent if path.name == "__init__.py" else path.with_suffix("") if path.suffix == ".py" else path
    )
    return last.parents[dotted.count(".")]


@dataclass(eq=False)
class Definitions:
    """A module that only defines things, as it was after it had been executed."""

    module: ModuleValue
    needs: frozenset[ModuleValue]
    """The modules that it imported."""
    tops: frozenset[Top]
    """The first names of its absolute imports: a program's own folder might hold others of these names."""
    changed: list[Change]
    """What executing it changed in objects that were there before, as registries: the old and the new content."""
    order: int = 0
    """Counts the modules in the order in which they were executed."""

    @cached_property
    def content(self) -> list[tuple[Mutable, dict[Any, Any]]]:
        """What the names of the module, and the objects behind them, held."""
        found: dict[Mutable, dict[Any, Any]] = {}
        pending: list[object] = [self.module.scope]
        while pending and len(found) < _MOST_OBJECTS:
            value = pending.pop()
            if isinstance(value, Mutable):
                if value not in found:
                    found[value] = dict(value.slots)
                    pending.extend(value.slots.values())
            elif isinstance(value, tuple):
                pending.extend(part for part in value if not isinstance(part, Const))
            elif isinstance(value, Tuple):
                pending.append(value.items)
            elif isinstance(value, Function):
                # Defaults that can change live as long as the function.
                pending.extend((value.defaults, value.kw_defaults))
        return list(found.items())

    def change_again(self) -> None:
        """Change what executing the module has changed."""
        for (holder, key), before, after in self.changed:
            if before == ():
                holder.slots[key] = (*holder.slots.get(key, ()), *after)
            elif after is MISSING:
                holder.slots.pop(key, None)
            else:
                holder.slots[key] = after

    @property
    def independent(self) -> bool:
        """Whether no object behind its names belongs to the machine of one program."""
        return not any(
            isinstance(value, ApiObject) and value.enter is not None
            for value in self.module.scope.slots.values()
        )


def _shortest(change: Change) -> Change:
    """Of a list to which something was appended, only that."""
    mark, before, after = change
    if isinstance(before, tuple) and isinstance(after, tuple) and after[: len(before)] == before:
        return mark, (), after[len(before) :]
    return change


class Shared:
    """The modules that programs have in common."""

    def __init__(self) -> None:
        self.steps = 0
        """What all programs have cost so far."""
        self.alone = 0
        """What all functions have cost that were interpreted on their own."""
        self._kept: dict[Path, Definitions] = {}
        self._owners: dict[Mutable, ModuleValue] = {}
        """The first of the modules that have an object behind their names."""
        self._closures: dict[Path, tuple[list[Definitions], frozenset[Top]]] = {}
        self._names: dict[Path, frozenset[str]] = {}

    def keep(self, candidates: dict[ModuleValue, Definitions], folder: Path) -> None:
        """Keep those modules that import only modules that are kept; ``folder`` is that of the program's entry."""
        kept = {
            module: made
            for module, made in candidates.items()
            if module.path not in self._kept and not self._clash(made.tops, folder) and made.independent
        }
        while True:
            lost = [
                module
                for module, made in kept.items()
                if any(need not in kept and not self._has(need) for need in made.needs)
            ]
            if not lost:
                break
            for module in lost:
                del kept[module]
        for module, made in kept.items():
            for holder, _ in made.content:
                self._owners.setdefault(holder, module)
            made.changed = [
                _shortest(change)
                for change in made.changed
                if self._owners.get(change[0][0], module) is not module
            ]
            made.order = len(self._kept)
            self._kept[module.path] = made

    def find(self, path: Path, folder: Path, loaded: dict[Path, ModuleValue]) -> list[ModuleValue]:
        """The module at a path and all that it imports, as they were after execution; empty if there is none.

        ``folder`` is that of the program's entry, ``loaded`` are the modules that the program already has.
        """
        if path not in self._kept:
            return []
        closure, tops = self._closure(path)
        if self._clash(tops, folder):
            return []
        if any(loaded.get(made.module.path, made.module) is not made.module for made in closure):
            return []
        fresh = [made for made in closure if made.module.path not in loaded]
        for made in fresh:
            for holder, content in made.content:
                holder.slots.clear()
                holder.slots.update(content)
        for made in sorted(fresh, key=lambda made: made.order):
            made.change_again()
        return [made.module for made in fresh]

    def _has(self, module: ModuleValue) -> bool:
        made = self._kept.get(module.path)
        return made is not None and made.module is module

    def _clash(self, tops: frozenset[Top], folder: Path) -> bool:
        """Whether a folder, that of a program's entry, holds other things of the names that were imported."""
        names = self._names_in(folder)
        return any(name in names and home != folder for name, home in tops)

    def _closure(self, path: Path) -> tuple[list[Definitions], frozenset[Top]]:
        found = self._closures.get(path)
        if found is None:
            seen: dict[Path, Definitions] = {}
            pending = [path]
            while pending:
                current = pending.pop()
                if current not in seen:
                    made = seen[current] = self._kept[current]
                    pending.extend(need.path for need in made.needs)
            tops = frozenset(top for made in seen.values() for top in made.tops)
            found = self._closures[path] = (list(seen.values()), tops)
        return found

    def _names_in(self, folder: Path) -> frozenset[str]:
        found = self._names.get(folder)
        if found is None:
            with os.scandir(folder) as entries:
                found = frozenset(entry.name.removesuffix(".py") for entry in entries)
            self._names[folder] = found
        return found
