"""Patches tf-keras, the Keras of TensorFlow until 2.15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnlint.runtime.backends.eager import exports, layers, tapes, trainers
from bnlint.runtime.backends.eager.calls import plain
from bnlint.runtime.backends.eager.watch import watch_of
from bnlint.runtime.backends.eager.where import here
from bnlint.runtime.backends.tensorflow1.patches import around, around_method

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder


def observe(recorder: Recorder) -> None:
    """Patch it, now that it has been imported."""
    import tf_keras
    from tf_keras.src import backend
    from tf_keras.src.engine.base_layer import Layer
    from tf_keras.src.engine.training import Model
    from tf_keras.src.layers.normalization.batch_normalization import BatchNormalizationBase
    from tf_keras.src.optimizers import optimizer
    from tf_keras.src.optimizers.legacy import optimizer_v2
    from tf_keras.src.saving import saving_api

    recorder.framework("tf_keras", str(tf_keras.__version__))
    watch = watch_of(recorder)
    layers.observe(watch, Layer, BatchNormalizationBase, keeps_baked=True)
    trainers.observe(watch, Model, Model, "tf.keras")
    optimizers = tapes.Optimizers(watch)
    for kind in (optimizer._BaseOptimizer, optimizer.Optimizer, optimizer_v2.OptimizerV2):
        around_method(kind, "apply_gradients", optimizers.apply_gradients)

    def load(original: Any, *arguments: Any, **keywords: Any) -> Any:
        model = original(*arguments, **keywords)
        trainers.keeps(watch, "tf.keras.models.load_model", [model], writes=False)
        return model

    around(saving_api, "load_model", load, ("tf_keras",))
    exports.observe_models(watch, Model, saving_api, "tf_keras", keeps_baked=True)

    def set_phase(original: Any, value: Any) -> Any:
        phase = watch.phases.learning_phase
        if recorder.active:
            phase.value = plain(value)
            phase.site = next(iter(here(recorder.frames)), None)
        return original(value)

    around(backend, "set_learning_phase", set_phase, ("tf_keras",))
