"""The state of the project's own layers: weights that they add, and when they do."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.keras.table import HANDLERS
from bnlint.frameworks.tensorflow1.state import make_variable
from bnlint.frameworks.tensorflow1.table import text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import TRUE, Call, Function, Instance, Method


def build(machine: Machine, instance: Instance) -> None:
    """Let a layer add its weights, as Keras does before it is called for the first time."""
    method = instance.cls.find("build")
    if isinstance(method, Function) and "built" not in instance.slots:
        machine.store.write(instance, "built", TRUE)
        machine.call(Method(instance, method), [Unknown("input_shape")], {}, instance.site)


def _add_weight(machine: Machine, call: Call) -> Value:
    # The name is the first parameter in Keras 2 and the shape in Keras 3; both are mostly given by name.
    return make_variable(
        machine, text(machine, call.kwargs.get("name")), call.site,
        initial=call.kwargs.get("initializer"), trainable=_trainable(call), shared=False,
    )  # fmt: skip


def _trainable(call: Call) -> Value:
    given = call.kwargs.get("trainable")
    if given is not None:
        return given
    # A weight that is combined when it is read (`synchronization`) is none that an optimizer changes.
    silent = call.open or call.rest or len(call.args) > 2 or "synchronization" in call.kwargs
    return Unknown("trainable") if silent else TRUE


for _name in ("keras.layers.Layer", "keras.Model"):
    HANDLERS[f"{_name}.add_weight"] = HANDLERS[f"{_name}.add_variable"] = _add_weight
