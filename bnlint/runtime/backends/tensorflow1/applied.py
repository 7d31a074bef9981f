"""A normalisation in a graph: what went in, what came out, and which variables belong to it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.tensorflow1.graph import Branch, Graph, Tensor, Variable, biased, joined
from bnlint.runtime.observed import LayerSeen


@dataclass(eq=False, slots=True)
class Applied:
    """One application of one layer in one graph. What is a variable is kept as the variable, to be read outside."""

    seen: LayerSeen
    x: Tensor
    y: Tensor
    gamma: Any = None
    beta: Any = None
    moving_mean: Variable = None
    moving_variance: Variable = None
    phase: Any = None
    """A tensor or a constant; None if there is no switch."""
    inverted: bool = False
    """Whether the phase is true in inference."""
    origin: str = ""
    site: Location | None = None
    callers: list[Location] = field(default_factory=list)
    axes: tuple[int, ...] = (-1,)
    counted: Variable = None
    """The variable whose moves show the momentum, if that is not the moving mean: it is one that corrects its start."""
    branch: Branch | None = None
    """The side of a ``tf.cond`` in which it happens."""

    def settle(self) -> None:
        """Find out what can only be told once the graph around it has been built."""
        if self.counted is None:
            self.counted = biased(self.moving_mean)
        if self.branch is None and not self.y.graph.is_fetchable(self.y):
            outside = joined(self.y)
            if outside is not None:
                self.y, self.branch = outside


applied: weakref.WeakKeyDictionary[Graph, list[Applied]] = weakref.WeakKeyDictionary()
"""By graph, in the order in which they were built."""


def add(made: Applied) -> None:
    """One more."""
    applied.setdefault(made.x.graph, []).append(made)


def of(graph: Graph) -> list[Applied]:
    """Those of a graph."""
    return applied.get(graph, [])


def named(name: str) -> list[Applied]:
    """Those whose output's operation has this name, in any graph: a copy of a graph keeps the names."""
    return [made for graph in list(applied) for made in applied[graph] if made.y.op.name == name]
