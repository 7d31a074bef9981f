"""Layers that a module uses and that are no part of it, because it keeps them in a plain list."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bnlint.dataflow import Value
from bnlint.frameworks.pytorch.calling import is_module, parts_of
from bnlint.frameworks.pytorch.containers import ModuleDict, ModuleList
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.syntax import mentions
from bnlint.interpreter.values import ClassValue, Dict, Instance, List, Tuple
from bnlint.trace import Forward, Unregistered

_BY_HAND = re.compile(
    r"^(add_module|register_module|setattr|__setattr__|_modules|parameters|named_parameters|state_dict|train|eval|"
    r"requires_grad_|_apply)$"
)
"""Names in a class that takes care of what it keeps in lists."""


def note(machine: Machine, forward: Forward) -> None:
    """Note the layers of a call that are no part of the model, by the lists in which they are kept."""
    parts = parts_of(forward.target)
    known = set(parts)
    missing = {
        call.layer.owner: call
        for call in forward.norms
        if call.layer.owner is not None and call.layer.owner not in known and call.layer.order < forward.order
    }
    if not missing:
        return
    for holder in parts:
        if isinstance(holder, Instance) and not _takes_care(holder):
            for name, kept in list(holder.slots.items()):
                for item in _kept(kept):
                    calls = tuple(missing[part] for part in parts_of(item) if part in missing)
                    if calls:
                        machine.emit(
                            Unregistered(forward.context, machine.tick(), holder, str(name), item, calls)
                        )


def _kept(value: object, depth: int = 3) -> Iterator[Value]:
    """The modules in a plain list, tuple or dictionary."""
    if isinstance(value, ModuleList | ModuleDict) or not depth:
        return
    if isinstance(value, List | Tuple):
        items = value.items
    elif isinstance(value, Dict):
        items = tuple(entry for _, entry, _ in value.entries())
    else:
        return
    for item in items:
        if is_module(item):
            yield item
        else:
            yield from _kept(item, depth - 1)


def _takes_care(holder: Instance) -> bool:
    return any(
        isinstance(cls, ClassValue) and cls.node is not None and mentions(cls.node, _BY_HAND)
        for cls in holder.cls.lineage()
    )
