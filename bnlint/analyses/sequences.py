"""Which axis of a sequence holds its features, as far as the recurrent layer that made it tells."""

from __future__ import annotations

from dataclasses import dataclass

from bnlint.dataflow import Const, Node, Op, Value
from bnlint.trace import Made

_DEEPEST = 20
_RECURRENT = tuple(f"torch.nn.{kind}.__call__" for kind in ("LSTM", "GRU", "RNN"))
_KEEPS = frozenset(
    [f"torch.nn.{name}" for name in "ReLU LeakyReLU ELU GELU Tanh Sigmoid Identity Dropout".split()]
    + [f"torch.nn.functional.{name}" for name in "relu leaky_relu elu gelu dropout".split()]
    + "torch.relu torch.tanh torch.sigmoid".split()
)


@dataclass(frozen=True, slots=True)
class Sequences:
    """The features of all steps, in the last axis."""

    layer: Made
    """What made them."""
    features: int
    batch_first: bool
    """Whether the steps are in the axis after that of the batch; else it is the other way round."""


def sequences(value: Value) -> Sequences | None:
    """The sequences that a value certainly is; None when it does not follow from a recurrent layer."""
    for _ in range(_DEEPEST):
        if not isinstance(value, Node) or not value.inputs:
            return None
        first = value.inputs[0]
        if isinstance(first, Node) and first.op == Op.WEIGHTED and first.attrs.get("api") in _RECURRENT:
            return _of_recurrent(first) if _is_first_result(value) else None
        if value.op not in _KEEPS:
            return None
        value = first
    return None


def _is_first_result(node: Node) -> bool:
    """Whether a value is all outputs of a recurrent layer, and not its last state."""
    key = node.attrs.get("key")
    return (node.op == "part" and node.attrs.get("index") == 0) or (
        node.op == "item" and isinstance(key, Const) and key.value == 0
    )


def _of_recurrent(node: Node) -> Sequences | None:
    made = node.attrs.get("made")
    if not isinstance(made, Made) or made.arguments.open or made.arguments.value("proj_size") is not None:
        return None
    size = _given(made, "hidden_size", None)
    both, batch_first = _given(made, "bidirectional", False), _given(made, "batch_first", False)
    if type(size) is not int or not isinstance(both, bool) or not isinstance(batch_first, bool):
        return None
    return Sequences(made, size * (1 + both), batch_first)


def _given(made: Made, name: str, default: object) -> object:
    value = made.arguments.value(name)
    return default if value is None else value.value if isinstance(value, Const) else None
