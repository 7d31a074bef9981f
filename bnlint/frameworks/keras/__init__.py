"""Keras, and training with TensorFlow 2: layers, models, their trainer, and loops with tapes.

``tf.keras``, ``tf_keras``, ``tensorflow.python.keras`` and ``keras.src`` are other spellings of the same things.
"""

from __future__ import annotations

from typing import Any

WORDS = (
    (b"keras", b"tensorflow"),
    (b"keras", b"Tape", b"tf.function", b"Module", b"Strategy", b"optimizers", b"saved_model", b"TFLite"),
)


def __getattr__(name: str) -> Any:
    if name != "FRAMEWORK":
        raise AttributeError(name)
    from bnlint.frameworks.keras.framework import FRAMEWORK

    return FRAMEWORK
