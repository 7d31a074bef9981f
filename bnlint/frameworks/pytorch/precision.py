"""The type of the numbers of modules: `half()`, `to(torch.bfloat16)`, and back with `float()`.

The type stands in the slot "dtype" of each module, as a constant whose site is the conversion; who has none has the
default.
"""

from __future__ import annotations

from bnlint.dataflow import Const, Unknown, Value
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, ApiRef, Call, Instance

SLOT = "dtype"
_TYPES = {
    "half": "float16",
    "float16": "float16",
    "HalfTensor": "float16",
    "bfloat16": "bfloat16",
    "BFloat16Tensor": "bfloat16",
    "float": "float32",
    "float32": "float32",
    "FloatTensor": "float32",
    "double": "float64",
    "float64": "float64",
}


def dtype_of(machine: Machine, module: Value) -> Value | None:
    """The type that a module was given; None if it was given none."""
    found = module.slots.get(SLOT) if isinstance(module, ApiObject | Instance) else None
    return machine.settle(found) if isinstance(found, Value) else None


def _by_method(machine: Machine, call: Call) -> Value:
    """``module.half()``."""
    return _convert(machine, call, Const(_TYPES[call.name.rpartition(".")[2]], call.site))


def _by_argument(machine: Machine, call: Call) -> Value:
    """``module.to(device, torch.half)``; what is not known is taken for a device."""
    for given in (call.get(None, "dtype"), call.get(None, "dst_type"), *call.args):
        value = None if given is None else machine.settle(given)
        name = value.name.rpartition(".")[2] if isinstance(value, ApiRef) else ""
        if name in _TYPES:
            return _convert(machine, call, Const(_TYPES[name], call.site))
        if value is not None and "type" in getattr(value, "hint", ""):
            return _convert(machine, call, Unknown(SLOT))
    return call.receiver or Unknown("module")


def _convert(machine: Machine, call: Call, dtype: Value) -> Value:
    holder = call.receiver or Unknown("module")
    for part in calling.parts_of(holder):
        machine.store.write(part, SLOT, dtype)
    return holder


def methods(kind: str) -> None:
    """Give a class of modules what all have."""
    for name in ("half", "bfloat16", "float", "double"):
        HANDLERS[f"{kind}.{name}"] = _by_method
    for name in ("to", "type"):
        HANDLERS[f"{kind}.{name}"] = _by_argument
