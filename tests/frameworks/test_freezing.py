"""Keras: what is frozen, in whichever way it is written, and what that does to a normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.dataflow import Const
from bnlint.trace import Compile, Freeze, NormCall, Updates

Program = Callable[..., Any]

FROZEN, LIVE, UNKNOWN = "frozen", "live", "unknown"

NET = """\
import numpy as np
from tensorflow import keras
from keras.layers import BatchNormalization
class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm = BatchNormalization()
    def call(self, x, training=None):
        return self.norm(x, training=training)
inputs = keras.Input((8,))
base = keras.Model(inputs, BatchNormalization()(keras.layers.Dense(8)(inputs)))
sequence = keras.Sequential([keras.layers.Dense(8), BatchNormalization()])
block = Block()
library = keras.applications.ResNet50(weights=None)
"""

WHAT_IS_FROZEN = {
    "nothing": ("base(x, training=True)", LIVE),
    "model": ("base.trainable = False\nbase(x, training=True)", FROZEN),
    "model that is made trainable again": (
        "base.trainable = False\nbase.trainable = True\nbase(x, training=True)",
        LIVE,
    ),
    "model, by setattr": ("setattr(base, 'trainable', False)\nbase(x, training=True)", FROZEN),
    "layer of one's own": ("block.trainable = False\nblock(x, training=True)", FROZEN),
    "layer inside one's own": ("block.norm.trainable = False\nblock(x, training=True)", FROZEN),
    "all layers": ("for layer in base.layers: layer.trainable = False\nbase(x, training=True)", FROZEN),
    "some layers": ("for layer in base.layers[:1]: layer.trainable = False\nbase(x, training=True)", UNKNOWN),
    "one layer": ("base.layers[-1].trainable = False\nbase(x, training=True)", UNKNOWN),
    "layers by number": (
        "for i, layer in enumerate(base.layers):\n  if i < 1: layer.trainable = False\nbase(x, training=True)",
        UNKNOWN,
    ),
    "layer by name": ("base.get_layer('norm').trainable = False\nbase(x, training=True)", UNKNOWN),
    "layers of a sequence": (
        "for layer in sequence.layers[1:]: layer.trainable = False\nsequence(x, training=True)",
        FROZEN,
    ),
    "other layers of a sequence": (
        "for layer in sequence.layers[:1]: layer.trainable = False\nsequence(x, training=True)",
        LIVE,
    ),
    "those that normalise": (
        "for layer in library.layers:\n  if isinstance(layer, BatchNormalization): layer.trainable = False\n"
        "library(x, training=True)",
        FROZEN,
    ),
    "some of a library's model": (
        "library.trainable = False\nfor layer in library.layers[-9:]: layer.trainable = True\n"
        "library(x, training=True)",
        UNKNOWN,
    ),
    "by a flag": ("import sys\nbase.trainable = len(sys.argv) > 1\nbase(x, training=True)", UNKNOWN),
}


@pytest.mark.parametrize(("text", "expected"), WHAT_IS_FROZEN.values(), ids=WHAT_IS_FROZEN)
def test_what_is_frozen(program: Program, text: str, expected: str) -> None:
    trace = program(f"{NET}x = np.zeros((4, 8))\n{text}", prelude="").trace
    call = list(trace.of(NormCall))[-1]
    if expected == UNKNOWN:
        assert call.updates is Updates.IN_PLACE
        assert not isinstance(call.phase, Const)
    else:
        assert isinstance(call.phase, Const)
        assert call.phase.value is (expected == LIVE)
        assert call.updates is (Updates.IN_PLACE if expected == LIVE else Updates.NONE)
        assert (call.told is not None) == (expected == FROZEN)


def test_where_and_what(program: Program) -> None:
    trace = program(f"{NET}base.trainable = False\nbase.compile('adam', 'mse')", prelude="").trace
    freeze, compiled = next(trace.of(Freeze)), next(trace.of(Compile))
    assert freeze.site.line == NET.count("\n") + 1
    assert freeze.target in freeze.parts
    assert len(freeze.parts) == 3
    assert {value.value for value in compiled.trainable.values()} == {False}


IN_OLD_VERSIONS = {
    "TensorFlow 1": "import tensorflow as tf\nsess = tf.Session()\n",
    "its API": "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\n",
}


@pytest.mark.parametrize("head", IN_OLD_VERSIONS.values(), ids=IN_OLD_VERSIONS)
def test_frozen_in_training_mode_before_tensorflow_2(program: Program, head: str) -> None:
    trace = program(
        f"{head}norm = tf.keras.layers.BatchNormalization()\nnorm.trainable = False\n"
        "norm(tf.placeholder(tf.float32, [None, 8]), training=True)",
        prelude="",
    ).trace
    call = next(trace.of(NormCall))
    assert next(trace.of(Freeze)).infers is False
    assert call.updates is Updates.NONE
    assert isinstance(call.phase, Const)
    assert call.phase.value is True
