"""Whatever happens, the model and the random state are as they were, bit for bit."""

from __future__ import annotations

import random

import pytest

numpy = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

import bnlint  # noqa: E402
from bnlint.runtime.backends.keras import KerasSubject  # noqa: E402


class Counting(keras.layers.Layer):
    """Keeps things that are no variables."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.history = numpy.zeros(3)
        self.generator = numpy.random.default_rng(7)

    def call(self, x):
        self.calls += 1
        self.history[0] += 1
        self.generator.random()
        random.random()
        numpy.random.rand()
        return x


def build(layers, framework, extra):
    model = framework.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(4),
            *extra,
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.BatchNormalization(trainable=False),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def state(model, optimizer):
    """Every bit that verify() could touch."""
    values = [numpy.array(variable) for variable in [*model.variables, *optimizer]]
    flags = [(layer.name, layer.trainable) for layer in model.layers]
    generator = tf.random.get_global_generator().state.numpy()
    return (
        [value.tobytes() for value in values],
        flags,
        random.getstate(),
        [str(part) for part in numpy.random.get_state()],
        generator.tobytes(),
        tf.config.functions_run_eagerly(),
    )


def trained(layers, framework, extra=()):
    model = build(layers, framework, extra)
    generator = numpy.random.default_rng(0)
    x, y = generator.standard_normal((32, 6)) * 2 + 1, generator.standard_normal((32, 1))
    model.fit(x, y, epochs=2, verbose=0)
    return model, x.astype("float32"), y.astype("float32")


def slots(model):
    found = model.optimizer.variables
    return list(found() if callable(found) else found)


FRAMEWORKS = {"keras": (keras.layers, keras), "tf-keras": (tf_keras.layers, tf_keras)}


@pytest.mark.parametrize("with_targets", [False, True])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_trained_model_is_restored(framework, with_targets):
    model, x, y = trained(*FRAMEWORKS[framework])
    before = state(model, slots(model))
    verification = bnlint.verify(model, x, targets=y if with_targets else None)
    assert verification.ok, str(verification)
    assert state(model, slots(model)) == before


@pytest.mark.parametrize("when", ["train", "infer", "statistics", "alone", "round_trip"])
def test_it_is_restored_when_a_check_raises(when, monkeypatch):
    model, x, y = trained(*FRAMEWORKS["keras"])
    before = state(model, slots(model))
    original, calls = getattr(KerasSubject, when), []

    def raising(self, *args, **kwargs):
        calls.append(1)
        original(self, *args, **kwargs)
        if len(calls) > 1 or when in ("train", "round_trip"):
            raise RuntimeError("in the middle")

    monkeypatch.setattr(KerasSubject, when, raising)
    with pytest.raises((RuntimeError, AttributeError)):
        bnlint.verify(model, x, targets=y)
    assert calls
    assert state(model, slots(model)) == before
    assert not any("call" in vars(layer) for layer in model.layers), "a watch was left"


def test_what_is_no_variable_is_restored_too():
    extra = Counting()
    model, x, _ = trained(*FRAMEWORKS["keras"], extra=(extra,))
    before = state(model, slots(model))
    calls, history, drawn = extra.calls, extra.history.copy(), extra.generator.bit_generator.state
    attributes = set(vars(extra))
    bnlint.verify(model, x)
    assert state(model, slots(model)) == before
    assert (extra.calls, extra.history.tolist()) == (calls, history.tolist())
    assert extra.generator.bit_generator.state == drawn
    assert set(vars(extra)) == attributes


def test_an_optimizer_that_has_no_slots_yet_gets_none():
    model = build(*FRAMEWORKS["keras"], ())
    x = numpy.random.default_rng(0).standard_normal((16, 6)).astype("float32")
    before = len(model.optimizer.variables)
    bnlint.verify(model, x, targets=x[:, :1])
    assert not model.optimizer.built
    assert len(model.optimizer.variables) == before
    model.fit(x, x[:, :1], epochs=1, verbose=0)


def test_training_goes_on_as_if_nothing_had_been_verified():
    results = []
    for check in (False, True):
        keras.utils.set_random_seed(3)
        model, x, y = trained(*FRAMEWORKS["keras"])
        if check:
            bnlint.verify(model, x, targets=y)
        model.fit(x, y, epochs=2, verbose=0)
        results.append([numpy.array(variable).tobytes() for variable in model.variables])
    assert results[0] == results[1]


def test_a_module_is_restored():
    class Norm(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.moving_mean, self.moving_variance = tf.Variable(tf.zeros(4)), tf.Variable(tf.ones(4))

        def __call__(self, x, training):
            mean, variance = self.moving_mean, self.moving_variance
            if training:
                mean, variance = tf.nn.moments(x, [0])
                self.moving_mean.assign(0.9 * self.moving_mean + 0.1 * mean)
                self.moving_variance.assign(0.9 * self.moving_variance + 0.1 * variance)
            return (x - mean) / tf.sqrt(variance + 1e-3)

    module = Norm()
    x = numpy.random.default_rng(0).standard_normal((16, 4)).astype("float32") * 2 + 1
    call = Norm.__call__
    bnlint.verify(module, x).assert_ok()
    assert module.moving_mean.numpy().tobytes() == numpy.zeros(4, "float32").tobytes()
    assert Norm.__call__ is call
