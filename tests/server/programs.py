"""Programs that the tests open."""

from __future__ import annotations

from pathlib import Path

MODEL = """\
import tensorflow as tf


def logits(images):
    x = tf.layers.conv2d(images, 8, 3)
    x = tf.layers.batch_normalization(x, training=True)
    return tf.layers.dense(tf.layers.flatten(x), 10)
"""
TRAIN = """\
import tensorflow as tf

import model

images = tf.placeholder(tf.float32, [None, 28, 28, 1])
labels = tf.placeholder(tf.int64, [None])
loss = tf.losses.sparse_softmax_cross_entropy(labels, model.logits(images))
train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)

with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(100):
        session.run(train_op, {images: [], labels: []})
"""
LINE = 7
"""Of the finding in TRAIN, counted from 0."""
FIXED = TRAIN.replace(
    "train_op = tf.train",
    "with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):\n    train_op = tf.train",
)


def write(folder: Path) -> tuple[Path, Path]:
    """The model, and the script that trains it and forgets the updates."""
    model, train = folder / "model.py", folder / "train.py"
    model.write_text(MODEL)
    train.write_text(TRAIN)
    return model, train
