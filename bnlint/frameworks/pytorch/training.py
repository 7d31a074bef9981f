"""Losses, gradients and optimizers, and where gradients are switched off."""

from __future__ import annotations

from bnlint.dataflow import Node, Unknown, Value
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, contents
from bnlint.trace import Run, TrainStep


def _backward(machine: Machine, call: Call) -> Value:
    """``loss.backward()``: what it was computed from learns."""
    loss = call.receiver
    if loss is None:
        return NONE
    given = loss if isinstance(loss, Node) else machine.node("loss", contents((loss,)), call.site)
    node = machine.node("train", (given,), call.site, variables=None)
    step = TrainStep(
        machine.context(call.site),
        machine.tick(),
        node,
        "torch.Tensor.backward",
        given,
        None,
        True,
        eager=True,
    )
    node.attrs["step"] = step
    machine.emit(step)
    machine.emit(Run(machine.context(call.site), machine.tick(), "torch.Tensor.backward", (node,)))
    return NONE


def _without_gradients(machine: Machine, call: Call) -> Value:
    made = ApiObject("torch.no_grad", call.site)
    made.enter = lambda: made
    return made


def _variable(machine: Machine, call: Call) -> Value:
    """``Variable(x)`` of old programs is x."""
    return call.get(0, "data") or Unknown("variable")


HANDLERS["torch.autograd.Variable"] = HANDLERS["torch.tensor"] = HANDLERS["torch.as_tensor"] = _variable
HANDLERS["Tensor.backward"] = HANDLERS["Unknown.backward"] = _backward
for _name in ("no_grad", "inference_mode", "autograd.no_grad"):
    HANDLERS[f"torch.{_name}"] = _without_gradients
