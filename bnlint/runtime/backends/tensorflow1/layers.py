"""The layers of Keras and ``tf.layers`` in graph mode."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from bnlint.runtime.backends.tensorflow1.capture import Capture
from bnlint.runtime.backends.tensorflow1.patches import around, around_method


def observe(capture: Capture) -> None:
    """Patch the layer that all of them are, and the functions that make it."""
    import tensorflow.compat.v1 as tf
    from tf_keras.src.layers.normalization.batch_normalization import BatchNormalizationBase
    from tf_keras.src.legacy_tf_layers import normalization

    original = BatchNormalizationBase.call

    @functools.wraps(original)
    def call(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        with capture.call("", ""):
            y = original(self, inputs, training=training, mask=mask)
        if capture.looking(y) and capture.looking(inputs):
            with capture.recorder.observing():
                _note(capture, self, inputs, y, training)
        return y

    BatchNormalizationBase.call = tf.autograph.experimental.do_not_convert(call)
    if hasattr(normalization, "batch_normalization"):
        around(
            normalization, "batch_normalization", _Function(capture), ("tensorflow", "tf_keras", "tf_slim")
        )
    from tf_keras.src import backend

    around_method(backend.GraphExecutionFunction, "__call__", _KerasRun(capture))
    around_method(
        normalization.BatchNormalization, "__call__", _Legacy(capture, "tf.layers.BatchNormalization")
    )


class _Function:
    """``tf.layers.batch_normalization``."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        given = "training" in keywords or len(arguments) > 12
        with self._capture.call("tf.layers.batch_normalization", "argument" if given else "default"):
            return original(*arguments, **keywords)


class _Legacy:
    """A layer of ``tf.layers``."""

    def __init__(self, capture: Capture, api: str) -> None:
        self._capture = capture
        self._api = api

    def __call__(self, original: Any, layer: Any, *arguments: Any, **keywords: Any) -> Any:
        given = "training" in keywords or len(arguments) > 1
        with self._capture.call(self._api, "argument" if given else "default"):
            return original(layer, *arguments, **keywords)


class _KerasRun:
    """How Keras runs a graph: not by ``Session.run``, but by something faster that cannot be asked for more.

    It is replaced by a run of the session with the same fetches, which is observed like any other.
    """

    _APIS: ClassVar[dict[str, str]] = {
        "train_function": "tf.keras.Model.fit",
        "test_function": "tf.keras.Model.evaluate",
        "predict_function": "tf.keras.Model.predict",
    }

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, original: Any, function: Any, inputs: Any) -> Any:
        import tensorflow.compat.v1 as tf
        from tf_keras.src import backend

        given = tf.nest.flatten(inputs, expand_composites=True)
        if not self._capture.recorder.active or any(map(tf.is_tensor, given)) or tf.executing_eagerly():
            return original(function, inputs)
        session = backend.get_session(given)
        feeds = {
            tensor: numpy_of(value, tensor)
            for tensor, value in zip(function.inputs, given, strict=False)
            if value is not None
        }
        feeds.update(function.feed_dict or {})
        name = str(getattr(function, "name", "") or "")
        self._capture.run_api = next(
            (api for key, api in self._APIS.items() if key in name), "tf.keras.backend.function"
        )
        outputs, fetches = list(function.outputs), list(function.fetches)
        function._fetches, function._session = fetches, session
        try:
            got, extra, _ = session.run(
                [outputs, fetches, function.updates_op],
                feeds,
                options=function.run_options,
                run_metadata=function.run_metadata,
            )
        finally:
            self._capture.run_api = ""
        function._call_fetch_callbacks(extra)
        packed = tf.nest.pack_sequence_as(function._outputs_structure, got, expand_composites=True)
        return tf.nest.map_structure(function._eval_if_composite, packed)


def numpy_of(value: Any, tensor: Any) -> Any:
    """A value as it is fed for a tensor."""
    import numpy

    return numpy.asarray(value, dtype=tensor.dtype.as_numpy_dtype)


def _note(capture: Capture, layer: Any, inputs: Any, y: Any, training: Any) -> None:
    from tf_keras.src import backend

    phase = training
    if phase is None:
        phase = backend.learning_phase()
    elif isinstance(phase, int):
        phase = bool(phase)
    legacy = type(layer).__module__.startswith("tf_keras.src.legacy_tf_layers") or any(
        base.__module__.startswith("tf_keras.src.legacy_tf_layers") for base in type(layer).__mro__
    )
    renorm = bool(getattr(layer, "renorm", False))
    axis = layer.axis
    axes = tuple(axis) if isinstance(axis, (list, tuple)) or type(axis).__name__ == "ListWrapper" else (axis,)
    capture.add(
        inputs,
        y,
        api="tf.keras.layers.BatchNormalization",
        origin="context" if training is None else "argument",
        gamma=layer.gamma,
        beta=layer.beta,
        mean=layer.moving_mean,
        variance=layer.moving_variance,
        epsilon=layer.epsilon,
        momentum=float(layer.momentum) if isinstance(layer.momentum, (int, float)) else None,
        axes=axes,
        phase=phase,
        updates="collected" if legacy else "attribute",
        trainable=bool(layer.trainable),
        fused=bool(layer.fused),
        name="" if legacy else layer.name,
        renorm=renorm,
    )
