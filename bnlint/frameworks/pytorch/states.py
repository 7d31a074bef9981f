"""Dictionaries of the state of modules, and what is written with them from one module to another.

Such a dictionary has the entries of some normalisations, by the names that they have in the program: so what a
program leaves out by its name is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.dataflow import Choice, Const, Node, Unknown, Value, sources
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.norms import SIGNATURES, layers_of
from bnlint.frameworks.pytorch.parameters import OF, copied, origins
from bnlint.frameworks.pytorch.table import HANDLERS, PROPERTIES
from bnlint.interpreter.containers import put
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.store import MISSING
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    Call,
    Dict,
    Instance,
    List,
    Method,
    Tuple,
)
from bnlint.trace import NormLayer, Reset, Save, Saved

ENTRY = "torch.state"
"""The operation of a node that stands for one tensor of a module's state."""
SNAPSHOT = "torch.state copy"
"""The operation of a node that stands for a copy of one, as it was once."""
LEAF = "leaf"
"""The attribute of such nodes: the name of the tensor in its layer."""
WEIGHTS = ("weight", "bias")
STATISTICS = ("running_mean", "running_var")
COUNTER = "num_batches_tracked"
_MOST = 2
"""A dictionary has the entries of so many normalisations."""


def entry(machine: Machine, part: Value, leaf: str) -> Value:
    """One tensor of the state of a layer."""
    return machine.interned(
        (ENTRY, part, leaf), lambda: machine.node(ENTRY, (), machine.here, **{OF: part, LEAF: leaf})
    )


def _norms(module: Value) -> Iterator[tuple[str, bool, NormLayer]]:
    """The normalisations in a module with their paths, and whether they have just that path in the program."""
    pending: list[tuple[str, bool, object]] = [("", True, module)]
    seen: set[Value] = set()
    while pending:
        path, exact, value = pending.pop(0)
        if isinstance(value, ApiObject | Instance) and calling.is_module(value) and value not in seen:
            seen.add(value)
            layer = value.slots.get("norm layer")
            if isinstance(layer, NormLayer):
                yield path, exact, layer
            plain = isinstance(value, ApiObject) and value.kind == "torch.nn.Sequential"
            exact = exact and not value.slots.get("unordered")
            pending.extend(
                (path if plain else _joined(path, name), exact, slot) for name, slot in value.slots.items()
            )
        elif isinstance(value, List | Tuple):
            pending.extend((_joined(path, index), exact, item) for index, item in enumerate(value.items))
        elif isinstance(value, Dict):
            pending.extend(
                (_joined(path, key.value if isinstance(key, Const) else "?"), exact, item)
                for key, item, _ in value.entries()
            )
        elif isinstance(value, Choice):
            pending.extend((path, exact, option) for _, option in value.options)


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _key(machine: Machine, path: str, exact: bool, leaf: str) -> Value:
    """The name of an entry; where it has another one in the program, one that is not known."""
    name = _joined(path, leaf)
    return Const(name) if exact else machine.interned(("name of", name), lambda: Unknown("name"))


def _state_dict(machine: Machine, call: Call) -> Value:
    made = Dict(open=True)
    holder = call.receiver or Unknown()
    for path, exact, layer in list(_norms(holder))[:_MOST]:
        for leaf in (*WEIGHTS, *STATISTICS, COUNTER):
            if layer.owner is not None:
                put(machine, made, _key(machine, path, exact, leaf), entry(machine, layer.owner, leaf), None)
    return made if made.keys else machine.unknown("state_dict", holder)


# -- loading -----------------------------------------------------------------------------------------


def _load_state_dict(machine: Machine, call: Call) -> Value:
    """State of another module, or weights that are read from somewhere."""
    given = machine.settle(call.get(0, "state_dict") or Unknown())
    target = call.receiver or Unknown()
    options = [option for _, option in given.options] if isinstance(given, Choice) else [given]
    known = [_load_from(machine, option, target, call) for option in options if isinstance(option, Dict)]
    if len(known) < len(options) or not all(known):
        save = Save(machine.context(call.site), machine.tick(), Saved.ALL, None)
        save.restores.append(machine.context(call.site))
        save.statistics_of = layers_of(target)
        machine.emit(save)
        for layer in layers_of(target):
            layer.pretrained = True
    return Unknown("keys")


def _load_from(machine: Machine, given: Dict, target: Value, call: Call) -> bool:
    """Note what comes out of the state of modules; whether there is any."""
    known = False
    for path, exact, layer in list(_norms(target))[:_MOST]:
        written: dict[Value, set[str]] = {}
        variance: Value | None = None
        for leaf in (*WEIGHTS, *STATISTICS):
            value = _found(machine, given, path, exact, leaf)
            for origin in origins((value,)) if value is not None else ():
                written.setdefault(origin, set()).add(leaf)
                variance = value if leaf == "running_var" else variance
        known = known or bool(written)
        for origin, leaves in written.items():
            if origin is not layer.owner and layer.owner is not None:
                copied(
                    machine, origin, layer.owner, call.site, statistics=bool(leaves & {*STATISTICS}),
                    weights=bool(leaves & {*WEIGHTS}), variance=variance,
                )  # fmt: skip
    return known


def _found(machine: Machine, given: Dict, path: str, exact: bool, leaf: str) -> Value | None:
    """An entry of a dictionary, also where a wrapper of the module has come or gone."""
    for name in (path, f"module.{path}", path.removeprefix("module.")):
        value = given.slots.get(Dict.key(_key(machine, name, exact, leaf)))
        if isinstance(value, Value):
            return value
    return None


# -- tensors of a state ------------------------------------------------------------------------------


def is_entry(value: Value) -> bool:
    """Whether a value is one tensor of a module's state."""
    return isinstance(value, Node) and value.op == ENTRY


def _is_snapshot(value: Value) -> bool:
    return isinstance(value, Node) and value.op == SNAPSHOT


def _like_any_tensor(machine: Machine, call: Call) -> Value:
    machine.callbacks(call.values(), call.site)
    return machine.unknown(call.name.rpartition(".")[2], call.receiver or Unknown(), *call.values())


def _written(machine: Machine, call: Call) -> Value:
    """Something is written to one tensor of a state."""
    target = call.receiver
    if not isinstance(target, Node) or not is_entry(target):
        return _like_any_tensor(machine, call)
    replaced = call.name.endswith("copy_")
    _write(
        machine, target.attrs[OF], target.attrs[LEAF], call, call.args[0] if call.args and replaced else None
    )
    return target


def _write(machine: Machine, part: Value, leaf: str, call: Call, value: Value | None) -> None:
    """Note where something comes from that is written to a layer; ``value`` if it replaces what was there."""
    variance = value if leaf == "running_var" else None
    others = [origin for origin in origins(call.values()) if origin is not part]
    if leaf in STATISTICS and not others:
        others = list(call.values()[:1])
    for origin in others:
        if leaf != COUNTER:
            copied(
                machine, origin, part, call.site, statistics=leaf in STATISTICS, weights=leaf in WEIGHTS,
                variance=variance,
            )  # fmt: skip


def _cleared(machine: Machine, call: Call) -> Value:
    """``running_mean.zero_()``."""
    target = call.receiver
    if not isinstance(target, Node) or not is_entry(target):
        return _like_any_tensor(machine, call)
    if target.attrs[LEAF] in STATISTICS:
        _reset(machine, target.attrs[OF], call)
    return target


def _reset(machine: Machine, part: Value, call: Call) -> None:
    machine.emit(Reset(machine.context(call.site), machine.tick(), layers_of(part), call.name))


def snapshot(machine: Machine, value: Node) -> Value:
    """A copy of one tensor of a state."""
    return machine.node(SNAPSHOT, (), machine.here, **{OF: value.attrs[OF], LEAF: value.attrs[LEAF]})


def _clone(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    return (
        snapshot(machine, holder) if isinstance(holder, Node) and is_entry(holder) else _same(machine, call)
    )


def _same(machine: Machine, call: Call) -> Value:
    """``detach()`` and the like."""
    holder = call.receiver
    if isinstance(holder, Node) and any(
        is_entry(value) or _is_snapshot(value) for value in sources((holder,))
    ):
        return holder
    return _like_any_tensor(machine, call)


def _data(machine: Machine, call: Call) -> Value:
    holder = call.receiver or Unknown()
    return holder if is_entry(holder) or _is_snapshot(holder) else Method(holder, "data")


def _statistic(machine: Machine, call: Call) -> Value:
    return entry(machine, call.receiver or Unknown(), call.name)


def _set_statistic(machine: Machine, call: Call) -> Value:
    """``layer.running_mean = …``; a layer without one has nothing but the statistics of the batch."""
    layer, value = call.receiver, machine.settle(call.args[0])
    if isinstance(layer, ApiObject | Instance):
        made_by = value.op if isinstance(value, Node) else value.hint if isinstance(value, Unknown) else ""
        if isinstance(value, Const) and value.value is None:
            machine.store.write(layer, call.name, value)
            return NONE
        machine.store.write(layer, call.name, MISSING)
        if made_by.rpartition(".")[2].removesuffix("_like") in ("zeros", "ones"):
            _reset(machine, layer, call)
        else:
            _write(machine, layer, call.name, call, value)
    return NONE


def copy_of(machine: Machine, given: Dict) -> Dict | None:
    """A deep copy of a dictionary of state; None if it is no such dictionary."""
    entries = given.entries()
    if not any(is_entry(value) for _, value, _ in entries):
        return None
    made = Dict(given.open)
    for key, value, site in entries:
        put(
            machine,
            made,
            key,
            snapshot(machine, value) if isinstance(value, Node) and is_entry(value) else value,
            site,
        )
    return made


def methods(kind: str) -> None:
    """Give a class of modules what all have."""
    HANDLERS[f"{kind}.state_dict"] = _state_dict
    HANDLERS[f"{kind}.load_state_dict"] = _load_state_dict


for _kind in SIGNATURES:
    for _name in STATISTICS:
        PROPERTIES[f"{_kind}.{_name}"] = _statistic
        HANDLERS[f"{_kind}.{_name}="] = _set_statistic
for _name in ("copy_", "mul_", "add_", "sub_", "div_", "lerp_"):
    HANDLERS[f"Tensor.{_name}"] = _written
for _name in ("zero_", "fill_"):
    HANDLERS[f"Tensor.{_name}"] = _cleared
for _name in ("detach", "cpu", "cuda", "to", "float"):
    HANDLERS[f"Tensor.{_name}"] = _same
HANDLERS["Tensor.clone"] = _clone
PROPERTIES["Tensor.data"] = _data
