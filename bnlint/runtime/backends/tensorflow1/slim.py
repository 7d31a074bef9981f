"""``batch_norm`` of tf-slim, which is that of ``tf.contrib.layers``, too."""

from __future__ import annotations

from typing import Any

from bnlint.runtime.backends.tensorflow1.capture import Call, Capture
from bnlint.runtime.backends.tensorflow1.patches import around
from bnlint.runtime.script.recorder import Recorder

_POSITIONS = (
    "inputs decay center scale epsilon activation_fn param_initializers param_regularizers updates_collections "
    "is_training"
).split()


def observe(recorder: Recorder) -> None:
    """Patch the function; ``tensorflow1.observe`` has been called before."""
    from tf_slim.layers import layers

    from bnlint.runtime.backends import tensorflow1

    capture = tensorflow1.capture_of(recorder)
    around(layers, "batch_norm", _BatchNorm(capture))


class _BatchNorm:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        from tf_slim.ops import arg_scope

        scope = arg_scope.current_arg_scope().get(arg_scope.arg_scope_func_key(original), {})
        positional = dict(zip(_POSITIONS, arguments, strict=False))
        given = {**scope, **keywords, **positional}
        activation = given.get("activation_fn")
        before: list[Any] = []

        def keep(y: Any) -> Any:
            before.append(y)
            return activation(y) if activation is not None else y

        origin = (
            "argument"
            if "is_training" in keywords or "is_training" in positional
            else "scope"
            if "is_training" in scope
            else "default"
        )
        if "activation_fn" in positional:
            arguments = (*arguments[:5], keep, *arguments[6:])
        else:
            keywords = {**keywords, "activation_fn": keep}
        with self._capture.call("tf.contrib.layers.batch_norm", origin) as call:
            result = original(*arguments, **keywords)
        inputs = given.get("inputs")
        if not call.made and before and self._capture.looking(before[0]) and self._capture.looking(inputs):
            with self._capture.recorder.observing():
                self._note(call, given, inputs, before[0], origin)
        elif given.get("updates_collections", "") is None:
            for made in call.made:
                made.seen.updates = "in place"
        return result

    def _note(self, call: Call, given: dict[str, Any], inputs: Any, y: Any, origin: str) -> None:
        got = call.variables
        if given.get("batch_weights") is not None:
            self._capture.recorder.note("tf.contrib.layers.batch_norm with batch_weights is not looked at.")
            return
        in_place = given.get("updates_collections", "") is None
        decay = given.get("decay", 0.999)
        training = given.get("is_training", True)
        self._capture.add(
            inputs,
            y,
            api="tf.contrib.layers.batch_norm",
            origin=origin,
            gamma=got.get("gamma"),
            beta=got.get("beta"),
            mean=got.get("moving_mean"),
            variance=got.get("moving_variance"),
            epsilon=given.get("epsilon", 0.001),
            momentum=float(decay) if isinstance(decay, (int, float)) else None,
            axes=(1,) if str(given.get("data_format", "NHWC")).startswith("NC") else (-1,),
            phase=bool(training) if isinstance(training, int) else training,
            updates="in place" if in_place else "collected",
            trainable=bool(given.get("trainable", True)),
            fused=given.get("fused") is not False,
        )
