"""What computed the input of a layer, read off the record of autograd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bnlint.runtime.backends.eager.look import Picture
from bnlint.runtime.oracle import Array

_MOST_NODES = 20_000


@dataclass(frozen=True, slots=True)
class Origin:
    """What a layer was applied to in a forward pass."""

    makers: set[int]
    """Weights of the nearest layers that computed it; empty if that is not known."""
    mean: Array
    variance: Array


def origin(x: Any, picture: Picture | None) -> Origin | None:
    """What is known of the input of a layer; None if that is nothing."""
    if picture is None or x.grad_fn is None:
        return None
    makers = {id(weight) for node in _nodes(x, nearest=True) for weight in _weights(node)}
    return Origin(makers, picture.batch_mean, picture.batch_variance)


def apart(x: Any, gamma: Any, now: Origin, before: list[Origin]) -> float:
    """How far the means of an input are, in standard deviations, from those of inputs before that were others'.

    They are others' if other layers computed them, or if it was computed from what the layer made of them.
    """
    import numpy

    again = gamma is not None and any(
        "BatchNorm" in node.name() and any(weight is gamma for weight in _weights(node)) for node in _nodes(x)
    )
    others = [
        each for each in before if again or (each.makers and now.makers and not each.makers & now.makers)
    ]
    return max(
        (
            float(numpy.max(abs(each.mean - now.mean) / numpy.sqrt(numpy.maximum(each.variance, 1e-12))))
            for each in others
        ),
        default=0.0,
    )


def _nodes(x: Any, nearest: bool = False) -> Iterator[Any]:
    """The nodes of the record before a tensor; ``nearest``: not beyond those that have weights."""
    waiting: list[Any] = [x.grad_fn] if x.grad_fn is not None else []
    seen: set[Any] = set()
    while waiting and len(seen) < _MOST_NODES:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        if not nearest or next(_weights(node), None) is None:
            waiting += [each for each, _ in node.next_functions if each is not None]


def _weights(node: Any) -> Iterator[Any]:
    """The weights that a node uses, as they are or seen in another shape."""
    for each, _ in node.next_functions:
        below = [one for one, _ in each.next_functions if one is not None] if each is not None else []
        inner = below[0] if len(below) == 1 else each
        for holder in {each, inner}:
            if hasattr(holder, "variable"):
                yield holder.variable
