"""A checkpoint is written and read by a fresh model, of Keras or TensorFlow."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bnlint.runtime.backends.parts import Part, find, parts, read, write
from bnlint.runtime.backends.restore import Snapshot
from bnlint.runtime.exceptions import short
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import CannotRun, RoundTrip

_OWN = ("keras.", "tf_keras.", "tensorflow.")


def round_trip(
    model: Any,
    framework: str,
    norms: list[Part],
    snapshot: Snapshot,
    factory: Callable[[], Any] | None,
    infer: Callable[[Any], list[Array]],
) -> RoundTrip:
    """Save the model's weights, load them into a fresh model, and say what that knows then.

    Raises CannotRun.
    """
    fresh, how = _fresh(model, framework, factory, infer)
    before = [] if fresh is not None else [(variable, read(variable)) for variable in snapshot.variables()]
    try:
        with tempfile.TemporaryDirectory(prefix="bnlint-") as folder:
            load = _save(model, framework, Path(folder))
            if fresh is None:
                for variable, value in before:
                    if "float" in value.dtype.name:
                        write(variable, -value - 1)
            load(model if fresh is None else fresh)
    except Exception as error:
        raise CannotRun(f"the checkpoint cannot be written and read ({short(error)})") from error
    if fresh is None:
        back = {part.norm.key: part.moments() for part in norms}
        if _is_all_of_keras(model):
            return RoundTrip(how, back, None, _first_difference(before, model))
        return RoundTrip(how, back, infer(model))
    found = find(fresh)
    keys = [part.norm.key for part in (norms if len(norms) == len(found) else found)]
    return RoundTrip(how, {key: part.moments() for key, part in zip(keys, found, strict=True)}, infer(fresh))


def _fresh(
    model: Any, framework: str, factory: Callable[[], Any] | None, infer: Callable[[Any], list[Array]]
) -> tuple[Any, str]:
    """A fresh model and how it was made; None if the model itself is to be overwritten."""
    if factory is not None:
        try:
            fresh = factory()
            if not getattr(fresh, "built", True):
                # The weights of a subclassed model are made by its first call.
                infer(fresh)
        except Exception as error:
            raise CannotRun(f"the factory made no second model ({short(error)})") from error
        return fresh, "weights saved and loaded into a model that the factory made"
    is_graph = any(base.__name__ in ("Functional", "Sequential") for base in type(model).__mro__)
    # Layers of Keras keep all they know in variables: overwritten ones know no more than fresh ones.
    if framework != "tensorflow" and is_graph and not _is_all_of_keras(model):
        keras = sys.modules[framework]
        try:
            return keras.models.clone_model(model), "weights saved and loaded into a copy of the model"
        except Exception:
            # A layer that cannot be made again from its configuration.
            pass
    return None, "weights saved, overwritten and loaded again"


def _save(model: Any, framework: str, folder: Path) -> Callable[[Any], Any]:
    """Write a checkpoint as the framework does; returns what reads it into a model."""
    import tensorflow as tf

    if framework == "tensorflow" or not hasattr(model, "save_weights"):
        path = tf.train.Checkpoint(model=model).save(str(folder / "checkpoint"))
        return lambda other: tf.train.Checkpoint(model=other).restore(path)
    path = str(folder / "model.weights.h5")
    model.save_weights(path)
    return lambda other: other.load_weights(path)


def _is_all_of_keras(model: Any) -> bool:
    return all(type(thing).__module__.startswith(_OWN) for _, thing in parts(model))


def _first_difference(before: list[tuple[Any, Array]], model: Any) -> str:
    """The name of the first weight that did not come back, bit for bit."""
    weights = {id(weight) for weight in model.weights}
    for variable, value in before:
        if id(variable) in weights and read(variable).tobytes() != value.tobytes():
            return str(getattr(variable, "path", variable.name))
    return ""
