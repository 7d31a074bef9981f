"""With what layers of PyTorch are made that are no normalisations."""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.frameworks.tensorflow1.signatures import REQUIRED, Signature
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call, Tuple
from bnlint.trace import Made

_CONVOLUTION = Signature(
    (
        ("in_channels", REQUIRED),
        ("out_channels", REQUIRED),
        ("kernel_size", REQUIRED),
        ("stride", 1),
        ("padding", 0),
        ("dilation", 1),
        ("groups", 1),
        ("bias", True),
        ("padding_mode", "zeros"),
        ("device", None),
        ("dtype", None),
    )
)
_TRANSPOSED = Signature(
    (
        *_CONVOLUTION.parameters[:5],
        ("output_padding", 0),
        ("groups", 1),
        ("bias", True),
        ("dilation", 1),
        *_CONVOLUTION.parameters[8:],
    )
)
_LINEAR = Signature((("in_features", REQUIRED), ("out_features", REQUIRED), ("bias", True)))
_DROPOUT = Signature((("p", 0.5), ("inplace", False)))
SIGNATURES = {
    "torch.nn.Linear": _LINEAR,
    "torch.nn.LazyLinear": Signature(_LINEAR.parameters[1:]),
    **{f"torch.nn.Conv{rank}d": _CONVOLUTION for rank in (1, 2, 3)},
    **{f"torch.nn.ConvTranspose{rank}d": _TRANSPOSED for rank in (1, 2, 3)},
    **{f"torch.nn.LazyConv{rank}d": Signature(_CONVOLUTION.parameters[1:]) for rank in (1, 2, 3)},
    **{f"torch.nn.Dropout{rank}": _DROPOUT for rank in ("", "1d", "2d", "3d")},
}
"""Read off torch 2.13."""


def made_with(call: Call) -> Made | None:
    """What the making of a layer says about it; None for layers that nobody asks about."""
    signature = SIGNATURES.get(call.name)
    return None if signature is None else Made(call.site, signature.bind(call), None)


def _dropout(machine: Machine, call: Call) -> Value:
    made = ApiObject(call.name, call.site)
    made.slots["given"] = Tuple(call.values())
    made.slots["made"] = made_with(call)
    return made


for _rank in ("", "1d", "2d", "3d"):
    HANDLERS[f"torch.nn.Dropout{_rank}"] = _dropout
