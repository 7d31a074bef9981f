"""The codes of rules in a configuration."""

from __future__ import annotations

import functools
import os
from importlib import import_module

ALL = "ALL"


def exists(code: str) -> bool:
    """Whether a rule has this code, or one that begins so."""
    if any(known.startswith(code) for known in _own()):
        return True
    from bnlint.registry import rules

    return any(rule.code.startswith(code) for rule in rules())


@functools.cache
def _own() -> frozenset[str]:
    """The codes of bnlint's own rules, by the names of their files: to import them takes a run over clean files
    twice the time."""
    rules = import_module("bnlint.rules")
    return frozenset(
        name.partition("_")[0].upper() for name in os.listdir(rules.__path__[0]) if name[0] != "_"
    )
