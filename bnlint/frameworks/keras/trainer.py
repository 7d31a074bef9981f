"""Keras' own trainer: ``compile``, ``fit``, ``evaluate``, ``predict`` and their kin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bnlint.dataflow import Const, Node, Op, Unknown, Value, sources
from bnlint.findings import Location
from bnlint.frameworks.keras import calling
from bnlint.frameworks.keras.eagerness import eager, generation
from bnlint.frameworks.keras.graphs import learning_phase
from bnlint.frameworks.keras.table import HANDLERS, PROPERTIES
from bnlint.frameworks.tensorflow1.state import graph
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiObject,
    Call,
    Function,
    Instance,
    List,
    Method,
    contents,
)
from bnlint.trace import Compile, Declared, Feed, Origin, Run, TrainStep

_DRIVES = {
    "fit": Declared.TRAIN,
    "fit_generator": Declared.TRAIN,
    "train_on_batch": Declared.TRAIN,
    "evaluate": Declared.EVALUATE,
    "evaluate_generator": Declared.EVALUATE,
    "test_on_batch": Declared.EVALUATE,
    "predict": Declared.PREDICT,
    "predict_generator": Declared.PREDICT,
    "predict_on_batch": Declared.PREDICT,
}
_STEPS = {Declared.TRAIN: "train_step", Declared.EVALUATE: "test_step", Declared.PREDICT: "predict_step"}


def built(machine: Machine, model: Value | None, site: Location) -> tuple[Value, Value]:
    """The input and the output of a sequence or a graph of layers."""
    if not isinstance(model, ApiObject):
        return Unknown("input"), Unknown("output")
    if "output" not in model.slots and model.kind == "keras.Sequential":
        value: Value = machine.node(Op.PLACEHOLDER, (), site, default=None, dtype="", name=None)
        machine.store.write(model, "input", value)
        layers = model.slots.get("layers")
        for layer in layers.items if isinstance(layers, List) else ():
            if not isinstance(layer, Node):
                value = machine.call(layer, [value], {}, site)
        machine.store.write(model, "output", value)
    return model.slots.get("input", Unknown("input")), model.slots.get("output", Unknown("output"))


def _drive(machine: Machine, call: Call) -> Value:
    """``fit``, ``evaluate``, ``predict`` and their kin: the model runs in the phase that they stand for."""
    machine.callbacks(call.values(), call.site)
    name = call.name.rpartition(".")[2]
    if eager(machine):
        outer = machine.loops
        # It goes over the data, nobody knows how often.
        machine.loops = (*outer, call.site)
        machine.trace.rounds[call.site] = None
        _drive_eagerly(machine, call, _DRIVES[name])
        data = calling.given(call.kwargs.get("validation_data"))
        if _DRIVES[name] is Declared.TRAIN and (data or calling.given(call.kwargs.get("validation_split"))):
            _drive_eagerly(machine, call, Declared.EVALUATE)
        machine.loops = outer
    else:
        _drive_graph(machine, call, _DRIVES[name])
    return Unknown(name)


# -- eager -------------------------------------------------------------------------------------------


def _drive_eagerly(machine: Machine, call: Call, declared: Declared) -> None:
    model = call.receiver
    if not isinstance(model, ApiObject | Instance):
        return
    generation(machine)  # The rules ask the trace for it.
    trains = declared is Declared.TRAIN
    data = machine.node("data", (), call.site, given=call.get(0, "x"))
    own = model.cls.find(_STEPS[declared]) if isinstance(model, Instance) else None
    if isinstance(own, Function):
        machine.call(Method(model, own), [data], {}, call.site)
        return
    with driving(machine, TRUE if trains else FALSE):
        phase = _told(machine, model, TRUE if trains else FALSE)
        training = {} if phase is None else {"training": phase}
        output = machine.call(model, [data], training, call.site)
    fetches: tuple[Value, ...] = contents((output,))
    if not fetches:
        return
    if trains:
        node = machine.node(Op.TRAIN, fetches, call.site, variables=None)
        loss = output if isinstance(output, Node) else fetches[0]
        node.attrs["step"] = TrainStep(
            machine.context(call.site), machine.tick(), node, call.name, loss, None, runs_updates=True,
            eager=True,
        )  # fmt: skip
        machine.emit(node.attrs["step"])
        fetches = (node,)
    machine.emit(
        Run(machine.context(call.site), machine.tick(), call.name, fetches, declared=declared, target=model)
    )


def _told(machine: Machine, model: ApiObject | Instance, phase: Value) -> Value | None:
    """The phase that the trainer gives to the model: Keras 3 gives none to one whose ``call`` takes none."""
    method = calling.own_call(model) if isinstance(model, Instance) else None
    if method is None or calling.takes_training(method):
        return phase
    known = generation(machine)
    if known is None:
        return machine.unknown("training")
    return phase if known == 2 else None


@contextmanager
def driving(machine: Machine, phase: Value) -> Iterator[None]:
    """While a model is called by a trainer, or for one that is to come."""
    outer = machine.state.get("keras driver")
    machine.state["keras driver"] = phase
    try:
        yield
    finally:
        machine.state["keras driver"] = outer


# -- graph mode --------------------------------------------------------------------------------------


def _drive_graph(machine: Machine, call: Call, declared: Declared) -> None:
    """The model runs with the learning phase fed.

    Models that were told the phase of a layer when they were built are left alone: whether Keras honours
    that depends on its generation.
    """
    _, output = built(machine, call.receiver, call.site)
    calls = [
        node.attrs["call"] for node in sources((output,)) if isinstance(node, Node) and node.op == Op.NORM
    ]
    if not calls or any(norm.origin is not Origin.CONTEXT for norm in calls):
        return
    fetches: tuple[Value, ...] = contents((output,))
    trains = declared is Declared.TRAIN
    if trains:
        updates = tuple(node for norm in calls for node in norm.update_nodes)
        node = machine.node(Op.TRAIN, (*fetches, *updates), call.site, variables=None)
        node.attrs["step"] = TrainStep(
            machine.context(call.site), machine.tick(), node, call.name, output, None, runs_updates=True
        )
        machine.emit(node.attrs["step"])
        fetches = (node,)
    phase = machine.interned(("keras learning phase", graph(machine)), lambda: learning_phase(machine, call))
    feeds = (Feed(phase, TRUE if trains else FALSE, call.site),) if isinstance(phase, Node) else ()
    machine.emit(
        Run(
            machine.context(call.site), machine.tick(), call.name, fetches, feeds, True, declared, graph(machine),
            call.receiver,
        )
    )  # fmt: skip


def _compile(machine: Machine, call: Call) -> Value:
    model = call.receiver
    if isinstance(model, ApiObject | Instance):
        trainable: dict[Value, Value] = {
            part: part.slots.get("trainable") or TRUE for part in calling.parts_of(model)
        }
        eagerly = None if call.open else machine.truth(call.kwargs.get("run_eagerly") or FALSE)
        machine.emit(Compile(machine.context(call.site), machine.tick(), model, trainable, eagerly))
        if isinstance(model, Instance):
            optimizer = call.kwargs.get("optimizer") or (call.args[0] if call.args else None)
            made = optimizer if isinstance(optimizer, ApiObject) else ApiObject("keras.Optimizer", call.site)
            machine.store.write(model, "optimizer", made)
    return NONE


def _input_of(machine: Machine, call: Call) -> Value:
    return built(machine, call.receiver, call.site)[0]


def _output_of(machine: Machine, call: Call) -> Value:
    return built(machine, call.receiver, call.site)[1]


def _optimizer_of(machine: Machine, call: Call) -> Value:
    return machine.interned(("optimizer", call.receiver), lambda: ApiObject("keras.Optimizer", call.site))


def _loss(machine: Machine, call: Call) -> Value:
    """What the model computes of its output for training."""
    return machine.node("keras.loss", contents(call.values()), call.site)


def _parsed(machine: Machine, call: Call) -> Value:
    return NONE if isinstance(call.receiver, Const) else Unknown(call.name.rpartition(".")[2])


for _name in ("keras.Model", "keras.Sequential"):
    for _drives in _DRIVES:
        HANDLERS[f"{_name}.{_drives}"] = _drive
    HANDLERS[f"{_name}.compile"] = _compile
    HANDLERS[f"{_name}.compiled_loss"] = HANDLERS[f"{_name}.compute_loss"] = _loss
    HANDLERS[f"{_name}.compute_metrics"] = _parsed
    PROPERTIES[f"{_name}.optimizer"] = _optimizer_of
    for _short, _handler in (("input", _input_of), ("output", _output_of)):
        PROPERTIES[f"{_name}.{_short}"] = PROPERTIES[f"{_name}.{_short}s"] = _handler
