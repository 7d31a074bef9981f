"""Derivatives that the program asks for itself."""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.eager import Derivative
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.frameworks.tensorflow1.signatures import REQUIRED, Signature
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import FALSE, Call, Tuple, contents

_GRAD = Signature(
    (
        ("outputs", REQUIRED),
        ("inputs", REQUIRED),
        ("grad_outputs", None),
        ("retain_graph", None),
        ("create_graph", False),
        ("only_inputs", True),
        ("allow_unused", None),
        ("is_grads_batched", False),
        ("materialize_grads", False),
    )
)
"""Read off torch 2.13."""


def _grad(machine: Machine, call: Call) -> Value:
    """``torch.autograd.grad``: one derivative for each input."""
    bound = _GRAD.bind(call)
    outputs = contents((bound.value("outputs") or FALSE,))
    inputs = contents((bound.value("inputs") or FALSE,))
    node = machine.node(call.name, (*outputs, *inputs), call.site)
    again = machine.settle(_GRAD.value(bound, "create_graph"))
    machine.emit(Derivative(machine.context(call.site), machine.tick(), node, outputs, inputs, again))
    return Tuple([node]) if len(inputs) == 1 else node


HANDLERS["torch.autograd.grad"] = _grad
