"""Repairs that several rules share: what is to be edited, and what must hold for that to be safe.

Most runs find nothing, so each part is loaded when a rule first asks for it.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnlint.remedies import byhand as byhand
    from bnlint.remedies import collection as collection
    from bnlint.remedies import flags as flags
    from bnlint.remedies import forwards as forwards
    from bnlint.remedies import freezing as freezing
    from bnlint.remedies import keras as keras
    from bnlint.remedies import modes as modes
    from bnlint.remedies import phases as phases


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(name)
    return import_module(f"bnlint.remedies.{name}")
