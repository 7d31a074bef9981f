"""Builds graphs of TensorFlow 1, verifies them, and prints what failed; a program of its own, because how TensorFlow
behaves can be chosen only once in a process: ``graphs.py v1`` or ``graphs.py v2``."""

# What TensorFlow and tf-slim find when they are imported is prepared first.
# ruff: noqa: E402

from __future__ import annotations

import json
import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy
import tensorflow as tf
import tf_keras
import tf_keras.src.legacy_tf_layers.normalization as legacy

v1 = tf.compat.v1
if sys.argv[1] == "v1":
    v1.disable_v2_behavior()

# Where tf-slim looks for them.
sys.modules.setdefault("tf_keras.legacy_tf_layers", sys.modules["tf_keras.src.legacy_tf_layers"])
sys.modules.setdefault("tf_keras.legacy_tf_layers.normalization", legacy)

from bnlint.runtime.compat.slim import prepare

prepare()
import tf_slim as slim

import bnlint

GENERATOR = numpy.random.default_rng(0)
X = (GENERATOR.standard_normal((16, 6, 6, 3)) * 2 + 1).astype("float32")
Y = GENERATOR.integers(0, 3, 16)


def tf_layers(x, phase):
    return v1.layers.batch_normalization(x, training=phase, momentum=0.9)


def not_fused(x, phase):
    return v1.layers.batch_normalization(x, training=phase, fused=False, scale=False)


def tf_slim_layer(x, phase):
    return slim.batch_norm(x, is_training=phase, decay=0.9, scale=True)


def tf_slim_in_place(x, phase):
    return slim.batch_norm(x, is_training=phase, decay=0.9, updates_collections=None)


def keras_in_a_graph(x, phase, collect=True):
    layer = tf_keras.layers.BatchNormalization(momentum=0.9)
    x = layer(x, training=phase)
    for update in layer.updates if collect else []:
        v1.add_to_collection("update_ops", update)
    return x


def by_hand(x, phase, applied=True, always=False, momentum=0.9):
    with v1.variable_scope("hand", reuse=v1.AUTO_REUSE):
        size = [x.shape[-1]]
        beta = v1.get_variable("beta", size, initializer=v1.zeros_initializer())
        gamma = v1.get_variable("gamma", size, initializer=v1.ones_initializer())
        mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        average = v1.train.ExponentialMovingAverage(momentum)
        if always or not applied:
            update = average.apply([mean, variance])

        def learn():
            if always or not applied:
                return tf.identity(mean), tf.identity(variance)
            with tf.control_dependencies([average.apply([mean, variance])]):
                return tf.identity(mean), tf.identity(variance)

        used = tf.cond(phase, learn, lambda: (average.average(mean), average.average(variance)))
        if always:
            with tf.control_dependencies([update]):
                used = [tf.identity(each) for each in used]
        return tf.nn.batch_normalization(x, *used, beta, gamma, 1e-3)


def verify(
    norm, dense=False, train=True, inference=False, constant=None, updates=True, skipped=False, frozen=False
):
    with tf.Graph().as_default():
        x, y = v1.placeholder(tf.float32, [None, 6, 6, 3]), v1.placeholder(tf.int64, [None])
        phase = v1.placeholder(tf.bool, [])
        first = v1.layers.conv2d(x, 4, 3)
        first = v1.layers.flatten(first) if dense else first
        normalised = norm(first, phase if constant is None else constant)

        def head(features):
            with v1.variable_scope("head", reuse=v1.AUTO_REUSE):
                return v1.layers.dense(v1.layers.flatten(tf.nn.relu(features)), 3, name="logits")

        logits = head(normalised)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        with tf.control_dependencies(v1.get_collection("update_ops") if updates else []):
            step = v1.train.AdamOptimizer(0.01).minimize(loss)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            before = session.run(v1.global_variables())
            verification = bnlint.verify(
                session,
                train_feed={x: X, y: Y, phase: train},
                inference_feed={x: X, phase: inference},
                outputs=head(first) if skipped else logits,
                train_op=step,
            )
            after = session.run(v1.global_variables())
            restored = all(old.tobytes() == new.tobytes() for old, new in zip(before, after, strict=True))
    return {
        "failed": {outcome.check: outcome.rule for outcome in verification.failures()},
        "passed": [check for check in range(1, 13) if verification.verdict(check).value == "PASS"],
        "doubts": sum(outcome.verdict.value == "WARN" for outcome in verification.outcomes),
        "restored": restored,
        "text": str(verification),
    }


KINDS = (tf_layers, not_fused, tf_slim_layer, tf_slim_in_place, keras_in_a_graph, by_hand)
CASES = {
    **{
        f"{norm.__name__} {'dense' if dense else 'image'}": lambda norm=norm, dense=dense: verify(norm, dense)
        for norm in KINDS
        for dense in (False, True)
    },
    "updates never run": lambda: verify(tf_layers, updates=False),
    "slim updates never run": lambda: verify(tf_slim_layer, updates=False),
    "keras updates never run": lambda: verify(lambda x, p: keras_in_a_graph(x, p, collect=False)),
    "average never applied": lambda: verify(lambda x, p: by_hand(x, p, applied=False)),
    "average always applied": lambda: verify(lambda x, p: by_hand(x, p, always=True)),
    "phase true in inference": lambda: verify(tf_layers, inference=True),
    "phase false in training": lambda: verify(tf_layers, train=False),
    "always training": lambda: verify(tf_layers, constant=True),
    "never training": lambda: verify(tf_layers, constant=False),
    "frozen in training mode": lambda: verify(
        lambda x, p: v1.layers.batch_normalization(x, training=p, trainable=False)
    ),
    "left out in inference": lambda: verify(tf_layers, skipped=True),
}

if __name__ == "__main__":
    print(
        json.dumps({name: case() for name, case in CASES.items() if len(sys.argv) < 3 or sys.argv[2] in name})
    )
