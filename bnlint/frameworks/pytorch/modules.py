"""Modules: containers, wrappers, and the switch between training and evaluation."""

from __future__ import annotations

import re
from collections.abc import Callable

from bnlint.dataflow import Const, Op, Unknown, Value
from bnlint.frameworks.pytorch import calling, foreign, parameters, precision, states, switches
from bnlint.frameworks.pytorch.containers import ModuleList
from bnlint.frameworks.pytorch.layers import made_with
from bnlint.frameworks.pytorch.table import HANDLERS, PROPERTIES
from bnlint.frameworks.tensorflow1.state import make_variable
from bnlint.interpreter.containers import item
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.syntax import mentions
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiObject,
    Call,
    Dict,
    Function,
    Instance,
    List,
    Tuple,
    contents,
)
from bnlint.trace import ModeSwitch

_WEIGHTED = (
    "Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Bilinear",
    "LSTM", "GRU", "RNN", "Embedding", "LazyLinear", "LazyConv1d", "LazyConv2d", "LazyConv3d", "LayerNorm", "GroupNorm",
)  # fmt: skip


_PER_MODULE = re.compile(
    r"eval|train|freeze|requires_grad|momentum|^eps|running|half|float|reset_|^to$|bfloat|double|fuse"
)
"""Names in code that goes through all modules for which it matters that it reaches each of them."""


# -- the mode ----------------------------------------------------------------------------------------


def _train(machine: Machine, call: Call) -> Value:
    if call.receiver is None and call.args:
        # ``nn.Module.train(self, mode)``
        call.receiver = call.args.pop(0)
    return _switch(machine, call, machine.settle(call.get(0, "mode") or TRUE))


def _eval(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    own = switches.own_train(holder)
    if own is not None:
        # ``eval()`` is ``train(False)``, also where there is another ``train``.
        return machine.call(own, [FALSE], {}, call.site)
    return _switch(machine, call, FALSE)


def _switch(machine: Machine, call: Call, mode: Value) -> Value:
    holder = call.receiver
    if not isinstance(holder, ApiObject | Instance):
        return Unknown("module")
    switch = ModeSwitch(machine.context(call.site), machine.tick(), holder, mode, call.name)
    machine.emit(switch)
    _set_mode(machine, holder, switch, 0)
    return holder


def _set_mode(machine: Machine, holder: calling.Module, switch: ModeSwitch, depth: int) -> None:
    machine.store.write(holder, "training", calling.as_mode(switch.training))
    switch.parts[holder] = None
    switch.drops |= isinstance(holder, ApiObject) and holder.kind.startswith(switches.DROPOUT)
    machine.spend()
    for child in calling.children(holder) if depth < 30 else ():
        own = switches.own_train(child)
        if own is not None:
            machine.call(own, [switch.training], {}, switch.site)
        elif child not in switch.parts:
            _set_mode(machine, child, switch, depth + 1)


def _assign_mode(machine: Machine, call: Call) -> Value:
    """``module.training = False``: of this module alone, not of those inside."""
    holder, mode = call.receiver, machine.settle(call.args[0])
    if isinstance(holder, ApiObject | Instance):
        machine.emit(
            ModeSwitch(
                machine.context(call.site),
                machine.tick(),
                holder,
                mode,
                "torch.nn.Module.training",
                {holder: None},
            )
        )
        machine.store.write(holder, "training", calling.as_mode(mode))
        switches.assigned(machine, call, mode)
    return NONE


def _training(machine: Machine, call: Call) -> Value:
    return calling.mode_of(call.receiver or Unknown())


def _itself(machine: Machine, call: Call) -> Value:
    return call.receiver or Unknown("module")


def _apply(machine: Machine, call: Call) -> Value:
    """``module.apply(function)``: the function is called with every module inside, and with the module itself."""
    function = call.get(0, "fn") or Unknown("fn")
    if isinstance(function, Function) and mentions(function.node, _PER_MODULE):
        for part in reversed(calling.parts_of(call.receiver or Unknown())):
            machine.call(function, [part], {}, call.site)
    else:
        machine.callbacks(call.values(), call.site)
        if not isinstance(function, Function) and call.receiver is not None:
            foreign.forget(machine, [call.receiver])
    return call.receiver or Unknown("module")


def _modules(machine: Machine, call: Call) -> Value:
    return _listed(call, lambda module: module)


def _named_modules(machine: Machine, call: Call) -> Value:
    names: dict[Value, Value] = {}
    holder = call.receiver
    if isinstance(holder, ApiObject | Instance) and call.name.endswith("children"):
        names = {value: Const(name) for name, value in holder.slots.items() if calling.is_named(name, value)}
    return _listed(call, lambda module: Tuple([names.get(module, Unknown("name")), module]))


def _append(machine: Machine, call: Call) -> Value:
    layers = _layers(call.receiver)
    if layers is not None and call.args:
        machine.store.write(layers, "items", (*layers.items, call.args[0]))
    return call.receiver or NONE


def _listed(call: Call, shown: Callable[[Value], Value]) -> Value:
    holder = call.receiver or Unknown()
    within = calling.parts_of(holder) if call.name.endswith("modules") else list(calling.children(holder))
    if not within:
        return Unknown("modules")
    made = List(map(shown, within))
    made.slots["in full"] = _PER_MODULE
    if isinstance(holder, ApiObject) and holder.slots.get("unordered"):
        made.slots.update(unordered=True, open=True)
    return made


def _registry(machine: Machine, call: Call) -> Value:
    """``module._modules``: the modules directly inside, by their names as far as these are known."""
    holder, made = call.receiver or Unknown(), Dict()
    slots = holder.slots if isinstance(holder, ApiObject | Instance) else {}
    names: dict[object, Value] = {
        value: Const(name) for name, value in slots.items() if calling.is_named(name, value)
    }
    for child in calling.children(holder):
        name = names.get(child) or Unknown("name")
        made.keys[Dict.key(name)], made.slots[Dict.key(name)] = name, child
    return made


def _add_module(machine: Machine, call: Call) -> Value:
    holder, name = call.receiver, machine.constant(call.get(0, "name"))
    module = call.get(1, "module") or Unknown("module")
    if isinstance(holder, ApiObject) and isinstance(holder.slots.get("layers"), List):
        layers = holder.slots["layers"]
        if isinstance(name, str) or module not in layers.items:
            # Else it takes its own place, under the name that ``named_children`` has told.
            machine.store.write(layers, "items", (*layers.items, module))
    elif isinstance(holder, ApiObject | Instance):
        key = name if isinstance(name, str) else f"module {machine.tick()}"
        machine.store.write(holder, key, module)
    return NONE


# -- containers and wrappers -------------------------------------------------------------------------


def _sequential(machine: Machine, call: Call) -> ApiObject:
    made = ApiObject("torch.nn.Sequential", call.site)
    given = machine.settle(call.args[0]) if len(call.args) == 1 else None
    items = [value for _, value, _ in given.entries()] if isinstance(given, Dict) else list(call.args)
    made.slots["layers"] = ModuleList(items, call.open or bool(call.rest))
    return made


def _init_sequential(machine: Machine, call: Call) -> Value:
    """``super().__init__(layers…)`` in a project's own sequence."""
    holder = call.receiver
    if isinstance(holder, Instance) and call.args:
        made = _sequential(machine, call)
        machine.store.write(holder, "layers", made.slots["layers"])
    return NONE


def _layers(holder: Value | None) -> List | None:
    """The modules of a sequence, in order."""
    found = holder.slots.get("layers") if isinstance(holder, ApiObject | Instance) else None
    if isinstance(found, List):
        return found
    inside = list(calling.children(holder)) if isinstance(holder, Instance) else []
    return ModuleList(inside) if inside else None


def _sequence_item(machine: Machine, call: Call) -> Value:
    layers = _layers(call.receiver)
    return (
        machine.unknown("layer") if layers is None else item(machine, layers, call.args[0], lambda: call.site)
    )


def _sequence_length(machine: Machine, call: Call) -> Value:
    layers = _layers(call.receiver)
    return machine.unknown("len") if layers is None or layers.open else Const(len(layers.items))


def _sequence_items(machine: Machine, call: Call) -> Value:
    return _layers(call.receiver) or machine.unknown("layers")


def _call_sequential(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if isinstance(holder, Instance) and calling.own_forward(holder):
        return calling.call_own(machine, call)
    layers = _layers(holder)
    value = call.get(0, "input") or Unknown("input")
    if layers is None or holder is None:
        return machine.unknown("sequential", value)
    with calling.calling(machine, holder, call) as forward:
        for layer in layers.items:
            value = machine.call(layer, [value], {}, call.site)
        if layers.open:
            value = machine.unknown("", value)
    return calling.finished(machine, forward, value)


def _wrapped(machine: Machine, call: Call) -> Value:
    return call.args[0] if call.args else Unknown("module")


# -- other layers ------------------------------------------------------------------------------------


def make_layer(machine: Machine, call: Call) -> Value:
    """A layer that has no mode."""
    made = ApiObject(call.name, call.site)
    made.slots["given"] = dict(call.kwargs)
    made.slots["made"] = made_with(call)
    return made


def call_weighted(machine: Machine, call: Call) -> Value:
    """A layer that multiplies by weights."""
    holder = call.receiver
    if isinstance(holder, Instance) and calling.own_forward(holder):
        return calling.call_own(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    weights = holder.slots.get("weights node")
    if weights is None:
        weights = holder.slots["weights node"] = make_variable(machine, None, holder.site, shared=False)
    inputs = (*contents(call.values()), weights)
    made = holder.slots.get("made")
    return machine.node(
        Op.WEIGHTED, inputs, call.site, weights=(weights,), api=call.name, layer=holder, made=made
    )


def call_layer(machine: Machine, call: Call) -> Value:
    """Any other layer or loss."""
    holder = call.receiver
    if isinstance(holder, Instance) and calling.own_forward(holder):
        return calling.call_own(machine, call)
    kind = holder.kind if isinstance(holder, ApiObject) else "torch.nn.Module"
    made = holder.slots.get("made") if isinstance(holder, ApiObject) else None
    return machine.node(kind, contents(call.values()), call.site, layer=holder, made=made)


_METHODS = {
    "train": _train,
    "eval": _eval,
    "add_module": _add_module,
    "register_module": _add_module,
    "apply": _apply,
    "modules": _modules,
    "children": _modules,
    "named_modules": _named_modules,
    "named_children": _named_modules,
    **dict.fromkeys(
        ("cuda", "cpu", "share_memory"),
        _itself,
    ),
}


def methods(kind: str) -> None:
    """Give a class of modules what all have."""
    for name, handler in _METHODS.items():
        HANDLERS[f"{kind}.{name}"] = handler
    PROPERTIES[f"{kind}.training"] = _training
    PROPERTIES[f"{kind}._modules"] = _registry
    HANDLERS[f"{kind}.training="] = _assign_mode
    parameters.methods(kind)
    precision.methods(kind)
    switches.methods(kind)
    states.methods(kind)


for _name in _WEIGHTED:
    HANDLERS[f"torch.nn.{_name}"] = make_layer
    HANDLERS[f"torch.nn.{_name}.__call__"] = call_weighted
    methods(f"torch.nn.{_name}")
for _name in (
    "Module",
    "Sequential",
    "DataParallel",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "SyncBatchNorm",
):
    methods(f"torch.nn.{_name}")
HANDLERS.update(
    {
        "torch.nn.Module.__call__": calling.call_own,
        "torch.nn.Sequential": _sequential,
        "torch.nn.Sequential.__init__": _init_sequential,
        "torch.nn.Sequential.__getitem__": _sequence_item,
        "torch.nn.Sequential.__len__": _sequence_length,
        "torch.nn.Sequential.__iter__": _sequence_items,
        "torch.nn.Sequential.append": _append,
        "torch.nn.Sequential.__call__": _call_sequential,
        "torch.nn.Sequential.forward": _call_sequential,
        "torch.compile": _wrapped,
        "torch.jit.script": _wrapped,
    }
)
