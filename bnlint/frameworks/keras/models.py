"""Models: sequences, graphs of layers, and classes of the project."""

from __future__ import annotations

from bnlint.dataflow import Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.keras import calling, weights
from bnlint.frameworks.keras.eagerness import eager, freezing_infers, generation
from bnlint.frameworks.keras.layers import LAYERS
from bnlint.frameworks.keras.table import HANDLERS, PROPERTIES
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    TRUE,
    ApiObject,
    Call,
    Function,
    Instance,
    List,
    Tuple,
    contents,
)
from bnlint.trace import Arguments, Freeze, NormLayer, TrainStep

# -- sequences ---------------------------------------------------------------------------------------


def _sequential(machine: Machine, call: Call) -> Value:
    made = ApiObject("keras.Sequential", call.site)
    made.slots["layers"] = List()
    given = machine.settle(call.get(0, "layers") or NONE)
    for layer in given.items if isinstance(given, List | Tuple) else ():
        _append(machine, made, layer, call.site)
    if isinstance(given, List) and given.open:
        machine.store.write(made.slots["layers"], "open", True)
    return made


def _add(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, ApiObject | Instance) and call.args:
        _append(machine, call.receiver, call.args[0], call.site)
    return NONE


def _append(machine: Machine, model: ApiObject | Instance, layer: Value, site: Location) -> None:
    """Add a layer; in graph mode, a model that knows the shape of its input is built as it grows."""
    layers = _sequence(machine, model)
    machine.store.write(layers, "items", (*layers.items, layer))
    machine.state["keras changes"] = machine.state.get("keras changes", 0) + 1
    if eager(machine):
        return
    if len(layers.items) == 1 and _knows_input(layer):
        value: Value = machine.node(Op.PLACEHOLDER, (), site, default=None, dtype="", name=None)
        machine.store.write(model, "input", value)
        machine.store.write(model, "output", machine.call(layer, [value], {}, site))
    elif "output" in model.slots:
        machine.store.write(model, "output", machine.call(layer, [model.slots["output"]], {}, site))


def _sequence(machine: Machine, model: ApiObject | Instance) -> List:
    found = model.slots.get("layers")
    if not isinstance(found, List):
        found = List()
        machine.store.write(model, "layers", found)
    return found


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
    if (
        isinstance(holder, Instance)
        and calling.own_call(holder) is not None
        and not call.name.endswith(".call")
    ):
        return call_own(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    with calling.calling(
        machine, holder, call, call.get(1, "training"), True, driver=_driver(machine)
    ) as made:
        layers = holder.slots.get("layers")
        value: Value = call.get(0, "inputs") or Unknown()
        known = isinstance(layers, List)
        for layer in layers.items if isinstance(layers, List) else ():
            if not _is_input(layer):
                value = machine.call(layer, [value], {}, call.site)
        if not known or (isinstance(layers, List) and layers.open):
            value = machine.unknown("", value)
    return calling.finished(machine, made, value, call)


def _is_input(layer: Value) -> bool:
    return isinstance(layer, Node) or (
        isinstance(layer, ApiObject) and layer.kind == "keras.layers.InputLayer"
    )


# -- graphs of layers --------------------------------------------------------------------------------


def _model(machine: Machine, call: Call) -> Value:
    made = ApiObject("keras.Model", call.site)
    made.slots["outputs"] = made.slots["output"] = call.get(1, "outputs") or Unknown("outputs")
    made.slots["inputs"] = made.slots["input"] = call.get(0, "inputs") or Unknown("inputs")
    return made


def _initialise(machine: Machine, call: Call) -> Value:
    """``super().__init__(inputs, outputs)`` of a project's model."""
    holder = call.receiver
    outputs = call.get(1, "outputs")
    if isinstance(holder, Instance) and outputs is not None:
        machine.store.write(holder, "outputs", outputs)
        machine.store.write(holder, "inputs", call.get(0, "inputs") or Unknown("inputs"))
    return NONE


def _call_model(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if (
        isinstance(holder, Instance)
        and calling.own_call(holder) is not None
        and not call.name.endswith(".call")
    ):
        return call_own(machine, call)
    outputs = holder.slots.get("outputs") if isinstance(holder, ApiObject | Instance) else None
    if outputs is None or not isinstance(holder, ApiObject | Instance):
        return machine.unknown("keras.Model", *call.values())
    if not eager(machine):
        # A phase that is given here replaces the learning phase, which the outputs follow.
        told = calling.given(call.get(1, "training")) is not None
        inputs = contents(call.values() if told else (*call.values(), outputs))
        return machine.node("keras.Model", inputs, call.site)
    before = calling.again(machine, holder, call, _driver(machine))
    if before is not None:
        return before
    training = call.get(1, "training")
    with calling.calling(machine, holder, call, training, True, driver=_driver(machine)) as made:
        given = machine.settle(call.get(0, "inputs") or Unknown())
        # A phase that reaches a graph of layers overrules, in Keras 3, what its layers were told when it was made.
        over = made.training if generation(machine) == 3 else None
        if generation(machine) is None and made.training is not None:
            over = Unknown("training")
        output = calling.repeat(machine, outputs, _matched(holder, given), over)
    return calling.finished(machine, made, output, call)


def _matched(model: ApiObject | Instance, given: Value) -> dict[Value, Value]:
    """The inputs of a described model by what is given for them."""
    inputs = model.slots.get("inputs")
    places = inputs.items if isinstance(inputs, List | Tuple) else (inputs,)
    values = given.items if isinstance(given, List | Tuple) and len(places) > 1 else (given,)
    found: dict[Value, Value] = {}
    for index, place in enumerate(places):
        if isinstance(place, Value):
            found[place] = values[index] if index < len(values) else Unknown("", (given,))
    return found


# -- classes of the project --------------------------------------------------------------------------


def call_own(machine: Machine, call: Call) -> Value:
    """A call of a project's own layer or model: Keras decides the phase, and its ``call`` does the rest."""
    holder = call.receiver
    if not isinstance(holder, Instance):
        return machine.unknown("keras", *call.values())
    method = calling.own_call(holder)
    if method is None:
        return machine.unknown(holder.cls.name, *call.values())
    spec = method.node.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args)][1:]
    accepts = "training" in {*names, *(argument.arg for argument in spec.kwonlyargs)}
    position = names.index("training") if "training" in names else None
    training = call.get(position, "training")
    default = _default(method) if accepts else None
    driver = _driver(machine)
    weights.build(machine, holder)
    before = calling.again(machine, holder, call, driver)
    if before is not None:
        return before
    with calling.calling(
        machine, holder, call, training, accepts or spec.kwarg is not None, default, driver
    ) as made:
        kwargs = dict(call.kwargs)
        if not accepts and spec.kwarg is None:
            kwargs.pop("training", None)
        elif made.training is not None and calling.given(training) is None and accepts:
            kwargs["training"] = made.training
        args = list(call.args)
        if position is not None and position < len(args) and "training" in kwargs:
            del args[position:]
        inner = Call(args, kwargs, call.site, sites=call.sites, open=call.open, rest=call.rest)
        output = calling.call_method(machine, holder, method, inner)
    return calling.finished(machine, made, output, call)


def _default(method: Function) -> Value | None:
    spec = method.node.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
    found = dict(zip(names[len(names) - len(method.defaults) :], method.defaults, strict=True))
    found.update(
        (argument.arg, value)
        for argument, value in zip(spec.kwonlyargs, method.kw_defaults, strict=True)
        if value is not None
    )
    return found.get("training")


def _driver(machine: Machine) -> Value | None:
    """The phase that a trainer has in mind for the outermost call."""
    found = machine.state.get("keras driver")
    return found if isinstance(found, Value) else None


# -- what models have --------------------------------------------------------------------------------


def _layers(machine: Machine, call: Call) -> Value:
    holder = call.receiver or Unknown()
    if isinstance(holder, ApiObject | Instance) and isinstance(holder.slots.get("layers"), List):
        return holder.slots["layers"]  # type: ignore[no-any-return]
    parts = [part for part in calling.parts_of(holder) if part is not holder]
    if not parts:
        return machine.interned(("layers", holder), lambda: Unknown("layers", (holder,)))
    found = List(parts, True)
    found.slots["unordered"] = True
    return found


def _get_layer(machine: Machine, call: Call) -> Value:
    return Unknown("layer", (call.receiver or Unknown(),))


def _variables(machine: Machine, call: Call) -> Value:
    """The weights of a model, as far as its layers have been called."""
    holder = call.receiver or Unknown()
    trainable = call.name.startswith("trainable")
    found: list[Value] = []
    for part in calling.parts_of(holder):
        if trainable and machine.truth(part.slots.get("trainable") or TRUE) is False:
            continue
        layer, weights = part.slots.get("norm layer"), part.slots.get("weights node")
        if isinstance(layer, NormLayer):
            found.extend(layer.weights)
        if isinstance(weights, Node):
            found.append(weights)
    if not found:
        return machine.interned(("variables", holder), lambda: Unknown("variables", (holder,)))
    return List(dict.fromkeys(found), open=True)


def _clone(machine: Machine, call: Call) -> Value:
    return machine.unknown("model", *call.values())


def _trainable(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    found = holder.slots.get("trainable") if isinstance(holder, ApiObject | Instance) else None
    return found if isinstance(found, Value) else TRUE


def set_trainable(machine: Machine, call: Call) -> Value:
    """``model.trainable = value``: also for all layers that it has now."""
    holder, value = call.receiver, call.args[0]
    if isinstance(holder, ApiObject | Instance):
        parts = calling.parts_of(holder)
        infers = freezing_infers(machine)
        machine.emit(Freeze(machine.context(call.site), machine.tick(), holder, value, tuple(parts), infers))
        machine.state["keras changes"] = machine.state.get("keras changes", 0) + 1
        for part in parts:
            machine.store.write(part, "trainable", value)
    return NONE


def _load_weights(machine: Machine, call: Call) -> Value:
    """Weights that nothing in this program has trained before come from elsewhere."""
    if isinstance(call.receiver, ApiObject | Instance) and not any(
        isinstance(event, TrainStep) for event in machine.trace.events
    ):
        for part in calling.parts_of(call.receiver):
            machine.store.write(part, "loaded", TRUE)
            layer = part.slots.get("norm layer")
            if isinstance(layer, NormLayer):
                layer.pretrained = True
    return NONE


for _name in ("keras.Model", "keras.Sequential", "tf.Module", *LAYERS):
    PROPERTIES[f"{_name}.layers"] = _layers
    for _which in ("trainable_variables", "trainable_weights", "variables", "weights"):
        PROPERTIES[f"{_name}.{_which}"] = _variables
    HANDLERS[f"{_name}.get_layer"] = _get_layer
    HANDLERS[f"{_name}.load_weights"] = _load_weights
    PROPERTIES[f"{_name}.trainable"] = _trainable
    HANDLERS[f"{_name}.trainable="] = set_trainable
HANDLERS.update(
    {
        "keras.Model": _model,
        "keras.Model.__init__": _initialise,
        "keras.Model.__call__": _call_model,
        "keras.Model.call": _call_model,
        "keras.layers.Layer.__call__": call_own,
        "keras.Sequential": _sequential,
        "keras.Sequential.add": _add,
        "keras.Sequential.__call__": _call_sequential,
        "keras.Sequential.call": _call_sequential,
        "keras.models.clone_model": _clone,
        "keras.models.load_model": _clone,
    }
)
