"""Sequences of different lengths in one tensor, and what rearranges the axes of a tensor."""

from __future__ import annotations

from bnlint.dataflow import Node, Unknown, Value, sources
from bnlint.eager import Padded, Rearranged
from bnlint.frameworks.pytorch import shapes
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.frameworks.tensorflow1.signatures import REQUIRED, Signature
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call, List, Tuple, contents

_RNN = "torch.nn.utils.rnn"
_PACK = Signature(
    (("input", REQUIRED), ("lengths", REQUIRED), ("batch_first", False), ("enforce_sorted", True))
)
_UNPACK = Signature(
    (("sequence", REQUIRED), ("batch_first", False), ("padding_value", 0.0), ("total_length", None))
)
_PAD = Signature(
    (("sequences", REQUIRED), ("batch_first", False), ("padding_value", 0.0), ("padding_side", "right"))
)
_AXES = {
    "transpose": Signature((("dim0", REQUIRED), ("dim1", REQUIRED))),
    "unsqueeze": Signature((("dim", REQUIRED),)),
    "flatten": Signature((("start_dim", 0), ("end_dim", -1))),
}
"""Read off torch 2.13."""
_SIZES = ("permute", "view", "reshape")
"""What is given one number for each axis, in a tuple or one by one."""
_KEEP = ("contiguous", "masked_fill", "masked_fill_")


# -- padding -----------------------------------------------------------------------------------------


def _pack(machine: Machine, call: Call) -> Value:
    """``pack_padded_sequence(x, lengths)``: the tensor that it is given is padded, the result is not."""
    bound = _PACK.bind(call)
    lengths = _listed(_PACK.value(bound, "lengths"))
    value, first = _PACK.value(bound, "input"), _PACK.value(bound, "batch_first")
    machine.emit(Padded(machine.context(call.site), machine.tick(), value, first, lengths, packed=True))
    return machine.node(call.name, contents(call.values()), call.site, lengths=lengths)


def _listed(lengths: Value) -> Value:
    """What a tensor of integers is made of (``torch.LongTensor(list)``)."""
    made = lengths.slots.get("given") if isinstance(lengths, ApiObject) else None
    return made.items[0] if isinstance(made, Tuple) and len(made.items) == 1 else lengths


def _unpack(machine: Machine, call: Call) -> Value:
    """``pad_packed_sequence(packed)``: the padded tensor, and the lengths."""
    bound = _UNPACK.bind(call)
    sequence = _UNPACK.value(bound, "sequence")
    value = machine.node(call.name, contents((sequence,)), call.site)
    first, lengths = _UNPACK.value(bound, "batch_first"), _lengths(sequence)
    # What is packed comes out of a recurrent layer.
    machine.emit(Padded(machine.context(call.site), machine.tick(), value, first, lengths, vectors=True))
    return Tuple([value, machine.unknown("lengths", value)])


def _lengths(sequence: Value) -> Value:
    """With which lengths a sequence was packed last."""
    packs = (
        each
        for each in sources(contents((sequence,)))
        if isinstance(each, Node) and each.op == f"{_RNN}.pack_padded_sequence"
    )
    last = max(packs, key=lambda node: node.order, default=None)
    return Unknown("lengths") if last is None else last.attrs["lengths"]


def _pad(machine: Machine, call: Call) -> Value:
    """``pad_sequence(list)``."""
    bound = _PAD.bind(call)
    value = machine.node(call.name, contents(call.values()), call.site)
    given = machine.settle(_PAD.value(bound, "sequences"))
    # One sequence needs no padding.
    alone = isinstance(given, Tuple) or (isinstance(given, List) and not given.open)
    if not alone or len(contents((given,))) > 1:
        first = _PAD.value(bound, "batch_first")
        machine.emit(Padded(machine.context(call.site), machine.tick(), value, first, Unknown("lengths")))
    return value


# -- axes --------------------------------------------------------------------------------------------


def _method(machine: Machine, call: Call) -> Value:
    """``x.transpose(1, 2)``."""
    value = call.receiver or Unknown()
    name = call.name.rpartition(".")[2]
    machine.callbacks(call.values(), call.site)
    hint = f"{value.hint}.{name}" if isinstance(value, Unknown) and value.hint else name
    result = machine.unknown(hint, value, *call.values())
    if isinstance(value, Unknown):
        # It need not be a tensor.
        machine.escape((*call.values(), result))
    return _rearranged(machine, call, value, name, result)


def _function(machine: Machine, call: Call) -> Value:
    """``torch.transpose(x, 1, 2)``."""
    name = call.name.rpartition(".")[2]
    made = (
        shapes.flatten(machine, call)
        if name == "flatten"
        else machine.node(call.name, contents(call.values()), call.site)
    )
    if not call.args:
        return made
    rest = Call(call.args[1:], call.kwargs, call.site, open=call.open, rest=call.rest)
    return _rearranged(machine, rest, call.args[0], name, made)


def _rearranged(machine: Machine, call: Call, value: Value, by: str, result: Value) -> Value:
    if not call.open and not call.rest:
        given = tuple(machine.settle(each) for each in _given(call, by))
        machine.emit(Rearranged(machine.context(call.site), machine.tick(), value, result, by, given))
    return result


def _given(call: Call, by: str) -> tuple[Value, ...]:
    signature = _AXES.get(by)
    if signature is not None:
        bound = signature.bind(call)
        return tuple(signature.value(bound, name) for name in signature.names)
    given = call.values() if by in _SIZES else ()
    return tuple(given[0].items) if len(given) == 1 and isinstance(given[0], Tuple | List) else tuple(given)


HANDLERS.update(
    {
        f"{_RNN}.pack_padded_sequence": _pack,
        f"{_RNN}.pad_packed_sequence": _unpack,
        f"{_RNN}.pad_sequence": _pad,
    }
)
for _name in (*_AXES, *_SIZES, *_KEEP):
    HANDLERS[f"Tensor.{_name}"] = HANDLERS[f"Unknown.{_name}"] = _method
for _name in (*_AXES, "permute", "reshape"):
    HANDLERS[f"torch.{_name}"] = _function
