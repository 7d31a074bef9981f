"""Which files are worth parsing."""

from __future__ import annotations

import pytest

from bnlint.source.gate import Relevance, relevance


@pytest.mark.parametrize(
    "text",
    [
        "tf.layers.batch_normalization(x)",
        "slim.batch_norm",
        "nn.BatchNorm2d(3)",
        "BatchNormalization as BN",
        "nn.SyncBatchNorm",
        "tf.nn.fused_batch_norm(x)",
        "tf.nn.batch_norm_with_global_normalization",
        "from tflearn import batchnorm",
        "BATCH_NORM_DECAY = 0.9",
        "normalizer_fn=f",
        "normalizer_params=p",
        "tf.nn.moments(x, [0])",
        "tf.GraphKeys.UPDATE_OPS",
        "update_ops = []",
        "moving_averages.assign_moving_average(a, b, c)",
        "tf.train.ExponentialMovingAverage(0.9)",
        "model.bn.running_mean",
        "haiku.ExponentialMovingAverage",
        "mutable=['batch_stats']",
    ],
)
def test_norm_words(text: str) -> None:
    assert relevance(f"x\n{text}\nsess.run(x)".encode()) is Relevance.NORM


@pytest.mark.parametrize(
    "text",
    [
        "opt.minimize(loss)",
        "loss.backward()",
        "model.eval()",
        "model.train()",
        "sess.run (x)",
        "tf.Session()",
        "with tf.GradientTape() as t:",
        "opt.apply_gradients(g)",
        "opt.compute_gradients(g)",
        "f(feed_dict={})",
        "tf.estimator.Estimator(f)",
        "train_op = x",
        "tf.train.Saver()",
        "model.fit(x)",
        "model.compile('sgd')",
        "torch.no_grad()",
        "jax.value_and_grad(f)",
        "model.load_state_dict(s)",
        "torch.onnx.export(m)",
    ],
)
def test_drive_words(text: str) -> None:
    assert relevance(text.encode()) is Relevance.DRIVE


@pytest.mark.parametrize(
    "text", ["", "import os\nprint('training')\n", "def batch(normal): return normal", "\xff\0"]
)
def test_other_files_are_not_parsed(text: str) -> None:
    assert relevance(text.encode("latin-1")) is Relevance.NONE


def test_norm_is_more_than_drive() -> None:
    assert Relevance.NONE < Relevance.DRIVE < Relevance.NORM
