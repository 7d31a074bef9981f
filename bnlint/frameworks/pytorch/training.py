"""Losses, gradients and optimizers, and where gradients are switched off."""

from __future__ import annotations

from bnlint.dataflow import Node, Unknown, Value
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, Tuple, contents
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


def _backward_of_argument(machine: Machine, call: Call) -> Value:
    """``accelerator.backward(loss)``, ``torch.autograd.backward(loss)``."""
    loss = call.get(0, "loss") or call.get(0, "tensors")
    made = Call([], {}, call.site, receiver=loss)
    return _backward(machine, made) if loss is not None else NONE


def _backward_of_unknown(machine: Machine, call: Call) -> Value:
    """``x.backward(…)``, where x may be a loss, or an engine that is given one."""
    given = [value for value in call.args if isinstance(machine.settle(value), Node)]
    return _backward_of_argument(machine, call) if given else _backward(machine, call)


def _prepared(machine: Machine, call: Call) -> Value:
    """``accelerator.prepare(model, optimizer)`` gives back what it gets, wrapped."""
    return call.args[0] if len(call.args) == 1 else Tuple(call.args)


def _accelerator(machine: Machine, call: Call) -> Value:
    return ApiObject("accelerate.Accelerator", call.site)


def _without_gradients(machine: Machine, call: Call) -> Value:
    made = ApiObject("torch.no_grad", call.site)
    made.enter = lambda: made
    return made


def _variable(machine: Machine, call: Call) -> Value:
    """``Variable(x)`` of old programs is x."""
    return call.get(0, "data") or Unknown("variable")


HANDLERS["torch.autograd.Variable"] = HANDLERS["torch.tensor"] = HANDLERS["torch.as_tensor"] = _variable
HANDLERS["Tensor.backward"] = _backward
HANDLERS["Unknown.backward"] = _backward_of_unknown
HANDLERS["torch.autograd.backward"] = _backward_of_argument
for _name in (
    "accelerate.Accelerator",
    "lightning.Fabric",
    "lightning.fabric.Fabric",
    "lightning_fabric.Fabric",
):
    HANDLERS[_name] = _accelerator
HANDLERS["accelerate.Accelerator.backward"] = _backward_of_argument
for _name in ("prepare", "prepare_model", "setup", "setup_module", "unwrap_model"):
    HANDLERS[f"accelerate.Accelerator.{_name}"] = _prepared
HANDLERS["apex.amp.initialize"] = _prepared
for _name in ("no_grad", "inference_mode", "autograd.no_grad"):
    HANDLERS[f"torch.{_name}"] = _without_gradients
