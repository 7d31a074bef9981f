"""Keras models (Keras 3 on TensorFlow, and tf-keras) and ``tf.Module`` as subjects.

Everything runs eagerly, so that what goes into and comes out of a layer can be looked at while it is there: nothing
but a few positions of an activation is kept.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.backends.batches import Batch, arrays, mapped, take
from bnlint.runtime.backends.hooks import (
    Recorder,
    first,
    hook,
    hook_convolution,
    is_convolution,
    is_eager,
    state,
)
from bnlint.runtime.backends.parts import Part, find, framework, is_model_part, parts, read
from bnlint.runtime.backends.restore import Random, Snapshot
from bnlint.runtime.backends.roundtrip import round_trip
from bnlint.runtime.exceptions import short
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import Application, CannotRun, Norm, Pass, RoundTrip

_PHASES = ("training", "is_training", "train", "is_train", "phase", "phase_train")
_DRAWING = ("Dropout", "Noise", "Random")


def subject(model: Any, batch: Any, given: dict[str, Any]) -> KerasSubject | None:
    """The subject for a model, if it is one of Keras or TensorFlow."""
    if not is_model_part(model):
        return None
    unknown = set(given) - {"targets", "train", "infer", "factory", "checkpoint"}
    if unknown:
        raise UserError(f"verify() does not know what {sorted(unknown)[0]} is for a {type(model).__name__}.")
    if batch is None:
        raise UserError("verify() needs a batch of input data: verify(model, batch).")
    return KerasSubject(model, Batch.of(batch, given.get("targets")), given)


class KerasSubject:
    """A Keras model or ``tf.Module`` with its probe batch."""

    def __init__(self, model: Any, batch: Batch, given: dict[str, Any]) -> None:
        self.framework = framework(model)
        self.examples = batch.examples
        self.notes: list[str] = []
        self._model = model
        self._batch = batch
        self._train = given.get("train")
        self._infer = given.get("infer")
        self._factory: Callable[[], Any] | None = given.get("factory")
        self._recorder: Recorder | None = None
        self._snapshot: Snapshot | None = None
        self._things: list[Any] | None = None
        with _eagerly():
            self._build()
        self._things = None
        self._parts = {part.norm.key: part for part in find(model)}
        for part in self._parts.values():
            if self.framework != "tensorflow" and not part.own:
                part.norm.seen.framework = self.framework
        self._calls: dict[tuple[str, bool], tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def norms(self) -> list[Norm]:
        """The normalisation layers."""
        return [part.norm for part in self._parts.values()]

    def layers(self) -> dict[str, Any]:
        """The objects that are these layers, by their keys."""
        return {key: part.layer for key, part in self._parts.items()}

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Watch the layers, and afterwards put everything back."""
        self._snapshot = Snapshot(self._model)
        try:
            with _eagerly():
                yield
        finally:
            self._snapshot.restore()
            self._snapshot = None

    def train(self) -> Pass:
        """One training step, or where there is none a forward pass in training mode."""
        assert self._snapshot is not None
        weights = {
            part.norm.key: [read(weight) for weight in (part.gamma, part.beta) if weight is not None]
            for part in self._parts.values()
            if part.norm.frozen
        }
        seen = self._watched(self._train_step, True, self._batch)
        seen.random = self._snapshot.drew_numbers() or any(
            word in type(layer).__name__ for layer in self._layers() for word in _DRAWING
        )
        for part in self._parts.values():
            now = [read(weight) for weight in (part.gamma, part.beta) if weight is not None]
            was = weights.get(part.norm.key, now)
            if any(old.tobytes() != new.tobytes() for old, new in zip(was, now, strict=True)):
                seen.moved_weights.append(part.norm.key)
        statistics: set[int] = set()
        for part in self._parts.values():
            for variable in (part.mean, part.variance):
                statistics.update((id(variable), id(getattr(variable, "_value", variable))))
        self._snapshot.restore_variables(statistics)
        return seen

    def infer(self, first_only: bool = False) -> Pass:
        """One inference."""
        if not first_only:
            return self._watched(self._inference, False, self._batch)
        try:
            return self._watched(self._inference, False, take(self._batch, alone=True))
        except UserError:
            # A model of a fixed batch size: other samples in the place of the rest do as well.
            return self._watched(self._inference, False, take(self._batch, alone=False))

    def statistics(self, key: str) -> tuple[Array, Array] | None:
        """The moving mean and variance of a layer."""
        part = self._parts[key]
        shape = part.vector()
        return read(part.mean).reshape(shape), read(part.variance).reshape(shape)

    def set_statistics(self, key: str, mean: Array, variance: Array) -> None:
        """Set the moving mean and variance of a layer."""
        self._parts[key].set(mean, variance)

    def alone(self, key: str, x: Array, training: bool) -> Application:
        """Apply one layer as the last pass did."""
        import tensorflow as tf

        part = self._parts[key]
        if (key, training) not in self._calls:
            raise CannotRun(f"the layer did not run in {'training' if training else 'inference'}")
        arguments, keywords = self._calls[key, training]
        recorder = Recorder()
        self._recorder = None
        before = state(part)
        try:
            y = part.layer(tf.convert_to_tensor(x), *arguments, **keywords)
        except Exception as error:
            raise CannotRun(f"the layer cannot run alone ({short(error)})") from error
        return recorder.application(part, x, y, before, whole=False)

    def round_trip(self) -> RoundTrip:
        """Weights to a file, and into a fresh model."""
        assert self._snapshot is not None

        def infer(model: Any) -> list[Array]:
            return [] if self._infer is not None else arrays(self._call(model, False, self._batch.inputs))

        return round_trip(
            self._model, self.framework, list(self._parts.values()), self._snapshot, self._factory, infer
        )

    def _layers(self) -> list[Any]:
        if self._things is None:
            self._things = [thing for _, thing in parts(self._model)]
        return self._things

    def _build(self) -> None:
        """Make the weights of a model that has none yet; refuse what cannot be run."""
        model = self._model
        if getattr(model, "built", True) and not self._unbuilt():
            _refuse_wrong_shapes(model, self._batch.inputs)
            return
        drawn = Random()
        try:
            self._inference(self._batch)
        except Exception as error:
            raise _cannot(error) from error
        finally:
            drawn.restore()
        self._things = None
        if self._unbuilt() and self.framework != "tensorflow":
            self._build_what_only_trains()
            drawn.restore()

    def _build_what_only_trains(self) -> None:
        """Make the weights of layers that the inference did not reach, by a symbolic call, which moves nothing."""
        import tensorflow as tf

        keras = sys.modules[self.framework]

        def symbol(array: Array) -> Any:
            return keras.Input(batch_shape=array.shape, dtype=array.dtype.name)

        eagerly = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(False)
        try:
            self._model(mapped(symbol, self._batch.inputs), training=True)
        except Exception:
            # Then these layers stay unknown; running the model tells why.
            pass
        finally:
            tf.config.run_functions_eagerly(eagerly)

    def _unbuilt(self) -> bool:
        return any(getattr(layer, "built", True) is False for layer in self._layers())

    def _watched(self, run: Callable[[Batch], Any], training: bool, batch: Batch) -> Pass:
        seen = Pass()
        with self._hooked(seen, training):
            try:
                outputs = run(batch)
            except Exception as error:
                raise _cannot(error) from error
        seen.outputs = arrays(outputs)
        return seen

    @contextlib.contextmanager
    def _hooked(self, seen: Pass, training: bool) -> Iterator[None]:
        recorder = self._recorder = Recorder()
        by_id = {id(part.layer): part for part in self._parts.values()}
        undo: list[Callable[[], None]] = []

        def watch(
            part: Part, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            x, arguments, keywords = first(args, kwargs)
            if self._recorder is not recorder or recorder.inside is part or not is_eager(x):
                return original(*args, **kwargs)
            before, outer = state(part), recorder.inside
            recorder.inside = part
            try:
                y = original(*args, **kwargs)
            finally:
                recorder.inside = outer
            if is_eager(y):
                mask = keywords.get("mask")
                application = recorder.application(part, x, y, before, whole=training, mask=mask)
                seen.applications.append(application)
                if mask is not None:
                    keywords = {**keywords, "mask": mask}
                self._calls[part.norm.key, training] = (arguments, keywords)
                part.norm.seen.channels_in = recorder.channels_in(x) or part.norm.seen.channels_in
            return y

        for part in self._parts.values():
            undo.append(hook(part.layer, by_id, watch))
        undo.extend(hook_convolution(layer, recorder) for layer in self._layers() if is_convolution(layer))
        try:
            yield
        finally:
            for each in reversed(undo):
                each()
            self._recorder = None

    def _train_step(self, batch: Batch) -> Any:
        model = self._model
        if self._train is not None:
            return self._train(batch.inputs)
        compiled = bool(getattr(model, "compiled", False) or getattr(model, "_is_compiled", False))
        if compiled and batch.targets is not None and hasattr(model, "train_step"):
            import tensorflow as tf

            # Not train_on_batch: it hands weights for the samples on, which a train_step of one's own may not expect.
            data = tf.nest.map_structure(tf.convert_to_tensor, (batch.inputs, batch.targets))
            model.train_step(data)
            return []
        if compiled and _has_own_train_step(model):
            note = "The model has a train_step of its own, which was not run: give targets as well."
            if note not in self.notes:
                self.notes.append(note)
        return self._call(model, True, batch.inputs)

    def _inference(self, batch: Batch) -> Any:
        if self._infer is not None:
            return self._infer(batch.inputs)
        return self._call(self._model, False, batch.inputs)

    def _call(self, model: Any, training: bool, inputs: Any) -> Any:
        if self.framework == "keras" and not getattr(model, "_call_has_training_arg", True):
            # This is what fit does then, and evaluate.
            return model(inputs)
        if self.framework != "tensorflow":
            return model(inputs, training=training)
        import tensorflow as tf

        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        name = _phase_parameter(type(model).__call__ if callable(model) else None)
        if name is None:
            raise UserError(
                f"How is {type(model).__name__} told that it trains? Its __call__ has no parameter such as training. "
                "Give verify() the functions train=lambda x: … and infer=lambda x: …"
            )
        return model(inputs, **{name: training})


@contextlib.contextmanager
def _eagerly() -> Iterator[None]:
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _has_own_train_step(model: Any) -> bool:
    function = getattr(type(model), "train_step", None)
    return function is not None and not function.__module__.startswith(("keras.", "tf_keras."))


def _phase_parameter(function: Any) -> str | None:
    import inspect

    if function is None:
        return None
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    return next((name for name in _PHASES if name in parameters), None)


def _refuse_wrong_shapes(model: Any, inputs: Any) -> None:
    """Say before anything runs that the batch does not fit, if the model says what it takes."""
    try:
        wanted = list(getattr(model, "inputs", None) or [])
    except (AttributeError, ValueError):
        return
    given = arrays(inputs)
    if not wanted or not given:
        return
    if len(wanted) != len(given):
        raise UserError(f"The model takes {len(wanted)} inputs, and the batch has {len(given)}.")
    for tensor, array in zip(wanted, given, strict=True):
        shape = tuple(tensor.shape)
        if isinstance(inputs, dict):
            return
        fits = len(shape) == array.ndim and all(
            size is None or number == 0 or int(size) == array.shape[number]
            for number, size in enumerate(shape)
        )
        if not fits:
            shown = "x".join("any" if size is None else str(size) for size in shape)
            raise UserError(
                f"The model takes inputs of the shape {shown}, and the batch has the shape "
                f"{'x'.join(map(str, array.shape))}. Give a batch of that shape, samples first."
            )


def _cannot(error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    return UserError(
        f"The model cannot run on the batch: {short(error)}. Check the shape and the type of the data, and whether "
        "the model runs by itself."
    )
