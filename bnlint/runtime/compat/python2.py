"""What Python 2 had under other names: builtins, modules, methods, and division."""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.abc
import importlib.machinery
import itertools
import numbers
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_MODULES = {
    "cPickle": "pickle",
    "cStringIO": "io",
    "StringIO": "io",
    "ConfigParser": "configparser",
    "Queue": "queue",
    "Tkinter": "tkinter",
    "__builtin__": "builtins",
    "commands": "subprocess",
    "copy_reg": "copyreg",
    "urlparse": "urllib.parse",
    "urllib2": "urllib.request",
}


def install() -> None:
    """Add what is missing. Nothing that exists is replaced."""
    names = {
        "xrange": range,
        "raw_input": input,
        "unicode": str,
        "basestring": str,
        "long": int,
        "unichr": chr,
        "reduce": functools.reduce,
        "__bnlint_divide__": divide,
        "__bnlint_method__": method,
    }
    for name, value in names.items():
        if not hasattr(builtins, name):
            setattr(builtins, name, value)
    for name, value in (
        ("izip", zip),
        ("imap", map),
        ("ifilter", filter),
        ("izip_longest", itertools.zip_longest),
    ):
        if not hasattr(itertools, name):
            setattr(itertools, name, value)
    sys.meta_path.append(_Renamed())


def divide(left: Any, right: Any) -> Any:
    """``left / right`` of Python 2."""
    if _is_integer(left) and _is_integer(right):
        return left // right
    return left / right


def _is_integer(value: Any) -> bool:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return isinstance(value, numbers.Integral) or kind in ("i", "u")


def method(owner: Any, name: str, *arguments: Any) -> Any:
    """A method of dictionaries, under its name in Python 2."""
    if name == "has_key" and not hasattr(owner, name):
        return arguments[0] in owner
    new = name.removeprefix("iter") if not hasattr(owner, name) else name
    found = getattr(owner, new)(*arguments)
    if isinstance(owner, dict):
        return iter(found) if name.startswith("iter") else list(found)
    return found


class _Renamed(importlib.abc.MetaPathFinder):
    """Finds modules under their names in Python 2, if there is none of the user's called so."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The place of a module that has another name today."""
        if fullname not in _MODULES or _MODULES[fullname] == fullname:
            return None
        from bnlint.runtime.compat.finder import _Loader

        new = _MODULES[fullname]
        return importlib.machinery.ModuleSpec(fullname, _Loader(lambda: importlib.import_module(new)))
