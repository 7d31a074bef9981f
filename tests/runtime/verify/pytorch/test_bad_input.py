"""What cannot be verified of PyTorch gets a sentence; what can only be verified in part says which part and why."""

from __future__ import annotations

import pytest

numpy = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import bnlint  # noqa: E402
from bnlint.errors import UserError  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402


def small():
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_not_a_model(probe):
    with pytest.raises(UserError, match="The class Sequential is not a model that bnlint can verify"):
        bnlint.verify(nn.Sequential, probe(8, 6))


def test_no_batch():
    with pytest.raises(UserError, match="needs a batch"):
        bnlint.verify(small())


@pytest.mark.parametrize("layer", [nn.Linear(6, 2), nn.LayerNorm(6), nn.GroupNorm(2, 6)])
def test_no_normalisation(layer, probe):
    with pytest.raises(UserError, match="no normalisation layer"):
        bnlint.verify(nn.Sequential(layer), probe(8, 6))


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (
            lambda p: p(8, 5),
            "cannot run on the batch: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        ),
        (lambda p: p(8, 5), r"samples first, then the channels"),
        (lambda p: p(8, 6) / numpy.float32(0), "infinite"),
        (lambda p: torch.full((8, 6), torch.nan), "The batch holds 48 values that are NaN or infinite"),
        (lambda p: numpy.array([["a"] * 6] * 8), "not numbers"),
        (lambda p: p(0, 6), "is empty"),
        (lambda p: [p(8, 6), p(8, 6)], "cannot run on the batch: TypeError"),
        (lambda p: p(1, 6), "ValueError: Expected more than 1 value per channel when training"),
    ],
)
def test_a_wrong_batch(batch, sentence, probe):
    with numpy.errstate(all="ignore"), pytest.raises(UserError, match=sentence):
        bnlint.verify(small(), batch(probe))


def test_one_sample_of_many_values(probe):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    verification = bnlint.verify(model, probe(1, 3, 8, 8))
    assert any("one sample" in outcome.cause for outcome in verification.of(8))
    assert verification.verdict(2) is Verdict.PASS


@pytest.mark.parametrize(
    "batch",
    [
        lambda x: torch.tensor(x),
        lambda x: torch.tensor(x).bfloat16().requires_grad_(),
        lambda x: x.astype("float64"),
        lambda x: (torch.tensor(x), torch.zeros(16)),
        lambda x: DataLoader(TensorDataset(torch.tensor(x), torch.zeros(16)), 16),
        lambda x: iter(DataLoader(torch.tensor(x), 16)),
    ],
)
def test_batches_of_all_kinds(batch, probe):
    bnlint.verify(small(), batch(probe(16, 6))).assert_ok()


def test_several_inputs_and_names(probe):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.norm = nn.Embedding(8, 6), nn.BatchNorm1d(6)

        def forward(self, values, numbers):
            return self.norm(values + self.embedding(numbers).mean(1))

    numbers = numpy.random.default_rng(0).integers(0, 8, (16, 3))
    bnlint.verify(Two(), [probe(16, 6), numbers]).assert_ok()
    bnlint.verify(Two(), {"values": probe(16, 6), "numbers": numbers}).assert_ok()


def test_layers_that_are_never_called(probe):
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.BatchNorm1d(6), nn.BatchNorm1d(6)

        def forward(self, x):
            return self.used(x)

    verification = bnlint.verify(Unused(), probe(8, 6))
    skipped = {outcome.cause for outcome in verification.outcomes if outcome.layer == "unused"}
    assert skipped == {"the layer ran neither in the training step nor in the inference"}
    assert [layer.verdict for layer in verification.layers] == ["PASS", "SKIP"]


def test_a_batch_size_that_is_fixed(probe):
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Flatten(0), nn.Unflatten(0, (8, 4)))
    verification = bnlint.verify(model, probe(8, 6))
    assert verification.verdict(8) is Verdict.PASS, str(verification)


def test_outputs_that_cannot_be_differentiated(probe):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            raise RuntimeError("nobody wrote this")

    class Last(nn.Module):
        def forward(self, x):
            return Broken.apply(x)

    verification = bnlint.verify(nn.Sequential(*small(), Last()), probe(16, 6))
    verification.assert_ok()
    (note,) = verification.notes
    assert note.startswith("The outputs cannot be differentiated (RuntimeError: nobody wrote this)")


def test_the_same_layer_for_different_data_is_doubted(probe):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(6)

        def forward(self, x):
            return self.norm(self.norm(x) * 5 + 30)

    (outcome,) = bnlint.verify(Twice(), probe(32, 6)).failures()
    assert (outcome.check, outcome.rule) == (5, "BN303") and "applied 2 times" in outcome.cause


def test_dropout_before_the_norm_is_a_doubt(probe):
    verification = bnlint.verify(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(6)), probe(64, 6))
    assert verification.ok
    assert verification.verdict(6) is Verdict.WARN


def test_an_argument_that_is_unknown(probe):
    with pytest.raises(UserError, match="does not know what train_op is for a Sequential"):
        bnlint.verify(small(), probe(8, 6), train_op=1)


def test_a_factory_that_makes_another_model(probe):
    verification = bnlint.verify(small(), probe(8, 6), factory=lambda: nn.Sequential(nn.Linear(6, 4)))
    (outcome,) = verification.of(10)
    assert outcome.verdict is Verdict.SKIP
    assert outcome.cause.startswith("the state_dict cannot be loaded (Unexpected key(s) in state_dict")
