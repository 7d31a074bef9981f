"""Training by hand: tapes, optimizers, and functions that are traced."""

from __future__ import annotations

from copy import copy

from bnlint.dataflow import Choice, Const, Node, Unknown, Value, sources
from bnlint.frameworks.keras.calling import given
from bnlint.frameworks.keras.eagerness import eager
from bnlint.frameworks.keras.table import HANDLERS
from bnlint.frameworks.tensorflow1 import training
from bnlint.frameworks.tensorflow1.training import listed_variables
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    Call,
    Dict,
    Function,
    List,
    Method,
    Partial,
    Tuple,
    contents,
)
from bnlint.trace import Run, Traced, TrainStep


def _tape(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.GradientTape", call.site)
    made.enter = lambda: made
    return made


def _gradient(machine: Machine, call: Call) -> Value:
    loss = call.get(0, "target") or Unknown("loss")
    variables = call.get(1, "sources") or Unknown("sources")
    made = _node_of(machine, loss, call)
    return machine.node("gradients", (made,), call.site, loss=made, variables=variables, tape=True)


def _node_of(machine: Machine, value: Value, call: Call) -> Node:
    value = machine.settle(value)
    return value if isinstance(value, Node) else machine.node("loss", contents((value,)), call.site)


def _optimizer(machine: Machine, call: Call) -> Value:
    made = ApiObject("keras.Optimizer", call.site)
    made.slots["given"] = Tuple(call.values())
    return made


def _apply(machine: Machine, call: Call) -> Value:
    pairs = contents(call.values())
    found = [
        value
        for value in sources(pairs)
        if isinstance(value, Node) and value.op == "gradients" and value.attrs.get("tape")
    ]
    if not found:
        return training.HANDLERS["tf.Optimizer.apply_gradients"](machine, call)
    gradients = max(found, key=lambda node: node.order)
    return step(machine, call, gradients.attrs["loss"], gradients.attrs["variables"])


def _minimize(machine: Machine, call: Call) -> Value:
    """``minimize`` of a loss that is a function, or that a tape has seen."""
    loss = call.get(0, "loss") or Unknown("loss")
    variables = given(call.get(1, "var_list"))
    callable_ = isinstance(loss, Function | Method | Partial)
    if not eager(machine) or not (callable_ or "tape" in call.kwargs):
        return training.HANDLERS["tf.Optimizer.minimize"](machine, call)
    if callable_:
        loss = machine.call(loss, [], {}, call.site)
    return step(machine, call, _node_of(machine, loss, call), variables)


def step(machine: Machine, call: Call, loss: Node, variables: Value | None) -> Value:
    """A train step that happens here."""
    if isinstance(variables, Function | Method):
        variables = machine.call(variables, [], {}, call.site)
    node = machine.node("train", (loss,), call.site, variables=variables)
    listed, partial = _listed(machine, variables)
    made = TrainStep(
        machine.context(call.site), machine.tick(), node, "tf.GradientTape", loss, variables, True, listed,
        eager=True, partial=partial,
    )  # fmt: skip
    node.attrs["step"] = made
    machine.emit(made)
    machine.emit(Run(machine.context(call.site), machine.tick(), "tf.GradientTape", (node,)))
    return NONE


def _listed(machine: Machine, variables: Value | None) -> tuple[tuple[Node, ...] | None, bool]:
    value = machine.settle(variables) if variables is not None else None
    if isinstance(value, List | Tuple | Dict):
        found = [each for each in contents((value,)) if isinstance(each, Node) and each.op == "variable"]
        known = len(found) == len(contents((value,)))
        is_open = isinstance(value, List | Dict) and value.open
        return tuple(found), is_open or not known
    return listed_variables(machine, variables), False


# -- traced functions --------------------------------------------------------------------------------


def _function(machine: Machine, call: Call) -> Value:
    """``tf.function(f)`` does what f does; with arguments alone it is a decorator."""
    function = call.get(0, "func")
    return _compiled(function) if function is not None else ApiObject("tf.function", call.site)


def _decorate(machine: Machine, call: Call) -> Value:
    return _compiled(call.args[0]) if call.args else Unknown("function")


def _compiled(function: Value) -> Value:
    """A function, or a method, that is traced; what it was made of is not."""
    if isinstance(function, Method) and isinstance(function.function, Function):
        compiled = _compiled(function.function)
        assert isinstance(compiled, Function)
        return Method(function.receiver, compiled)
    if isinstance(function, Function):
        function = copy(function)
        function.decorators = (*function.decorators, "tf.function")
    return function


def traced(machine: Machine, function: Function, call: Call) -> Call:
    """A traced function is called: Python values among its arguments are a part of what is kept."""
    arguments = tuple((name, _kind(value)) for name, value in (*enumerate(call.args), *call.kwargs.items()))
    machine.emit(Traced(machine.context(call.site), machine.tick(), function.node, (function, arguments)))
    return call


def _kind(value: Value) -> object:
    if isinstance(value, Const):
        return type(value.value), repr(value.value)
    if isinstance(value, Tuple | List):
        return tuple(map(_kind, value.items))
    return None if isinstance(value, Node | Unknown | Choice) else value


for _name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion",
              "LossScaleOptimizer", "Adafactor", "get"):  # fmt: skip
    HANDLERS[f"keras.optimizers.{_name}"] = _optimizer
HANDLERS.update(
    {
        "tf.GradientTape": _tape,
        "tf.GradientTape.gradient": _gradient,
        "keras.Optimizer.apply_gradients": _apply,
        "keras.Optimizer.apply": _apply,
        "keras.Optimizer.minimize": _minimize,
        "tf.function": _function,
        "tf.function.__call__": _decorate,
    }
)
