"""Patches Keras 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnlint.runtime.backends.eager import exports, layers, tapes, trainers
from bnlint.runtime.backends.eager.watch import watch_of
from bnlint.runtime.backends.tensorflow1.patches import around, around_method

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder


def observe(recorder: Recorder) -> None:
    """Patch it, now that it has been imported."""
    import keras

    recorder.framework("keras", str(keras.__version__))
    if keras.backend.backend() != "tensorflow":
        recorder.note(f"Keras runs on {keras.backend.backend()}; its layers are only watched on TensorFlow.")
        return
    from keras.src.backend.tensorflow.trainer import TensorFlowTrainer
    from keras.src.layers.layer import Layer
    from keras.src.layers.normalization.batch_normalization import BatchNormalization
    from keras.src.models.model import Model
    from keras.src.optimizers.base_optimizer import BaseOptimizer
    from keras.src.saving import saving_api

    watch = watch_of(recorder)
    layers.observe(watch, Layer, BatchNormalization, keeps_baked=False)
    trainers.observe(watch, Model, TensorFlowTrainer, "keras")
    around_method(BaseOptimizer, "apply", tapes.Optimizers(watch).apply)

    def load(original: Any, *arguments: Any, **keywords: Any) -> Any:
        model = original(*arguments, **keywords)
        trainers.keeps(watch, "keras.models.load_model", [model], writes=False)
        return model

    around(saving_api, "load_model", load, ("keras",))
    exports.observe_models(watch, Model, saving_api, "keras", keeps_baked=False)
