"""The parts of a TensorFlow or Keras model, and which of them normalise.

A layer normalises if it is the batch norm of Keras, or if it keeps a moving mean and a moving variance of one shape:
so hand-written layers are found by what they keep, whatever they are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import Norm, Renorm

_MOST_PARTS = 50_000
_FRAMEWORKS = ("keras", "tf_keras", "tensorflow", "numpy", "builtins", "collections", "threading", "logging")
_NOT_PARTS = {
    "_inbound_nodes",
    "_outbound_nodes",
    "_nodes",
    "_nodes_by_depth",
    "_metrics",
    "optimizer",
    "_optimizer",
}
_MEAN = re.compile(r"mean|mu(?![a-z])|average")
_VARIANCES = ("variance", "var", "sigma2", "sigma_sq", "sigma")
GAMMAS = ("gamma", "scale", "weight", "_gamma", "_scale")
BETAS = ("beta", "offset", "bias", "shift", "_beta", "_offset")
EPSILONS = ("epsilon", "eps", "variance_epsilon", "_epsilon", "_eps")
_MOMENTA = ("momentum", "decay", "decay_rate", "_momentum", "_decay", "_decay_rate")
USUAL_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-8, 1e-4, 1e-7, 1e-12, 0.0)


@dataclass(slots=True)
class Part:
    """A normalisation layer of the model and its variables."""

    norm: Norm
    layer: Any
    mean: Any
    variance: Any
    gamma: Any = None
    beta: Any = None
    declared_axes: tuple[int, ...] | None = None
    own: bool = True
    """Whether it is the batch norm of Keras itself."""

    def axes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The axes of the channels in an input of this shape."""
        rank = len(shape)
        statistics = tuple(int(size) for size in self.mean.shape)
        if self.declared_axes and all(-rank <= axis < rank for axis in self.declared_axes):
            axes = tuple(sorted(axis % rank for axis in self.declared_axes))
            sizes = [int(shape[axis]) for axis in axes]
            if self.own or sizes == [size for size in statistics if size != 1] or sizes == list(statistics):
                return axes
        if len(statistics) == rank:
            return tuple(axis for axis in range(rank) if statistics[axis] != 1) or (rank - 1,)
        if len(statistics) > 1 and statistics == tuple(shape[rank - len(statistics) :]):
            return tuple(range(rank - len(statistics), rank))
        size = statistics[-1] if statistics else 1
        fitting = [axis for axis in reversed(range(rank)) if shape[axis] == size]
        return (fitting[0] if fitting else rank - 1,)

    def vector(self) -> tuple[int, ...]:
        """The shape of the statistics without the axes that are only there to be broadcast."""
        shape = tuple(int(size) for size in self.mean.shape)
        return tuple(size for size in shape if size != 1) or (1,) if len(shape) > 1 else shape

    def moments(self) -> tuple[Array, Array]:
        """Copies of the moving mean and variance."""
        shape = self.vector()
        return read(self.mean).reshape(shape), read(self.variance).reshape(shape)

    def renorm(self) -> Renorm | None:
        """The state of batch renormalisation now."""
        if not self.norm.renorm:
            return None
        limits = getattr(self.layer, "renorm_clipping", None) or {}
        infinity = float("inf")
        return Renorm(
            read(self.layer.renorm_mean),
            read(self.layer.renorm_stddev),
            float(limits.get("rmin", 0.0)),
            float(limits.get("rmax", infinity)),
            float(limits.get("dmax", infinity)),
        )

    def set(self, mean: Array, variance: Array) -> None:
        """Set the moving statistics, and those that renormalisation derives from them."""
        import numpy

        write(self.mean, mean)
        write(self.variance, variance)
        if self.norm.renorm:
            stddev = numpy.sqrt(numpy.asarray(variance, numpy.float64) + self.norm.seen.epsilon)
            write(self.layer.moving_stddev, stddev)
            write(self.layer.renorm_mean, mean)
            write(self.layer.renorm_stddev, stddev)


def read(variable: Any) -> Array:
    """A copy of a variable's value."""
    import numpy

    inner = getattr(variable, "_value", None)
    if hasattr(inner, "numpy"):
        # A variable of Keras 3 holds one of TensorFlow.
        variable = inner
    return numpy.array(variable.numpy() if hasattr(variable, "numpy") else variable)


def write(variable: Any, values: Array) -> None:
    """Give a variable other values."""
    import numpy

    old = read(variable)
    variable.assign(numpy.asarray(values).reshape(old.shape).astype(old.dtype))


def is_model_part(thing: Any) -> bool:
    """Whether it is a layer of Keras, a ``tf.Module``, or an object of a class of the user's own."""
    for base in type(thing).__mro__:
        module = base.__module__
        if base.__name__ == "Layer" and module.startswith(("keras.", "tf_keras.")):
            return True
        if base.__name__ == "Module" and module.startswith("tensorflow."):
            return True
    return False


def framework(model: Any) -> str:
    """``keras``, ``tf_keras`` or ``tensorflow``."""
    for base in type(model).__mro__:
        if base.__name__ == "Layer":
            for framework in ("keras", "tf_keras"):
                if base.__module__.startswith(f"{framework}."):
                    return framework
    return "tensorflow"


def parts(root: Any) -> list[tuple[str, Any]]:
    """The model, its layers, modules and the user's own objects in it, each once, with the way to it."""
    found: list[tuple[str, Any]] = []
    known: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting and len(found) < _MOST_PARTS:
        path, thing = waiting.pop()
        if id(thing) in known:
            continue
        if isinstance(thing, list | tuple | set):
            known.add(id(thing))
            waiting.extend((f"{path}[{number}]", item) for number, item in reversed(list(enumerate(thing))))
        elif isinstance(thing, dict):
            known.add(id(thing))
            waiting.extend((f"{path}[{key!r}]", item) for key, item in reversed(list(thing.items())))
        elif is_model_part(thing) or (thing is root or _is_of_the_user(thing)):
            known.add(id(thing))
            found.append((path, thing))
            inside = [(name, value) for name, value in vars(thing).items() if _may_hold_parts(name)]
            waiting.extend((f"{path}.{name}" if path else name, value) for name, value in reversed(inside))
    return found


def _may_hold_parts(name: str) -> bool:
    # TensorFlow notes what it saves under names of its own; the same things are attributes, too.
    return name not in _NOT_PARTS and not name.startswith("_self_unconditional")


def _is_of_the_user(thing: Any) -> bool:
    kind = type(thing)
    root = kind.__module__.split(".", 1)[0]
    if root in _FRAMEWORKS or kind.__name__ in ("function", "method", "partial", "module"):
        return False
    return hasattr(thing, "__dict__") and not isinstance(thing, type) and callable(thing)


def find(root: Any) -> list[Part]:
    """The normalisation layers of a model, in the order in which it holds them."""
    found: list[Part] = []
    names: dict[str, int] = {}
    for path, thing in parts(root):
        part = batch_norm(thing) or hand_written(thing)
        if part is None:
            continue
        name = str(getattr(thing, "name", "") or path or type(thing).__name__)
        if not _is_keras_layer(thing):
            name = path or name
        number = names[name] = names.get(name, 0) + 1
        key = name if number == 1 else f"{name}#{number}"
        part.norm.seen.key = part.norm.seen.name = key
        found.append(part)
    return found


def _is_keras_layer(thing: Any) -> bool:
    return any(
        base.__name__ == "Layer" and base.__module__.startswith(("keras.", "tf_keras."))
        for base in type(thing).__mro__
    )


def _keras_norm(thing: Any) -> str:
    """The framework whose batch norm it is, or of a class that derives from it."""
    for base in type(thing).__mro__:
        if base.__name__ in ("BatchNormalization", "BatchNormalizationBase"):
            for framework in ("keras", "tf_keras"):
                if base.__module__.startswith(f"{framework}."):
                    return framework
    return ""


def batch_norm(layer: Any) -> Part | None:
    """The batch norm of Keras; None if it is something else, or not built yet."""
    framework = _keras_norm(layer)
    mean, variance = getattr(layer, "moving_mean", None), getattr(layer, "moving_variance", None)
    if not framework or mean is None or variance is None:
        return None
    axis = layer.axis if isinstance(layer.axis, Sequence) else [layer.axis]
    why_not = ""
    if getattr(layer, "virtual_batch_size", None):
        why_not = "it normalises each virtual batch with statistics of its own"
    elif getattr(layer, "adjustment", None):
        why_not = "it adjusts the normalised values"
    synchronised = (
        bool(getattr(layer, "synchronized", False)) or type(layer).__name__ == "SyncBatchNormalization"
    )
    seen = LayerSeen(
        "",
        "",
        f"{'tf.keras' if framework == 'tf_keras' else 'keras'}.layers.{type(layer).__name__}",
        framework,
        None,
        channels=_size(mean),
        axes=[int(each) for each in axis],
        epsilon=float(layer.epsilon),
        momentum=_number(layer.momentum),
        trainable=bool(layer.trainable),
        fused=bool(getattr(layer, "fused", False)),
    )
    norm = Norm(
        seen,
        _dtype(mean),
        frozen=not layer.trainable,
        one_pass=synchronised,
        why_not=why_not,
        renorm=bool(getattr(layer, "renorm", False)),
    )
    own = type(layer).__module__.startswith(("keras.", "tf_keras."))
    return Part(
        norm, layer, mean, variance, layer.gamma, layer.beta, tuple(int(each) for each in axis), own=own
    )


def hand_written(thing: Any) -> Part | None:
    """A layer that is known by the pair of variables it keeps; None if it keeps none."""
    if type(thing).__module__.startswith(("keras.", "tf_keras.", "tensorflow.")):
        return None
    variables = {name: value for name, value in vars(thing).items() if _is_statistic(value)}
    pair = next(pairs(variables), None)
    if pair is None:
        return None
    mean, variance = (variables[name] for name in pair)
    epsilon = first_number(thing, EPSILONS)
    declared = getattr(thing, "axis", None)
    trainable = getattr(thing, "trainable", True)
    frozen = isinstance(trainable, bool) and not trainable
    seen = LayerSeen(
        "",
        "",
        type(thing).__qualname__,
        "tensorflow",
        None,
        channels=_size(mean),
        epsilon=USUAL_EPSILONS[0] if epsilon is None else epsilon,
        momentum=first_number(thing, _MOMENTA),
        trainable=not frozen,
        updates="by hand",
    )
    others = [name for name in variables if name not in pair and _size(variables[name]) == _size(mean)]
    gamma = next((variables[name] for name in GAMMAS if name in others), None)
    beta = next((variables[name] for name in BETAS if name in others), None)
    epsilons = USUAL_EPSILONS if epsilon is None else ()
    norm = Norm(seen, _dtype(mean), frozen=frozen, one_pass=True, epsilons=epsilons)
    axes = (declared,) if isinstance(declared, int) and not isinstance(declared, bool) else None
    return Part(norm, thing, mean, variance, gamma, beta, axes, own=False)


def pairs(variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of a mean and a variance that belong together by name and shape."""
    for name in variables:
        found = _MEAN.search(name)
        if not found:
            continue
        for other in _VARIANCES:
            partner = name[: found.start()] + other + name[found.end() :]
            if partner in variables and tuple(variables[partner].shape) == tuple(variables[name].shape):
                yield name, partner


def _is_statistic(value: Any) -> bool:
    return (
        hasattr(value, "assign")
        and hasattr(value, "shape")
        and hasattr(value, "dtype")
        and "float" in _dtype(value)
    )


def _dtype(variable: Any) -> str:
    return str(getattr(variable.dtype, "name", variable.dtype))


def _size(variable: Any) -> int:
    size = 1
    for length in variable.shape:
        size *= int(length)
    return size


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if hasattr(value, "numpy"):
        try:
            return float(value.numpy())
        except (TypeError, ValueError):
            return None
    return None


def first_number(thing: Any, names: Sequence[str]) -> float | None:
    """The first of these attributes that is a number."""
    found = (_number(getattr(thing, name, None)) for name in names)
    return next((value for value in found if value is not None), None)
