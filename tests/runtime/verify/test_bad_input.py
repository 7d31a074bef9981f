"""What cannot be verified gets a sentence; what can only be verified in part says which part and why."""

from __future__ import annotations

import pytest

numpy = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

import bnlint  # noqa: E402
from bnlint.errors import UserError  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402

L = keras.layers


def small():
    return keras.Sequential([L.Input((6,)), L.Dense(4), L.BatchNormalization(), L.Dense(2)])


def images():
    return keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization()])


def with_nan(batch):
    batch = batch.copy()
    batch[3, 2] = numpy.nan
    return batch


def test_not_a_model(probe):
    with pytest.raises(UserError, match="str is not a model that bnlint can verify"):
        bnlint.verify("model", probe(8, 6))
    with pytest.raises(UserError, match="The class Model is not a model that bnlint can verify"):
        bnlint.verify(keras.Model, probe(8, 6))


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (lambda p: p(3, 2), "The batch has 8 samples, and there are targets for 3"),
        (lambda p: with_nan(p(8, 3)), "The array of targets holds 1 value that is NaN or infinite"),
        (lambda p: numpy.array(["a"] * 8), "The array of targets holds values of the type <U1, not numbers"),
    ],
)
def test_wrong_targets(targets, sentence, probe):
    with pytest.raises(UserError, match=sentence):
        bnlint.verify(small(), probe(8, 6), targets=targets(probe))


def test_no_batch():
    with pytest.raises(UserError, match="needs a batch"):
        bnlint.verify(small())


def test_no_normalisation(probe):
    with pytest.raises(UserError, match="no normalisation layer"):
        bnlint.verify(keras.Sequential([L.Input((6,)), L.Dense(2)]), probe(8, 6))


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (lambda p: p(8, 5), "The model takes inputs of the shape anyx6, and the batch has the shape 8x5"),
        (lambda p: p(8, 6, 2), "and the batch has the shape 8x6x2"),
        (lambda p: with_nan(p(8, 6)), "The batch holds 1 value that is NaN or infinite"),
        (lambda p: p(8, 6) / numpy.float32(0), "infinite"),
        (lambda p: numpy.array([["a"] * 6] * 8), "not numbers"),
        (lambda p: p(0, 6), "is empty"),
        (lambda p: [p(8, 6), p(8, 6)], "takes 1 inputs, and the batch has 2"),
        (lambda p: [p(8, 6), p(7, 6)], "different numbers of samples: 7, 8"),
        (lambda p: [], "empty"),
    ],
)
def test_a_wrong_batch(batch, sentence, probe):
    with numpy.errstate(all="ignore"), pytest.raises(UserError, match=sentence):
        bnlint.verify(small(), batch(probe))


def test_a_model_that_raises(probe):
    class Broken(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm = L.BatchNormalization()

        def call(self, x, training=None):
            raise ValueError("three apples are missing")

    with pytest.raises(UserError, match="ValueError: three apples are missing"):
        bnlint.verify(Broken(), probe(8, 6))


def test_channels_first_where_the_machine_cannot(probe):
    model = keras.Sequential(
        [L.Input((3, 8, 8)), L.Conv2D(4, 3, data_format="channels_first"), L.BatchNormalization(1)]
    )
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine can")
    try:
        bnlint.verify(model, probe(8, 3, 8, 8)).assert_ok()
    except UserError as error:
        assert "cannot run on the batch" in str(error) and "\n" not in str(error)


def test_a_batch_of_one(probe):
    verification = bnlint.verify(small(), probe(1, 6))
    for check in (1, 3, 5, 6, 7, 8):
        assert verification.verdict(check) in (Verdict.SKIP, Verdict.WARN)
    assert any("one sample" in outcome.cause for outcome in verification.of(1))
    assert verification.verdict(2) is Verdict.PASS


def test_a_batch_of_few(probe):
    verification = bnlint.verify(small(), probe(4, 6))
    (doubt,) = (outcome for outcome in verification.outcomes if outcome.verdict is Verdict.WARN)
    assert doubt.cause == "the batch has 4 of the at least 8 samples that a probe needs"
    assert verification.ok


def test_a_batch_of_the_same(probe):
    verification = bnlint.verify(small(), numpy.ones((8, 6), "float32"))
    assert any("all samples of the batch are the same" in outcome.cause for outcome in verification.outcomes)


def test_layers_that_are_never_called(probe):
    class Unused(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = L.BatchNormalization(), L.BatchNormalization()
            self.unused.build((None, 6))

        def call(self, x, training=None):
            return self.used(x, training=training)

    model = Unused()
    verification = bnlint.verify(model, probe(8, 6))
    skipped = {outcome.cause for outcome in verification.outcomes if outcome.layer == model.unused.name}
    assert skipped == {"the layer ran neither in the training step nor in the inference"}
    assert verification.ok
    assert [layer.verdict for layer in verification.layers] == ["PASS", "SKIP"]


def test_several_inputs_and_outputs(probe):
    first, second = L.Input((6,), name="first"), L.Input((4,), name="second")
    norm = L.BatchNormalization()
    joined = L.Concatenate()([L.Dense(3)(first), L.Dense(3)(second)])
    model = keras.Model([first, second], {"a": norm(joined), "b": L.Dense(1)(first)})
    bnlint.verify(model, [probe(8, 6), probe(8, 4)]).assert_ok()
    named = keras.Model({"first": first, "second": second}, model.outputs)
    bnlint.verify(named, {"first": probe(8, 6), "second": probe(8, 4)}).assert_ok()


def test_a_batch_size_that_is_fixed(probe):
    model = keras.Sequential([L.Input(batch_shape=(8, 6)), L.BatchNormalization(), L.Reshape((3, 2))])
    verification = bnlint.verify(model, probe(8, 6))
    assert verification.verdict(8) is Verdict.PASS, str(verification)


def test_a_dataset(probe):
    bnlint.verify(small(), tf.data.Dataset.from_tensor_slices(probe(16, 6)).batch(8)).assert_ok()


def test_a_module_that_is_not_told_its_phase(probe):
    class Deaf(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = L.BatchNormalization()

        def __call__(self, x):
            return self.norm(x)

    with pytest.raises(UserError, match="How is Deaf told that it trains"):
        bnlint.verify(Deaf(), probe(8, 6))
    module = Deaf()
    module.norm.build((None, 6))
    bnlint.verify(
        module, probe(8, 6), train=lambda x: module.norm(x, training=True), infer=lambda x: module.norm(x)
    ).assert_ok()


def test_the_same_layer_for_different_data_is_doubted(probe):
    inputs = L.Input((6,))
    norm = L.BatchNormalization()
    model = keras.Model(inputs, norm(L.Rescaling(5.0, 30.0)(norm(inputs))))
    verification = bnlint.verify(model, probe(32, 6))
    assert verification.verdict(5) is Verdict.FAIL
    assert "applied 2 times" in next(iter(verification.failures())).cause


def test_dropout_before_the_norm_is_a_doubt(probe):
    model = keras.Sequential([L.Input((6,)), L.Dropout(0.5), L.BatchNormalization()])
    verification = bnlint.verify(model, probe(64, 6))
    assert verification.ok
    assert verification.verdict(6) is Verdict.WARN


def test_an_argument_that_is_unknown(probe):
    with pytest.raises(UserError, match="does not know what train_op is"):
        bnlint.verify(small(), probe(8, 6), train_op=1)
