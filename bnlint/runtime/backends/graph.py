"""Batch normalisation in a TensorFlow 1 graph: found by what is computed, whichever API built it.

A formula is a fused op, or (x - mean) rsqrt(variance + epsilon) as ``tf.nn.batch_normalization`` writes it. Branches
of ``tf.cond`` are looked into, be they switches and merges or functions: two formulas whose outputs meet in one
tensor are one application of a layer. Whose statistics they are is told by the variables that the mean can come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_FUSED = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
_CALLS = {"If", "StatelessIf", "PartitionedCall", "StatefulPartitionedCall"}
_THROUGH = {
    "Identity", "StopGradient", "Snapshot", "CheckNumerics", "Cast", "Reshape", "Squeeze", "ExpandDims", "Switch",
    "RefSwitch", "Enter", "ReadVariableOp", "PreventGradient",
}  # fmt: skip
_SUMS = {"Add", "AddV2"}
_VARIABLES = {"VarHandleOp", "VariableV2", "Variable", "VarIsInitializedOp"}
_ASSIGN = {
    "Assign", "AssignSub", "AssignAdd", "AssignVariableOp", "AssignSubVariableOp", "AssignAddVariableOp",
}  # fmt: skip

_ARITHMETIC = {"Sub", "Mul", "Add", "AddV2", "Neg", "RealDiv"}
_DEPTH = 12
"""How many steps lie at most between an assignment and what it averages."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The body of a function, where it is called."""

    graph: Any
    call: Any
    outer: Frame | None
    offset: int
    """How many inputs the call has that are not arguments of the body: the condition."""


@dataclass(frozen=True)
class Place:
    """A tensor, in the graph itself or in the body of a function."""

    tensor: Any
    frame: Frame | None = None

    def __hash__(self) -> int:
        return hash((id(self.tensor), id(self.frame)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.tensor is other.tensor and self.frame is other.frame


@dataclass(slots=True)
class Formula:
    """One formula in the graph."""

    x: Place
    y: Place
    mean: Place | None
    """None for a fused op in training mode: it takes the batch's."""
    variance: Place | None
    gamma: Place | None
    beta: Place | None
    epsilon: float
    channels_first: bool = False
    fused: bool = False
    momentum: float | None = None


@dataclass(slots=True)
class GraphNorm:
    """One application of a layer: what can be fetched of it."""

    x: Any
    y: Any
    gamma: Any
    """A variable's handle or a tensor, or None."""
    beta: Any
    mean: str
    """Name of the variable; empty if there is none. The same for the variance."""
    variance: str
    epsilon: float
    channels_first: bool
    fused: bool
    momentum: float | None
    site: list[Any] = field(default_factory=list)


class GraphNorms:
    """The applications of normalisation layers in a graph."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._bodies: dict[int, list[Frame]] = {}
        self._learned = self._what_is_learned()
        self.found = self._group(list(self._formulas()))

    def _group(self, formulas: list[Formula]) -> list[GraphNorm]:
        together: dict[Any, list[Formula]] = {}
        for formula in formulas:
            y = self._out(formula.y)
            if y is not None:
                together.setdefault(y.name, []).append(formula)
        return [norm for group in together.values() if (norm := self._application(group)) is not None]

    def _application(self, group: list[Formula]) -> GraphNorm | None:
        first = group[0]
        y = self._out(first.y)
        x = self._outer(first.x)
        if x is None:
            return None
        mean = next(
            (name for each in group if (name := self._variable(each.mean) or self._learns(each, 1))), ""
        )
        variance = next(
            (name for each in group if (name := self._variable(each.variance) or self._learns(each, 2))), ""
        )
        if mean == variance:
            mean = variance = ""
        momentum = next((each.momentum for each in group if each.momentum is not None), None)
        if momentum is None and mean:
            momentum = self._momentum(mean)
        return GraphNorm(
            x,
            y,
            self._source(first.gamma),
            self._source(first.beta),
            mean,
            variance,
            first.epsilon,
            first.channels_first,
            first.fused,
            momentum,
            list(getattr(y.op, "traceback", None) or []),
        )

    def _learns(self, formula: Formula, output: int) -> str:
        """The variable that learns the batch's mean (output 1 of a fused op) or variance (output 2) of a formula."""
        if formula.fused:
            places = [Place(formula.y.tensor.op.outputs[output], formula.y.frame)]
        else:
            given = formula.mean if output == 1 else formula.variance
            places = [] if given is None else [given, *self._roots(given)]
        return next((self._learned[place] for place in places if place in self._learned), "")

    def _what_is_learned(self) -> dict[Place, str]:
        """From a tensor to the variable that averages it."""
        learned: dict[Place, str] = {}
        for operation in self._graph.get_operations():
            if operation.type not in _ASSIGN or len(operation.inputs) < 2:
                continue
            variable = self._variable(Place(operation.inputs[0]))
            waiting = [(Place(operation.inputs[1]), 0)]
            known: set[Place] = set()
            while waiting:
                place, depth = waiting.pop()
                if place in known or depth > _DEPTH or place.tensor.op.type in _VARIABLES:
                    continue
                known.add(place)
                learned.setdefault(place, variable)
                before = self._before(place)
                if place.tensor.op.type in _ARITHMETIC:
                    before = [Place(tensor, place.frame) for tensor in place.tensor.op.inputs]
                waiting.extend((each, depth + 1) for each in before)
        return learned

    def updates_of(self, variable: str) -> list[Any]:
        """The operations of the graph that write to a variable, but for its initializer."""
        return [
            operation
            for operation in self._graph.get_operations()
            if operation.type in _ASSIGN
            and operation.inputs
            and self._variable(Place(operation.inputs[0])) == variable
            and not operation.name.startswith(f"{variable}/")
        ]

    def _momentum(self, variable: str) -> float | None:
        """From an update r <- r - (r - B) decay."""
        for operation in self.updates_of(variable):
            if not operation.type.startswith("AssignSub"):
                continue
            product = operation.inputs[1].op
            if product.type == "Mul":
                # A branch that does not train has the decay 0.
                decays = {
                    value for factor in product.inputs for value in self._numbers(Place(factor)) if value
                }
                if len(decays) == 1:
                    return 1.0 - decays.pop()
        return None

    def _numbers(self, place: Place) -> set[float]:
        """The constants that a scalar may be."""
        from tensorflow import get_static_value

        found: set[float] = set()
        for root in self._roots(place):
            value = get_static_value(root.tensor)
            if value is not None and getattr(value, "size", 1) == 1:
                found.add(float(value))
            elif value is None and root.tensor.op.type == "Sub":
                left, right = (self._numbers(Place(tensor, root.frame)) for tensor in root.tensor.op.inputs)
                found.update(one - other for one in left for other in right)
        return found

    def _formulas(self) -> Iterator[Formula]:
        waiting: list[tuple[Any, Frame | None]] = [(self._graph, None)]
        while waiting:
            graph, frame = waiting.pop()
            for operation in graph.get_operations():
                if operation.type in _FUSED:
                    yield self._fused(operation, frame)
                elif operation.type == "Rsqrt":
                    yield from self._written(operation, frame)
                elif operation.type in _CALLS:
                    waiting.extend((body.graph, body) for body in self._body(operation, frame))

    def _fused(self, operation: Any, frame: Frame | None) -> Formula:
        x, scale, offset, mean, variance = (Place(tensor, frame) for tensor in list(operation.inputs)[:5])
        training = bool(operation.get_attr("is_training"))
        factor = float(operation.get_attr("exponential_avg_factor")) if training else 1.0
        return Formula(
            x,
            Place(operation.outputs[0], frame),
            None if training and factor == 1.0 else mean,
            None if training and factor == 1.0 else variance,
            scale,
            offset,
            float(operation.get_attr("epsilon")),
            operation.get_attr("data_format") in (b"NCHW", b"NCDHW", "NCHW", "NCDHW"),
            True,
            1.0 - factor if factor != 1.0 else None,
        )

    def _written(self, root: Any, frame: Frame | None) -> Iterator[Formula]:
        """x inv + (beta - mean inv), with inv = rsqrt(variance + epsilon) gamma."""
        from tensorflow import get_static_value

        under = root.inputs[0].op
        if under.type not in _SUMS:
            return
        variance, constant = under.inputs
        epsilon = get_static_value(constant)
        if epsilon is None:
            variance, constant = constant, variance
            epsilon = get_static_value(constant)
        if epsilon is None or getattr(epsilon, "size", 1) != 1:
            return
        # With a gamma inv is the product of the root and it; a gradient has products of its own, which end in no sum.
        inverses: list[tuple[Any, Any]] = [(root.outputs[0], None)]
        for user in root.outputs[0].consumers():
            if user.type == "Mul":
                gamma = next((each for each in user.inputs if each is not root.outputs[0]), None)
                inverses.append((user.outputs[0], gamma))
        for inverse, gamma in inverses:
            for product in [
                user for tensor in _casts(inverse) for user in tensor.consumers() if user.type == "Mul"
            ]:
                for final, shift in _sums(product):
                    x = next((each for each in product.inputs if not _same(each, inverse)), None)
                    mean, beta = _shift(shift, inverse)
                    if x is not None and mean is not None:
                        yield Formula(
                            Place(x, frame),
                            Place(final.outputs[0], frame),
                            Place(mean, frame),
                            Place(variance, frame),
                            None if gamma is None else Place(gamma, frame),
                            None if beta is None else Place(beta, frame),
                            float(epsilon),
                        )

    def _body(self, operation: Any, frame: Frame | None) -> list[Frame]:
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

        known = self._bodies.get(id(operation))
        if known is not None:
            return known
        names = ("then_branch", "else_branch") if operation.type in ("If", "StatelessIf") else ("f",)
        frames = []
        for attribute in names:
            function = self._graph._get_function(operation.get_attr(attribute).name)
            definition = getattr(function, "cached_definition", None) or function.definition
            with self._graph.as_default():
                body = function_def_to_graph(definition)
            frames.append(Frame(body, operation, frame, 1 if len(names) == 2 else 0))
        self._bodies[id(operation)] = frames
        return frames

    def _before(self, place: Place) -> list[Place]:
        """Where a tensor comes from, if it is handed on as it is; nothing if something is computed."""
        operation = place.tensor.op
        frame = place.frame
        if operation.type in _THROUGH:
            return [Place(operation.inputs[0], frame)]
        if operation.type == "Merge":
            return [Place(tensor, frame) for tensor in operation.inputs]
        if operation.type in ("Select", "SelectV2"):
            return [Place(tensor, frame) for tensor in list(operation.inputs)[1:]]
        if operation.type == "IdentityN":
            return [Place(operation.inputs[place.tensor.value_index], frame)]
        if operation.type in _CALLS:
            index = place.tensor.value_index
            bodies = self._body(operation, frame)
            return [
                Place(body.graph.outputs[index], body) for body in bodies if index < len(body.graph.outputs)
            ]
        if frame is not None and operation.type == "Placeholder":
            for number, tensor in enumerate(frame.graph.inputs):
                if tensor is place.tensor:
                    return [Place(frame.call.inputs[number + frame.offset], frame.outer)]
        return []

    def _roots(self, place: Place) -> list[Place]:
        found, waiting, known = [], [place], set()
        while waiting:
            one = waiting.pop()
            if one in known:
                continue
            known.add(one)
            before = self._before(one)
            if before:
                waiting.extend(before)
            else:
                found.append(one)
        return found

    def _variable(self, place: Place | None) -> str:
        """The name of the variable that a tensor may be the value of."""
        if place is None:
            return ""
        for root in self._roots(place):
            if root.tensor.op.type in _VARIABLES:
                return str(root.tensor.op.name)
        return ""

    def _source(self, place: Place | None) -> Any:
        if place is None:
            return None
        roots = [root for root in self._roots(place) if root.frame is None]
        variable = next((root for root in roots if root.tensor.op.type in _VARIABLES), None)
        if variable is not None:
            return variable.tensor.op
        return self._outer(place)

    def _outer(self, place: Place) -> Any:
        """The nearest tensor on the way back that can be fetched and fed: outside of functions and of branches."""
        waiting = [place]
        while waiting:
            one = waiting.pop(0)
            if self._fetchable(one):
                return one.tensor
            waiting.extend(self._before(one))
        return None

    def _fetchable(self, place: Place) -> bool:
        tensor = place.tensor
        return (
            place.frame is None
            and tensor.op._get_control_flow_context() is None
            and bool(self._graph.is_fetchable(tensor))
        )

    def _out(self, place: Place) -> Any:
        """Where the output of a formula comes out of functions and branches."""
        one: Place | None = place
        while one is not None:
            tensor, frame = one.tensor, one.frame
            if self._fetchable(one):
                return tensor
            one = None
            if frame is not None:
                for number, output in enumerate(frame.graph.outputs):
                    if output is tensor:
                        one = Place(frame.call.outputs[number], frame.outer)
            if one is None:
                after = [
                    user
                    for user in tensor.consumers()
                    if user.type in ("Identity", "Merge", "Cast", "Switch")
                ]
                one = Place(after[0].outputs[0], frame) if after else None
        return None


def _casts(tensor: Any) -> list[Any]:
    return [tensor, *(user.outputs[0] for user in tensor.consumers() if user.type == "Cast")]


def _same(one: Any, other: Any) -> bool:
    return one is other or (one.op.type == "Cast" and one.op.inputs[0] is other)


def _sums(product: Any) -> Iterator[tuple[Any, Any]]:
    """The sums that may end the formula, and their other terms."""
    for user in product.outputs[0].consumers():
        if user.type in _SUMS:
            other = next((each for each in user.inputs if each.op is not product), None)
            if other is not None:
                yield user, other


def _shift(tensor: Any, inverse: Any) -> tuple[Any, Any]:
    """The mean and beta in beta - mean inv, or in -mean inv."""
    operation = tensor.op
    while operation.type in ("Cast", "Identity"):
        operation = operation.inputs[0].op
    beta = None
    if operation.type == "Sub":
        beta, product = operation.inputs[0], operation.inputs[1].op
    elif operation.type == "Neg":
        product = operation.inputs[0].op
    else:
        return None, None
    if product.type == "Mul" and any(each is inverse for each in product.inputs):
        return next((each for each in product.inputs if each is not inverse), None), beta
    if (
        product.type == "Mul"
        and product.inputs[0].op.type == "Neg"
        and any(each is inverse for each in product.inputs)
    ):
        return product.inputs[0].op.inputs[0], beta
    return None, None


def ancestors(fetches: list[Any]) -> set[Any]:
    """The operations that have to run for these tensors and operations."""
    waiting = [each if hasattr(each, "control_inputs") else each.op for each in fetches]
    found: set[Any] = set()
    while waiting:
        operation = waiting.pop()
        if operation in found:
            continue
        found.add(operation)
        waiting.extend(tensor.op for tensor in operation.inputs)
        waiting.extend(operation.control_inputs)
    return found
