"""For each of the twelve checks a PyTorch model that fails it, and no other one."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import bnlint  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402

from . import own  # noqa: E402


def around(layer):
    return nn.Sequential(nn.Linear(6, 4), layer, nn.Linear(4, 2))


class Scaled(nn.Module):
    """Gives the norm other data in training than in inference."""

    def forward(self, x):
        return x * 3 if self.training else x


class TrainedOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.kept = nn.BatchNorm1d(4)

    def forward(self, x):
        x = self.first(x)
        if self.training:
            x = self.norm(x)
        return self.last(self.kept(x))


class Recomputed(nn.Module):
    """Its forward pass runs once more in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = around(nn.BatchNorm1d(4))

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=False)


class Again(nn.BatchNorm1d):
    """Calls itself once more, for nothing."""

    def __init__(self) -> None:
        super().__init__(4)

    def forward(self, x):
        if self.training:
            torch.lerp(self.running_mean, x.detach().mean(0), 0.1, out=self.running_mean)
            torch.lerp(self.running_var, x.detach().var(0), 0.1, out=self.running_var)
        return super().forward(x)


def negative():
    model = around(nn.BatchNorm1d(4))
    model[1].running_var.neg_()
    return model


def frozen():
    model = around(nn.BatchNorm1d(4))
    for parameter in model[1].parameters():
        parameter.requires_grad = False
    return model


STUCK = {2: "BN203", 4: "BN210", 8: "BN201"}

CASES = {
    "1 wrong epsilon": (lambda: around(own.WrongEpsilonInTraining()), {1: ""}),
    "1 no training": (lambda: around(own.NeverTraining()), {1: "BN107", 3: "BN107"}),
    "2 wrong formula": (lambda: around(own.ForgetsVarianceInInference()), {2: ""}),
    "2 deviation": (
        lambda: around(own.StandardDeviationForVariance()),
        {1: "BN604", 2: "BN604"},
    ),
    "2 batch statistics": (lambda: around(own.BatchInInference()), {2: "BN201", 8: "BN201"}),
    "2 always training": (lambda: around(own.AlwaysTraining()), STUCK),
    "2 no statistics": (lambda: around(own.Formula()), {2: "BN105", 8: "BN105"}),
    "2 deaf": (lambda: around(own.DeafToTheMode()), dict.fromkeys((2, 4, 8), "BN209")),
    "3 never moves": (lambda: around(own.NeverMoves()), {3: "BN106"}),
    "3 made in forward": (
        lambda: around(own.MadeInForward()),
        dict.fromkeys((2, 3, 8, 10), "BN111"),
    ),
    "3 twice": (lambda: around(Again()), {3: ""}),
    "4": (lambda: around(own.MovesInInference()), {4: "BN210"}),
    "5": (lambda: around(own.KeepsTheDeviation()), {5: ""}),
    "6": (lambda: nn.Sequential(nn.Linear(6, 4), Scaled(), nn.BatchNorm1d(4)), {6: ""}),
    "7": (lambda: around(own.FollowsAShift()), {7: "BN201"}),
    "8": (lambda: around(own.OtherwiseForOne()), {8: "BN201"}),
    # What follows the layer gets other data without it.
    "9": (TrainedOnly, {6: "", 9: "BN301"}),
    "10 plain tensors": (lambda: around(own.PlainTensors()), {10: "BN112"}),
    "10 not persistent": (lambda: around(own.NotPersistent()), {10: "BN501"}),
    "10 in a list": (lambda: around(own.InAList()), dict.fromkeys((2, 4, 8, 10), "BN112")),
    "11": (frozen, {11: "BN401"}),
    "12 negative variance": (negative, {12: ""}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_model_fails_its_check_and_no_other(name, probe):
    build, expected = CASES[name]
    verification = bnlint.verify(build(), probe(16, 6))
    failed = {outcome.check: outcome.rule for outcome in verification.failures()}
    assert failed == expected, str(verification)
    assert not verification.ok


@pytest.mark.parametrize("name", ["10 plain tensors", "10 in a list"])
def test_a_model_that_a_factory_made_lacks_the_same(name, probe):
    build, expected = CASES[name]
    verification = bnlint.verify(build(), probe(16, 6), factory=build)
    assert {outcome.check: outcome.rule for outcome in verification.failures()} == expected


def test_the_hand_written_layer_without_a_mistake_passes(probe):
    verification = bnlint.verify(around(own.Own()), probe(16, 6))
    verification.assert_ok()
    passed = {check for check in range(1, 13) if verification.verdict(check) is Verdict.PASS}
    assert passed == set(range(1, 13)) - {11}, str(verification)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4, momentum=0.99), own.Own(share=0.9)])
def test_statistics_of_the_last_few_batches_are_doubted(layer, probe):
    verification = bnlint.verify(around(layer), probe(16, 6))
    (doubt,) = (outcome for outcome in verification.outcomes if outcome.verdict is Verdict.WARN)
    assert (doubt.check, doubt.rule) == (3, "BN110")
    assert "of the old statistics are kept in a step" in doubt.cause
    assert verification.ok


def test_a_cause_says_what_the_model_does_with_the_layer(probe):
    def causes(layer, check):
        found = bnlint.verify(around(layer), probe(16, 6)).failures()
        return [outcome.cause for outcome in found if outcome.check == check]

    (cause,) = causes(own.DeafToTheMode(), 2)
    assert cause.endswith("statistics of the batch: DeafToTheMode.train() does not pass the mode on to it")
    (cause,) = causes(own.InAList(), 10)
    assert cause.endswith(
        "it is kept where PyTorch does not look for modules, so eval() and state_dict() pass it by"
    )
    (cause,) = causes(own.MadeInForward(), 3)
    assert cause.endswith("it is made anew in each pass, so that it neither learns nor is told the mode")


def test_declared_to_keep_no_statistics_is_a_doubt(probe):
    verification = bnlint.verify(around(nn.BatchNorm1d(4, track_running_stats=False)), probe(16, 6))
    doubts = {outcome.check for outcome in verification.outcomes if outcome.verdict is Verdict.WARN}
    assert verification.ok and doubts == {2, 8}, str(verification)


def test_a_forward_pass_that_is_made_again_for_the_gradients_is_a_doubt(probe):
    verification = bnlint.verify(Recomputed(), probe(16, 6))
    (doubt,) = (outcome for outcome in verification.outcomes if outcome.verdict is Verdict.WARN)
    assert verification.ok and doubt.check == 3
    assert (
        doubt.cause
        == "one training step updates its statistics 2 times: it is computed again for the gradients"
    )
