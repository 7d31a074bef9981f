"""Which norms lie before which weights, in the operations that a run executes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bnlint.runtime.backends.tensorflow1.applied import Applied
from bnlint.runtime.backends.tensorflow1.graph import (
    VARIABLES,
    WEIGHTED,
    Operation,
    Tensor,
    of_gradients,
    variable_of,
)

_NO_DATA = frozenset(("Shape", "ShapeN", "Size", "Rank", "Placeholder", "Const", "RandomUniform"))
_DEVIATION = frozenset(("Sqrt", "Rsqrt"))
"""Who divides by a standard deviation may normalise."""


@dataclass(frozen=True, slots=True)
class Use:
    """An operation that multiplies data by weights, and what the data went through since the weights before it."""

    op: Operation
    weights: str
    """The variable's operation."""
    norms: frozenset[str]
    """Keys of layers."""
    before: frozenset[str]
    """The variables of the weights before it."""
    known: bool
    """False if the data may be normalised in between by a formula that is written out."""


def uses_of(
    operations: Mapping[str, Operation],
    fed: Collection[str],
    norms: Sequence[Applied],
    branches: Mapping[str, int],
) -> list[Use]:
    """The uses of weights, in the order in which they were built.

    ``branches`` says, by the operation that joins the sides of a ``tf.cond``, which side was taken, if that is known.
    """
    by_output = {made.y.op.name: made for made in norms}
    found = []
    for op in sorted(operations.values(), key=lambda op: op._id):
        if op.type not in WEIGHTED or of_gradients(op):
            continue
        data, weights = WEIGHTED[op.type]
        variable = variable_of(op.inputs[weights])
        if variable is None and op.type.endswith(("MatMul", "MatMulV2", "MatMulV3")):
            data, weights = weights, data
            variable = variable_of(op.inputs[weights])
        if variable is not None:
            found.append(Use(op, variable, *_segment(op.inputs[data], fed, by_output, branches)))
    return found


def _segment(
    start: Tensor, fed: Collection[str], by_output: Mapping[str, Applied], branches: Mapping[str, int]
) -> tuple[frozenset[str], frozenset[str], bool]:
    keys: set[str] = set()
    known = True
    before: set[str] = set()
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        tensor = waiting.pop()
        op = tensor.op
        if tensor.name in seen or tensor.name in fed:
            continue
        seen.add(tensor.name)
        made = by_output.get(op.name)
        if made is not None and (made.branch is None or branches.get(op.name) in (None, made.branch.index)):
            keys.add(made.seen.key)
            waiting.append(made.x)
        elif op.type in WEIGHTED:
            weights = variable_of(op.inputs[WEIGHTED[op.type][1]]) or variable_of(
                op.inputs[WEIGHTED[op.type][0]]
            )
            if weights is not None:
                before.add(weights)
            else:
                waiting.extend(op.inputs)
        elif op.type in VARIABLES or op.type in _NO_DATA:
            continue
        elif op.type in _DEVIATION:
            known = False
        elif op.type == "Merge" and op.name in branches:
            waiting.append(op.inputs[branches[op.name]])
        elif op.type in ("Switch", "RefSwitch"):
            waiting.append(op.inputs[0])
        else:
            waiting.extend(op.inputs)
    return frozenset(keys), frozenset(before), known
