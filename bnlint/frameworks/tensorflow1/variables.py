"""Variables, placeholders, and what writes them."""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value
from bnlint.frameworks.tensorflow1.state import (
    joined,
    make_variable,
    scope,
    unique_name,
)
from bnlint.frameworks.tensorflow1.table import handles, text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    FALSE,
    TRUE,
    ApiObject,
    ApiRef,
    Call,
    contents,
)

# -- variables and placeholders ----------------------------------------------------------------------


@handles("tf.Variable")
def _variable(machine: Machine, call: Call) -> Value:
    initial = call.get(0, "initial_value")
    trainable = call.get(1, "trainable") or TRUE
    name = unique_name(machine, text(machine, call.kwargs.get("name")))
    made = make_variable(machine, name, call.site, initial=initial, trainable=trainable, shared=False)
    made.attrs["start"] = _fill(machine.settle(initial) if initial is not None else None)
    return made


@handles(
    "tf.get_variable",
    "slim.model_variable",
    "slim.variable",
    "tf.VariableScope.get_variable",
    "tf.get_local_variable",
)
def _get_variable(machine: Machine, call: Call) -> Value:
    if call.name.startswith("tf.VariableScope") and isinstance(call.receiver, ApiObject):
        prefix = call.receiver.slots["scope"].name
    else:
        prefix = scope(machine).name
    name = joined(prefix, text(machine, call.get(0, "name")))
    start = initial = call.get(3, "initializer")
    if isinstance(initial, ApiObject):
        initial = initial.slots.get("value")
    trainable = call.kwargs.get("trainable") or TRUE
    made = make_variable(machine, name, call.site, initial=initial, trainable=trainable)
    made.attrs.setdefault("start", _fill(start))
    return made


_FILLS = {"tf.zeros_initializer": 0, "tf.ones_initializer": 1, "tf.zeros": 0, "tf.ones": 1}


def _fill(value: Value | None) -> Const | None:
    """The number that a variable is filled with at the start; None when it is not one number."""
    if isinstance(value, ApiRef):
        value = Const(_FILLS.get(value.name))
    elif isinstance(value, ApiObject):
        value = value.slots.get("value") or Const(_FILLS.get(value.kind))
    elif isinstance(value, Node) and value.op in _FILLS:
        value = Const(_FILLS[value.op])
    elif isinstance(value, Node) and value.op == Op.IDENTITY and value.attrs.get("api") == "tf.constant":
        value = value.inputs[0]
    return value if isinstance(value, Const) and isinstance(value.value, int | float) else None


@handles("tf.train.get_or_create_global_step", "tf.train.create_global_step", "tf.train.get_global_step",
         "slim.get_or_create_global_step", "slim.create_global_step", "slim.get_global_step",
         "tf.contrib.framework.get_or_create_global_step", "tf.contrib.framework.get_global_step")  # fmt: skip
def _global_step(machine: Machine, call: Call) -> Value:
    return make_variable(machine, "global_step", call.site, trainable=FALSE)


@handles("tf.constant_initializer")
def _constant_initializer(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.constant_initializer", call.site)
    made.slots["value"] = call.get(0, "value") or Const(0)
    return made


@handles("tf.placeholder")
def _placeholder(machine: Machine, call: Call) -> Value:
    return machine.node(
        Op.PLACEHOLDER, (), call.site, default=None, dtype=_dtype(call.get(0, "dtype")),
        name=text(machine, call.get(2, "name")),
    )  # fmt: skip


@handles("tf.placeholder_with_default")
def _placeholder_with_default(machine: Machine, call: Call) -> Value:
    default = call.get(0, "input") or Unknown()
    return machine.node(
        Op.PLACEHOLDER, (), call.site, default=default, dtype="bool" if _is_bool(machine, default) else "",
        name=text(machine, call.get(2, "name")),
    )  # fmt: skip


def _dtype(value: Value | None) -> str:
    if isinstance(value, ApiRef):
        return value.name.rpartition(".")[2]
    return str(value.value) if isinstance(value, Const) else ""


def _is_bool(machine: Machine, value: Value) -> bool:
    return isinstance(machine.constant(value), bool)


@handles(
    "tf.assign", "tf.assign_add", "tf.assign_sub", "Tensor.assign", "Tensor.assign_add", "Tensor.assign_sub"
)
def _assign(machine: Machine, call: Call) -> Value:
    if call.name.startswith("Tensor"):
        target, value = call.receiver, call.get(0, "value")
    else:
        target, value = call.get(0, "ref"), call.get(1, "value")
    return make_assign(machine, machine.settle(target or Unknown()), value or Unknown(), call)


def make_assign(machine: Machine, target: Value, value: Value, call: Call) -> Node:
    """An operation that writes a variable."""
    from bnlint.frameworks.keras.eagerness import eager

    node = machine.node(
        Op.ASSIGN, (*contents((value,)), target), call.site, variable=target, value=value, api=call.name
    )
    for written in contents((target,)):
        if isinstance(written, Node) and written.op == Op.VARIABLE:
            written.inputs = (*written.inputs, value)
    if eager(machine):
        machine.trace.escaped.add(node)  # it needs nobody to run it
    return node


@handles("Tensor.initialized_value", "Tensor.read_value", "Tensor.value")
def _read(machine: Machine, call: Call) -> Value:
    return call.receiver or Unknown()
