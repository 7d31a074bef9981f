"""The parameters of modules, and whether gradients are kept for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bnlint.dataflow import Node, Unknown, Value, sources
from bnlint.findings import Location
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.norms import layers_of
from bnlint.frameworks.pytorch.table import HANDLERS, PROPERTIES
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, TRUE, ApiObject, Call, Instance, List, Tuple, contents
from bnlint.trace import Copy, Freeze

KIND = "torch.nn.Parameter"
"""All parameters of a module, or of a part, are one object of this kind: loops over them are about all of them."""
OF = "parameters of"
"""The attribute of a node, and the slot of an object: the module whose parameters they are."""
BUFFERS = "torch.Buffers"
"""The buffers of a module, likewise."""


def parameters(machine: Machine, module: Value, kind: str = KIND) -> Value:
    """What stands for all parameters of a module, or for all its buffers."""
    return machine.interned((kind, module), lambda: _made(machine, module, kind))


def _made(machine: Machine, module: Value, kind: str) -> ApiObject:
    made = ApiObject(kind, machine.here)
    node = machine.node(kind, (), machine.here, **{OF: module})
    made.slots.update({OF: (module,), "node": node})
    return made


def module_of(value: Value) -> Value | None:
    """The module that parameters belong to; None for anything else."""
    found = value.slots.get(OF) if isinstance(value, ApiObject) else None
    return found[0] if found else None


def _parameters(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if not isinstance(holder, ApiObject | Instance):
        return Unknown("parameters", contents((holder,) if holder else ()))
    kind = BUFFERS if "buffers" in call.name else KIND
    one = parameters(machine, holder, kind)
    if ".named_" in call.name:
        one = Tuple([Unknown("name"), one])
    made = List((one,), open=True)
    made.slots["unordered"] = True
    return made


# -- whether they learn ------------------------------------------------------------------------------


def freeze(machine: Machine, target: Value, trainable: Value, call: Call) -> None:
    """Note that gradients are kept for all parameters of a module from now on, or are not."""
    parts = tuple(calling.parts_of(target))
    machine.emit(Freeze(machine.context(call.site), machine.tick(), target, machine.settle(trainable), parts))


def _set_requires_grad(machine: Machine, call: Call) -> Value:
    module = module_of(call.receiver or Unknown())
    if module is not None:
        freeze(machine, module, call.args[0], call)
    return NONE


def _requires_grad(machine: Machine, call: Call) -> Value:
    holder = call.receiver or Unknown()
    target = module_of(holder) or holder
    if isinstance(target, ApiObject | Instance):
        freeze(machine, target, call.get(0, "requires_grad") or TRUE, call)
    return holder


# -- what is written to them -------------------------------------------------------------------------


def _itself(machine: Machine, call: Call) -> Value:
    return call.receiver or Unknown("parameter")


def _written(machine: Machine, call: Call) -> Value:
    """Something is copied or averaged into all parameters, or all buffers, of a module."""
    holder = call.receiver or Unknown()
    target = module_of(holder)
    if isinstance(holder, ApiObject) and target is not None:
        buffers = holder.kind == BUFFERS
        found = origins(call.values())
        for origin in found or (call.values()[:1] if buffers else ()):
            if origin is not target:
                copied(machine, origin, target, call.site, statistics=buffers, weights=not buffers)
    return holder


def origins(values: Iterable[Value]) -> list[Value]:
    """The modules of whose state values were computed."""
    found = (node for node in sources(contents(values)) if isinstance(node, Node) and OF in node.attrs)
    return list(dict.fromkeys(node.attrs[OF] for node in sorted(found, key=lambda node: node.order)))


def copied(
    machine: Machine, source: Value, target: Value, site: Location, *, statistics: bool = True, **what: Any
) -> None:
    """Note that state of one module is written to another."""
    copy = Copy(machine.context(site), machine.tick(), source, target, statistics, **what)
    copy.read_from, copy.written_to = layers_of(source), layers_of(target)
    machine.emit(copy)


def _written_together(machine: Machine, call: Call) -> Value:
    """``torch._foreach_lerp_(averaged, parameters, weight)``: all of a list at once."""
    targets, *others = (machine.settle(value) for value in call.args) if call.args else (NONE,)
    for target in targets.items if isinstance(targets, List | Tuple) else ():
        _written(machine, Call(others, {}, call.site, receiver=target))
    return NONE


def methods(kind: str) -> None:
    """Give a class of modules what all have."""
    for name in ("parameters", "named_parameters", "buffers", "named_buffers"):
        HANDLERS[f"{kind}.{name}"] = _parameters
    HANDLERS[f"{kind}.requires_grad_"] = _requires_grad


for _kind in (KIND, BUFFERS):
    HANDLERS[f"{_kind}.requires_grad_"] = _requires_grad
    HANDLERS[f"{_kind}.requires_grad="] = _set_requires_grad
    HANDLERS[f"{_kind}.data="] = _written
    PROPERTIES[f"{_kind}.data"] = _itself
    PROPERTIES[f"{_kind}.requires_grad"] = lambda machine, call: Unknown("requires_grad")
    for _name in ("detach", "detach_", "clone", "cpu", "cuda", "to", "float"):
        HANDLERS[f"{_kind}.{_name}"] = _itself
    for _name in ("copy_", "mul_", "add_", "sub_", "lerp_", "data.copy_"):
        HANDLERS[f"{_kind}.{_name}"] = _written
for _name in ("copy", "mul", "add", "sub", "lerp"):
    HANDLERS[f"torch._foreach_{_name}_"] = _written_together
