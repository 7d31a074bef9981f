"""Notes which operations are train steps, and what is got with ``get_variable``."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.tensorflow1.capture import Capture
from bnlint.runtime.backends.tensorflow1.graph import Graph
from bnlint.runtime.backends.tensorflow1.patches import around_method


@dataclass(slots=True)
class Step:
    """A train step as the script built it."""

    site: Location | None
    callers: list[Location] = field(default_factory=list)


_steps: weakref.WeakKeyDictionary[Graph, dict[str, Step]] = weakref.WeakKeyDictionary()


def step_of(graph: Graph, operations: dict[str, Any]) -> Step | None:
    """The train step among the operations of a run, if an optimizer of TensorFlow built it."""
    known = _steps.get(graph, {})
    return next((known[name] for name in operations if name in known), None)


def observe(capture: Capture) -> None:
    """Patch the optimizers of TensorFlow 1 and the variable scopes."""
    from tensorflow.python.ops import variable_scope
    from tensorflow.python.training import optimizer

    around_method(optimizer.Optimizer, "apply_gradients", _Apply(capture))
    around_method(variable_scope.VariableScope, "get_variable", _Get(capture))


class _Apply:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, original: Any, optimizer: Any, *arguments: Any, **keywords: Any) -> Any:
        operation = original(optimizer, *arguments, **keywords)
        graph = getattr(operation, "graph", None)
        if graph is not None and self._capture.recorder.active:
            places = self._capture.recorder.frames.here()
            step = Step(places[0] if places else None, places[1:])
            _steps.setdefault(graph, {})[operation.name] = step
        return operation


class _Get:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(
        self, original: Any, scope: Any, store: Any, name: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        variable = original(scope, store, name, *arguments, **keywords)
        for call in self._capture.calls:
            call.variables[str(name).rsplit("/", 1)[-1]] = variable
        return variable
