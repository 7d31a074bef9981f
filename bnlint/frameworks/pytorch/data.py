"""Where batches of data come from, and how large they are."""

from __future__ import annotations

import ast

from bnlint.dataflow import Unknown, Value
from bnlint.eager import Batches
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.frameworks.tensorflow1.signatures import REQUIRED, Signature
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import Call, contents

_LOADER = Signature(
    (
        ("dataset", REQUIRED),
        ("batch_size", 1),
        ("shuffle", None),
        ("sampler", None),
        ("batch_sampler", None),
        ("num_workers", 0),
        ("collate_fn", None),
        ("pin_memory", False),
        ("drop_last", False),
    )
)
"""The first parameters, read off torch 2.13."""


def _loader(machine: Machine, call: Call) -> Value:
    """Batches of data, called as the program calls them."""
    value = Unknown(_name(machine, call), contents(call.values()))
    bound = _LOADER.bind_first(call)
    plain = not {"batch_sampler", "collate_fn"} & bound.named.keys() and not call.open
    size = machine.settle(_LOADER.value(bound, "batch_size")) if plain else Unknown("batch_size")
    machine.emit(Batches(machine.context(call.site), machine.tick(), value, size, bound))
    return value


def _name(machine: Machine, call: Call) -> str:
    scope = machine.activation.scope
    source = scope.module.source
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and source.location(node.value) == call.site:
            target = node.targets[0]
            return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return "loader"


HANDLERS["torch.utils.data.DataLoader"] = _loader
