"""Models that keep an average of another's weights, and the statistics that are estimated for them."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.pytorch import calling, modules, replicas
from bnlint.frameworks.pytorch.copies import deep_copy
from bnlint.frameworks.pytorch.norms import layers_of
from bnlint.frameworks.pytorch.parameters import copied
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import FALSE, NONE, TRUE, ApiObject, Call, Instance, contents
from bnlint.trace import Reset

_AVERAGED = "torch.optim.swa_utils.AveragedModel"
_TIMM = ("timm.utils.ModelEma", "timm.utils.ModelEmaV2", "timm.utils.ModelEmaV3")


def _averaged_model(machine: Machine, call: Call) -> Value:
    """``AveragedModel(model)``: its ``module`` is a copy."""
    made = ApiObject(_AVERAGED, call.site)
    model = call.get(0, "model") or Unknown("model")
    made.slots["module"] = deep_copy(machine, model, call.site) or Unknown("module")
    plain = {"avg_fn", "multi_avg_fn", "use_buffers"}.isdisjoint(call.kwargs) and len(call.args) < 3
    made.slots["plain"] = plain and not call.open
    return made


def _update_parameters(machine: Machine, call: Call) -> Value:
    """A plain average of the weights; the statistics are copied. Other averages are near the last weights."""
    holder = call.receiver
    if isinstance(holder, ApiObject) and call.args:
        plain = bool(holder.slots.get("plain")) and "avg_fn" not in holder.slots
        for source in _modules(machine.settle(call.args[0])):
            copied(machine, source, holder, call.site, averaged=plain)
    return NONE


def _modules(value: Value) -> list[Value]:
    return [value] if calling.is_module(value) else []


def _update_bn(machine: Machine, call: Call) -> Value:
    """``update_bn(loader, model)``: statistics are estimated anew, by calls of the model in training mode."""
    model = machine.settle(call.get(1, "model") or Unknown())
    batch = Unknown("batch", contents((call.get(0, "loader") or Unknown(),)))
    if isinstance(model, ApiObject | Instance):
        parts = calling.parts_of(model)
        before = {part: calling.mode_of(part) for part in parts}
        machine.emit(Reset(machine.context(call.site), machine.tick(), layers_of(model), call.name))
        for part in parts:
            machine.store.write(part, "training", TRUE)
        machine.call(model, [batch], {}, call.site)
        for part, mode in before.items():
            machine.store.write(part, "training", mode)
    return NONE


def _model_ema(machine: Machine, call: Call) -> Value:
    """timm's averages are in evaluation mode."""
    made = ApiObject(call.name, call.site)
    twin = deep_copy(machine, call.get(0, "model") or Unknown("model"), call.site) or Unknown("module")
    for part in calling.parts_of(twin):
        part.slots["training"] = FALSE
    made.slots["ema" if call.name == _TIMM[0] else "module"] = twin
    return made


def _update_ema(machine: Machine, call: Call) -> Value:
    """timm averages, or copies, the statistics as well."""
    if call.receiver is not None and call.args:
        for source in _modules(machine.settle(call.args[0])):
            copied(machine, source, call.receiver, call.site)
    return NONE


for _kind in (_AVERAGED, *_TIMM):
    modules.methods(_kind)
    HANDLERS[f"{_kind}.__call__"] = HANDLERS[f"{_kind}.forward"] = replicas.call_wrapped
HANDLERS[_AVERAGED] = _averaged_model
HANDLERS[f"{_AVERAGED}.update_parameters"] = _update_parameters
HANDLERS["torch.optim.swa_utils.update_bn"] = _update_bn
for _kind in _TIMM:
    HANDLERS[_kind] = _model_ema
    HANDLERS[f"{_kind}.update"] = HANDLERS[f"{_kind}.set"] = _update_ema
