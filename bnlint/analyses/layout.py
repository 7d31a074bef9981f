"""Where the channels are in feature maps, as far as the operations that made them tell.

A convolution says how many axes its output has and which of them holds the channels; activations, dropout, pooling
and sums keep that. What changes the layout, or may change it, ends the search.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnlint.dataflow import Choice, Const, Node, Op, Value
from bnlint.trace import Made, NormCall, NormLayer

_DEEPEST = 40
_POSITIONS = {f"{kind}{count}d": count for kind in ("conv", "convolution") for count in (1, 2, 3)}
"""How many positional axes the output of a convolution has."""
_FORMATS = {
    "channels_first": 1, "channels_last": -1, "NCHW": 1, "NHWC": -1, "NCW": 1, "NWC": -1, "NCDHW": 1, "NDHWC": -1,
}  # fmt: skip
_LAYERS = (
    "Activation ReLU LeakyReLU ELU PReLU ThresholdedReLU Dropout SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise ActivityRegularization MaxPooling1D MaxPooling2D "
    "MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D MaxPool1D MaxPool2D AvgPool2D ZeroPadding1D "
    "ZeroPadding2D ZeroPadding3D UpSampling1D UpSampling2D UpSampling3D Cropping1D Cropping2D"
)
_OPERATIONS = (
    "relu elu selu relu6 leaky_relu crelu tanh sigmoid softplus swish bias_add dropout max_pool avg_pool max_pool2d "
    "avg_pool2d"
)
_KEEPS = frozenset(
    [f"keras.layers.{name}" for name in _LAYERS.split()]
    + [f"tf.nn.{name}" for name in _OPERATIONS.split()]
    + "tf.tanh tf.sigmoid tf.pad tf.abs tf.square tf.layers.dropout tf.layers.max_pooling2d".split()
    + "tf.layers.average_pooling2d tf.contrib.layers.dropout tf.contrib.layers.max_pool2d".split()
    + "tf.contrib.layers.avg_pool2d".split()
)
_SUMS = frozenset(
    "add keras.layers.add keras.layers.Add keras.layers.Average keras.layers.Multiply keras.layers.Maximum".split()
)
_IDENTITIES = frozenset({"tf.identity", "tf.cast", "tf.to_float", "tf.check_numerics", "tf.Print"})
_CERTAIN = "tf."
"""How APIs begin whose own default is channels last; that of Keras stands in a file of the user's."""
_NORMS_BY_FORMAT = ("tf.contrib.layers.batch_norm", "tf.nn.fused_batch_norm")
_NORMS_BY_AXIS = ("keras.layers.", "tf.layers.")


@dataclass(frozen=True, slots=True)
class Layout:
    """The axes of feature maps."""

    convolution: Node
    """What made them."""
    positions: int
    """How many axes there are besides those of the batch and the channels."""
    channels: int | None
    """The axis of the channels, counted from 0; None when it is not known."""

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return self.positions + 2


def layout(value: Value, depth: int = _DEEPEST) -> Layout | None:
    """The layout that a value certainly has; None when it does not follow from a convolution."""
    while depth > 0:
        depth -= 1
        if isinstance(value, Choice):
            return _agreed([option for _, option in value.options], depth)
        if not isinstance(value, Node):
            return None
        if value.op == Op.WEIGHTED:
            return _of_convolution(value)
        if value.op == Op.NORM:
            call: NormCall = value.attrs["call"]
            value = call.input
        elif value.op in _SUMS:
            return next(
                (found for each in _operands(value) if (found := layout(each, depth)) is not None), None
            )
        elif value.op in _KEEPS or (value.op == Op.IDENTITY and value.attrs.get("api") in _IDENTITIES):
            made = value.attrs.get("made")
            if not value.inputs or (isinstance(made, Made) and made.wrapper):
                return None
            value = value.inputs[0]
        else:
            return None
    return None


def axis_parameter(layer: NormLayer) -> str:
    """The parameter that tells a normalisation where the channels are."""
    return "data_format" if layer.api in _NORMS_BY_FORMAT else "axis"


def normalised_axis(layer: NormLayer, rank: int) -> int | None:
    """The axis that a layer takes for the channels, counted from 0; None when that is not known."""
    given = layer.arguments.value(axis_parameter(layer))
    if given is None:
        known = layer.api.startswith((*_NORMS_BY_AXIS, *_NORMS_BY_FORMAT)) and not layer.arguments.open
        return rank - 1 if known else None
    said = given.value if isinstance(given, Const) else None
    axis = said if isinstance(said, int) else _FORMATS.get(said) if isinstance(said, str) else None
    return axis % rank if axis is not None and -rank <= axis < rank else None


def _agreed(options: list[Value], depth: int) -> Layout | None:
    found = [layout(option, depth // 2) for option in options]
    first = found[0]
    if first is None or any(
        other is None or (other.positions, other.channels) != (first.positions, first.channels)
        for other in found
    ):
        return None
    return first


def _operands(node: Node) -> tuple[Value, ...]:
    given: tuple[Value, ...] = node.attrs.get("operands", node.inputs)
    return tuple(each for each in given if not (isinstance(each, Node) and each.op == Op.VARIABLE))


def _of_convolution(node: Node) -> Layout | None:
    api: str = node.attrs["api"].removesuffix(".__call__").removesuffix(".call").removesuffix(".apply")
    positions = _POSITIONS.get(_kind(api), 0)
    made = node.attrs.get("made")
    if not positions or (isinstance(made, Made) and made.wrapper):
        return None
    return Layout(node, positions, _channels(node, api, made, positions))


def _kind(api: str) -> str:
    """``conv2d`` for all kinds of convolutions in two dimensions."""
    short = api.rpartition(".")[2].lower().removesuffix("transpose").rstrip("_")
    for word in ("depthwise_", "separable_", "atrous_", "separable", "depthwise"):
        short = short.removeprefix(word)
    return short.removesuffix("_native")


def _channels(node: Node, api: str, made: Made | None, positions: int) -> int | None:
    if made is None:
        return None
    said = made.data_format
    if said is None or (isinstance(said, Const) and said.value is None):
        last = api.startswith(_CERTAIN) or _input_is_channels_last(node, positions)
        return positions + 1 if last else None
    axis = _FORMATS.get(said.value) if isinstance(said, Const) and isinstance(said.value, str) else None
    return None if axis is None else axis % (positions + 2)


def _input_is_channels_last(value: Value, positions: int) -> bool:
    """Whether the shape of the network's input shows that its last axis holds the channels."""
    for _ in range(400):
        if not isinstance(value, Node):
            return False
        made = value.attrs.get("made")
        shape = (made.input_shape if isinstance(made, Made) else None) or value.attrs.get("shape")
        if shape is not None:
            return len(shape) == positions + 1 and _is_picture(shape)
        following = [each for each in value.inputs if not (isinstance(each, Node) and each.op == Op.VARIABLE)]
        if not following:
            return False
        value = following[0]
    return False


def _is_picture(shape: tuple[int | None, ...]) -> bool:
    """Whether a shape is that of pictures with the channels last; one channel alone may be that of a spectrogram."""
    *sizes, channels = shape
    if channels is None or not all(size is None or size > channels for size in sizes):
        return False
    return channels in (3, 4) or (channels == 1 and sizes[0] is not None and len(set(sizes)) == 1)
