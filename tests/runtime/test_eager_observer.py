"""Scripts of eager TensorFlow 2 and Keras under `bnlint run`: what their layers do is seen, and nothing is changed.

Each process imports TensorFlow, so a script holds as much as it can.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bnlint.findings import Location
from bnlint.runtime.backends.eager.calls import Phase
from bnlint.runtime.backends.eager.known import Known, State
from bnlint.runtime.backends.eager.look import look
from bnlint.runtime.backends.eager.said import Sources
from bnlint.runtime.observed import LayerSeen, Mode, Purpose
from bnlint.runtime.oracle import batch_statistics, normalise
from bnlint.runtime.script.frames import Frames
from bnlint.runtime.subject import Norm

from .eager import PATIENCE, both, environment, needs_tensorflow, observe

MISUSES = """
    import numpy as np
    import tensorflow as tf

    keras = tf.keras
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (64, 6)).astype("float32")
    Y = X[:, :1]

    class Net(keras.Model):
        def __init__(self, norm):
            super().__init__()
            self.dense = keras.layers.Dense(4)
            self.norm = norm
            self.out = keras.layers.Dense(1)

        def call(self, x, training=False):
            return self.out(self.norm(self.dense(x), training=training))

    def train(model, compiled, **keywords):
        optimizer = keras.optimizers.SGD(1e-3)
        model(X)
        def step(x, y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x, **keywords) - y) ** 2)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        step = tf.function(step) if compiled else step
        for _ in range(4):
            step(X, Y)

    good = Net(keras.layers.BatchNormalization(name="good", momentum=0.9))
    train(good, False, training=True)
    good(X, training=False)
    good_compiled = Net(keras.layers.BatchNormalization(name="good_compiled"))
    train(good_compiled, True, training=True)
    tf.function(good_compiled)(X)

    train(Net(keras.layers.BatchNormalization(name="forgotten")), False)  # K-01
    train(Net(keras.layers.BatchNormalization(name="forgotten_compiled")), True)  # K-01

    class Own(Net):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            return {"loss": loss}

    own = Own(keras.layers.BatchNormalization(name="own_step"))  # K-02
    own.compile("sgd")
    own.fit(X, Y, batch_size=32, verbose=0)

    def evaluate():
        return good(X, training=True)  # K-03

    class Fixed(Net):
        def call(self, x, training=None):
            return self.out(self.norm(self.dense(x), training=True))  # the constant of K-04

    fixed = Fixed(keras.layers.BatchNormalization(name="always"))  # K-04
    fixed.compile("sgd", "mse")
    fixed.fit(X, Y, batch_size=32, verbose=0)
    fixed.predict(X, verbose=0)

    class Never(Net):
        def call(self, x, training=None):
            return self.out(self.norm(self.dense(x), training=False))

    never = Never(keras.layers.BatchNormalization(name="never"))  # K-05
    never.compile("sgd", "mse", run_eagerly=True)
    never.fit(X, Y, batch_size=32, verbose=0)

    class Deaf(Net):
        def call(self, x):  # takes no phase
            return self.out(self.norm(self.dense(x)))

    deaf = Deaf(keras.layers.BatchNormalization(name="deaf"))  # K-06
    deaf.compile("sgd", "mse")
    deaf.fit(X, Y, batch_size=32, verbose=0)

    given = keras.Input((6,))
    baked = keras.layers.BatchNormalization(name="baked")(given, training=False)  # K-07
    baked = keras.Model(given, keras.layers.Dense(1)(baked))
    baked.compile("sgd", "mse")
    baked.fit(X, Y, batch_size=32, verbose=0)

    base = keras.Sequential([keras.layers.Dense(4), keras.layers.BatchNormalization(name="frozen")])
    base.build((None, 6))
    base.trainable = False
    head = keras.Sequential([base, keras.layers.Dense(1)])
    head.compile("sgd", "mse")
    head.fit(X, Y, batch_size=32, verbose=0, validation_data=(X, Y))
    evaluate()
"""


@needs_tensorflow
@both
def test_misuses_are_told_from_right_use(tmp_path: Path, legacy: bool) -> None:
    seen = observe(tmp_path, MISUSES, legacy=legacy)
    train, evaluate = Purpose.TRAIN, Purpose.EVALUATE

    for name in ("good", "good_compiled"):
        assert seen.modes(name, train) == {Mode.BATCH}
        assert Mode.MOVING in seen.modes(name, evaluate)
        (passage,) = seen.passages(name, train)
        assert passage.moved and passage.trained and passage.declared and passage.updates == 1
        assert seen.runs(name, train)[0].count == 4
    (passage,) = seen.passages("good", train)
    assert passage.momentum == pytest.approx(0.9, abs=1e-4)
    assert passage.batch_error <= 1 < passage.moving_error and passage.tolerance > 0
    assert seen.layer("good").divergence and len(seen.layer("good").history) == 4
    assert seen.layer("good").site and seen.layer("good").site.line == seen.line('name="good",')

    for name in ("forgotten", "forgotten_compiled", "own_step"):
        (passage,) = seen.passages(name, train)
        assert (passage.mode, passage.origin, passage.moved) == (Mode.MOVING, "default", False)
        assert passage.trained and passage.declared is False

    (passage,) = [each for each in seen.passages("good", evaluate) if each.mode is Mode.BATCH]
    assert passage.moved and passage.fixed is False
    (run,) = [each for each in seen.runs("good", evaluate) if passage in each.passages]
    assert run.fed == {"training": "True"} and run.site and run.site.line == seen.line("# K-03")

    for purpose in (train, evaluate):
        (passage,) = seen.passages("always", purpose)
        assert (passage.mode, passage.origin, passage.fixed) == (Mode.BATCH, "argument", True)
        assert passage.phase_site and passage.phase_site.line == seen.line("the constant of K-04")

    (passage,) = seen.passages("never", train)
    assert (passage.mode, passage.origin, passage.fixed) == (Mode.MOVING, "argument", True)
    assert passage.moving_error <= 1 < passage.batch_error

    (passage,) = seen.passages("deaf", train)
    (folded,) = seen.passages("baked", train)
    if legacy:
        assert (passage.mode, folded.mode) == (Mode.BATCH, Mode.MOVING)
        assert (folded.origin, folded.fixed) == ("argument", True)
    else:
        assert (passage.mode, passage.suspect) == (Mode.MOVING, "BN108")
        assert passage.phase_site and passage.phase_site.line == seen.line("# takes no phase")
        assert (folded.mode, folded.origin) == (Mode.BATCH, "context")

    (passage,) = seen.passages("frozen", train)
    assert (passage.mode, passage.trained, passage.moved) == (Mode.MOVING, False, False)
    assert not seen.layer("frozen").trainable
    (validation,) = seen.runs("frozen", evaluate)
    assert validation.api.endswith("Model.evaluate") and validation.site
    assert validation.site.line == seen.line("validation_data")

    wrong = {
        ("BN107", seen.line('"forgotten")')),
        ("BN107", seen.line('"forgotten_compiled")')),
        ("BN107", seen.line("# K-02")),
        ("BN201", seen.line("# K-03")),
        ("BN203", seen.line('name="always"')),
        ("BN107", seen.line('name="never"')),
        ("BN107", seen.line('name="baked"')) if legacy else ("BN108", seen.line("# takes no phase")),
    }
    assert seen.findings() == wrong


STEPS = """
    import numpy as np
    import tensorflow as tf

    keras = tf.keras
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (64, 6)).astype("float32")
    Y = X[:, :1]

    def net(name, size):
        layers = [keras.layers.Dense(5), keras.layers.BatchNormalization(name=name), keras.layers.Dense(size)]
        return keras.Sequential(layers)

    def slopes(tape, loss, model):
        return zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    def together():
        G, D = net("g", 6), net("d", 1)
        of_g, of_d = keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3)
        for _ in range(5):
            with tf.GradientTape() as first, tf.GradientTape() as second:
                fake = D(G(X, training=True), training=True)
                real = D(X, training=True)
                loss_g, loss_d = -tf.reduce_mean(fake), tf.reduce_mean(fake) - tf.reduce_mean(real)
            of_g.apply_gradients(slopes(first, loss_g, G))
            of_d.apply_gradients(slopes(second, loss_d, D))
    together()

    def by_turns():
        G, D = net("g_by_turns", 6), net("d_by_turns", 1)
        of_g, of_d = keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3)
        for _ in range(5):
            fake = G(X, training=True)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(D(fake, training=True)) - tf.reduce_mean(D(X, training=True))
            of_d.apply_gradients(slopes(tape, loss, D))  # of D
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(D(G(X, training=True), training=True))
            of_g.apply_gradients(slopes(tape, loss, G))  # of G
    by_turns()

    def added_up():
        model, optimizer = net("added", 1), keras.optimizers.SGD(1e-3)
        model(X)
        for _ in range(3):
            total = [tf.zeros_like(each) for each in model.trainable_variables]
            for start in (0, 16, 32, 48):
                x, y = X[start : start + 16], Y[start : start + 16]
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
                new = tape.gradient(loss, model.trainable_variables)
                total = [a + b for a, b in zip(total, new)]
            optimizer.apply_gradients(zip(total, model.trainable_variables))
    added_up()

    def by_name():
        model, optimizer = net("named", 1), keras.optimizers.SGD(1e-3)
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(X, training=True) - Y) ** 2)
            gradients = tape.gradient(target=loss, sources=model.trainable_variables)
            optimizer.apply_gradients(grads_and_vars=zip(gradients, model.trainable_variables))
    by_name()

    def by_hand():
        model = net("hand", 1)
        model(X)
        for _ in range(4):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(X, training=True) - Y) ** 2)
            for gradient, variable in slopes(tape, loss, model):
                variable.assign_sub(1e-3 * gradient)
    by_hand()

    def saliency():
        model = net("salient", 1)
        x = tf.constant(X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x)
        tape.gradient(y, x)
    saliency()

    class Own(keras.layers.Layer):
        def build(self, shape):
            size = shape[-1]
            self.gamma = self.add_weight(name="gamma", shape=(size,), initializer="ones")
            self.beta = self.add_weight(name="beta", shape=(size,), initializer="zeros")
            self.moving_mean = self.add_weight(name="m", shape=(size,), initializer="zeros", trainable=False)
            self.moving_var = self.add_weight(name="v", shape=(size,), initializer="ones", trainable=False)

        def call(self, x, training=False):
            mean, var = self.moving_mean, self.moving_var
            if training:
                mean, var = tf.nn.moments(x, [0])
                self.moving_mean.assign(self.moving_mean * 0.8 + mean * 0.2)
                self.moving_var.assign(self.moving_var * 0.8 + var * 0.2)
            return tf.nn.batch_normalization(x, mean, var, self.beta, self.gamma, 1e-3)

    def hand_made(name, compiled):
        layers = [keras.layers.Dense(4), Own(name=name), keras.layers.Dense(1)]  # built here
        model, optimizer = keras.Sequential(layers), keras.optimizers.SGD(1e-3)
        model(X)
        def step():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(X, training=True) - Y) ** 2)
            optimizer.apply_gradients(slopes(tape, loss, model))
        step = tf.function(step) if compiled else step
        for _ in range(4):
            step()
        model(X)
    hand_made("own", False)
    hand_made("own_compiled", True)

    class Scaling(tf.Module):
        def __init__(self):
            super().__init__()
            self.gamma, self.beta = tf.Variable(tf.ones(6)), tf.Variable(tf.zeros(6))
            self.moving_mean = tf.Variable(tf.zeros(6), trainable=False)
            self.moving_var = tf.Variable(tf.ones(6), trainable=False)

        def __call__(self, x, training):
            mean, var = self.moving_mean, self.moving_var
            if training:
                mean, var = tf.nn.moments(x, [0])
                self.moving_mean.assign(0.9 * self.moving_mean + 0.1 * mean)
                self.moving_var.assign(0.9 * self.moving_var + 0.1 * var)
            return tf.nn.batch_normalization(x, mean, var, self.beta, self.gamma, 1e-3)

    module, optimizer = Scaling(), keras.optimizers.SGD(1e-3)  # the module
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((module(tf.constant(X), True) - Y) ** 2)
        optimizer.apply_gradients(slopes(tape, loss, module))
    module(tf.constant(X), False)

    many = net("many", 1)
    many.compile("sgd", "mse", steps_per_execution=3)
    many.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    batches = net("batches", 1)
    batches.compile("sgd", "mse")
    batches.train_on_batch(X, Y)
    batches.test_on_batch(X, Y)
    batches.predict_on_batch(X)

    helped = keras.Sequential([keras.layers.BatchNormalization(name="helped"), keras.layers.Dense(1)])
    def fit(epochs):
        helped.compile("sgd", "mse")
        helped.fit(X, Y, batch_size=len(X), epochs=epochs, verbose=0)
    helped(X)
    fit(2)
    helped.layers[0].trainable = False
    for _ in range(3):
        fit(1)

    many.save_weights("many.weights.h5")
    many.load_weights("many.weights.h5")
"""


@needs_tensorflow
@both
def test_steps(tmp_path: Path, legacy: bool) -> None:
    seen = observe(tmp_path, STEPS, legacy=legacy)
    train = Purpose.TRAIN

    # One forward pass for two optimizers is one step; each layer is trained by one of them.
    (run,) = seen.runs("g", train)
    assert run.count == 5 and {passage.layer for passage in run.passages} == {"g", "d"}
    assert all(passage.trained and passage.mode is Mode.BATCH for passage in run.passages)
    assert [passage.updates for passage in run.passages] == [1, 1, 1]

    # Two tapes are two steps; that of G moves the statistics of D and trains nothing of it.
    of_g, of_d = seen.runs("g_by_turns", train), seen.runs("d_by_turns", train)
    assert [run.count for run in of_d] == [5, 5] and len(of_g) == 1
    assert of_d[0].step and of_d[0].step.line == seen.line("# of D")
    assert of_g[0].step and of_g[0].step.line == seen.line("# of G")
    trained = {passage.trained for passage in seen.passages("d_by_turns", train)}
    assert trained == {True, False}
    # What is made for a training step is no evaluation.
    assert not seen.runs("g_by_turns", Purpose.EVALUATE)

    (passage,) = seen.passages("added", train)
    assert passage.updates == 4 and seen.runs("added", train)[0].count == 3
    assert passage.momentum == pytest.approx(0.99, abs=1e-4)

    assert [run.count for run in seen.runs("named", train)] == [3]

    (run,) = seen.runs("hand", train)
    assert run.count == 4 and "gradients" in run.reasons[0]
    assert not seen.runs("salient", train) and not seen.runs("salient", Purpose.EVALUATE)

    (passage,) = seen.passages("own", train)
    assert passage.mode is Mode.BATCH and passage.momentum == pytest.approx(0.8, abs=1e-4)
    assert seen.layer("own").site and seen.layer("own").site.line == seen.line("# built here")
    (passage,) = seen.passages("own_compiled", train)
    assert passage.mode is Mode.BATCH and passage.moved
    for name in ("own", "own_compiled", "scaling"):
        assert seen.modes(name, Purpose.EVALUATE) == {Mode.MOVING}
    (passage,) = seen.passages("scaling", train)
    assert passage.mode is Mode.BATCH and passage.moved and passage.batch_error <= 1
    assert seen.layer("scaling").site and seen.layer("scaling").site.line == seen.line("# the module")

    assert [run.count for run in seen.runs("many", train)] == [16]
    assert [run.count for run in seen.runs("helped", train)] == [2, 3]
    assert [passage.trainable for passage in seen.passages("helped", train)] == [True, False]
    apis = [run.api.rpartition(".")[2] for run in seen.runs("batches", Purpose.EVALUATE)]
    assert apis == ["test_on_batch", "predict_on_batch"]
    assert [checkpoint.writes for checkpoint in seen.observed.checkpoints] == [True, False]
    assert seen.observed.train_steps == 5 + 10 + 3 + 3 + 4 + 4 + 4 + 4 + 16 + 1 + 5
    assert seen.findings() == set() and seen.code == 0


EXACT = """
    import sys
    import numpy as np
    import tensorflow as tf

    keras = tf.keras
    keras.utils.set_random_seed(7)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (64, 8, 8, 3)).astype("float32")
    Y = rng.integers(0, 4, 64)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kept = {}

    def net():
        layers = keras.layers
        return keras.Sequential([
            layers.Conv2D(8, 3), layers.BatchNormalization(), layers.Dropout(0.3), layers.Conv2D(8, 3, strides=2),
            layers.BatchNormalization(), layers.GlobalAveragePooling2D(), layers.Dense(4),
        ])

    def keep(name, model):
        kept.update({f"{name}{number}": each for number, each in enumerate(model.get_weights())})

    model = net()
    model.compile("adam", loss_of)
    model.fit(X, Y, epochs=2, batch_size=16, verbose=0, validation_split=0.25)
    kept["predicted"] = model.predict(X, verbose=0)
    keep("fit", model)
    for name, wrap in (("eager", lambda f: f), ("compiled", tf.function)):
        model, optimizer = net(), keras.optimizers.Adam(1e-3)
        model(X)

        @wrap
        def step(x, y):
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
                kept_by_tape = len(tape.watched_variables())
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            return loss, kept_by_tape

        for start in (0, 16, 32, 48):
            kept[f"{name}-{start}"] = np.array([float(each) for each in step(X[start:start+16], Y[start:start+16])])
            kept[f"{name}-out-{start}"] = model(X, training=False).numpy()
        keep(name, model)
    kept["random"] = tf.random.normal((4,)).numpy()
    np.savez(sys.argv[1], **kept)
"""


@needs_tensorflow
@both
def test_results_are_the_same_bit_for_bit(tmp_path: Path, legacy: bool) -> None:
    import numpy

    script = tmp_path / "script.py"
    script.write_text(dedent(EXACT), "utf-8")
    for command, name in (([], "alone.npz"), (["-m", "bnlint", "run", "--every", "1"], "watched.npz")):
        finished = subprocess.run(
            [sys.executable, *command, "script.py", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(legacy),
        )
        assert finished.returncode == 0, finished.stderr
    with numpy.load(tmp_path / "alone.npz") as alone, numpy.load(tmp_path / "watched.npz") as watched:
        assert set(alone.files) == set(watched.files) and len(alone.files) > 40
        differ = [name for name in alone.files if alone[name].tobytes() != watched[name].tobytes()]
    assert differ == []


@needs_tensorflow
def test_steps_can_be_limited(tmp_path: Path) -> None:
    script = """
        import numpy as np
        import tensorflow as tf

        X = np.ones((8, 3), "float32")
        model = tf.keras.Sequential([tf.keras.layers.BatchNormalization(name="norm"), tf.keras.layers.Dense(1)])
        optimizer = tf.keras.optimizers.SGD(0.1)
        while True:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model(X, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    """
    seen = observe(tmp_path, script, "--max-steps", "5")
    assert seen.observed.ended == "max-steps" and seen.observed.train_steps == 5
    assert seen.runs("norm", Purpose.TRAIN)[0].count == 5


@pytest.mark.parametrize(
    ("call", "constant", "name"),
    [
        ("norm(x, training=True)", True, False),
        ("norm(x, training=1)", True, False),
        ("norm(x, True)", True, False),
        ("norm(x, training=False)", False, False),
        ("norm(x, training=training)", False, True),
        ("norm(x, training=self.phase)", False, False),
        ("norm(x)", False, False),
        ("first(norm(x, training=True), training=True)", True, False),
        ("first(norm(x, training=False), training=True)", False, False),
    ],
)
def test_what_a_line_says_about_the_phase(tmp_path: Path, call: str, constant: bool, name: bool) -> None:
    (tmp_path / "module.py").write_text(f"def f(x):\n    y = {call}\n    return y\n", "utf-8")
    sources = Sources(Frames(str(tmp_path)))
    whole_line = Location("module.py", 2, 5, 2, 100)
    assert sources.is_constant(whole_line, True) is constant
    assert sources.is_name(whole_line) is name


def test_a_place_with_columns_is_one_call(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("y = first(norm(x, training=False), training=True)\n", "utf-8")
    sources = Sources(Frames(str(tmp_path)))
    outer, inner = Location("module.py", 1, 5, 1, 50), Location("module.py", 1, 11, 1, 34)
    assert sources.is_constant(outer, True) and not sources.is_constant(outer, False)
    assert sources.is_constant(inner, False) and not sources.is_constant(inner, True)


@needs_tensorflow
def test_tf_keras_may_be_imported_first(tmp_path: Path) -> None:
    script = """
        import tf_keras
        import numpy as np

        model = tf_keras.Sequential([tf_keras.layers.BatchNormalization(name="norm"), tf_keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((8, 3)), np.ones(8), verbose=0)
    """
    seen = observe(tmp_path, script)
    assert seen.modes("norm", Purpose.TRAIN) == {Mode.BATCH}
    assert seen.observed.frameworks.keys() >= {"tensorflow", "tf_keras"}


def test_rounding_is_not_taken_for_momentum() -> None:
    numpy = pytest.importorskip("numpy")
    layer = LayerSeen("norm", "norm", "norm", "tensorflow", None, epsilon=1e-3, momentum=0.999)
    known = Known(layer, Norm(layer), None)
    rng = numpy.random.default_rng(0)
    x = rng.normal(0, 2, (4096, 3))
    x = (x - x.mean(axis=0)).astype("float32")
    batch = batch_statistics(x, (1,))
    y = normalise(x, batch.mean, batch.variance, None, None, 1e-3, (1,)).astype("float32")

    def momentum(noise: float, variance: Any) -> float | None:
        before = State(numpy.zeros(3), variance)
        mean = 0.001 * (batch.mean + noise)
        after = State(mean, 0.999 * before.variance + 0.001 * batch.variance)
        found = look(known, Phase(True, "argument"), None, x, y, None, before, after)
        assert found.moved and found.batch_error <= 1
        return found.momentum

    assert momentum(1e-6, numpy.ones(3)) == pytest.approx(0.999, abs=1e-9), "told by the variance"
    assert momentum(1e-6, batch.variance) is None, "nothing can be told"
