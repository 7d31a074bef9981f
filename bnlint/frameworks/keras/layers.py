"""The layers of Keras: made once, called often."""

from __future__ import annotations

from bnlint.dataflow import Node, Op, Unknown, Value
from bnlint.frameworks.keras import calling, formats, parameters
from bnlint.frameworks.keras.eagerness import eager, freezing_infers, generation
from bnlint.frameworks.keras.graphs import learning_phase, updates
from bnlint.frameworks.keras.strategies import current
from bnlint.frameworks.keras.table import HANDLERS, PROPERTIES
from bnlint.frameworks.tensorflow1 import signatures
from bnlint.frameworks.tensorflow1.norms import apply_norm
from bnlint.frameworks.tensorflow1.state import graph, joined, make_variable, scope
from bnlint.frameworks.tensorflow1.table import text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import FALSE, TRUE, ApiObject, Call, Instance, contents
from bnlint.trace import Arguments, Made, NormLayer, Origin, Updates

NORMS = (
    "BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "BatchNormalizationBase",
    "SyncBatchNormalization",
)  # fmt: skip
_WEIGHTED = (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D",
    "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D", "Convolution1D", "Convolution2D", "Convolution3D",
    "SeparableConvolution2D", "Deconvolution2D", "LocallyConnected1D", "LocallyConnected2D", "LSTM", "GRU",
    "SimpleRNN", "ConvLSTM2D", "CuDNNLSTM", "CuDNNGRU", "Embedding", "EinsumDense", "MultiHeadAttention",
    "LayerNormalization", "GroupNormalization",
)  # fmt: skip
_PLAIN = (
    "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "AlphaDropout", "GaussianDropout", "GaussianNoise", "Flatten", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "MaxPool1D", "MaxPool2D", "AvgPool2D", "Reshape",
    "Permute", "RepeatVector", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "ZeroPadding1D",
    "ZeroPadding2D", "ZeroPadding3D", "UpSampling1D", "UpSampling2D", "UpSampling3D", "Cropping1D", "Cropping2D",
    "PReLU", "ThresholdedReLU", "Softmax", "Add", "Average", "Concatenate", "Multiply", "Maximum", "Minimum",
    "Subtract", "Dot", "Masking", "Rescaling", "Resizing", "Normalization", "RandomFlip", "RandomRotation",
    "RandomZoom", "RandomCrop", "RandomContrast", "UnitNormalization", "ActivityRegularization", "InputLayer",
)  # fmt: skip
_AROUND = ("TimeDistributed", "Bidirectional", "Wrapper")
LAYERS = [f"keras.layers.{name}" for name in ("Layer", *NORMS, *_WEIGHTED, *_PLAIN, *_AROUND, "Lambda")]
"""The classes of layers that are known."""


def make_layer(machine: Machine, call: Call) -> Value:
    """A layer, with what it was made with."""
    made = ApiObject(call.name, call.site)
    arguments = parameters.bind(call, call.name.rpartition(".")[2] in NORMS)
    made.slots["arguments"] = arguments
    made.slots["given"] = dict(call.kwargs)
    made.slots["strategy"] = current(machine)
    made.slots["trainable"] = call.kwargs.get("trainable") or TRUE
    if "name" in call.kwargs:
        made.slots["name"] = call.kwargs["name"]
    made.slots["data format"] = formats.data_format(machine, arguments)
    return made


def is_own_model(holder: Value | None, call: Call) -> bool:
    """Whether a project's class has its own ``call``, and this is not the call of its base in there."""
    return (
        isinstance(holder, Instance)
        and holder.cls.find("call") is not None
        and not call.name.endswith(".call")
    )


def _call_norm(machine: Machine, call: Call) -> Value:
    from bnlint.frameworks.keras.models import call_own

    holder = call.receiver
    if is_own_model(holder, call):
        return call_own(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    bound = signatures.KERAS_CALL.bind(call)
    layer = holder.slots.get("norm layer")
    if not isinstance(layer, NormLayer):
        layer = new_norm(machine, holder)
    training = Unknown("training") if bound.open else bound.value("training")
    with calling.calling(machine, holder, call, training, True) as made:
        output = _normalise(machine, holder, layer, bound, made, call)
    return calling.finished(machine, made, output, call)


def _normalise(
    machine: Machine, holder: ApiObject | Instance, layer: NormLayer, bound: Arguments, made: calling.Active,
    call: Call,
) -> Node:  # fmt: skip
    eagerly = eager(machine)
    phase: Value = made.training if made.training is not None else FALSE
    origin, how = made.origin, Updates.IN_PLACE if eagerly else Updates.ATTRIBUTE
    if not eagerly and origin is Origin.DEFAULT:
        phase, origin = learning_phase(machine, call), Origin.CONTEXT
    told, trainable = phase, machine.truth(holder.slots.get("trainable") or TRUE)
    if trainable is not True:
        infers = freezing_infers(machine)
        if trainable is False and (eagerly or infers is False):
            how = Updates.NONE
        if eagerly and infers is not False:
            phase = FALSE if trainable is False else machine.unknown("training", phase)
    value = signatures.KERAS_CALL.value(bound, "inputs")
    output = apply_norm(machine, layer, value, phase, origin, how, bound, call.site)
    norm = output.attrs["call"]
    norm.forward = made.forward
    norm.told = told if how is Updates.NONE else None
    made.forward.norms.append(norm)
    holder.slots["update nodes"] = (*holder.slots.get("update nodes", ()), *norm.update_nodes)
    return output


def new_norm(machine: Machine, holder: ApiObject | Instance, pretrained: bool = False) -> NormLayer:
    """The state of a batch normalisation, made when it is first needed."""
    built: Arguments = holder.slots.get("arguments") or Arguments(open=True)
    name = joined(scope(machine).name, text(machine, holder.slots.get("name")))
    kind = holder.kind if isinstance(holder, ApiObject) else "keras.layers.BatchNormalization"
    layer = NormLayer(
        machine.context(holder.site), machine.tick(), kind, "keras", name, graph(machine), built,
        holder.slots.get("trainable") or TRUE, pretrained=pretrained or "loaded" in holder.slots, owner=holder,
        strategy=holder.slots.get("strategy", ""),
    )  # fmt: skip
    machine.emit(layer)
    generation(machine)  # noted in the trace, for what is said about layers
    variables = [
        make_variable(
            machine, joined(name, which), holder.site, trainable=TRUE if learned else FALSE, moving=not learned,
            shared=False,
        )
        for which, learned in (
            ("beta", True),
            ("gamma", True),
            ("moving_mean", False),
            ("moving_variance", False),
        )
    ]  # fmt: skip
    layer.weights = tuple(variables[:2])
    holder.slots["norm layer"] = layer
    return layer


def _call_weighted(machine: Machine, call: Call) -> Value:
    from bnlint.frameworks.keras.models import call_own

    holder = call.receiver
    if is_own_model(holder, call):
        return call_own(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    weights = holder.slots.get("weights node")
    if not isinstance(weights, Node):
        weights = holder.slots["weights node"] = make_variable(machine, None, holder.site, shared=False)
    with calling.calling(machine, holder, call, call.kwargs.get("training")) as made:
        inputs = (*contents((call.get(0, "inputs") or Unknown(),)), weights)
        output = machine.node(
            Op.WEIGHTED, inputs, call.site, weights=(weights,), api=call.name, layer=holder,
            made=_made(machine, holder),
        )  # fmt: skip
    return calling.finished(machine, made, output, call)


def _made(machine: Machine, layer: ApiObject | Instance) -> Made:
    """With what a layer was made."""
    slots = layer.slots
    known = slots.get("arguments")
    if not isinstance(known, Arguments):
        return Made(layer.site, Arguments(open=True), Unknown("data_format"))
    shape = formats.shape(machine, known.value("input_shape"))
    return Made(layer.site, known, slots.get("data format"), slots.get("around", ""), shape)


def _call_plain(machine: Machine, call: Call) -> Value:
    from bnlint.frameworks.keras.models import call_own

    holder = call.receiver
    if is_own_model(holder, call):
        return call_own(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    kind = holder.kind if isinstance(holder, ApiObject) else "keras.layers.Layer"
    with calling.calling(machine, holder, call, call.kwargs.get("training")) as made:
        output = machine.node(
            kind, contents(call.values()), call.site, layer=holder, made=_made(machine, holder),
            training=call.kwargs.get("training"),
        )  # fmt: skip
    return calling.finished(machine, made, output, call)


def _around(machine: Machine, call: Call) -> Value:
    made = ApiObject(call.name, call.site)
    inner = made.slots["layer"] = call.get(0, "layer") or Unknown("layer")
    if isinstance(inner, ApiObject):
        inner.slots["around"] = call.name
    return made


def _call_around(machine: Machine, call: Call) -> Value:
    from bnlint.frameworks.keras.models import call_own

    holder = call.receiver
    if is_own_model(holder, call) or not isinstance(holder, ApiObject):
        return call_own(machine, call)
    with calling.calling(machine, holder, call, call.kwargs.get("training")) as made:
        output = machine.call(holder.slots["layer"], [call.get(0, "inputs") or Unknown()], {}, call.site)
    return calling.finished(machine, made, output, call)


def _lambda(machine: Machine, call: Call) -> Value:
    made = ApiObject(call.name, call.site)
    made.slots["function"] = call.get(0, "function") or Unknown("function")
    return made


def _call_lambda(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if not isinstance(holder, ApiObject):
        return _call_plain(machine, call)
    with calling.calling(machine, holder, call, call.kwargs.get("training")) as made:
        output = machine.call(holder.slots["function"], [call.get(0, "inputs") or Unknown()], {}, call.site)
    return calling.finished(machine, made, output, call)


def _input(machine: Machine, call: Call) -> Value:
    return machine.node(
        Op.PLACEHOLDER, (), call.site, default=None, dtype="", name=text(machine, call.kwargs.get("name")),
        shape=formats.shape(machine, call.get(0, "shape")),
    )  # fmt: skip


def _one_of_many(machine: Machine, call: Call) -> Value:
    """``keras.layers.add([x, y])`` and its kin: a layer that is made and called at once."""
    return machine.node(call.name, contents(call.values()), call.site)


def _pad(machine: Machine, call: Call) -> Value:
    """Sequences of different lengths, made equally long."""
    return machine.node(call.name, contents(call.values()), call.site)


for _name in NORMS:
    HANDLERS[f"keras.layers.{_name}"] = make_layer
    HANDLERS[f"keras.layers.{_name}.__call__"] = _call_norm
    HANDLERS[f"keras.layers.{_name}.call"] = _call_norm
    PROPERTIES[f"keras.layers.{_name}.updates"] = updates
    HANDLERS[f"keras.layers.{_name}.get_updates_for"] = updates
for _names, _handler in ((_WEIGHTED, _call_weighted), (_PLAIN, _call_plain)):
    for _name in _names:
        HANDLERS[f"keras.layers.{_name}"] = make_layer
        HANDLERS[f"keras.layers.{_name}.__call__"] = _handler
        HANDLERS[f"keras.layers.{_name}.call"] = _handler
for _name in _AROUND:
    HANDLERS[f"keras.layers.{_name}"] = _around
    HANDLERS[f"keras.layers.{_name}.__call__"] = _call_around
for _name in ("add", "average", "concatenate", "multiply", "maximum", "minimum", "subtract", "dot"):
    HANDLERS[f"keras.layers.{_name}"] = _one_of_many
HANDLERS["keras.layers.Lambda"] = _lambda
HANDLERS["keras.layers.Lambda.__call__"] = _call_lambda
HANDLERS["keras.Input"] = _input
HANDLERS["keras.utils.pad_sequences"] = _pad
