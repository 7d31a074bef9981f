"""Models on several devices, and layers that share their statistics between processes."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.eager import Replicate, Synchronise
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import TRUE, ApiObject, Call, Instance, List, Tuple
from bnlint.trace import NormLayer

_SYNCHRONISED = "synchronised"
"""The slot of a layer that was converted where it is."""
_CONVERTED = "torch.nn.SyncBatchNorm"
_DATA_PARALLEL = "torch.nn.DataParallel"


def _convert(machine: Machine, call: Call) -> Value:
    """All layers inside a module are replaced in it; a module that is such a layer itself is not changed."""
    module = machine.settle(call.get(0, "module") or Unknown("module"))
    converted = {part: layer for part, layer in _norms(module).items() if not _is_synchronised(machine, part)}
    result = module
    if module in converted and isinstance(module, ApiObject):
        result = ApiObject(_CONVERTED, call.site)
        result.slots.update(module.slots)
    else:
        for part in converted:
            machine.store.write(part, _SYNCHRONISED, TRUE)
    layers = tuple(converted.values())
    machine.emit(Synchronise(machine.context(call.site), machine.tick(), module, result, layers))
    return result


def _wrap(machine: Machine, call: Call) -> Value:
    made = ApiObject(_DATA_PARALLEL, call.site)
    module = made.slots["module"] = call.get(0, "module") or Unknown("module")
    norms = _norms(machine.settle(module))
    synchronised = tuple(layer for part, layer in norms.items() if _is_synchronised(machine, part))
    alone = tuple(layer for layer in norms.values() if layer not in synchronised)
    given = machine.settle(call.get(1, "device_ids") or Unknown())
    known = isinstance(given, Tuple) or (isinstance(given, List) and not given.open)
    devices = len(given.items) if known and isinstance(given, Tuple | List) else None
    api = "torch.nn.DataParallel" if call.name.endswith(".DataParallel") else call.name
    context = machine.context(call.site)
    machine.emit(Replicate(context, machine.tick(), module, api, alone, synchronised, devices))
    return made


def call_wrapped(machine: Machine, call: Call) -> Value:
    """A call of a module that only hands it on to another."""
    holder = call.receiver
    module = holder.slots.get("module") if isinstance(holder, ApiObject) else None
    return machine.call(module or Unknown("module"), call.args, call.kwargs, call.site)


def _norms(module: Value) -> dict[calling.Module, NormLayer]:
    return {
        part: layer
        for part in calling.parts_of(module)
        if isinstance(layer := part.slots.get("norm layer"), NormLayer)
    }


def _is_synchronised(machine: Machine, part: ApiObject | Instance) -> bool:
    """Whether a layer is synchronised, or may be."""
    converted = part.slots.get(_SYNCHRONISED)
    own = isinstance(part, ApiObject) and part.kind == _CONVERTED
    return own or (isinstance(converted, Value) and machine.truth(converted) is not False)


HANDLERS.update(
    {
        "torch.nn.DataParallel": _wrap,
        "torch.nn.parallel.DataParallel": _wrap,
        "torch.nn.parallel.DistributedDataParallel": _wrap,
        "torch.nn.DataParallel.__call__": call_wrapped,
        f"{_CONVERTED}.convert_sync_batchnorm": _convert,
    }
)
