"""What Keras' layers take by position, as far as its generations agree; everything may be given by keyword.

Names and order were read off Keras 2.15 and 3.15.
"""

from __future__ import annotations

from bnlint.frameworks.tensorflow1.signatures import KERAS_CLASS, REQUIRED, Signature
from bnlint.interpreter.values import Call
from bnlint.trace import Arguments

_CONVOLUTION = "filters kernel_size strides padding data_format dilation_rate"
_TRANSPOSED = "filters kernel_size strides padding"
_DEPTHWISE = "kernel_size strides padding depth_multiplier data_format dilation_rate"
_NAMES = {
    "Dense": "units activation use_bias",
    **dict.fromkeys(("Conv1D", "Convolution1D", "SeparableConv1D", "LocallyConnected1D"), _TRANSPOSED),
    **dict.fromkeys(("Conv2D", "Convolution2D", "Conv3D", "Convolution3D"), _CONVOLUTION),
    **dict.fromkeys(("SeparableConv2D", "SeparableConvolution2D"), _CONVOLUTION),
    **dict.fromkeys(
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Deconvolution2D"), _TRANSPOSED
    ),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU"), "units"),
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), "rate"),
    "Embedding": "input_dim output_dim",
    "Activation": "activation",
}
_SIGNATURES = {
    kind: Signature(tuple((name, REQUIRED) for name in names.split()), extra=True)
    for kind, names in _NAMES.items()
}
_KEYWORDS = Signature((), extra=True)


def bind(call: Call, norm: bool) -> Arguments:
    """The arguments with which a layer is made; open if one stands where the generations disagree."""
    signature = KERAS_CLASS if norm else _SIGNATURES.get(call.name.rpartition(".")[2], _KEYWORDS)
    return signature.bind_first(call)
