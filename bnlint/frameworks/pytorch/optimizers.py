"""Optimizers: whose parameters each of them changes."""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import Call, contents

_OPTIMIZERS = (
    "SGD", "Adam", "AdamW", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD", "NAdam", "RAdam", "LBFGS",
)  # fmt: skip


def _optimizer(machine: Machine, call: Call) -> Value:
    machine.node(call.name, contents(call.values()), call.site)
    return machine.unknown(call.name.rpartition(".")[2], *call.values())


for _name in _OPTIMIZERS:
    HANDLERS[f"torch.optim.{_name}"] = _optimizer
