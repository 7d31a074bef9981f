"""Keras, as far as graph-mode programs use it: its layers never add to a collection.

A batch normalisation of Keras keeps its updates on the layer object (``layer.updates``); only Keras' own trainer
runs them. Called without ``training`` it follows the enclosing call, else the global learning phase, which
is inference unless the program says otherwise.
"""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value, sources
from bnlint.findings import Location
from bnlint.frameworks.library import Framework, Handler
from bnlint.frameworks.tensorflow1 import signatures
from bnlint.frameworks.tensorflow1.norms import apply_norm
from bnlint.frameworks.tensorflow1.state import graph, joined, make_variable, scope
from bnlint.frameworks.tensorflow1.table import text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiObject,
    ApiRef,
    Call,
    Function,
    Instance,
    List,
    Method,
    Tuple,
    contents,
)
from bnlint.trace import Arguments, Declared, Feed, ModeSwitch, NormLayer, Origin, Run, TrainStep, Updates

HANDLERS: dict[str, Handler] = {}
PROPERTIES: dict[str, Handler] = {}

_NORMS = ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")
_WEIGHTED = (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv2D", "DepthwiseConv2D",
    "Convolution2D", "Convolution1D", "LSTM", "GRU", "SimpleRNN", "Embedding", "SeparableConv1D",
)  # fmt: skip


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


# -- layers ------------------------------------------------------------------------------------------


def _layer(machine: Machine, call: Call) -> Value:
    made = ApiObject(call.name, call.site)
    made.slots["arguments"] = signatures.KERAS_CLASS.bind(call)
    made.slots["trainable"] = call.kwargs.get("trainable") or TRUE
    made.slots["name"] = call.kwargs.get("name") or NONE
    return made


def _call_norm(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if isinstance(holder, Instance) and holder.cls.find("call") and not call.name.endswith(".call"):
        return _call_model(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    bound = signatures.KERAS_CALL.bind(call)
    layer = holder.slots.get("norm layer")
    if not isinstance(layer, NormLayer):
        layer = _new_layer(machine, holder)
    phase, origin = _phase(machine, call, bound)
    value = signatures.KERAS_CALL.value(bound, "inputs")
    output = apply_norm(machine, layer, value, phase, origin, Updates.ATTRIBUTE, bound, call.site)
    updates = output.attrs["call"].update_nodes
    holder.slots["update nodes"] = (*holder.slots.get("update nodes", ()), *updates)
    return output


def _new_layer(machine: Machine, holder: ApiObject | Instance) -> NormLayer:
    built: Arguments = holder.slots.get("arguments") or Arguments(open=True)
    name = joined(scope(machine).name, text(machine, holder.slots.get("name")))
    kind = holder.kind if isinstance(holder, ApiObject) else "keras.layers.BatchNormalization"
    layer = NormLayer(
        machine.context(holder.site), machine.tick(), kind, "keras", name, graph(machine), built,
        holder.slots.get("trainable") or TRUE,
    )  # fmt: skip
    machine.emit(layer)
    for which, learned in (
        ("beta", True),
        ("gamma", True),
        ("moving_mean", False),
        ("moving_variance", False),
    ):
        make_variable(
            machine, joined(name, which), holder.site, trainable=TRUE if learned else FALSE, moving=not learned,
            shared=False,
        )  # fmt: skip
    holder.slots["norm layer"] = layer
    return layer


def _phase(machine: Machine, call: Call, bound: Arguments) -> tuple[Value, Origin]:
    given = bound.value("training")
    if given is not None and not (isinstance(given, Const) and given.value is None):
        return given, Origin.ARGUMENT
    if bound.open:
        return Unknown("training"), Origin.ARGUMENT
    context = machine.state.get("keras call", ())
    if context:
        return context[-1], Origin.CONTEXT
    return learning_phase(machine, call), Origin.CONTEXT


def _call_weighted(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if isinstance(holder, Instance) and holder.cls.find("call") and not call.name.endswith(".call"):
        return _call_model(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    weights = holder.slots.get("weights node")
    if not isinstance(weights, Node):
        weights = holder.slots["weights node"] = make_variable(machine, None, holder.site, shared=False)
    inputs = (*contents((call.get(0, "inputs") or Unknown(),)), weights)
    return machine.node(Op.WEIGHTED, inputs, call.site, weights=(weights,), api=call.name)


def _input(machine: Machine, call: Call) -> Value:
    return machine.node(
        Op.PLACEHOLDER, (), call.site, default=None, dtype="", name=text(machine, call.kwargs.get("name"))
    )


def _call_layer(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    kind = holder.kind if isinstance(holder, ApiObject) else "keras.layers.Layer"
    return machine.node(kind, contents(call.values()), call.site)


# -- models ------------------------------------------------------------------------------------------


def _sequential(machine: Machine, call: Call) -> Value:
    made = ApiObject("keras.Sequential", call.site)
    made.slots["layers"] = List()
    given = machine.settle(call.get(0, "layers") or NONE)
    for layer in given.items if isinstance(given, List | Tuple) else ():
        _append(machine, made, layer, call.site)
    return made


def _add(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, ApiObject) and call.args:
        _append(machine, call.receiver, call.args[0], call.site)
    return NONE


def _append(machine: Machine, model: ApiObject, layer: Value, site: Location) -> None:
    """Add a layer; a model that knows the shape of its input is built as it grows."""
    layers = model.slots["layers"]
    machine.store.write(layers, "items", (*layers.items, layer))
    if len(layers.items) == 1 and _knows_input(layer):
        value: Value = machine.node(Op.PLACEHOLDER, (), site, default=None, dtype="", name=None)
        machine.store.write(model, "input", value)
        machine.store.write(model, "output", machine.call(layer, [value], {}, site))
    elif "output" in model.slots:
        machine.store.write(model, "output", machine.call(layer, [model.slots["output"]], {}, site))


def _knows_input(layer: Value) -> bool:
    if not isinstance(layer, ApiObject):
        return False
    arguments = layer.slots.get("arguments")
    shaped = isinstance(arguments, Arguments) and any(
        name in arguments.named for name in ("input_shape", "batch_input_shape", "input_dim")
    )
    return shaped or "output" in layer.slots


def _call_sequential(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    layers = holder.slots.get("layers") if isinstance(holder, ApiObject) else None
    value = call.get(0, "inputs") or Unknown()
    with_training = call.get(1, "training")
    _enter(machine, with_training)
    try:
        for layer in layers.items if isinstance(layers, List) else ():
            value = machine.call(layer, [value], {}, call.site)
    finally:
        _leave(machine, with_training)
    return value


def _model(machine: Machine, call: Call) -> Value:
    made = ApiObject("keras.Model", call.site)
    made.slots["outputs"] = made.slots["output"] = call.get(1, "outputs") or Unknown("outputs")
    made.slots["inputs"] = made.slots["input"] = call.get(0, "inputs") or Unknown("inputs")
    return made


def _call_model(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if isinstance(holder, Instance):
        method = holder.cls.find("call")
        if not isinstance(method, Function):
            return machine.unknown(holder.cls.name, *call.values())
        training = call.kwargs.get("training")
        kwargs = dict(call.kwargs)
        names = {argument.arg for argument in (*method.node.args.args, *method.node.args.kwonlyargs)}
        if "training" in kwargs and "training" not in names and method.node.args.kwarg is None:
            del kwargs["training"]
        _enter(machine, training)
        try:
            return machine.call(Method(holder, method), call.args, kwargs, call.site)
        finally:
            _leave(machine, training)
    outputs = holder.slots.get("outputs") if isinstance(holder, ApiObject) else None
    return machine.node("keras.Model", contents((*call.values(), outputs or Unknown())), call.site)


def _enter(machine: Machine, training: Value | None) -> None:
    if training is not None and not (isinstance(training, Const) and training.value is None):
        machine.state["keras call"] = (*machine.state.get("keras call", ()), training)


def _leave(machine: Machine, training: Value | None) -> None:
    if training is not None and not (isinstance(training, Const) and training.value is None):
        machine.state["keras call"] = machine.state["keras call"][:-1]


# -- Keras' own trainer --------------------------------------------------------------------------------

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


def _built(machine: Machine, model: Value | None, site: Location) -> tuple[Value, Value]:
    """The input and the output of a Sequential or functional model."""
    if not isinstance(model, ApiObject):
        return Unknown("input"), Unknown("output")
    if "output" not in model.slots and model.kind == "keras.Sequential":
        value: Value = machine.node(Op.PLACEHOLDER, (), site, default=None, dtype="", name=None)
        machine.store.write(model, "input", value)
        layers = model.slots.get("layers")
        for layer in layers.items if isinstance(layers, List) else ():
            value = machine.call(layer, [value], {}, site)
        machine.store.write(model, "output", value)
    return model.slots.get("input", Unknown("input")), model.slots.get("output", Unknown("output"))


def _drive(machine: Machine, call: Call) -> Value:
    """``fit``, ``evaluate``, ``predict`` and their kin: the model runs, with the learning phase fed.

    Models that were told the phase of a layer when they were built are left alone: whether Keras honours
    that depends on its generation.
    """
    machine.callbacks(call.values(), call.site)
    name = call.name.rpartition(".")[2]
    declared = _DRIVES[name]
    _, output = _built(machine, call.receiver, call.site)
    calls = [
        node.attrs["call"] for node in sources((output,)) if isinstance(node, Node) and node.op == Op.NORM
    ]
    if not calls or any(norm.origin is not Origin.CONTEXT for norm in calls):
        return Unknown(name)
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
            machine.context(call.site),
            machine.tick(),
            call.name,
            fetches,
            feeds,
            True,
            declared,
            graph(machine),
        )
    )
    return Unknown(name)


def _input_of(machine: Machine, call: Call) -> Value:
    return _built(machine, call.receiver, call.site)[0]


def _output_of(machine: Machine, call: Call) -> Value:
    return _built(machine, call.receiver, call.site)[1]


# -- updates -----------------------------------------------------------------------------------------


def _updates(machine: Machine, call: Call) -> Value:
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


def _inherited(machine: Machine, instance: Instance, base: ApiRef, name: str) -> Value | None:
    if name == "updates":
        return List(_update_nodes(machine, instance, set()))
    return None


for _name in _NORMS:
    HANDLERS[f"keras.layers.{_name}"] = _layer
    HANDLERS[f"keras.layers.{_name}.__call__"] = _call_norm
    HANDLERS[f"keras.layers.{_name}.call"] = _call_norm
    PROPERTIES[f"keras.layers.{_name}.updates"] = _updates
    HANDLERS[f"keras.layers.{_name}.get_updates_for"] = _updates
for _name in _WEIGHTED:
    HANDLERS[f"keras.layers.{_name}"] = _layer
    HANDLERS[f"keras.layers.{_name}.__call__"] = _call_weighted
for _name in (
    "Activation",
    "ReLU",
    "LeakyReLU",
    "Dropout",
    "Flatten",
    "MaxPooling2D",
    "AveragePooling2D",
    "Reshape",
    "GlobalAveragePooling2D",
    "ZeroPadding2D",
    "UpSampling2D",
    "Lambda",
    "PReLU",
    "Softmax",
):
    HANDLERS[f"keras.layers.{_name}"] = _layer
    HANDLERS[f"keras.layers.{_name}.__call__"] = _call_layer
for _name in ("keras.Model", "keras.Sequential"):
    for _drives in _DRIVES:
        HANDLERS[f"{_name}.{_drives}"] = _drive
    for _short, _handler in (("input", _input_of), ("output", _output_of)):
        PROPERTIES[f"{_name}.{_short}"] = PROPERTIES[f"{_name}.{_short}s"] = _handler
    PROPERTIES[f"{_name}.updates"] = _updates
    HANDLERS[f"{_name}.get_updates_for"] = _updates
HANDLERS.update(
    {
        "keras.Input": _input,
        "keras.Model": _model,
        "keras.Model.__call__": _call_model,
        "keras.layers.Layer.__call__": _call_model,
        "keras.Sequential": _sequential,
        "keras.Sequential.add": _add,
        "keras.Sequential.__call__": _call_sequential,
        "keras.backend.learning_phase": learning_phase,
        "keras.backend.set_learning_phase": _set_learning_phase,
    }
)

FRAMEWORK = Framework(
    name="keras",
    roots={"keras": "keras", "tf_keras": "keras"},
    aliases={
        "keras.layers.Input": "keras.Input",
        "keras.models.Model": "keras.Model",
        "keras.models.Sequential": "keras.Sequential",
        "keras.engine.training.Model": "keras.Model",
        "keras.layers.normalization": "keras.layers",
        "keras.layers.core": "keras.layers",
        "keras.layers.convolutional": "keras.layers",
        "keras.layers.experimental.SyncBatchNormalization": "keras.layers.SyncBatchNormalization",
        "keras.engine.topology.Layer": "keras.layers.Layer",
    },
    handlers=HANDLERS,
    properties=PROPERTIES,
    inherited=_inherited,
    norms={f"keras.layers.{name}": signatures.KERAS_CLASS.names for name in _NORMS},
)
