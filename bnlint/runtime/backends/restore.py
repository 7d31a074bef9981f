"""Put a TensorFlow or Keras model, and all random state, back to what they were, bit for bit."""

from __future__ import annotations

import copy
import random
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from bnlint.runtime.backends.parts import parts


class Snapshot:
    """What a model and the random generators are now.

    Values of variables are kept as tensors: TensorFlow copies a buffer only when it is written to.
    """

    def __init__(self, model: Any) -> None:
        self._objects = [thing for _, thing in parts(model)]
        self._objects.extend(_helpers(self._objects))
        self._attributes = [(thing, Attributes(thing)) for thing in self._objects]
        self._variables = {
            id(variable): (variable, _value(variable)) for variable in variables(self._objects)
        }
        self._random = Random()

    def restore(self) -> None:
        """Put everything back."""
        for thing, attributes in self._attributes:
            attributes.restore(thing)
        for variable, value in self._variables.values():
            _assign(variable, value)
        self._random.restore()

    def restore_variables(self, but: set[int]) -> None:
        """Put the variables back whose ids are not in ``but``."""
        for key, (variable, value) in self._variables.items():
            if key not in but:
                _assign(variable, value)

    def variables(self) -> list[Any]:
        """All variables that were found."""
        return [variable for variable, _ in self._variables.values()]

    def drew_numbers(self) -> bool:
        """Whether random numbers were drawn since."""
        if self._random.differs():
            return True
        return any(
            "seed" in str(getattr(variable, "name", "")) and _differs(_value(variable), value)
            for variable, value in self._variables.values()
        )


def variables(objects: list[Any]) -> Iterator[Any]:
    """The variables that these objects keep, in attributes and in lists, and those that Keras knows of."""
    known: set[int] = set()
    for thing in objects:
        for variable in _kept(thing):
            if id(variable) not in known:
                known.add(id(variable))
                yield variable


def _kept(thing: Any) -> Iterator[Any]:
    for value in list(vars(thing).values()) if hasattr(thing, "__dict__") else []:
        values = (
            value
            if isinstance(value, list | tuple)
            else value.values()
            if isinstance(value, dict)
            else [value]
        )
        yield from (each for each in values if _is_variable(each))
    listed = getattr(type(thing), "variables", None)
    if isinstance(listed, property) or callable(getattr(thing, "variables", None)):
        try:
            known = thing.variables
            yield from (each for each in (known() if callable(known) else known) if _is_variable(each))
        except (ValueError, AttributeError, RuntimeError, TypeError, NotImplementedError):
            # An object that is not built yet has no variables to keep.
            return


def _is_variable(value: Any) -> bool:
    return hasattr(value, "assign") and hasattr(value, "shape") and hasattr(value, "dtype")


def _value(variable: Any) -> Any:
    inner = getattr(variable, "value", None)
    if inner is not None and not callable(inner):
        # A variable of Keras 3 holds one of TensorFlow.
        variable = getattr(variable, "_value", inner)
    if hasattr(variable, "read_value"):
        return variable.read_value()
    return copy.copy(variable.numpy())


def _assign(variable: Any, value: Any) -> None:
    inner = getattr(variable, "_value", None)
    if inner is not None and hasattr(inner, "assign"):
        inner.assign(value)
    else:
        variable.assign(value)


def _differs(one: Any, other: Any) -> bool:
    import numpy

    return bool(numpy.asarray(one).tobytes() != numpy.asarray(other).tobytes())


def _helpers(objects: list[Any]) -> list[Any]:
    """Optimizers, metrics, trackers and random generators that belong to the model but are no layers."""
    found: dict[int, Any] = {}
    known = {id(thing) for thing in objects}
    waiting = list(objects)
    while waiting:
        thing = waiting.pop()
        if not hasattr(thing, "__dict__"):
            continue
        for name, value in vars(thing).items():
            values = value if isinstance(value, list | tuple) else [value]
            for each in values:
                if id(each) in known or not hasattr(each, "__dict__") or isinstance(each, type):
                    continue
                if _is_helper(name, each):
                    known.add(id(each))
                    found[id(each)] = each
                    waiting.append(each)
    return list(found.values())


_HELPERS = {
    "Optimizer", "BaseOptimizer", "OptimizerV2", "Metric", "SeedGenerator", "RandomGenerator", "Tracker",
    "CompileMetrics", "CompileLoss", "MetricsContainer", "LossesContainer",
}  # fmt: skip


def _is_helper(name: str, value: Any) -> bool:
    kind = type(value)
    if name == "_tracker":
        return True
    if not kind.__module__.startswith(("keras.", "tf_keras.")):
        return hasattr(value, "apply_gradients") or kind.__name__ == "Generator"
    bases = {base.__name__ for base in kind.__mro__}
    return bool(bases & _HELPERS)


_CONTAINERS = (list, dict, set)


class Attributes:
    """The attributes of an object, and what is in its lists, dicts, sets and arrays."""

    def __init__(self, thing: Any) -> None:
        self._values = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
        self._contents: list[tuple[Any, Any]] = []
        for value in self._values.values():
            self._remember(value, 3)

    def _remember(self, value: Any, depth: int) -> None:
        import numpy

        if isinstance(value, numpy.ndarray):
            self._contents.append((value, value.copy()))
        elif isinstance(value, numpy.random.Generator):
            self._contents.append((value, copy.deepcopy(value.bit_generator.state)))
        elif isinstance(value, random.Random):
            self._contents.append((value, value.getstate()))
        elif isinstance(value, _CONTAINERS) and depth:
            inside = list(value.values()) if isinstance(value, dict) else list(value)
            self._contents.append((value, dict(value) if isinstance(value, dict) else inside))
            if len(inside) < 100:
                for each in inside:
                    self._remember(each, depth - 1)

    def restore(self, thing: Any) -> None:
        """Put them back."""
        for container, content in self._contents:
            _refill(container, content)
        if not self._values and not hasattr(thing, "__dict__"):
            return
        now = vars(thing)
        for name in [name for name in now if name not in self._values]:
            del now[name]
        for name, value in self._values.items():
            if now.get(name, thing) is not value:
                now[name] = value


def _refill(container: Any, content: Any) -> None:
    """Put content back, past the methods by which frameworks watch their containers."""
    import numpy

    if isinstance(container, numpy.ndarray):
        if container.flags.writeable:
            container[...] = content
    elif isinstance(container, numpy.random.Generator):
        container.bit_generator.state = content
    elif isinstance(container, random.Random):
        container.setstate(content)
    elif isinstance(container, list):
        if len(container) != len(content) or any(a is not b for a, b in zip(container, content, strict=True)):
            # TensorFlow's tracked lists keep their items twice.
            for place in (container, getattr(container, "_storage", None)):
                if isinstance(place, list):
                    list.clear(place)
                    list.extend(place, content)
    elif isinstance(container, dict):
        container = getattr(container, "__wrapped__", container)
        same = len(container) == len(content)
        if not same or any(container.get(key, container) is not value for key, value in content.items()):
            # An ordered one keeps its order beside the dict.
            kind = OrderedDict if isinstance(container, OrderedDict) else dict
            kind.clear(container)
            kind.update(container, content)
    elif isinstance(container, set) and container != set(content):
        set.clear(container)
        set.update(container, content)


class Random:
    """The random state of Python, NumPy, TensorFlow and Keras."""

    def __init__(self) -> None:
        import numpy

        self._python = random.getstate()
        self._numpy: Any = numpy.random.get_state()
        self._context = _context()
        self._drawn = (
            self._context._rng.getstate() if getattr(self._context, "_rng", None) is not None else None
        )
        self._seed = getattr(self._context, "_seed", None)
        self._generators = [(variable, _value(variable)) for variable in _global_generators()]
        self._legacy = _legacy_generator()
        self._legacy_state = self._legacy.getstate() if self._legacy is not None else None

    def differs(self) -> bool:
        """Whether numbers were drawn since."""
        import numpy

        now: Any = numpy.random.get_state()
        if random.getstate() != self._python or now[2] != self._numpy[2] or (now[1] != self._numpy[1]).any():
            return True
        rng = getattr(self._context, "_rng", None)
        if self._drawn is not None and rng is not None and rng.getstate() != self._drawn:
            return True
        return any(_differs(_value(variable), value) for variable, value in self._generators)

    def restore(self) -> None:
        """Put it back."""
        import numpy

        random.setstate(self._python)
        numpy.random.set_state(self._numpy)
        if self._context is not None:
            if self._drawn is not None and self._context._rng is not None:
                self._context._rng.setstate(self._drawn)
        for variable, value in self._generators:
            _assign(variable, value)
        if self._legacy is not None:
            self._legacy.setstate(self._legacy_state)


def _context() -> Any:
    module = sys.modules.get("tensorflow.python.eager.context")
    return module.context() if module is not None else None


def _global_generators() -> list[Any]:
    found = []
    module = sys.modules.get("tensorflow.python.ops.stateful_random_ops")
    generator = getattr(module, "global_generator", None)
    if generator is not None:
        found.append(generator.state)
    module = sys.modules.get("keras.src.backend.common.global_state")
    if module is not None:
        generator = module.get_global_attribute("global_seed_generator")
        if generator is not None:
            found.append(generator.state)
    return found


def _legacy_generator() -> Any:
    """What tf-keras draws its seeds from."""
    module = sys.modules.get("tf_keras.src.backend")
    return getattr(getattr(module, "_SEED_GENERATOR", None), "generator", None)
