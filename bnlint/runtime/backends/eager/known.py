"""The layers that normalise, and their variables."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.where import here
from bnlint.runtime.backends.parts import Part, batch_norm, hand_written, read
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array
from bnlint.runtime.script.recorder import Recorder
from bnlint.runtime.subject import Norm


@dataclass(eq=False, slots=True)
class State:
    """What a layer normalises with at a time; vectors over the channels, None for what it does not have."""

    mean: Array = None
    variance: Array = None
    gamma: Array = None
    beta: Array = None


@dataclass(eq=False, slots=True)
class Known:
    """A normalisation layer. It does not keep the layer alive, only its variables."""

    seen: LayerSeen
    norm: Norm
    part: Part | None
    """None for a bare formula of which no statistics are known."""
    gamma: Any = None
    """The same variables as of the part, also where there is none."""
    beta: Any = None
    previous: State | None = None
    """Of a layer that is moved by hand, what it had in the last training step that was looked at."""
    unbiased: bool = False
    """Whether the moving variance is that of the unbiased variances of the batches."""

    def axes(self, shape: Sequence[int], state: State) -> tuple[int, ...]:
        """The axes of the channels in an input of this shape."""
        if self.part is not None:
            return tuple(axis % len(shape) for axis in self.part.axes(shape))
        vector = state.gamma if state.gamma is not None else state.beta
        size = len(shape) if vector is None else vector.size
        fitting = [axis for axis in reversed(range(len(shape))) if shape[axis] == size]
        return (fitting[0] if fitting else len(shape) - 1,)

    @property
    def weights(self) -> set[int]:
        """What tells gamma and beta from other variables."""
        return {identity(each) for each in (self.gamma, self.beta) if each is not None}

    def state(self) -> State | None:
        """What it normalises with now; None if that cannot be read yet."""
        from tensorflow.python.eager import record
        from tensorflow.python.framework import errors

        part = self.part
        try:
            # A tape that is open must not see that somebody reads.
            with record.stop_recording():
                gamma, beta = (
                    None if each is None else read(each).reshape(-1) for each in (self.gamma, self.beta)
                )
                if part is None:
                    return State(None, None, gamma, beta)
                shape = part.vector()
                mean, variance = part.moments()
                return State(
                    mean,
                    variance,
                    None if gamma is None else gamma.reshape(shape),
                    None if beta is None else beta.reshape(shape),
                )
        except (errors.FailedPreconditionError, errors.NotFoundError, RuntimeError, ValueError):
            # Not initialised yet, or gone.
            return None


def identity(variable: Any) -> int:
    """What tells a variable from others; one of Keras 3 is the one of TensorFlow in it, once there is one."""
    inner = getattr(variable, "_value", None)
    return id(variable if inner is None else inner)


class Registry:
    """All layers that were seen."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._known: weakref.WeakKeyDictionary[Any, Known | None] = weakref.WeakKeyDictionary()
        self._built: weakref.WeakKeyDictionary[Any, list[Location]] = weakref.WeakKeyDictionary()
        self._by_variable: dict[int, Known] = {}
        self._names: dict[str, int] = {}
        self.all: list[Known] = []

    def built(self, thing: Any, places: list[Location]) -> None:
        """An object that may be a layer is being built by these lines."""
        self._built[thing] = places

    def is_built(self, thing: Any) -> bool:
        """Whether it is known where an object was built."""
        return thing in self._built

    def get(self, layer: Any) -> Known | None:
        """What is known of a layer so far."""
        return self._known.get(layer)

    def is_settled(self, layer: Any) -> bool:
        """Whether it is known if it normalises."""
        return layer in self._known

    def of(self, layer: Any) -> Known | None:
        """The layer if it normalises; its variables must have been made."""
        if layer in self._known:
            return self._known[layer]
        part = batch_norm(layer) or hand_written(layer)
        if part is None:
            self._known[layer] = None
            return None
        name = str(getattr(layer, "name", "") or type(layer).__name__)
        known = self._add(part.norm, part, name, self._built.get(layer, []), part.gamma, part.beta)
        # The layer holds its whole model, which must not live longer than the script wants.
        part.layer = None
        self._known[layer] = known
        return known

    def trainable(self) -> dict[str, bool]:
        """Whether the layers that normalise are trainable now, by their keys."""
        found = [(known, getattr(layer, "trainable", None)) for layer, known in self._known.items()]
        return {
            known.seen.key: trainable
            for known, trainable in found
            if known is not None and isinstance(trainable, bool)
        }

    def of_formula(self, api: str, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float) -> Known:
        """The layer that a bare formula belongs to: told by the variables it is given."""
        given = [each for each in (gamma, beta, mean) if each is not None]
        known = next((found for each in given if (found := self._by_variable.get(identity(each)))), None)
        if known is None:
            holder = self._holder(given)
            known = self.of(holder) if holder is not None else None
            if known is not None:
                known.seen.epsilon = epsilon
        if known is None:
            seen = LayerSeen(
                "", "", api, "tensorflow", None, epsilon=epsilon, has_statistics=False, updates="none"
            )
            scope = str(getattr(given[0], "name", api)).split(":")[0].rpartition("/")[0] or api
            known = self._add(Norm(seen), None, scope, here(self._recorder.frames), gamma, beta)
        if known.part is None and mean is not None and variance is not None:
            known.part = Part(known.norm, None, mean, variance, known.gamma, known.beta)
            known.seen.has_statistics, known.seen.updates = True, "by hand"
        for each in given:
            self._by_variable.setdefault(identity(each), known)
        return known

    def _holder(self, variables: list[Any]) -> Any:
        """The module that keeps these variables, if it keeps moving statistics as well."""
        wanted = {id(each) for each in variables}
        for thing in list(self._built):
            held = {id(value) for value in vars(thing).values()} if hasattr(thing, "__dict__") else set()
            if wanted & held and hand_written(thing) is not None:
                return thing
        return None

    def _add(self, norm: Norm, part: Part | None, name: str, places: list[Location], *weights: Any) -> Known:
        seen = norm.seen
        number = self._names[name] = self._names.get(name, 0) + 1
        seen.key = name if number == 1 else f"{name}#{number}"
        seen.name = name
        seen.site, seen.callers = (places[0] if places else None), places[1:]
        known = Known(self._recorder.layer(seen.key, lambda: seen), norm, part, *weights)
        self._by_variable.update(dict.fromkeys(known.weights, known))
        self.all.append(known)
        return known
