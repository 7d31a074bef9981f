"""Scripts for TensorFlow 1 run unmodified under `bnlint run`, and what their layers do is seen.

Each process imports TensorFlow, so a script holds as much as it can.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bnlint.runtime.observed import LayerSeen, Mode, Observed, Passage, Purpose, RunSeen
from bnlint.runtime.script import journal

if any(importlib.util.find_spec(name) is None for name in ("tensorflow", "tf_keras", "tf_slim")):
    pytest.skip("TensorFlow, tf-keras and tf-slim are not installed", allow_module_level=True)


class Seen:
    """What `bnlint run` made of a script."""

    def __init__(self, finished: subprocess.CompletedProcess[str], observed: Observed, report: Any) -> None:
        self.code, self.out, self.err = finished.returncode, finished.stdout, finished.stderr
        self.observed = observed
        self.report = report

    def layer(self, name: str) -> LayerSeen:
        (found,) = [layer for layer in self.observed.layers if layer.name == name]
        return found

    def runs(self, purpose: Purpose) -> list[RunSeen]:
        return [run for run in self.observed.runs if run.purpose is purpose]

    def passages(self, name: str, purpose: Purpose) -> list[Passage]:
        key = self.layer(name).key
        runs = self.runs(purpose)
        return [passage for run in runs for passage in run.passages if passage.layer == key]


def line_of(script: str, words: str) -> int:
    lines = dedent(script).splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if words in line]
    return found


def observe(folder: Path, script: str, *options: str, name: str = "script.py", fails: bool = False) -> Seen:
    (folder / name).write_text(dedent(script), "utf-8")
    outputs = ["--output-format", "json", "--output-file", "report.json", "--evidence", "seen.json"]
    finished = subprocess.run(
        [sys.executable, "-m", "bnlint", "run", *outputs, *options, name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "BNLINT_TRACEBACK": "1"},
    )
    assert fails or (finished.returncode in (0, 1) and "Traceback" not in finished.stderr), finished.stderr
    report = json.loads((folder / "report.json").read_text("utf-8"))
    return Seen(finished, journal.read_evidence(folder / "seen.json").observed, report)


HAND_MADE = """
    import numpy as np
    import tensorflow as tf

    def norm(x, size, phase):
        with tf.variable_scope("norm"):
            beta = tf.get_variable("beta", dtype=tf.float64, initializer=tf.zeros([size], tf.float64))
            gamma = tf.get_variable("gamma", dtype=tf.float64, initializer=tf.ones([size], tf.float64))
            mean, variance = tf.nn.moments(x, [0])
            ema = tf.train.ExponentialMovingAverage(0.5)
            def update():
                with tf.control_dependencies([ema.apply([mean, variance])]):
                    return tf.identity(mean), tf.identity(variance)
            used = tf.cond(phase, update, lambda: (ema.average(mean), ema.average(variance)))
            return tf.nn.batch_normalization(x, used[0], used[1], beta, gamma, 1e-3)

    x = tf.placeholder(tf.float64, [None, 4])
    y = tf.placeholder(tf.float64, [None, 1])
    phase = tf.placeholder(tf.bool, name="phase")
    w = tf.get_variable("w", [4, 8], tf.float64)
    h = tf.nn.relu(norm(tf.matmul(x, w), 8, phase))
    out = tf.matmul(h, tf.get_variable("v", [8, 1], tf.float64))
    loss = tf.reduce_mean(tf.square(out - y))
    step = tf.train.AdamOptimizer(1e-2).minimize(loss)
    data = np.random.RandomState(0).randn(300, 4) + 1
    target = (data ** 2).sum(1, keepdims=True)
    with tf.Session() as sess:
        sess.run(tf.initialize_all_variables())
        for i in range(40):
            if i % 20 == 0:
                print(i, sess.run(loss, {x: data[200:], y: target[200:], phase: False}))
            rows = np.random.randint(200, size=50)
            sess.run(step, {x: data[rows], y: target[rows], phase: True})
"""


def test_a_hand_made_norm_in_a_cond_is_seen_to_be_right(tmp_path: Path) -> None:
    seen = observe(tmp_path, HAND_MADE)
    assert [line.split()[0] for line in seen.out.splitlines()] == ["0", "20"]
    assert seen.code == 0, seen.report["findings"]
    layer = seen.layer("norm")
    assert (layer.api, layer.updates, layer.momentum) == ("tf.nn.batch_normalization", "by hand", 0.5)
    assert layer.site is not None
    assert layer.site.line == line_of(HAND_MADE, "return tf.nn.batch_normalization(")
    assert [place.line for place in layer.callers] == [line_of(HAND_MADE, "norm(tf.matmul(x, w)")]
    (training,) = seen.passages("norm", Purpose.TRAIN)
    assert (training.mode, training.declared, training.moved) == (Mode.BATCH, True, True)
    assert training.momentum == pytest.approx(0.5, abs=1e-9)
    assert training.batch_error <= 1 < training.moving_error
    (evaluation,) = seen.passages("norm", Purpose.EVALUATE)
    assert (evaluation.mode, evaluation.declared, evaluation.moved) == (Mode.MOVING, False, False)
    (run,) = seen.runs(Purpose.TRAIN)
    assert (run.count, run.fed) == (40, {"phase": "True"})
    assert run.step is not None
    assert run.step.line == line_of(HAND_MADE, ".minimize(loss)")


SKIPPED = """
    from __future__ import print_function
    import numpy as np
    import tensorflow as tf
    graph = tf.Graph()
    data = np.random.RandomState(0).rand(300, 20).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[data[:, :3].argmax(1)]
    with graph.as_default():
        x = tf.placeholder(tf.float32, shape=(64, 20))
        y = tf.placeholder(tf.float32, shape=(64, 3))
        valid = tf.constant(data[200:])
        inputs = tf.contrib.layers.batch_norm(x)
        w1 = tf.Variable(tf.truncated_normal([20, 16]))
        hidden = tf.contrib.layers.batch_norm(tf.nn.relu(tf.matmul(inputs, w1)))
        w2 = tf.Variable(tf.truncated_normal([16, 3]))
        logits = tf.matmul(hidden, w2)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits, y))
        optimizer = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
        valid_hidden = tf.nn.relu(tf.matmul(valid, w1))
        prediction = tf.nn.softmax(tf.matmul(valid_hidden, w2))
    with tf.Session(graph=graph) as session:
        tf.initialize_all_variables().run()
        for step in range(60):
            rows = np.random.randint(200, size=64)
            session.run([optimizer, loss], feed_dict={x: data[rows], y: labels[rows]})
        print(prediction.eval().shape)
"""


def test_updates_that_never_run_and_an_evaluation_without_the_norms(tmp_path: Path) -> None:
    seen = observe(tmp_path, SKIPPED)
    assert seen.out == "(100, 3)\n"
    for name in ("BatchNorm", "BatchNorm_1"):
        layer = seen.layer(name)
        assert (layer.api, layer.updates, layer.momentum) == (
            "tf.contrib.layers.batch_norm",
            "collected",
            0.999,
        )
        assert layer.last_mean is not None and layer.last_variance is not None
        assert (layer.last_mean.most, layer.last_variance.least) == (0, 1)
        (training,) = seen.passages(name, Purpose.TRAIN)
        assert (training.mode, training.moved, training.updates) == (Mode.BATCH, False, 0)
        assert layer.divergence is not None and layer.divergence > 1
    (evaluation,) = seen.runs(Purpose.EVALUATE)
    assert evaluation.skipped == [seen.layer("BatchNorm").key, seen.layer("BatchNorm_1").key]
    assert evaluation.site is not None and evaluation.skips is not None
    assert evaluation.site.line == line_of(SKIPPED, "prediction.eval()")
    assert evaluation.skips.line == line_of(SKIPPED, "valid_hidden = ")


def test_evidence_and_early_end(tmp_path: Path) -> None:
    seen = observe(tmp_path, SKIPPED, "--max-steps", "7")
    assert seen.observed.train_steps == 7
    assert seen.observed.ended == "max-steps"
    assert seen.out == ""


LAYERS = """
    import os, tempfile
    import numpy as np
    import tensorflow.compat.v1 as tf
    import tf_slim as slim
    tf.disable_v2_behavior()

    x = tf.placeholder(tf.float32, [None, 6, 6, 2])
    phase = tf.placeholder_with_default(False, [], name="phase")
    h = tf.layers.conv2d(x, 4, 3, name="conv")
    h = tf.layers.batch_normalization(h, momentum=0.9, training=phase, name="collected")
    h = slim.conv2d(h, 4, 1, normalizer_fn=slim.batch_norm, scope="slim",
                    normalizer_params={"is_training": phase, "decay": 0.8, "updates_collections": None})
    h = tf.layers.batch_normalization(h, momentum=0.9, training=False, name="frozen_mode")
    h = tf.keras.layers.BatchNormalization(momentum=0.7, name="keras")(h, training=phase)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    two = tf.cond(phase, lambda: tf.layers.batch_normalization(h, training=True, name="two", reuse=tf.AUTO_REUSE),
                  lambda: tf.layers.batch_normalization(h, training=False, name="two", reuse=tf.AUTO_REUSE))
    out = tf.layers.dense(tf.layers.flatten(two), 1)
    loss = tf.reduce_mean(tf.square(out))
    with tf.control_dependencies(updates):
        step = tf.train.AdamOptimizer(1e-3).minimize(loss)
    saver = tf.train.Saver(tf.trainable_variables())
    random = np.random.RandomState(0)
    data = lambda: random.randn(32, 6, 6, 2) + 3
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(30):
            sess.run(step, {x: data(), phase: True})
        sess.run(out, {x: data()})
        sess.run([out, updates], {x: data(), phase: True})
        saver.save(sess, os.path.join(tempfile.mkdtemp(), "model"))
        tf.saved_model.simple_save(sess, os.path.join(tempfile.mkdtemp(), "m"), {"x": x}, {"out": out})
"""


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    yield observe(tmp_path_factory.mktemp("layers"), LAYERS)


@pytest.mark.parametrize(
    ("name", "api", "updates", "momentum", "mode", "moved"),
    [
        ("collected", "tf.layers.batch_normalization", "collected", 0.9, Mode.BATCH, True),
        ("slim/BatchNorm", "tf.contrib.layers.batch_norm", "in place", 0.8, Mode.BATCH, True),
        ("frozen_mode", "tf.layers.batch_normalization", "collected", 0.9, Mode.MOVING, False),
        ("keras", "tf.keras.layers.BatchNormalization", "attribute", 0.7, Mode.BATCH, False),
        ("two", "tf.layers.batch_normalization", "collected", 0.99, Mode.BATCH, False),
    ],
)
def test_each_kind_of_layer_in_training(
    layers: Seen, name: str, api: str, updates: str, momentum: float, mode: Mode, moved: bool
) -> None:
    layer = layers.layer(name)
    assert (layer.api, layer.updates, layer.momentum) == (api, updates, momentum)
    (passage,) = [each for each in layers.passages(name, Purpose.TRAIN) if each.samples]
    assert (passage.mode, passage.moved) == (mode, moved)
    if moved:
        assert passage.momentum == pytest.approx(momentum, abs=1e-3)


def test_each_kind_of_layer_in_evaluation(layers: Seen) -> None:
    plain, leaking = layers.runs(Purpose.EVALUATE)
    assert {passage.mode for passage in plain.passages if passage.samples} == {Mode.MOVING}
    assert not any(passage.moved for passage in plain.passages)
    by_key = {passage.layer: passage for passage in leaking.passages if passage.samples}
    leaked = by_key[layers.layer("collected").key]
    assert (leaked.mode, leaked.moved, leaked.declared) == (Mode.BATCH, True, True)
    assert leaking.fed == {"phase": "True"}


def test_checkpoints_and_exports(layers: Seen) -> None:
    save, export = layers.observed.checkpoints
    assert save.api == "tf.train.Saver.save"
    assert set(save.missing) == {layer.key for layer in layers.observed.layers}
    assert save.site is not None and save.site.line == line_of(LAYERS, "saver.save(")
    # What is fed by default decides; the layer with a literal is in inference mode anyway.
    assert export.training_mode == [layers.layer("two").key] or export.training_mode == []


OLD = """
    # What tutorials of 2016 look like.
    import cPickle
    import sys
    import numpy as np
    import tensorflow as tf
    import tensorflow.contrib.slim as slim
    from tensorflow.contrib.framework import arg_scope
    from tensorflow.contrib.layers import l2_regularizer, xavier_initializer
    from tensorflow.examples.tutorials.mnist import input_data

    flags = tf.app.flags
    flags.DEFINE_integer('steps', 12, 'how many')
    FLAGS = flags.FLAGS

    def main(_):
        print "half of 7 is", 7 / 2
        print >>sys.stdout, cPickle.loads(cPickle.dumps({'a': 1}, 2)).has_key('a')
        mnist = input_data.read_data_sets('nowhere', one_hot=True)
        x = tf.placeholder(tf.float32, [None, 784])
        y = tf.placeholder(tf.float32, [None, 10])
        train = tf.placeholder(tf.bool, name='train')
        with arg_scope([slim.fully_connected], normalizer_fn=slim.batch_norm,
                       normalizer_params={'is_training': train, 'decay': 0.9},
                       weights_initializer=xavier_initializer(), weights_regularizer=l2_regularizer(1e-4)):
            h = slim.fully_connected(x, 32)
        logits = slim.fully_connected(tf.concat(1, [h, h]), 10, activation_fn=None)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits, y))
        loss = tf.add(loss, tf.mul(0.5, tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))))
        tf.scalar_summary('loss', loss)
        train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3))
        right = tf.reduce_mean(tf.to_float(tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))))
        sess = tf.InteractiveSession()
        sess.run(tf.initialize_all_variables())
        for i in xrange(FLAGS.steps):
            images, labels = mnist.train.next_batch(50)
            sess.run(train_op, {x: images, y: labels, train: True})
        print "right", right.eval({x: mnist.test.images, y: mnist.test.labels, train: False}) >= 0
        tf.gfile.MakeDirs('logs')

    if __name__ == '__main__':
        tf.app.run()
"""


def test_python_2_and_tensorflow_of_2016(tmp_path: Path) -> None:
    seen = observe(tmp_path, OLD)
    assert seen.out == "half of 7 is 3\nTrue\nright True\n"
    assert (tmp_path / "logs").is_dir()
    assert any("synthetic" in note for note in seen.observed.notes)
    (training,) = seen.passages("fully_connected/BatchNorm", Purpose.TRAIN)
    assert (training.mode, training.moved) == (Mode.BATCH, True)
    (evaluation,) = seen.passages("fully_connected/BatchNorm", Purpose.EVALUATE)
    assert (evaluation.mode, evaluation.moved) == (Mode.MOVING, False)
    (run,) = seen.runs(Purpose.EVALUATE)
    assert run.site is not None
    assert run.site.line == line_of(OLD, "right.eval(")


CRASHES = """
    import os, signal
    import numpy as np
    import tensorflow as tf
    x = tf.placeholder(tf.float32, [None, 3])
    h = tf.layers.batch_normalization(tf.layers.dense(x, 4), training=True, name="bn")
    loss = tf.reduce_mean(tf.square(tf.layers.dense(h, 1)))
    step = tf.train.AdamOptimizer(1e-3).minimize(loss)
    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    for i in range(25):
        sess.run(step, {x: np.random.randn(16, 3)})
    try:
        sess.run(loss)
    except tf.errors.InvalidArgumentError as error:
        print("as ever:", "must feed a value" in str(error))
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    print("alive", flush=True)
    os._exit(3)
"""


def test_what_was_seen_survives_a_sudden_end(tmp_path: Path) -> None:
    seen = observe(tmp_path, CRASHES, fails=True)
    assert seen.out == "as ever: True\nalive\n"
    assert seen.code == 3
    (training,) = seen.passages("bn", Purpose.TRAIN)
    assert seen.observed.train_steps == 25
    assert (training.mode, training.moved) == (Mode.BATCH, False)


KERAS = """
    import numpy as np
    import tensorflow as tf
    from tensorflow.keras.layers import BatchNormalization, Dense
    tf.set_random_seed(1)
    model = tf.keras.Sequential([Dense(8, input_shape=(4,)), BatchNormalization(momentum=0.9), Dense(1)])
    model.compile("adam", "mse")
    data = np.random.RandomState(0).randn(320, 4) * 2 + 3
    sess = tf.keras.backend.get_session()
    model.fit(data[:256], data[:256, :1], batch_size=32, epochs=2, verbose=0)
    model.evaluate(data[256:], data[256:, :1], verbose=0)
    print(model.predict(data[:5]).shape)
"""


def test_keras_in_graph_mode(tmp_path: Path) -> None:
    seen = observe(tmp_path, KERAS)
    assert seen.out == "(5, 1)\n"
    assert seen.observed.train_steps == 16
    (training,) = seen.passages("batch_normalization", Purpose.TRAIN)
    assert (training.mode, training.moved, training.declared) == (Mode.BATCH, True, True)
    assert training.momentum == pytest.approx(0.9, abs=1e-3)
    apis = {run.api: run for run in seen.runs(Purpose.EVALUATE)}
    assert set(apis) == {"tf.keras.Model.evaluate", "tf.keras.Model.predict"}
    for run in apis.values():
        assert {(each.mode, each.moved) for each in run.passages} == {(Mode.MOVING, False)}


IMPORTED = """
    import numpy as np
    import tensorflow.compat.v1 as tf
    tf.disable_v2_behavior()

    def write():
        with tf.Graph().as_default():
            x = tf.placeholder(tf.float32, [None, 3], name="x")
            phase = tf.placeholder(tf.bool, [], name="phase")
            h = tf.layers.batch_normalization(tf.layers.dense(x, 8), momentum=0.9, training=phase)
            tf.reduce_mean(tf.square(tf.layers.dense(h, 1)), name="loss")
            tf.train.export_meta_graph("model.meta")

    def train():
        with tf.Graph().as_default() as graph, tf.Session() as sess:
            tf.train.import_meta_graph("model.meta")
            loss = graph.get_tensor_by_name("loss:0")
            with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
                step = tf.train.AdamOptimizer(0.01).minimize(loss)
            sess.run(tf.global_variables_initializer())
            call = sess.make_callable(step, [graph.get_tensor_by_name("x:0"), graph.get_tensor_by_name("phase:0")])
            for _ in range(12):
                call(np.random.normal(3.0, 1.0, (20, 3)), True)
            print(sess.run("loss:0", {"x:0": np.random.normal(3.0, 1.0, (20, 3)), "phase:0": False}) >= 0)

    write()
    train()
"""


def test_a_graph_read_from_a_file_and_runs_by_name(tmp_path: Path) -> None:
    seen = observe(tmp_path, IMPORTED)
    assert seen.out == "True\n"
    assert seen.observed.train_steps == 12
    assert not any("fault of bnlint" in note for note in seen.observed.notes)
    (training,) = [each for each in seen.passages("batch_normalization", Purpose.TRAIN) if each.samples]
    assert (training.mode, training.moved, training.declared) == (Mode.BATCH, True, True)
    assert training.momentum == pytest.approx(0.9, abs=1e-3)
    (evaluation,) = [each for each in seen.passages("batch_normalization", Purpose.EVALUATE) if each.samples]
    assert (evaluation.mode, evaluation.moved) == (Mode.MOVING, False)


BRANCHES = """
    import numpy as np
    import tensorflow

    tf = tensorflow.compat.v1
    tf.disable_eager_execution()

    def norm(x, training):
        return tf.layers.batch_normalization(x, training=training, name="bn", reuse=tf.AUTO_REUSE)

    x = tf.placeholder(tf.float32, [None, 4])
    phase = tf.placeholder(tf.bool)
    norm(x, False)
    y = tf.cond(phase, lambda: norm(x, True), lambda: norm(x, False))
    step = tf.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_mean(tf.layers.dense(y, 1) ** 2))
    data = np.random.RandomState(0).randn(50, 4)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(3):
            sess.run(step, {x: data, phase: True})
    tf.nn.batch_normalization(  # wrong
        x, 0.0, 1.0, None, None, epsilon=1e-3)
"""


def test_a_layer_in_a_branch_is_no_second_one_and_a_wrong_call_fails_as_it_does_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    seen = observe(tmp_path, BRANCHES, fails=True)
    assert [layer.name for layer in seen.observed.layers] == ["bn"]
    assert seen.observed.error == "TypeError: Got an unexpected keyword argument 'epsilon'"
    assert [(finding["code"], finding["line"]) for finding in seen.report["findings"]] == [
        ("BN606", line_of(BRANCHES, "# wrong"))
    ]
