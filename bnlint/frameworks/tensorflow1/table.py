"""The table that the parts of the framework fill: what each call and each attribute means."""

from __future__ import annotations

from collections.abc import Callable

from bnlint.dataflow import Value
from bnlint.frameworks.library import Handler
from bnlint.interpreter.machine import Machine

HANDLERS: dict[str, Handler] = {}
PROPERTIES: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler for canonical names."""

    def add(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return add


def text(machine: Machine, value: Value | None) -> str | None:
    """A known text, or None."""
    known = machine.constant(value)
    return known if isinstance(known, str) else None
