"""Whatever happens, the model and the random state are as they were, bit for bit."""

from __future__ import annotations

import random

import pytest

numpy = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.modules import module as modules  # noqa: E402

import bnlint  # noqa: E402
from bnlint.runtime.backends.pytorch.model import TorchSubject  # noqa: E402

from . import own  # noqa: E402


class Counting(nn.Module):
    """Keeps things that are no buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.history = numpy.zeros(3)
        self.plain = torch.zeros(3)
        self.generator = torch.Generator().manual_seed(7)
        self.seen = []

    def forward(self, x):
        self.calls += 1
        self.history[0] += 1
        self.plain += 1
        self.seen.append(x)
        torch.rand(1, generator=self.generator)
        random.random()
        numpy.random.rand()
        self.last = x
        return x


def build(*extra):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 4),
        *extra,
        nn.BatchNorm1d(4),
        nn.Dropout(0.3),
        nn.BatchNorm1d(4),
        own.Own(),
        nn.Linear(4, 1),
    )


def trained(*extra):
    model = build(*extra)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x = torch.randn(32, 6) * 2 + 1
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    model[-3].eval()
    model[-3].weight.requires_grad_(False)
    model[0].register_forward_hook(lambda *ignored: None)
    return model, optimizer, x


def state(model, optimizer):
    """Every bit that verify() could touch."""
    tensors = [*model.parameters(), *model.buffers()]
    slots = [value for kept in optimizer.state.values() for value in kept.values()]
    return (
        [
            (id(tensor), tensor.detach().numpy().tobytes(), tensor.requires_grad, tensor._version)
            for tensor in tensors
        ],
        [
            (id(tensor.grad), None if tensor.grad is None else tensor.grad.numpy().tobytes())
            for tensor in tensors
        ],
        [value.numpy().tobytes() for value in slots],
        [
            {name: value for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ],
        [(name, module.training, type(module)) for name, module in model.named_modules()],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()],
        random.getstate(),
        [str(part) for part in numpy.random.get_state()],
        torch.get_rng_state().numpy().tobytes(),
        (torch.is_grad_enabled(), len(modules._global_forward_hooks), len(modules._global_forward_pre_hooks)),
    )


@pytest.mark.parametrize("with_factory", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_trained_model_is_restored(training, with_factory):
    model, optimizer, x = trained()
    if not training:
        model.eval()
    before = state(model, optimizer)
    assert bnlint.verify(model, x, factory=build if with_factory else None).ok
    assert state(model, optimizer) == before


def test_an_optimizer_is_restored():
    model, optimizer, x = trained()

    def train(inputs):
        optimizer.zero_grad(set_to_none=False)
        model(inputs).square().mean().backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = 1.0

    before = state(model, optimizer)
    assert bnlint.verify(model, x, train=train).ok
    assert state(model, optimizer) == before


@pytest.mark.parametrize("when", ["train", "infer", "statistics", "alone", "round_trip"])
def test_it_is_restored_when_a_check_raises(when, monkeypatch):
    model, optimizer, x = trained()
    before = state(model, optimizer)
    original, calls = getattr(TorchSubject, when), []

    def raising(self, *args, **kwargs):
        calls.append(1)
        original(self, *args, **kwargs)
        if len(calls) > 1 or when in ("train", "round_trip"):
            raise RuntimeError("in the middle")

    monkeypatch.setattr(TorchSubject, when, raising)
    with pytest.raises((RuntimeError, AttributeError)):
        bnlint.verify(model, x)
    assert calls
    assert state(model, optimizer) == before


def test_it_is_restored_when_the_model_raises():
    class Failing(nn.Module):
        def forward(self, x):
            if not self.training:
                raise ValueError("not in evaluation")
            return x

    model, optimizer, x = trained(Failing())
    before = state(model, optimizer)
    with pytest.raises(bnlint.errors.UserError, match="not in evaluation"):
        bnlint.verify(model, x)
    assert state(model, optimizer) == before


def test_what_is_no_buffer_is_restored_too():
    extra = Counting()
    model, optimizer, x = trained(extra)
    before = state(model, optimizer)
    plain, kept = (
        extra.plain,
        (extra.calls, extra.history.tolist(), extra.plain.tolist(), list(map(id, extra.seen))),
    )
    drawn, attributes = extra.generator.get_state(), dict(vars(extra))
    assert bnlint.verify(model, x).ok
    assert state(model, optimizer) == before
    assert (extra.calls, extra.history.tolist(), extra.plain.tolist(), list(map(id, extra.seen))) == kept
    assert extra.plain is plain and extra.generator.get_state().equal(drawn)
    assert vars(extra).keys() == attributes.keys() and extra.last is attributes["last"]


def test_what_was_computed_before_can_still_be_differentiated():
    model, _, x = trained()
    model.train()
    loss = model(x).square().mean()
    bnlint.verify(model, x)
    loss.backward()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(context):
    model, optimizer, x = trained()
    before = state(model, optimizer)
    with context():
        assert bnlint.verify(model, x).ok
    assert state(model, optimizer) == before


def test_training_goes_on_as_if_nothing_had_been_verified():
    results = []
    for check in (False, True):
        model, optimizer, x = trained()
        if check:
            bnlint.verify(model, x)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        results.append([tensor.numpy().tobytes() for tensor in model.state_dict().values()])
    assert results[0] == results[1]


def test_what_a_model_makes_when_it_is_first_called_stays_as_new():
    for model, norm in (
        (nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d()), lambda model: model[1]),
        (nn.Sequential(nn.Linear(6, 4), own.MadeAtFirst()), lambda model: model[1].norm),
    ):
        drawn = torch.get_rng_state()
        assert bnlint.verify(model, numpy.random.default_rng(0).standard_normal((16, 6))).ok
        assert torch.get_rng_state().equal(drawn)
        made = norm(model)
        assert (made.running_mean == 0).all() and (made.running_var == 1).all()
        assert made.training and made.num_batches_tracked == 0
