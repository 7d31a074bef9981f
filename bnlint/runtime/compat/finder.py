"""Gives ``import`` what is not there any more."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder

Maker = Callable[[], ModuleType]

_LEGACY = "tf_keras.legacy_tf_layers"


class Finder(importlib.abc.MetaPathFinder):
    """Finds modules under names that they do not have any more, and such as are made on the spot."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._made: dict[str, Maker] = {}

    def install(self) -> None:
        """From now on they are found; what is installed under these names is not looked for."""
        sys.meta_path.insert(0, self)

    def offer(self, name: str, make: Maker) -> None:
        """Make a module when it is imported for the first time."""
        self._made[name] = make

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The place of a module, if it is one of these."""
        if fullname == "tf_slim":
            from bnlint.runtime.compat import slim

            slim.prepare()
            return None
        if fullname == _LEGACY or fullname.startswith(_LEGACY + "."):
            moved = "tf_keras.src.legacy_tf_layers" + fullname[len(_LEGACY) :]
            return self._spec(fullname, lambda: importlib.import_module(moved))
        make = self._made.get(fullname)
        return None if make is None else self._spec(fullname, make)

    def _spec(self, name: str, make: Maker) -> ModuleSpec:
        return importlib.machinery.ModuleSpec(name, _Loader(make), is_package=True)


class _Loader(importlib.abc.Loader):
    """Gives a module that is there already, or is made by a function."""

    def __init__(self, make: Maker) -> None:
        self._make = make
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make it."""
        module = self._make()
        self._spec = getattr(module, "__spec__", None)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it was: import has written the name that it was asked for into it."""
        if self._spec is not None:
            module.__spec__ = self._spec
