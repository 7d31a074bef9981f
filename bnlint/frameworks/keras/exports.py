"""Models that are written to be used elsewhere, and the phase in which they will be.

`export` describes a call that says nothing about the phase, and so does `tf.saved_model.save` with Keras 3. With
Keras 2 that, the converter of TensorFlow Lite, and whoever loads a saved model and lets it predict, ask for inference.
"""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.keras import calling
from bnlint.frameworks.keras.eagerness import eager, generation
from bnlint.frameworks.keras.table import HANDLERS
from bnlint.frameworks.keras.trainer import driving
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import FALSE, NONE, ApiObject, Call, Instance, contents
from bnlint.trace import Export


def _export(machine: Machine, call: Call) -> Value:
    """``model.export(path)``."""
    _exported(machine, call, call.receiver, None)
    return NONE


def _save(machine: Machine, call: Call) -> Value:
    """``model.save(path)``."""
    _used_in_inference(machine, call, call.receiver)
    return NONE


def _save_model(machine: Machine, call: Call) -> Value:
    _used_in_inference(machine, call, call.get(0, "model"))
    return NONE


def _convert(machine: Machine, call: Call) -> Value:
    _used_in_inference(machine, call, call.get(0, "model"))
    return ApiObject("tf.lite.TFLiteConverter", call.site)


def _saved_model(machine: Machine, call: Call) -> Value:
    """``tf.saved_model.save(model, path)``; functions that are given as signatures decide for themselves."""
    model, known = call.get(0, "obj"), generation(machine)
    if calling.given(call.get(2, "signatures")) is None and not call.open:
        if known == 2:
            _used_in_inference(machine, call, model)
        else:
            _exported(
                machine, call, model, Unknown("training") if known is None and _has_own_call(model) else None
            )
    return NONE


def _has_own_call(model: Value | None) -> bool:
    return isinstance(model, Instance) and calling.own_call(model) is not None


def _used_in_inference(machine: Machine, call: Call, model: Value | None) -> None:
    # What the layers of a graph were told is overruled by Keras 3.
    if _has_own_call(model) or generation(machine) == 2:
        _exported(machine, call, model, FALSE)


def _exported(machine: Machine, call: Call, model: Value | None, phase: Value | None) -> None:
    if not eager(machine) or not isinstance(model, ApiObject | Instance) or not calling.is_part(model):
        return
    data = machine.node("data", (), call.site)
    with driving(machine, FALSE):
        output = machine.call(model, [data], {} if phase is None else {"training": phase}, call.site)
    machine.emit(Export(machine.context(call.site), machine.tick(), call.name, contents((output,))))


for _name in ("keras.Model", "keras.Sequential"):
    HANDLERS[f"{_name}.export"] = _export
    HANDLERS[f"{_name}.save"] = _save
HANDLERS.update(
    {
        "keras.models.save_model": _save_model,
        "keras.saving.save_model": _save_model,
        "tf.saved_model.save": _saved_model,
        "tf.lite.TFLiteConverter.from_keras_model": _convert,
    }
)
