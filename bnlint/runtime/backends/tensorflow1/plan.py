"""What a kind of run executes: worked out once, from the graph."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.backends.tensorflow1 import applied as norms
from bnlint.runtime.backends.tensorflow1 import graph as questions
from bnlint.runtime.backends.tensorflow1.applied import Applied
from bnlint.runtime.backends.tensorflow1.graph import Graph, Operation, Tensor
from bnlint.runtime.backends.tensorflow1.optimizers import Step, step_of
from bnlint.runtime.backends.tensorflow1.paths import Use, uses_of

_MOST_VALUES = 1 << 25
"""So many values of activations are fetched in one sample; of larger networks a part of the layers, by turns."""


@dataclass(eq=False, slots=True)
class Watched:
    """A norm in a kind of run, and what can be fetched of it without executing more."""

    applied: Applied
    x: Tensor | None = None
    y: Tensor | None = None
    phase: Tensor | None = None
    gamma: Tensor | None = None
    """Only where it is no variable; the same for beta."""
    beta: Tensor | None = None
    taken: Tensor | None = None
    """Which input the ``tf.cond`` around it took."""
    updates: int = 0
    """How many operations write to its moving mean."""
    values: float = 0.0
    """About how many values of x there are: as many as the last time."""

    def fetches(self) -> dict[str, Tensor]:
        """What to fetch, by the names of the fields."""
        names = ("x", "y", "phase", "gamma", "beta", "taken")
        return {name: tensor for name in names if (tensor := getattr(self, name)) is not None}


@dataclass(eq=False, slots=True)
class Plan:
    """A kind of run: the same fetches from the same graph, with the same things fed."""

    graph: Graph
    operations: dict[str, Operation]
    fed: frozenset[str]
    fetched: list[Any]
    used: frozenset[str] = frozenset()
    """Of what is fed, what it depends on."""
    names: str = ""
    """What is fetched, as text."""
    known_norms: int = 0
    version: int = -1
    trained: frozenset[str] = frozenset()
    """The variables that it trains."""
    step: Step | None = None
    watched: list[Watched] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    declared: bool = False
    """Whether who asks for the run says that it trains."""
    values: bool = False
    """Whether it returns numbers that are computed, and does not only do something."""
    weighs: bool = False
    """Whether it multiplies anything by weights, and does not only read them."""
    writes: frozenset[str] = frozenset()
    """The variables that it writes to."""
    seen: int = 0
    sampled: int = 0
    failed: bool = False
    """Whether more cannot be fetched together with it."""
    turn: int = 0
    branches: dict[str, int] = field(default_factory=dict)
    """By the operation that joins the sides of a ``tf.cond``, the side that was taken."""

    def update(self) -> None:
        """Take note of what the script has built since."""
        known = norms.of(self.graph)
        if self.version == self.graph.version and self.known_norms == len(known):
            return
        index = questions.index_of(self.graph)
        self.version = self.graph.version
        self.trained = frozenset(
            variable for name, variable in index.steps.items() if name in self.operations
        )
        self.step = step_of(self.graph, self.operations)
        self.writes = frozenset(
            variable
            for variable, names in index.assigns.items()
            if any(name in self.operations for name in names)
        )
        if self.known_norms != len(known) or not self.watched:
            self.known_norms = len(known)
            self.watched = self._watch_all(known)
        if self.declared and not self.trained:
            # Optimizers of Keras that have no kernels of their own write to the weights as anybody may.
            self.trained = self.writes & index.trainable
        self.values = any(_is_number(each) for each in self.fetched)
        self.weighs = any(op.type in questions.WEIGHTED for op in self.operations.values())

    def trains(self) -> bool:
        """Whether it is a training step."""
        return bool(self.trained) or self.step is not None or self.declared

    def trains_parameters_of(self, made: Applied) -> bool | None:
        """Whether it changes gamma or beta of a norm; None if there are none, or if it is no training step."""
        given = (made.gamma, made.beta)
        names = {questions.variable_of(each) for each in given if getattr(each, "op", None) is not None} - {
            None
        }
        return bool(names & self.trained) if names and self.trained else None

    def find_uses(self) -> None:
        """Work out which norms lie before which weights, given the branches that were taken."""
        self.uses = uses_of(self.operations, self.fed, [each.applied for each in self.watched], self.branches)

    def chosen(self) -> list[Watched]:
        """The norms to look at this time."""
        found: list[Watched] = []
        total = 0.0
        count = len(self.watched)
        for position in range(count):
            each = self.watched[(self.turn + position) % count]
            if found and total + 2 * each.values > _MOST_VALUES:
                self.turn = (self.turn + position) % count
                break
            total += 2 * each.values
            found.append(each)
        return found

    def _watch_all(self, known: list[Applied]) -> list[Watched]:
        for made in known:
            made.settle()
        through = [made for made in known if self._goes_through(made)]
        if self.trained:
            # A train step may run the updates of a network that it does not go through.
            there = {made.seen.key for made in through}
            for made in known:
                if (
                    made.seen.key not in there
                    and self._updates_of(made)
                    and self._fetchable(made.x) is not None
                ):
                    there.add(made.seen.key)
                    through.append(made)
        return [self._watch(made) for made in through]

    def _goes_through(self, made: Applied) -> bool:
        return made.y.op.name in self.operations and made.y.name not in self.fed

    def _updates_of(self, made: Applied) -> int:
        if made.moving_mean is None:
            return 0
        names = questions.index_of(self.graph).assigns.get(made.moving_mean.op.name, ())
        return sum(name in self.operations for name in names)

    def _watch(self, made: Applied) -> Watched:
        watched = Watched(made, updates=self._updates_of(made))
        watched.x = self._fetchable(made.x)
        watched.y = self._fetchable(made.y)
        watched.phase = self._fetchable(made.phase)
        watched.gamma = self._fetchable(made.gamma)
        watched.beta = self._fetchable(made.beta)
        watched.taken = self._fetchable(made.branch.taken) if made.branch is not None else None
        shape = made.x.shape
        if shape.rank is not None:
            watched.values = float(math.prod(size or 1 for size in shape.as_list()))
        return watched

    def _fetchable(self, value: Any) -> Tensor | None:
        from tensorflow.python.framework import ops

        if not ops.is_symbolic_tensor(value) or value.graph is not self.graph:
            return None
        inside = value.op.name in self.operations or value.name in self.fed
        return value if inside and self.graph.is_fetchable(value) else None


def make(graph: Graph, fetched: Iterable[Any], fed: Collection[str]) -> Plan:
    """The plan for a run that fetches these tensors and operations."""
    elements = list(fetched)
    operations = questions.executed((getattr(each, "op", each) for each in elements), fed)
    names = ",".join(sorted(each.name for each in elements))
    used = {tensor.name for op in operations.values() for tensor in op.inputs} & set(fed)
    return Plan(graph, operations, frozenset(fed), elements, frozenset(used), names)


def _is_number(element: Any) -> bool:
    dtype = getattr(element, "dtype", None)
    return dtype is not None and (dtype.is_floating or dtype.is_integer or dtype.is_bool)
