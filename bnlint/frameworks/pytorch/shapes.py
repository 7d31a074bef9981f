"""Whether an example has one value for each channel, as far as the layers that made it tell.

A pooled map has, and so has what is flattened. What is not known may make several examples of one, and ends the search.
"""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call, Tuple, contents

_DEEPEST = 40
_KEEPS = frozenset(
    [f"torch.nn.{name}" for name in "ReLU LeakyReLU ELU GELU SiLU Tanh Sigmoid Identity".split()]
    + [f"torch.nn.{name}" for name in "Dropout Dropout1d Dropout2d AlphaDropout".split()]
    + [f"torch.nn.functional.{name}" for name in "relu leaky_relu elu gelu silu dropout dropout2d".split()]
    + "torch.relu torch.tanh torch.sigmoid".split()
)


def is_single(value: Value) -> bool:
    """Whether there certainly is one value for each example and channel, of a batch as the model was given it."""
    single = False
    for _ in range(_DEEPEST):
        if not isinstance(value, Node):
            return single
        single = single or _makes_single(value)
        if value.op == Op.NORM:
            value = value.attrs["call"].input
        elif value.inputs and (_is_kept(value) or (single and _keeps_examples(value))):
            value = value.inputs[0]
        else:
            return False
    return False


def _is_kept(node: Node) -> bool:
    return node.op in _KEEPS or node.attrs.get("api") == "torch.nn.Linear.__call__"


def _keeps_examples(node: Node) -> bool:
    """Whether an operation on maps leaves the examples of a batch apart."""
    api = node.attrs.get("api", "") if node.op == Op.WEIGHTED else node.op
    return "Pool" in api or "_pool" in api or "Conv" in api or "latten" in api


def _makes_single(node: Node) -> bool:
    """Whether an operation flattens each example, or pools its maps to one position."""
    if node.op == "torch.flatten":
        return bool(node.attrs.get("from_one"))
    layer = node.attrs.get("layer")
    given = layer.slots.get("given") if isinstance(layer, ApiObject) else None
    sizes = given.items if isinstance(given, Tuple) else None
    if sizes is None:
        return False
    if node.op == "torch.nn.Flatten":
        return not sizes
    return node.op.startswith(("torch.nn.AdaptiveAvgPool", "torch.nn.AdaptiveMaxPool")) and _are_ones(sizes)


def _are_ones(sizes: tuple[Value, ...]) -> bool:
    if len(sizes) == 1 and isinstance(sizes[0], Tuple):
        sizes = sizes[0].items
    return bool(sizes) and all(isinstance(size, Const) and size.value == 1 for size in sizes)


def flatten(machine: Machine, call: Call) -> Value:
    """``torch.flatten(x, 1)``."""
    inputs = contents((call.get(0, "input") or Unknown("input"),))
    start, end = call.get(1, "start_dim"), call.get(2, "end_dim")
    return machine.node(
        "torch.flatten", inputs, call.site, from_one=machine.constant(start) == 1 and end is None
    )
