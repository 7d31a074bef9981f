"""Keras in graph mode: the learning phase, and updates that hang on the layers.

A batch normalisation of Keras never adds to a collection; it keeps its updates on the layer object
(``layer.updates``), and only Keras' own trainer runs them.
"""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value, sources
from bnlint.frameworks.keras.table import HANDLERS, PROPERTIES
from bnlint.frameworks.tensorflow1.state import graph
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    ApiObject,
    ApiRef,
    Call,
    Instance,
    List,
    Tuple,
)
from bnlint.trace import ModeSwitch


def learning_phase(machine: Machine, call: Call) -> Value:
    """The global learning phase: what was set, else a placeholder that is False unless it is fed."""
    found = machine.state.get("keras learning phase")
    if isinstance(found, Value):
        return found
    return machine.interned(
        ("keras learning phase", graph(machine)),
        lambda: machine.node(
            Op.PLACEHOLDER, (), call.site, default=FALSE, dtype="bool", name="keras_learning_phase"
        ),
    )


def _set_learning_phase(machine: Machine, call: Call) -> Value:
    value = machine.settle(call.get(0, "value") or Unknown("learning phase"))
    machine.emit(ModeSwitch(machine.context(call.site), machine.tick(), None, value, call.name))
    known = machine.constant(value)
    machine.state["keras learning phase"] = Const(bool(known)) if isinstance(known, int) else value
    return NONE


def updates(machine: Machine, call: Call) -> Value:
    """``layer.updates`` and ``model.updates``."""
    return List(_update_nodes(machine, call.receiver or Unknown(), set()))


def _update_nodes(machine: Machine, value: Value, seen: set[Value]) -> list[Value]:
    """The updates that hang on a layer or on the layers inside a model."""
    if value in seen or len(seen) > 500:
        return []
    seen.add(value)
    if isinstance(value, ApiObject | Instance):
        found: list[Value] = list(value.slots.get("update nodes", ()))
        for slot in value.slots.values():
            if isinstance(slot, Value):
                found.extend(_update_nodes(machine, slot, seen))
        return found
    if isinstance(value, List | Tuple):
        return [node for item in value.items for node in _update_nodes(machine, item, seen)]
    if isinstance(value, Node):
        return [
            node
            for source in sources((value,))
            if isinstance(source, Node) and source.op == Op.NORM
            for node in source.attrs["call"].update_nodes
        ]
    return []


def inherited(machine: Machine, instance: Instance, base: ApiRef, name: str) -> Value | None:
    """An attribute that a project's layer or model has from Keras."""
    made = PROPERTIES.get(f"{base.name}.{name}") or PROPERTIES.get(f"keras.layers.Layer.{name}")
    if made is None or not base.name.startswith("keras."):
        return None
    return made(machine, Call([], {}, machine.here, receiver=instance, name=name))


for _name in ("keras.layers.Layer", "keras.Model", "keras.Sequential"):
    PROPERTIES[f"{_name}.updates"] = updates
    HANDLERS[f"{_name}.get_updates_for"] = updates
HANDLERS["keras.backend.learning_phase"] = learning_phase
HANDLERS["keras.backend.set_learning_phase"] = _set_learning_phase
