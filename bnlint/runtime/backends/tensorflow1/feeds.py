"""What runs are fed: the phase, and whether the data are those of the training."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from bnlint.runtime.backends.tensorflow1.graph import Graph

_MOST_ROWS = 200_000
_ROWS_OF_ONE = 64
_EACH = 500
"""The rows of so many training steps are remembered, then those of one step in ten."""


def names(graph: Graph, feed_dict: Any) -> Iterable[str]:
    """The names of the tensors that are fed.

    Raises what TensorFlow raises if they are not of the graph.
    """
    for key in feed_dict or ():
        if isinstance(key, (list, tuple)):
            for each in key:
                yield graph.as_graph_element(each, allow_operation=False).name
        elif hasattr(key, "dense_shape"):
            yield from (key.indices.name, key.values.name, key.dense_shape.name)
        else:
            yield graph.as_graph_element(key, allow_operation=False).name


def needed(graph: Graph, feed_dict: Any, used: Collection[str]) -> dict[Any, Any]:
    """What of that a run depends on; ``used`` are the names of the tensors."""
    return {tensor: value for tensor, value in _tensors(graph, feed_dict) if tensor.name in used}


def booleans(graph: Graph, feed_dict: Any) -> dict[str, str]:
    """What is fed for single booleans, by the names of the placeholders."""
    return {
        tensor.op.name: str(bool(value))
        for tensor, value in _tensors(graph, feed_dict)
        if tensor.dtype.is_bool and getattr(value, "size", 1) == 1
    }


class Memory:
    """Remembers what training was fed."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._rows: set[int] = set()
        self._steps = 0

    def keep(self, graph: Graph, feed_dict: Any) -> None:
        """A training step was fed this."""
        self._steps += 1
        # Whether the next run is fed the same is only asked by few runs; until then nothing is compared.
        self._last = feed_dict or {}
        if len(self._rows) < _MOST_ROWS and (self._steps <= _EACH or self._steps % 10 == 0):
            self._rows.update(_rows(graph, feed_dict))

    def holds(self, graph: Graph, feed_dict: Any) -> bool:
        """Whether the data were those of the last training step, or mostly of earlier ones."""
        here, last = _data(graph, feed_dict), _data(graph, self._last)
        if here and all(_same(value, last.get(name)) for name, value in here.items()):
            return True
        rows = _rows(graph, feed_dict)
        return bool(rows) and 2 * len(rows & self._rows) > len(rows)


def _tensors(graph: Graph, feed_dict: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in (feed_dict or {}).items():
        if hasattr(key, "dtype") and hasattr(key, "op"):
            yield key, value
        elif isinstance(key, str):
            yield graph.as_graph_element(key, allow_operation=False), value


def _data(graph: Graph, feed_dict: Any) -> dict[str, Any]:
    return {
        tensor.op.name: value
        for tensor, value in _tensors(graph, feed_dict)
        if not tensor.dtype.is_bool and tensor.shape.rank != 0
    }


def _same(one: Any, other: Any) -> bool:
    import numpy

    if other is None:
        return False
    first, second = numpy.asarray(one), numpy.asarray(other)
    return first.shape == second.shape and bool((first == second).all())


def _rows(graph: Graph, feed_dict: Any) -> set[int]:
    """The first rows of the largest array that is fed, each told by its contents."""
    import numpy

    arrays = [
        numpy.asarray(value)
        for tensor, value in _tensors(graph, feed_dict)
        if tensor.dtype.is_floating and tensor.shape.rank != 0
    ]
    arrays = [array for array in arrays if array.ndim > 1 and array.size and array.dtype.kind in "fiu"]
    if not arrays:
        return set()
    largest = max(arrays, key=lambda array: array[0].size)
    rows = largest[:_ROWS_OF_ONE].astype(numpy.float32).reshape(min(len(largest), _ROWS_OF_ONE), -1)
    return {hash(row.tobytes()) for row in rows}
