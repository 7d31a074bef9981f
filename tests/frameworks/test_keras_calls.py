"""Keras: who hands which phase to whom, in calls of models, and what the trainer and tapes make of it.

The rows of the first table were executed on Keras 3.15 and tf-keras 2.21; Keras 3 refuses a phase by position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.dataflow import Const
from bnlint.phase import Role, role
from bnlint.trace import Forward, NormCall, Run, TrainStep

Program = Callable[..., Any]

NET = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras
L = keras.layers
class Follows(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm = L.BatchNormalization()
    def call(self, x):
        return self.norm(x)
class Trains(keras.Model):
    def __init__(self):
        super().__init__()
        self.norm = L.BatchNormalization()
    def call(self, x, training=True):
        return self.norm(x, training=training)
class Outer(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def call(self, x, training=None):
        return self.inner(x)
sequence = keras.Sequential([L.Dense(8), L.BatchNormalization()])
inputs = keras.Input((8,))
graph = keras.Model(inputs, L.Dense(1)(L.BatchNormalization()(L.Dense(8)(inputs))))
x = np.zeros((4, 8))
"""

WHO_DECIDES = {
    "nobody": ("sequence(x)", False),
    "the call": ("sequence(x, training=True)", True),
    "the call, by position": ("Trains()(x, False)", False),
    "the default of call": ("Trains()(x)", True),
    "the outer call goes before a default": ("Outer(Trains())(x, training=False)", False),
    "the outer call, where nobody passes it on": ("Outer(Follows())(x, training=True)", True),
    "a layer alone": ("Follows()(x)", False),
    "a graph of layers": ("graph(x, training=True)", True),
    "a graph of layers, told nothing": ("graph(x)", False),
    "a graph inside a class": ("Outer(graph)(x, training=True)", True),
    "a sequence inside a sequence": ("keras.Sequential([sequence, L.Dense(1)])(x, training=True)", True),
    "around a layer": ("L.TimeDistributed(L.BatchNormalization())(x[None], training=True)", True),
    "a traced function": ("f = tf.function(lambda v: sequence(v, training=True))\nf(x)", True),
    "a strategy": (
        "s = tf.distribute.MirroredStrategy()\ns.run(lambda v: sequence(v, training=True), args=(x,))",
        True,
    ),
    "fit": ("sequence.fit(x, x)", True),
    "predict": ("sequence.predict(x)", False),
    "fit of a class": ("m = Outer(Follows())\nm.fit(x, x)", True),
    "fit and its validation": ("graph.fit(x, x, validation_data=(x, x))", False),
}


@pytest.mark.parametrize(("text", "training"), WHO_DECIDES.values(), ids=WHO_DECIDES)
def test_who_decides(program: Program, text: str, training: bool) -> None:
    call = list(program(NET + text, prelude="").trace.of(NormCall))[-1]
    assert isinstance(call.phase, Const)
    assert bool(call.phase.value) is training


GENERATIONS = {
    "2 by import": ("import tf_keras as keras\n", 2),
    "2 by what 3 has not": ("import keras\nkeras.optimizers.Adam(lr=0.1)\n", 2),
    "3 by import": ("import keras\nfrom keras import ops\n", 3),
    "not told": ("from tensorflow import keras\n", None),
}


@pytest.mark.parametrize(("head", "expected"), GENERATIONS.values(), ids=GENERATIONS)
def test_generations_disagree_about_what_a_graph_of_layers_was_told(
    program: Program, head: str, expected: int | None
) -> None:
    trace = program(
        f"{head}L = keras.layers\ninputs = keras.Input((8,))\n"
        "model = keras.Model(inputs, L.Dense(1)(L.BatchNormalization()(inputs, training=False)))\nmodel.fit(data)",
        prelude="",
    ).trace
    assert trace.generations.get("keras") == expected
    call = list(trace.of(NormCall))[-1]
    known = call.phase.value if isinstance(call.phase, Const) else None
    assert known == {2: False, 3: True, None: None}[expected]


LOOP = """\
optimizer = keras.optimizers.Adam()
def train_step(v):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(graph(v, training=True))
    weights = graph.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
def test_step(v):
    return tf.reduce_mean(graph(v))
for epoch in range(3):
    for v in batches:
        train_step(v)
    print(test_step(held_out))
"""


def test_a_loop_of_ones_own(program: Program) -> None:
    trace = program(NET + LOOP, prelude="").trace
    step = next(trace.of(TrainStep))
    assert step.eager
    assert step.listed is not None
    assert {weight for call in trace.of(NormCall) for weight in call.layer.weights} <= set(step.listed)
    roles = {run.site.line - NET.count("\n"): role(run, trace).role for run in trace.of(Run)}
    assert roles == {4: Role.UNKNOWN, 6: Role.TRAIN, 8: Role.EVALUATE}


def test_calls_that_are_alike_are_followed_once(program: Program) -> None:
    trace = program(NET + "for _ in range(3):\n    graph(x, training=True)\n    graph(x)", prelude="").trace
    forwards = [forward for forward in trace.of(Forward) if not forward.symbolic]
    assert len({id(forward.norms) for forward in forwards}) == 2
    assert len(forwards) > 2


def test_graph_mode_is_another_matter(program: Program) -> None:
    trace = program(NET + "y = graph(tf.placeholder(tf.float32, [None, 8]))", prelude="").trace
    assert not any(run.forward for run in trace.of(Run))
