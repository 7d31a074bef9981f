"""Watching layers of Keras and modules of TensorFlow while they run, and no longer."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bnlint.runtime.backends.parts import Part, framework, read
from bnlint.runtime.oracle import Array, batch_statistics
from bnlint.runtime.subject import Application, kept

_ENTRIES = ("__call__", "call", "forward", "apply", "normalize", "normalise")


class Recorder:
    """What is known during one pass."""

    def __init__(self) -> None:
        self.inside: Part | None = None
        self._maps: Maps | None = None

    def produced(self, layer: Any, tensor: Any) -> None:
        """A convolution has made this."""
        self._maps = maps_of(layer, tensor)

    def channels_in(self, x: Any) -> list[int]:
        """Where the channels are, if the last convolution made x."""
        return self._maps.channels_in(x) if self._maps is not None else []

    def application(
        self, part: Part, x: Any, y: Any, before: dict[str, Any], whole: bool, mask: Any = None
    ) -> Application:
        """What the layer did, and the statistics of the whole input if asked for."""
        import numpy

        values, results = _look(x), _look(y)
        axes = part.axes(values.shape)
        seen = part.norm.seen
        seen.axes = [axis % max(values.ndim, 1) for axis in axes]
        mask = None if mask is None else numpy.array(_look(mask))
        where = kept(values.shape, axes) if mask is None else tuple(slice(None) for _ in values.shape)
        same = results.shape == values.shape
        if not same:
            part.norm.why_not = "it does more than normalise: its output has another shape than its input"
        return Application(
            part.norm.key,
            numpy.array(values[where]),
            numpy.array(results[where] if same else results),
            str(results.dtype.name),
            batch_statistics(values, axes, mask) if whole else None,
            examples=int(values.shape[0]) if values.ndim else 0,
            axes=tuple(axes),
            mask=mask,
            **before,
        )


def state(part: Part) -> dict[str, Any]:
    """What the layer normalises with now."""
    shape = part.vector()
    return {
        "mean": read(part.mean).reshape(shape),
        "variance": read(part.variance).reshape(shape),
        "gamma": None if part.gamma is None else read(part.gamma).reshape(shape),
        "beta": None if part.beta is None else read(part.beta).reshape(shape),
        "renorm": part.renorm(),
    }


def _look(tensor: Any) -> Array:
    """A tensor's values, without a copy where that is possible."""
    import numpy

    try:
        return numpy.asarray(memoryview(tensor))
    except (TypeError, ValueError, BufferError):
        return numpy.asarray(tensor.numpy() if hasattr(tensor, "numpy") else tensor)


def is_eager(value: Any) -> bool:
    """Whether it is a tensor with values, not one of a graph."""
    return hasattr(value, "numpy") and hasattr(value, "shape") and type(value).__name__ != "KerasTensor"


def first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The input, and the other arguments."""
    if args:
        return args[0], args[1:], kwargs
    for name in ("inputs", "x", "input", "input_tensor"):
        if name in kwargs:
            return kwargs[name], (), {key: value for key, value in kwargs.items() if key != name}
    return None, (), kwargs


def hook(layer: Any, by_id: dict[int, Part], watch: Callable[..., Any]) -> Callable[[], None]:
    """Watch a layer; returns what takes the watch away."""
    part = by_id[id(layer)]
    is_keras = part.norm.seen.api.startswith(("keras.", "tf.keras.")) or framework(layer) != "tensorflow"
    if is_keras:
        return _hook_attribute(layer, "call", lambda original: lambda *a, **k: watch(part, original, a, k))
    kind = type(layer)
    name = next((name for name in _ENTRIES if callable(getattr(kind, name, None))), None)
    if name is None:
        return lambda: None
    if name != "__call__":
        return _hook_attribute(layer, name, lambda original: lambda *a, **k: watch(part, original, a, k))
    # A special method is looked up in the class.
    had = "__call__" in vars(kind)
    original = kind.__call__

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not layer:
            return original(self, *args, **kwargs)
        return watch(part, lambda *a, **k: original(self, *a, **k), args, kwargs)

    kind.__call__ = call

    def undo() -> None:
        if had:
            kind.__call__ = original
        else:
            del kind.__call__

    return undo


def _hook_attribute(layer: Any, name: str, wrap: Callable[[Any], Any]) -> Callable[[], None]:
    # Past __setattr__: frameworks track what is assigned to a layer.
    attributes = vars(layer)
    had, old = name in attributes, attributes.get(name)
    attributes[name] = wrap(getattr(layer, name))

    def undo() -> None:
        if had:
            attributes[name] = old
        else:
            attributes.pop(name, None)

    return undo


@dataclass(frozen=True, slots=True)
class Maps:
    """The output of a convolution, which is not kept alive."""

    tensor: weakref.ref[Any]
    axis: int
    """Where the channels are, counted from 0."""

    def channels_in(self, x: Any) -> list[int]:
        """Where the channels are, if x is this output."""
        return [self.axis] if self.tensor() is x else []


def maps_of(layer: Any, output: Any) -> Maps | None:
    """The output of a convolution as maps; None if it has another number of axes than the convolution says."""
    rank = len(layer.kernel_size) + 2
    shape = getattr(output, "shape", None)
    if shape is None or len(shape) != rank:
        return None
    return Maps(weakref.ref(output), 1 if layer.data_format == "channels_first" else rank - 1)


def is_convolution(layer: Any) -> bool:
    """Whether it is a layer of Keras that says where it puts the channels."""
    sized = isinstance(getattr(layer, "kernel_size", None), tuple)
    return sized and hasattr(layer, "data_format") and hasattr(layer, "call")


def hook_convolution(layer: Any, recorder: Recorder) -> Callable[[], None]:
    """Note where a convolution puts the channels; returns what takes the watch away."""

    def wrap(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            y = original(*args, **kwargs)
            recorder.produced(layer, y)
            return y

        return call

    return _hook_attribute(layer, "call", wrap)
