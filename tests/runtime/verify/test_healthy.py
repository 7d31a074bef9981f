"""Models that are right, of every kind, pass all checks."""

from __future__ import annotations

import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

import bnlint  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402

L = keras.layers
K = tf_keras.layers


def sequential(layers, model):
    return model.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(5),
            layers.BatchNormalization(scale=False),
            layers.Dense(2),
        ]
    )


def functional():
    inputs = L.Input((None, None, 3))
    x = L.BatchNormalization()(L.Conv2D(4, 3)(inputs))
    y = L.BatchNormalization(center=False)(L.Conv2D(4, 3)(inputs))
    return keras.Model(inputs, [L.Add()([x, y]), x])


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = L.Conv2D(4, 3), L.BatchNormalization()
        self.dropout, self.dense = L.Dropout(0.5), L.Dense(2)

    def call(self, x, training=None):
        x = self.norm(self.convolution(x), training=training)
        return self.dense(self.dropout(tf.reduce_mean(x, [1, 2]), training=training))


def nested_and_shared():
    block = keras.Sequential(
        [L.Input((8, 8, 4)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()]
    )
    inner = keras.Sequential([L.Input((8, 8, 4)), block, L.BatchNormalization()])
    inputs = L.Input((8, 8, 3))
    first = L.Conv2D(4, 1)(inputs)
    twice = L.Concatenate()([block(first), inner(first)])
    return keras.Model(inputs, L.BatchNormalization()(twice))


def mixed(policy):
    convolution = L.Conv2D(4, 3, dtype=policy)
    return keras.Sequential([L.Input((8, 8, 3)), convolution, L.BatchNormalization(dtype=policy)])


def frozen():
    model = sequential(L, keras)
    model.layers[1].trainable = False
    return model


def renormalised(layers, model):
    clipping = {"rmax": 3.0, "rmin": 0.3, "dmax": 5.0}
    return model.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(renorm=True),
            layers.Flatten(),
            layers.Dense(5),
            layers.BatchNormalization(renorm=True, renorm_clipping=clipping),
        ]
    )


def synchronised(layers, model):
    return model.Sequential([layers.Input((8, 8, 3)), layers.BatchNormalization(synchronized=True)])


class Norm(tf.Module):
    """A batch norm as a module, with a convention of its own for the shape of its variables."""

    def __init__(self, size: int) -> None:
        super().__init__()
        shape = (1, 1, 1, size)
        self.running_mean = tf.Variable(tf.zeros(shape), trainable=False)
        self.running_var = tf.Variable(tf.ones(shape), trainable=False)
        self.scale, self.offset = tf.Variable(2 * tf.ones(size)), tf.Variable(tf.ones(size))

    def __call__(self, x, is_training):
        mean, variance = self.running_mean, self.running_var
        if is_training:
            mean, variance = tf.nn.moments(x, [0, 1, 2], keepdims=True)
            self.running_mean.assign(0.95 * self.running_mean + 0.05 * mean)
            self.running_var.assign(0.95 * self.running_var + 0.05 * variance)
        return tf.nn.batch_normalization(x, mean, variance, self.offset, self.scale, 1e-5)


class Module(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.normal((3, 3, 3, 4)))
        self.norms = [Norm(4), Norm(4)]
        self.keras = L.BatchNormalization()

    @tf.function
    def __call__(self, x, training):
        x = tf.nn.conv2d(x, self.kernel, 1, "SAME")
        for norm in self.norms:
            x = norm(tf.nn.relu(x), training)
        return self.keras(x, training=training)


MODELS = {
    "ResNet50": lambda: keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=5),
    "MobileNetV2": lambda: keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=5),
    "tf-keras ResNet50": lambda: tf_keras.applications.ResNet50(
        weights=None, input_shape=(32, 32, 3), classes=5
    ),
    "sequential": lambda: sequential(L, keras),
    "tf-keras sequential": lambda: sequential(K, tf_keras),
    "functional, dynamic shapes": functional,
    "subclassed": Subclassed,
    "nested and shared": nested_and_shared,
    "mixed_float16": lambda: mixed("mixed_float16"),
    "mixed_bfloat16": lambda: mixed("mixed_bfloat16"),
    "float64": lambda: mixed("float64"),
    "synchronised": lambda: synchronised(L, keras),
    "tf-keras synchronised": lambda: synchronised(K, tf_keras),
    "axis 1": lambda: keras.Sequential(
        [L.Input((3, 8, 8)), L.BatchNormalization(axis=1), L.Flatten(), L.Dense(2)]
    ),
    "renormalised": lambda: renormalised(L, keras),
    "tf-keras renormalised": lambda: renormalised(K, tf_keras),
    "frozen": frozen,
    "tf.Module": Module,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_healthy_model_passes(name, probe):
    shape = (3, 8, 8) if name == "axis 1" else (32, 32, 3) if "Net" in name else (8, 8, 3)
    verification = bnlint.verify(MODELS[name](), probe(16, *shape))
    doubts = [outcome for outcome in verification.outcomes if outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
    assert not doubts, str(verification)
    assert verification.ok
    for layer in verification.layers:
        assert layer.verdict == "PASS"
    expected = set(range(1, 13)) - ({11} if name != "frozen" else set())
    if "renorm" in name:
        expected.discard(7)
    assert {check for check in range(1, 13) if verification.verdict(check) is Verdict.PASS} == expected


def test_a_trained_model_whose_statistics_are_those_of_the_batch_passes(probe):
    batch = probe(64, 6)
    model = keras.Sequential([L.Input((6,)), L.BatchNormalization(momentum=0.5), L.Dense(1)])
    for _ in range(60):
        model(batch, training=True)
    bnlint.verify(model, batch).assert_ok()


def test_a_compiled_model_with_targets_runs_its_own_training_step(probe):
    seen = []

    class Recording(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.dense = L.BatchNormalization(), L.Dense(1)

        def call(self, x, training=None):
            return self.dense(self.norm(x))

        def train_step(self, data):
            x, y = data
            seen.append(len(x))
            # The mistake: it does not say that it trains.
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    model = Recording()
    model.compile("adam")
    verification = bnlint.verify(model, (probe(16, 6), probe(16, 1)))
    assert seen == [16]
    failed = {outcome.check: outcome.rule for outcome in verification.failures()}
    assert failed == {1: "BN107", 3: "BN107"}, str(verification)


def test_keras_3_without_a_training_parameter_trains_in_inference_mode(probe):
    class NoParameter(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm = L.BatchNormalization()

        def call(self, x):
            return self.norm(x)

    verification = bnlint.verify(NoParameter(), probe(16, 6))
    assert {outcome.check for outcome in verification.failures()} == {1, 3}


def test_the_figures_of_a_layer(probe):
    model = keras.Sequential([L.Input((6,)), L.BatchNormalization(momentum=0.75, epsilon=0.01)])
    (layer,) = bnlint.verify(model, probe(16, 6)).layers
    assert (layer.layer.epsilon, layer.layer.momentum, layer.layer.channels) == (0.01, 0.75, 6)
    assert layer.train.momentum == pytest.approx(0.75, abs=1e-5)
    assert layer.train.mode.value == "batch statistics"
    assert layer.inference.mode.value == "moving statistics"
    assert (layer.train.moved, layer.inference.moved) == (True, False)
    assert (layer.train.batch, layer.train.batch_error < 1 < layer.train.moving_error) == (16, True)
    assert layer.independence <= 1 and layer.converges <= 1
    assert len(layer.train_sample) == len(layer.inference_sample) == 96
    assert layer.divergence > 0.1
