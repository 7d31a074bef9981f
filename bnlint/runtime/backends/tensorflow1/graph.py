"""Questions asked of a TensorFlow 1 graph: what a run executes, which variable a tensor reads, what a branch is."""

from __future__ import annotations

import re
import weakref
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Graph = Any
Operation = Any
Tensor = Any
Variable = Any

VARIABLES = frozenset(("VarHandleOp", "VariableV2", "Variable"))
_THROUGH = frozenset(
    """
    Identity ReadVariableOp Cast Switch RefSwitch Enter RefEnter Reshape Squeeze ExpandDims StopGradient Merge
    RefMerge Snapshot Transpose PlaceholderWithDefault
    """.split()
)
"""Operations that pass their first input on, as far as it matters which variable it is."""
_ASSIGN = re.compile(r"(Assign|AssignAdd|AssignSub)(VariableOp)?|(Resource)?Scatter(Nd)?(Update|Add|Sub)")
_RELATIVE = frozenset(("AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp"))
_APPLY = re.compile(r"(Resource)?(Sparse)?Apply[A-Z]\w*")
"""What the optimizers' kernels are called."""
WEIGHTED = {
    "MatMul": (0, 1),
    "BatchMatMul": (0, 1),
    "BatchMatMulV2": (0, 1),
    "BatchMatMulV3": (0, 1),
    "Conv2D": (0, 1),
    "Conv3D": (0, 1),
    "DepthwiseConv2dNative": (0, 1),
    "Conv2DBackpropInput": (2, 1),
    "Conv3DBackpropInputV2": (2, 1),
}
"""Operations that multiply data by weights: the inputs that are the data and the weights."""


def is_plain(graph: Graph) -> bool:
    """Whether it is a graph that a session runs, and not the body of a function."""
    from tensorflow.python.framework import ops
    from tensorflow.python.framework.func_graph import FuncGraph

    return isinstance(graph, ops.Graph) and not isinstance(graph, FuncGraph)


def is_for_session(graph: Graph) -> bool:
    """Whether a session runs it: also a side of a condition or the body of a loop, which is a function of its own."""
    from tensorflow.python.ops.control_flow_v2_func_graphs import ControlFlowFuncGraph

    while isinstance(graph, ControlFlowFuncGraph):
        graph = graph.outer_graph
    return is_plain(graph)


def of_gradients(op: Operation) -> bool:
    """Whether it was built by ``tf.gradients``: such operations read the weights, too."""
    return any(part == "gradients" or part.startswith("gradients_") for part in op.name.split("/"))


def executed(fetched: Iterable[Operation], fed: Collection[str]) -> dict[str, Operation]:
    """The operations that a run executes, by name; ``fed`` are the names of the tensors that it is given."""
    found: dict[str, Operation] = {}
    waiting = list(fetched)
    while waiting:
        op = waiting.pop()
        if op.name in found:
            continue
        found[op.name] = op
        waiting.extend(
            tensor.op for tensor in op.inputs if tensor.name not in fed and tensor.op.name not in found
        )
        waiting.extend(op.control_inputs)
    return found


def variable_of(tensor: Tensor) -> str | None:
    """The name of the variable's operation that a tensor reads, if that is all it does."""
    seen: set[str] = set()
    waiting = [tensor.op]
    while waiting:
        op = waiting.pop()
        if op.type in VARIABLES:
            return str(op.name)
        if op.type in _THROUGH and op.name not in seen:
            seen.add(op.name)
            inputs = list(op.inputs)
            waiting.extend(each.op for each in (reversed(inputs) if "Merge" in op.type else inputs[:1]))
    return None


def variables_behind(tensor: Tensor, without: Collection[str]) -> list[str]:
    """The variables that a tensor is computed from, nearest first; not beyond the operations in ``without``."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    layer = [tensor.op]
    while layer:
        following: list[Operation] = []
        for op in layer:
            if op.name in seen or op.name in without:
                continue
            seen.add(op.name)
            if op.type in VARIABLES:
                found[str(op.name)] = None
            following.extend(each.op for each in op.inputs)
        layer = following
    return list(found)


def data_ancestors(tensor: Tensor) -> set[str]:
    """The operations that a tensor is computed from, by name, without control dependencies."""
    seen: set[str] = set()
    waiting = [tensor.op]
    while waiting:
        op = waiting.pop()
        if op.name not in seen:
            seen.add(op.name)
            waiting.extend(each.op for each in op.inputs)
    return seen


@dataclass(frozen=True, slots=True)
class Branch:
    """One side of a ``tf.cond``, as seen from outside: the operation where the sides join, and which input it is."""

    merge: Operation
    index: int

    @property
    def taken(self) -> Tensor:
        """The tensor that says which input was taken."""
        return self.merge.outputs[1]


def joined(tensor: Tensor) -> tuple[Tensor, Branch] | None:
    """Where a tensor inside a branch of ``tf.cond`` comes out; None if it does not."""
    seen: set[str] = set()
    waiting = [tensor]
    while waiting:
        here = waiting.pop(0)
        for op in here.consumers():
            if op.name in seen or of_gradients(op):
                continue
            seen.add(op.name)
            if op.type == "Merge":
                index = next(i for i, each in enumerate(op.inputs) if each.name == here.name)
                return op.outputs[0], Branch(op, index)
            if op.type == "Identity":
                waiting.append(op.outputs[0])
    return None


def predicate_of(tensor: Tensor, batch_side: str) -> tuple[Tensor, bool] | None:
    """What decides between the sides of the ``tf.cond`` that a tensor comes from, and with which value the side is
    taken that is computed from the operation called ``batch_side``; None if there is none."""
    seen: set[str] = set()
    waiting = [tensor.op]
    while waiting:
        op = waiting.pop(0)
        if op.name in seen or len(seen) > 50:
            continue
        seen.add(op.name)
        if op.type == "Merge":
            for index, side in enumerate(op.inputs):
                context = side.op._get_control_flow_context()
                predicate = getattr(context, "pred", None)
                if predicate is not None and batch_side in data_ancestors(side):
                    return _source(predicate), bool(index)
        elif op.type in ("Select", "SelectV2"):
            for index, value in ((1, True), (2, False)):
                if batch_side in data_ancestors(op.inputs[index]):
                    return _source(op.inputs[0]), value
        else:
            waiting.extend(each.op for each in op.inputs)
    return None


def _source(tensor: Tensor) -> Tensor:
    """What a tensor is a copy of."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


@dataclass(slots=True)
class Index:
    """What was seen of a graph's operations so far."""

    version: int = -1
    count: int = 0
    assigns: dict[str, list[str]] = field(default_factory=dict)
    """By the variable's operation, the names of those that write to it."""
    steps: dict[str, str] = field(default_factory=dict)
    """The operations that change weights by an optimizer, with the variable's operation."""
    trainable: set[str] = field(default_factory=set)
    variables: dict[str, Variable] = field(default_factory=dict)


_indices: weakref.WeakKeyDictionary[Graph, Index] = weakref.WeakKeyDictionary()


def index_of(graph: Graph) -> Index:
    """The index of a graph, up to date."""
    index = _indices.setdefault(graph, Index())
    if index.version == graph.version:
        return index
    operations = graph.get_operations()
    index.trainable.update(variable.op.name for variable in graph.get_collection("trainable_variables"))
    for key in ("variables", "local_variables", "moving_average_variables"):
        for variable in graph.get_collection(key):
            for part in _parts(variable):
                index.variables[part.op.name] = part
    for op in operations[index.count :]:
        if _APPLY.fullmatch(op.type):
            name = variable_of(op.inputs[0])
            if name:
                index.steps[op.name] = name
        elif _ASSIGN.fullmatch(op.type):
            name = variable_of(op.inputs[0])
            if name is None:
                continue
            index.assigns.setdefault(name, []).append(op.name)
            if op.type in _RELATIVE and name in index.trainable:
                index.steps[op.name] = name
    index.count = len(operations)
    index.version = graph.version
    return index


def biased(moving: Variable) -> Variable:
    """The variable of a moving average that corrects its start: it moves by the declared momentum from 0."""
    if moving is None:
        return None
    name = f"{moving.op.name}/biased"
    variables = index_of(moving.graph).variables
    found = variables.get(name)
    if found is None:
        found = next((each for key, each in variables.items() if key.endswith(f"/{name}")), None)
    return found


def _parts(variable: Variable) -> Iterator[Variable]:
    # A partitioned variable is a list of variables.
    if hasattr(variable, "op"):
        yield variable
    elif hasattr(variable, "__iter__"):
        yield from variable
