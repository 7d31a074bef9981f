"""The parameters of TensorFlow 1's normalisations and layers, in order, with their defaults.

Names, order and defaults were read off TensorFlow 1.15.5 and tf-slim 1.1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from bnlint.dataflow import Const, Unknown, Value
from bnlint.interpreter.values import Call, located
from bnlint.trace import Argument, Arguments

REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters of one API with their defaults; ``extra`` when it takes any further keyword."""

    parameters: tuple[tuple[str, Any], ...]
    extra: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(name for name, _ in self.parameters)

    def position(self, name: str) -> int | None:
        """Where a parameter stands."""
        return next((i for i, (known, _) in enumerate(self.parameters) if known == name), None)

    def default(self, name: str) -> Value | None:
        """The default of a parameter; None if it has none or there is no such parameter."""
        found = dict(self.parameters).get(name, REQUIRED)
        return None if found is REQUIRED else Const(found)

    def bind(self, call: Call, scoped: dict[str, Any] | None = None) -> Arguments:
        """The arguments of a call by parameter name; ``scoped`` are those of argument scopes."""
        names = self.names
        known = set(names)
        bound = Arguments(open=call.open, positional=names[: len(call.args)])
        for index, value in enumerate(call.args[: len(names)]):
            place = call.sites.get(index)
            bound.named[names[index]] = Argument(value, located(place) if place is not None else None)
        for name, value in call.kwargs.items():
            place = call.sites.get(name)
            argument = Argument(value, located(place) if place is not None else None)
            if name in known or self.extra:
                bound.named[name] = argument
            else:
                bound.unexpected[name] = argument
        for name, (value, place) in (scoped or {}).items():
            if name in bound.named or name in bound.unexpected:
                continue
            argument = Argument(value, located(place) if place is not None else None)
            (bound.named if name in known else bound.unexpected)[name] = argument
        return bound

    def bind_first(self, call: Call, scoped: dict[str, Any] | None = None) -> Arguments:
        """The arguments of a call of which only the first parameters are known; open if it gives more by position."""
        bound = self.bind(call, scoped)
        bound.open = bound.open or len(call.args) > len(self.parameters)
        return bound

    def value(self, bound: Arguments, name: str) -> Value:
        """The value of a parameter: given, unknown, or its default."""
        given = bound.value(name)
        if given is not None:
            return given
        if bound.open:
            return Unknown(name)
        return self.default(name) or Unknown(name)


def _signature(text: str, extra: bool = False) -> Signature:
    """A signature from Python-like text: ``x, axis=-1, name=None``."""
    parameters: list[tuple[str, Any]] = []
    for part in text.split(","):
        name, has_default, default = part.strip().partition("=")
        parameters.append((name, _LITERALS.get(default, default) if has_default else REQUIRED))
    return Signature(tuple(parameters), extra)


_LITERALS: dict[str, Any] = {
    "None": None, "True": True, "False": False, "-1": -1, "0.99": 0.99, "1e-3": 1e-3, "0.999": 0.999,
    "1e-5": 1e-5, "0.9": 0.9, "1.0": 1.0, "0.0": 0.0, "0.002": 0.002, "1": 1,
}  # fmt: skip

_NORMALIZATION = (
    "axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, beta_initializer=None, "
    "gamma_initializer=None, moving_mean_initializer=None, moving_variance_initializer=None, "
    "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None"
)
_RENORM = (
    "renorm=False, renorm_clipping=None, renorm_momentum=0.99, fused=None, virtual_batch_size=None, "
    "adjustment=None"
)

LAYERS_FUNCTION = _signature(
    f"inputs, {_NORMALIZATION}, training=False, trainable=True, name=None, reuse=None, {_RENORM}"
)
LAYERS_CLASS = _signature(
    f"{_NORMALIZATION}, {_RENORM}, trainable=True, name=None, dtype=None, _reuse=None, _scope=None, "
    "activity_regularizer=None"
)
LAYERS_CALL = _signature("inputs, training=False")
CONTRIB = _signature(
    "inputs, decay=0.999, center=True, scale=False, epsilon=1e-3, activation_fn=None, "
    "param_initializers=None, param_regularizers=None, updates_collections=update_ops, is_training=True, "
    "reuse=None, variables_collections=None, outputs_collections=None, trainable=True, batch_weights=None, "
    "fused=None, data_format=NHWC, zero_debias_moving_mean=False, scope=None, renorm=False, "
    "renorm_clipping=None, renorm_decay=0.99, adjustment=None"
)
PLAIN = _signature("x, mean, variance, offset, scale, variance_epsilon, name=None")
GLOBAL = _signature("t, m, v, beta, gamma, variance_epsilon, scale_after_normalization, name=None")
FUSED = _signature(
    "x, scale, offset, mean=None, variance=None, epsilon=1e-3, data_format=NHWC, is_training=True, name=None, "
    "exponential_avg_factor=1.0"
)
MOMENTS = _signature("x, axes, shift=None, name=None, keep_dims=None, keepdims=None")
TFLEARN = _signature(
    "incoming, beta=0.0, gamma=1.0, epsilon=1e-5, decay=0.9, stddev=0.002, trainable=True, restore=True, "
    "reuse=False, scope=None, name=None"
)
TENSORLAYER = _signature(
    "prev_layer, decay=0.9, epsilon=1e-5, act=None, is_train=False, beta_init=None, gamma_init=None, name=None, "
    "dtype=None, trainable=None, layer=None, moving_mean_init=None, data_format=None",
    extra=True,
)
KERAS_CLASS = _signature(
    f"{_NORMALIZATION}, {_RENORM}, trainable=True, name=None, dtype=None, synchronized=False", extra=True
)
KERAS_CALL = _signature("inputs, training=None, mask=None")

_CONVOLUTION = "filters, kernel_size, strides, padding, data_format"
_PLAIN_LAYERS = {
    "dense": "units, activation, use_bias",
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), f"{_CONVOLUTION}, dilation_rate, activation, use_bias"),
    **dict.fromkeys(("conv2d_transpose", "conv3d_transpose"), f"{_CONVOLUTION}, activation, use_bias"),
    **dict.fromkeys(
        ("separable_conv1d", "separable_conv2d"),
        f"{_CONVOLUTION}, dilation_rate, depth_multiplier, activation, use_bias",
    ),
}
_CLASSES = {
    "Conv2DTranspose": "conv2d_transpose", "Conv3DTranspose": "conv3d_transpose", "SeparableConv2D": "separable_conv2d",
}  # fmt: skip


@functools.cache
def plain_layer(short: str) -> Signature:
    """The first parameters of a layer of ``tf.layers``, by the name of its function or its class."""
    if short[0].isupper():
        return _signature(_PLAIN_LAYERS[_CLASSES.get(short, short.lower())], extra=True)
    return _signature(f"inputs, {_PLAIN_LAYERS[short]}", extra=True)


@functools.cache
def contrib_layer(short: str) -> Signature:
    """The first parameters of a layer of ``tf.contrib.layers``."""
    if "conv" not in short:
        return _signature("inputs, num_outputs, activation_fn, normalizer_fn", extra=True)
    if "separable" in short or "in_plane" in short:
        return _signature("inputs", extra=True)
    rate = "" if "transpose" in short else ", rate"
    return _signature(
        f"inputs, num_outputs, kernel_size, stride, padding, data_format{rate}, activation_fn, normalizer_fn",
        extra=True,
    )


DROPOUTS = {
    "tf.layers.dropout": _signature("inputs, rate, noise_shape, seed, training, name"),
    "tf.nn.dropout": _signature("x, keep_prob, noise_shape, seed, name, rate"),
    "tf.contrib.layers.dropout": _signature("inputs, keep_prob, noise_shape, is_training"),
}
"""The parameters of each dropout by its canonical name."""

NORMS = {
    "tf.layers.batch_normalization": LAYERS_FUNCTION.names,
    "tf.layers.BatchNormalization": LAYERS_CLASS.names,
    "tf.contrib.layers.batch_norm": CONTRIB.names,
    "tf.nn.batch_normalization": PLAIN.names,
    "tf.nn.batch_norm_with_global_normalization": GLOBAL.names,
    "tf.nn.fused_batch_norm": FUSED.names,
    "tflearn.batch_normalization": TFLEARN.names,
    "tensorlayer.layers.BatchNormLayer": TENSORLAYER.names,
}
"""The parameters of each normalisation by its canonical name."""
