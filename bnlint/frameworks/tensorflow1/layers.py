"""Layers with weights: ``tf.layers``, ``tf.contrib.layers`` and slim, and the normalisers that they call."""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.library import Handler
from bnlint.frameworks.tensorflow1 import signatures
from bnlint.frameworks.tensorflow1.norms import contrib_norm
from bnlint.frameworks.tensorflow1.scopes import layer_scope, scoped_arguments, variable_scope
from bnlint.frameworks.tensorflow1.state import (
    VariableScope,
    close_scope,
    joined,
    make_variable,
    open_scope,
    scope,
    state,
)
from bnlint.frameworks.tensorflow1.table import text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    ApiRef,
    Call,
    Dict,
    Instance,
    List,
    Place,
    Tuple,
    contents,
)
from bnlint.trace import Arguments, Made

HANDLERS: dict[str, Handler] = {}

_CONTRIB = {
    "conv2d": "Conv", "convolution": "Conv", "convolution2d": "Conv", "conv1d": "Conv", "conv3d": "Conv",
    "convolution1d": "Conv", "convolution3d": "Conv", "conv2d_transpose": "Conv2d_transpose",
    "convolution2d_transpose": "Conv2d_transpose", "conv3d_transpose": "Conv3d_transpose",
    "convolution3d_transpose": "Conv3d_transpose", "fully_connected": "fully_connected",
    "linear": "fully_connected", "relu": "fully_connected", "relu6": "fully_connected",
    "separable_conv2d": "SeparableConv2d", "separable_convolution2d": "SeparableConv2d",
    "conv2d_in_plane": "ConvInPlane", "convolution2d_in_plane": "ConvInPlane",
}  # fmt: skip
"""Layers of ``tf.contrib.layers`` with weights, and the default names of their scopes."""

_NORMALIZER_POSITION = {
    "fully_connected": 3,
    "linear": 3,
    "separable_conv2d": 9,
    "separable_convolution2d": 9,
}
"""Where ``normalizer_fn`` stands when it is given by position; seldom used."""

_PLAIN = {
    "conv1d", "conv2d", "conv3d", "conv2d_transpose", "conv3d_transpose", "dense", "separable_conv2d",
    "separable_conv1d", "Conv1D", "Conv2D", "Conv3D", "Dense", "Conv2DTranspose", "Conv3DTranspose",
    "SeparableConv2D",
}  # fmt: skip
"""Layers of ``tf.layers`` with weights."""


def _weighted(
    machine: Machine, inputs: Value, full: str | None, site: Location, api: str, arguments: Arguments,
    made_at: Location | None = None,
) -> Node:  # fmt: skip
    open_scope(machine, full)
    close_scope(machine, full)
    names = ("kernel", "bias") if api.startswith("tf.layers") else ("weights", "biases")
    weights, biases = (make_variable(machine, joined(full, name), site) for name in names)
    data_format = Unknown("data_format") if arguments.open else arguments.value("data_format")
    made = Made(made_at or site, arguments, data_format)
    return machine.node(
        Op.WEIGHTED, (*contents((inputs,)), weights, biases), site, weights=(weights,), api=api, made=made
    )


def _contrib_layer(machine: Machine, call: Call) -> Value:
    short = call.name.rpartition(".")[2]
    scoped = scoped_arguments(machine, call.name)
    open_ = call.open or state(machine).arguments_open > 0

    def given(name: str, position: int | None = None) -> Value | None:
        found = call.get(position, name)
        if found is None and name in scoped:
            found = scoped[name][0]
        return None if found is None else machine.settle(found)

    inputs = given("inputs", 0) or Unknown("inputs")
    full = layer_scope(machine, given("scope"), _CONTRIB[short])
    arguments = signatures.contrib_layer(short).bind_first(call, scoped)
    arguments.open = arguments.open or open_
    output: Value = _weighted(machine, inputs, full, call.site, call.name, arguments)
    normalizer = given("normalizer_fn", _NORMALIZER_POSITION.get(short))
    if normalizer is not None and machine.truth(normalizer) is not False:
        output = _normalise(machine, call, normalizer, given("normalizer_params"), output, full, open_)
    elif normalizer is None and open_:
        output = machine.unknown(short, output)
    activation = given("activation_fn")
    if activation is not None and machine.truth(activation) is not False:
        output = machine.call(activation, [output], {}, call.site)
    return output


def _normalise(
    machine: Machine,
    call: Call,
    normalizer: Value,
    params: Value | None,
    output: Value,
    full: str | None,
    open_: bool,
) -> Value:
    """Call a layer's normaliser inside the layer's scope, as the layer does."""
    kwargs: dict[str, Value] = {}
    sites: dict[int | str, Place] = {}
    if isinstance(params, Dict):
        for key, value, place in params.entries():
            name = machine.constant(key)
            if isinstance(name, str):
                kwargs[name] = value
                if place is not None:
                    sites[name] = place
        open_ = open_ or params.open
    elif params is not None and machine.truth(params) is not False:
        open_ = True
    made = Call([output], kwargs, call.site, sites=sites, open=open_)
    holder = ApiObject("tf.VariableScope", call.site)
    holder.slots["scope"] = VariableScope(full, scope(machine).reuse, scope(machine).auto)
    manager = variable_scope(machine, holder, None, None, False, call.site)
    assert manager.enter is not None and manager.leave is not None
    manager.enter()
    try:
        if isinstance(normalizer, ApiRef) and normalizer.name == "tf.contrib.layers.batch_norm":
            return contrib_norm(machine, made, via=call.name, extra=frozenset(kwargs))
        from bnlint.interpreter.calls import call as apply

        return apply(machine, normalizer, made)
    finally:
        manager.leave()


def _plain_layer(machine: Machine, call: Call) -> Value:
    short = call.name.rpartition(".")[2]
    if short[0].isupper():
        made = ApiObject(call.name, call.site)
        made.slots["name"] = call.kwargs.get("name") or NONE
        made.slots["arguments"] = signatures.plain_layer(short).bind_first(call)
        return made
    full = layer_scope(machine, call.kwargs.get("name"), short)
    arguments = signatures.plain_layer(short).bind_first(call)
    inputs = arguments.value("inputs") or Unknown()
    output: Value = _weighted(machine, inputs, full, call.site, call.name, arguments)
    activation = arguments.value("activation")
    if activation is not None and machine.truth(activation) is not False:
        output = machine.call(activation, [output], {}, call.site)
    return output


def _plain_call(machine: Machine, call: Call) -> Value:
    layer = call.receiver
    assert isinstance(layer, ApiObject | Instance)
    short = call.name.removesuffix(".__call__").removesuffix(".apply").rpartition(".")[2].lower()
    full = layer.slots.get("full")
    if full is None:
        full = layer.slots["full"] = layer_scope(machine, layer.slots.get("name"), short) or f"?{id(layer)}"
    inputs = call.get(0, "inputs") or Unknown()
    arguments = layer.slots.get("arguments") or Arguments(open=True)
    output: Value = _weighted(machine, inputs, full, call.site, call.name, arguments, layer.site)
    activation = arguments.value("activation")
    if activation is not None and machine.truth(activation) is not False:
        output = machine.call(activation, [output], {}, call.site)
    return output


def _dropout(machine: Machine, call: Call) -> Value:
    """A dropout, with what it was given; slim's is told by argument scopes too."""
    scoped = scoped_arguments(machine, call.name) if call.name.startswith("tf.contrib") else None
    arguments = signatures.DROPOUTS[call.name].bind(call, scoped)
    made = Made(call.site, arguments, None)
    return machine.node(call.name, contents(call.values()), call.site, made=made)


def _repeat(machine: Machine, call: Call) -> Value:
    """``slim.repeat(inputs, repetitions, layer, *args, **kwargs)``."""
    value = call.get(0, "inputs") or Unknown()
    count = machine.constant(call.get(1, "repetitions"))
    layer = call.get(2, "layer") or Unknown()
    kwargs = dict(call.kwargs)
    given = text(machine, kwargs.pop("scope", None))
    name = given or "Repeat"
    manager = variable_scope(machine, Const(given) if given else NONE, "Repeat", None, False, call.site)
    assert manager.enter is not None and manager.leave is not None
    manager.enter()
    for index in range(min(count, 32) if isinstance(count, int) else 2):
        inner = Const(f"{name}_{index + 1}")
        value = machine.call(layer, [value, *call.args[3:]], {**kwargs, "scope": inner}, call.site)
    manager.leave()
    return value


def _stack(machine: Machine, call: Call) -> Value:
    """``slim.stack(inputs, layer, stack_args, **kwargs)``."""
    value = call.get(0, "inputs") or Unknown()
    layer = call.get(1, "layer") or Unknown()
    arguments = machine.settle(call.get(2, "stack_args") or Unknown())
    kwargs = dict(call.kwargs)
    given = text(machine, kwargs.pop("scope", None))
    manager = variable_scope(machine, Const(given) if given else NONE, "Stack", None, False, call.site)
    assert manager.enter is not None and manager.leave is not None
    manager.enter()
    items = arguments.items[:32] if isinstance(arguments, List | Tuple) else (arguments,)
    for index, item in enumerate(items):
        extra = list(item.items) if isinstance(item, Tuple | List) else [item]
        inner = Const(f"{given or 'stack'}_{index + 1}")
        value = machine.call(layer, [value, *extra], {**kwargs, "scope": inner}, call.site)
    manager.leave()
    return value


for _name in _CONTRIB:
    HANDLERS[f"tf.contrib.layers.{_name}"] = _contrib_layer
for _name in _PLAIN:
    HANDLERS[f"tf.layers.{_name}"] = _plain_layer
    if _name[0].isupper():
        HANDLERS[f"tf.layers.{_name}.__call__"] = _plain_call
        HANDLERS[f"tf.layers.{_name}.apply"] = _plain_call
for _name in signatures.DROPOUTS:
    HANDLERS[_name] = _dropout
HANDLERS["tf.contrib.layers.repeat"] = _repeat
HANDLERS["tf.contrib.layers.stack"] = _stack

SLIM_LAYERS = (
    *_CONTRIB, "repeat", "stack", "batch_norm", "max_pool2d", "avg_pool2d", "flatten", "dropout", "bias_add",
    "layer_norm", "instance_norm", "group_norm", "l2_regularizer", "xavier_initializer", "one_hot_encoding",
    "variance_scaling_initializer", "softmax", "unit_norm", "maxout", "max_pool3d", "avg_pool3d", "pool",
    "spatial_softmax", "dense_to_sparse", "images_to_sequence", "sequence_to_images", "l1_regularizer",
    "optimize_loss",
)  # fmt: skip
"""What slim takes over from ``tf.contrib.layers``."""
