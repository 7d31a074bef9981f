"""For each of the twelve checks a model that fails it, and no other one."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

import bnlint  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402

from . import own  # noqa: E402

L = keras.layers


def around(layer, shape=(6,)):
    return keras.Sequential([L.Input(shape), L.Dense(4), layer, L.Dense(2)])


class Scaled(keras.layers.Layer):
    """Gives the norm other data in training than in inference."""

    def call(self, x, training=None):
        return x * 3 if training else x


class TrainedOnly(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = L.Dense(4), L.BatchNormalization(), L.Dense(2)
        self.kept = L.BatchNormalization()

    def call(self, x, training=None):
        x = self.first(x)
        if training:
            x = self.norm(x)
        return self.last(self.kept(x, training=training))


def negative():
    model = around(L.BatchNormalization())
    norm = model.layers[1]
    norm.moving_variance.assign(-norm.moving_variance)
    return model


def wrong_axis():
    return keras.Sequential([L.Input((7, 5, 3)), L.Conv2D(4, 3), L.BatchNormalization(axis=1)])


CASES = {
    "1 wrong epsilon": (lambda: around(own.WrongEpsilonInTraining()), {1: ""}),
    "1 inference mode": (lambda: around(Inference()), {1: "BN107", 3: "BN107"}),
    "2 wrong formula": (lambda: around(own.ForgetsVarianceInInference()), {2: ""}),
    # Whoever takes the batch's statistics mixes its samples.
    "2 batch statistics": (lambda: around(own.BatchInInference()), {2: "BN201", 8: "BN201"}),
    "3 never moves": (lambda: around(own.NeverMoves()), {3: "BN106"}),
    "3 inverted": (lambda: around(own.Inverted()), {3: "BN110"}),
    "3 twice": (lambda: around(own.MovesTwice()), {3: ""}),
    "4": (lambda: around(own.MovesInInference()), {4: "BN210"}),
    "5": (lambda: around(own.KeepsTheDeviation()), {5: ""}),
    "6": (lambda: keras.Sequential([L.Input((6,)), L.Dense(4), Scaled(), L.BatchNormalization()]), {6: ""}),
    "7": (lambda: around(own.FollowsAShift()), {7: "BN201"}),
    "8": (lambda: around(own.OtherwiseForOne()), {8: "BN201"}),
    # What follows the layer gets other data without it.
    "9": (TrainedOnly, {6: "", 9: "BN301"}),
    "10": (lambda: around(own.ForgetsItsVariables()), {10: "BN501"}),
    "11": (lambda: around(own.MovesWhenFrozen(trainable=False)), {11: "BN401"}),
    "12 negative variance": (negative, {12: ""}),
    "12 wrong axis": (wrong_axis, {12: "BN602"}),
}


class Inference(keras.layers.BatchNormalization):
    """In inference mode whatever happens."""

    def call(self, x, training=None, mask=None):
        return super().call(x, training=False)


@pytest.mark.parametrize("name", CASES)
def test_a_broken_model_fails_its_check_and_no_other(name, probe):
    build, expected = CASES[name]
    batch = probe(16, 7, 5, 3) if "axis" in name else probe(16, 6)
    verification = bnlint.verify(build(), batch)
    failed = {outcome.check: outcome.rule for outcome in verification.failures()}
    assert failed == expected, str(verification)
    assert not verification.ok
    with pytest.raises(AssertionError):
        verification.assert_ok()


def test_the_hand_written_layer_without_a_mistake_passes(probe):
    verification = bnlint.verify(around(own.Own()), probe(16, 6))
    verification.assert_ok()
    passed = {check for check in range(1, 13) if verification.verdict(check) is Verdict.PASS}
    assert passed == set(range(1, 13)) - {11}, str(verification)


def test_every_check_has_a_broken_model():
    assert {min(expected) if name[0] != "9" else 9 for name, (_, expected) in CASES.items()} == set(
        range(1, 13)
    )


def test_a_cause_is_a_sentence_with_figures(probe):
    (outcome,) = bnlint.verify(around(own.Inverted()), probe(16, 6)).failures()
    assert outcome.cause == "its momentum is inverted: 0.1 of the old value are kept where 0.9 are declared"
    assert outcome.measured == pytest.approx(0.1, abs=1e-5)
    assert outcome.tolerance == 0.9
