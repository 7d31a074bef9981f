"""Notes each normalisation while the script builds it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.backends.tensorflow1 import applied, graph
from bnlint.runtime.backends.tensorflow1.applied import Applied
from bnlint.runtime.backends.tensorflow1.graph import Tensor, Variable
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.script.recorder import Recorder


@dataclass(slots=True)
class Call:
    """A call of an API that makes norms by calling others."""

    api: str
    origin: str
    variables: dict[str, Variable] = field(default_factory=dict)
    """What it got with ``get_variable``, by the last part of the name."""
    made: list[Applied] = field(default_factory=list)


class Capture:
    """Makes ``Applied`` and ``LayerSeen`` of what the patched functions are called with."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.decays: dict[str, float] = {}
        """By a variable's operation, the declared momentum of the moving average that it holds."""
        self.restored: weakref.WeakSet[graph.Graph] = weakref.WeakSet()
        """The graphs into which a checkpoint was read."""
        self.run_api = ""
        """Who runs the session just now, if not the script itself."""
        self._by_weights: dict[str, str] = {}
        """The keys of the layers, by the operations of gamma and beta."""
        self._local = threading.local()

    @property
    def calls(self) -> list[Call]:
        """The calls under way, outermost first."""
        found: list[Call] | None = getattr(self._local, "calls", None)
        if found is None:
            found = self._local.calls = []
        return found

    @contextmanager
    def call(self, api: str, origin: str) -> Iterator[Call]:
        """Within it, what is built belongs to this call."""
        made = Call(api, origin)
        self.calls.append(made)
        try:
            yield made
        finally:
            self.calls.pop()

    def looking(self, value: Any) -> bool:
        """Whether a value is a tensor of a graph that a session will run."""
        from tensorflow.python.framework import ops

        return self.recorder.active and ops.is_symbolic_tensor(value) and graph.is_plain(value.graph)

    def add(
        self,
        x: Tensor,
        y: Tensor,
        *,
        api: str,
        origin: str,
        gamma: Any,
        beta: Any,
        mean: Variable,
        variance: Variable,
        epsilon: float,
        momentum: float | None,
        axes: tuple[int, ...],
        phase: Any,
        inverted: bool = False,
        updates: str,
        trainable: bool = True,
        fused: bool = False,
        name: str = "",
        renorm: bool = False,
    ) -> None:
        """A norm has been built."""
        calls = self.calls
        if calls:
            api, origin = calls[0].api, calls[0].origin
        places = self.recorder.frames.here()
        site = places[0] if places else None
        scope = name or _scope(mean, gamma, beta, y)
        gamma, beta = _held(gamma), _held(beta)
        key = self._key(mean, gamma, beta, f"{scope}@{site.path}:{site.line}" if site else scope)
        channels = _channels(x, axes, gamma, mean)
        rank = x.shape.rank

        def make() -> LayerSeen:
            return LayerSeen(
                key=key,
                name=scope,
                api=api,
                framework="tensorflow",
                site=site,
                callers=places[1:],
                channels=channels,
                axes=[axis % rank for axis in axes] if rank else list(axes),
                epsilon=float(epsilon),
                momentum=momentum,
                trainable=trainable,
                has_statistics=mean is not None,
                updates=updates,
                fused=fused,
            )

        seen = self.recorder.layer(key, make)
        if mean is not None and not seen.has_statistics:
            self._complete(seen, mean, variance, momentum, updates)
        if renorm:
            self.recorder.note(f"{scope} renormalises its batches; its training output fits neither formula.")
        made = Applied(
            seen, x, y, gamma, beta, mean, variance, phase, inverted, origin, site, places[1:], axes
        )
        applied.add(made)
        for call in calls:
            call.made.append(made)

    def _key(self, mean: Variable, gamma: Any, beta: Any, place: str) -> str:
        """What tells the layer from others: its variables. Two formulas with the same gamma and beta are one layer,
        even if the one uses the batch's statistics and the other those that are kept."""
        weights = [name for name in (_name(gamma), _name(beta)) if name]
        for name in weights:
            if name in self._by_weights:
                return self._by_weights[name]
        key = _name(mean) or (weights[0] if weights else place)
        for name in weights:
            self._by_weights[name] = key
        return key

    def _complete(
        self, seen: LayerSeen, mean: Variable, variance: Variable, momentum: float | None, updates: str
    ) -> None:
        """A layer that was only seen with the batch's statistics has others."""
        seen.has_statistics, seen.updates = True, updates
        seen.momentum = momentum if seen.momentum is None else seen.momentum
        for made in applied.of(mean.graph):
            if made.seen is seen and made.moving_mean is None:
                made.moving_mean, made.moving_variance = mean, variance


def _name(value: Any) -> str | None:
    op = getattr(value, "op", None)
    if op is None:
        return None
    return str(op.name) if op.type in graph.VARIABLES else graph.variable_of(value)


def _held(value: Any) -> Any:
    """The variable that a tensor reads as it is; else the tensor.

    A tensor may read it before or after a training step changes it in the same run.
    """
    op = getattr(value, "op", None)
    if op is None or op.type in graph.VARIABLES:
        return value
    name = graph.variable_of(value)
    variable = graph.index_of(value.graph).variables.get(name) if name else None
    same = (
        variable is not None
        and variable.shape == value.shape
        and variable.dtype.base_dtype == value.dtype.base_dtype
    )
    return variable if same else value


def _scope(mean: Any, gamma: Any, beta: Any, y: Tensor) -> str:
    """What the variables have in common, or the scope of the output."""
    names = [name for name in map(_name, (mean, gamma, beta)) if name]
    parts = [name.split("/")[:-1] for name in names] or [y.op.name.split("/")[:-1]]
    common = parts[0]
    for other in parts[1:]:
        same = [a for a, b in zip(common, other, strict=False) if a == b]
        common = common[: len(same)] if common[: len(same)] == same else same
    return "/".join(common) or (names[0] if names else str(y.op.name))


def _channels(x: Tensor, axes: tuple[int, ...], *vectors: Any) -> int:
    shape = x.shape
    if shape.rank is not None:
        count = 1
        for axis in axes:
            size = shape[axis]
            size = getattr(size, "value", size)
            if size is None:
                break
            count *= size
        else:
            return int(count)
    for vector in vectors:
        known = getattr(vector, "shape", None)
        if known is not None and known.is_fully_defined():
            return int(known.num_elements())
    return 0
