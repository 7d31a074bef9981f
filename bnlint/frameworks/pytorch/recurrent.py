"""Recurrent layers, and with what they were made."""

from __future__ import annotations

from bnlint.dataflow import Node, Value
from bnlint.frameworks.pytorch import modules
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.frameworks.tensorflow1.signatures import REQUIRED, Signature
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call
from bnlint.trace import Made

_FIRST = (("input_size", REQUIRED), ("hidden_size", REQUIRED), ("num_layers", 1))
_LAST = (
    ("bias", True),
    ("batch_first", False),
    ("dropout", 0.0),
    ("bidirectional", False),
    ("proj_size", 0),
)
_SIGNATURES = {
    "torch.nn.LSTM": Signature(_FIRST + _LAST),
    "torch.nn.GRU": Signature(_FIRST + _LAST),
    "torch.nn.RNN": Signature((*_FIRST, ("nonlinearity", "tanh"), *_LAST)),
}
"""Read off torch 2.13."""


def _make(machine: Machine, call: Call) -> Value:
    made = modules.make_layer(machine, call)
    if isinstance(made, ApiObject):
        made.slots["made"] = Made(call.site, _SIGNATURES[call.name].bind_first(call), None)
    return made


def _call(machine: Machine, call: Call) -> Value:
    output = modules.call_weighted(machine, call)
    holder = call.receiver
    if isinstance(output, Node) and isinstance(holder, ApiObject):
        output.attrs["made"] = holder.slots.get("made")
    return output


for _kind in _SIGNATURES:
    HANDLERS[_kind] = _make
    HANDLERS[f"{_kind}.__call__"] = _call
