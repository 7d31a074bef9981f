"""``copy.deepcopy`` of modules: a copy has parts, layers and a mode of its own, as they were when it was made."""

from __future__ import annotations

from bnlint.dataflow import Choice, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.pytorch import calling, states
from bnlint.frameworks.pytorch.parameters import copied
from bnlint.frameworks.tensorflow1.state import make_variable
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.store import choice
from bnlint.interpreter.values import ApiObject, Dict, Instance, List, Method, Mutable, Tuple
from bnlint.trace import NormLayer


def deep_copy(machine: Machine, value: Value, site: Location) -> Value | None:
    """A copy of a module, of a sequence of modules, or of the state of a module; None of anything else."""
    if isinstance(value, Choice):
        options = [(guards, deep_copy(machine, option, site)) for guards, option in value.options]
        if all(made is None for _, made in options):
            return None
        return choice([(guards, made or Unknown("copy")) for guards, made in options])
    if calling.is_module(value):
        made = _twin(machine, value, {})
        copied(machine, value, made, site)
        return made
    if isinstance(value, Dict):
        return states.copy_of(machine, value)
    if isinstance(value, List | Tuple) and any(map(calling.is_module, value.items)):
        return _twin(machine, value, {})
    return None


def _twin(machine: Machine, value: Value, twins: dict[Value, Value]) -> Value:
    """What a copy has in the place of a value; ``twins`` are those that were made already."""
    if value in twins:
        return twins[value]
    if isinstance(value, Tuple):
        return Tuple((_twin(machine, item, twins) for item in value.items), value.fields)
    if isinstance(value, Choice):
        return choice([(guards, _twin(machine, option, twins)) for guards, option in value.options])
    if isinstance(value, Method) and value.receiver in twins:
        return Method(twins[value.receiver], value.function)
    if isinstance(value, Instance) and calling.is_module(value) and value.cls.find("__deepcopy__"):
        twins[value] = Unknown("copy")
        return twins[value]
    made = _empty(value)
    if made is None or not isinstance(value, Mutable):
        return value
    machine.spend()
    twins[value] = made
    for name, slot in value.slots.items():
        if name != "weights node":
            made.slots[name] = _twin_slot(machine, slot, made, twins)
    return made


def _empty(value: Value) -> Mutable | None:
    """Something like a value, that the content of the value is put into; None for what a copy may share."""
    if isinstance(value, Instance) and calling.is_module(value):
        return Instance(value.cls, value.site)
    if isinstance(value, ApiObject) and calling.is_module(value):
        return ApiObject(value.kind, value.site)
    if isinstance(value, List):
        return type(value)()
    if isinstance(value, Dict):
        made = type(value)()
        made.keys, made.sites = dict(value.keys), dict(value.sites)
        return made
    return None


def _twin_slot(machine: Machine, slot: object, holder: Mutable, twins: dict[Value, Value]) -> object:
    if isinstance(slot, NormLayer):
        layer = NormLayer(
            slot.context, machine.tick(), slot.api, slot.framework, slot.name, slot.graph, slot.arguments,
            slot.trainable, pretrained=slot.pretrained, owner=holder,
        )  # fmt: skip
        layer.weights = tuple(make_variable(machine, None, slot.site, shared=False) for _ in slot.weights)
        return layer
    if isinstance(slot, Value):
        return _twin(machine, slot, twins)
    if isinstance(slot, tuple):
        return tuple(_twin(machine, item, twins) if isinstance(item, Value) else item for item in slot)
    return slot
