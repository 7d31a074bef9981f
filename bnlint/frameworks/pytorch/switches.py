"""What a mode is switched by, and what only looks like that: methods that nobody calls, names that are assigned to."""

from __future__ import annotations

from bnlint.dataflow import Const, Value
from bnlint.findings import Location
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, Function, Instance, Method, Partial
from bnlint.trace import IdleSwitch

DROPOUT = ("torch.nn.Dropout", "torch.nn.AlphaDropout", "torch.nn.FeatureAlphaDropout")
"""How the kinds of dropout begin."""


def own_train(module: Value | None) -> Value | None:
    """What takes the place of a module's ``train``: a function that was assigned to it, or a method of its class."""
    given = module.slots.get("train") if isinstance(module, ApiObject | Instance) else None
    if isinstance(given, Function | Method | Partial):
        return given
    found = module.cls.find("train") if isinstance(module, Instance) else None
    return Method(module, found) if isinstance(found, Function) and module is not None else None


def named(machine: Machine, method: Method, site: Location) -> None:
    """``model.eval`` on a line of its own."""
    name = method.function.name if isinstance(method.function, Function) else method.function
    last = name.rpartition(".")[2]
    if last in ("eval", "train") and calling.is_module(method.receiver):
        _emit(machine, method.receiver, last, last == "train", site, assigned=False)


def assigned(machine: Machine, call: Call, mode: Value) -> None:
    """``model.training = False``, which reaches nothing inside."""
    holder = call.receiver
    if holder is not None and isinstance(mode, Const) and isinstance(mode.value, bool):
        _emit(machine, holder, "training", mode.value, call.site, assigned=True)


def _assign(machine: Machine, call: Call) -> Value:
    """``model.eval = True``, or a function that is to take the place of the method."""
    holder, value = call.receiver, machine.settle(call.args[0])
    if isinstance(holder, ApiObject | Instance):
        machine.store.write(holder, call.name, value)
        if isinstance(value, Const) and isinstance(value.value, bool):
            training = value.value == (call.name == "train")
            _emit(machine, holder, call.name, training, call.site, assigned=True)
    return NONE


def _emit(
    machine: Machine, target: Value, written: str, training: bool, site: Location, *, assigned: bool
) -> None:
    reached = target if written == "training" else None
    parts: dict[Value, None] = {part: None for part in calling.parts_of(target) if part is not reached}
    if parts:
        context = machine.context(site)
        machine.emit(IdleSwitch(context, machine.tick(), target, written, training, assigned, parts))


def methods(kind: str) -> None:
    """Give a class of modules what all have."""
    for name in ("eval", "train"):
        HANDLERS[f"{kind}.{name}="] = _assign
