"""PyTorch models that are right, of every kind, pass all checks."""

from __future__ import annotations

import copy
import importlib.util

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import bnlint  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402

from . import own  # noqa: E402


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=0.2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(144, 5),
        nn.BatchNorm1d(5, affine=False),
        nn.Linear(5, 2),
    )


def dense():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4), nn.BatchNorm1d(4)
    )


class Block(nn.Module):
    def __init__(self, before: int, size: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, size, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(size)
        self.conv2 = nn.Conv2d(size, size, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(size)
        self.shortcut = nn.Sequential()
        if before != size or stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, size, 1, stride, bias=False), nn.BatchNorm2d(size)
            )

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = [Block(3, 4, 1), Block(4, 8, 2)]
        # An index of what is registered below hides nothing.
        self.index = layers
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return {"scores": self.head(self.layers(x).mean((2, 3))), "more": [None, "text"]}


class Shared(nn.Module):
    """One layer that is applied twice to alike data, and one inside another."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = convolutional()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.inner(self.norm(x)), self.norm(x.flip(0))


class ByFormula(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), own.WithFormula(4)
        self.more = nn.ParameterDict({"scale": torch.ones(4)})
        self.statistics = nn.Module()
        self.statistics.register_buffer("first", torch.zeros(4))
        self.statistics.register_buffer("second", torch.ones(4))

    def forward(self, x):
        x = self.norm(self.convolution(x))
        kept = (self.statistics.first, self.statistics.second)
        return torch.batch_norm(x, self.more["scale"], None, *kept, self.training, 0.3, 1e-5, False)


class Several(nn.Module):
    """Two pairs of statistics in one module, which does more than normalise."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        for name in ("first", "second"):
            self.register_buffer(f"{name}_mean", torch.zeros(4))
            self.register_buffer(f"{name}_var", torch.ones(4))

    def forward(self, x):
        x = self.convolution(x)
        x = functional.batch_norm(x, self.first_mean, self.first_var, training=self.training)
        x = functional.relu(x)
        return functional.batch_norm(x, self.second_mean, self.second_var, training=self.training)


class Standardised(nn.Module):
    """Fixed numbers for the input and a frozen layer are no batch norms, whatever they are called."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.register_buffer("var", torch.full((3, 1, 1), 0.2))
        self.inner = convolutional()

    def forward(self, x):
        return self.inner((x - self.mean) / self.var.sqrt())


class WithTeacher(nn.Module):
    """A copy that is not trained, kept where nobody finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.student = convolutional()
        self.teacher = [copy.deepcopy(self.student).eval().requires_grad_(False)]

    def forward(self, x):
        return self.student(x) - self.teacher[0](x)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = convolutional()

    def forward(self, x):
        state = {**dict(self.inner.named_parameters()), **dict(self.inner.named_buffers())}
        return torch.func.functional_call(self.inner, state, x)


class WithHead(nn.Module):
    """An auxiliary classifier that helps in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = convolutional()
        self.head = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))

    def forward(self, x):
        y = self.inner(x)
        return (y, self.head(y)) if self.training else y


def lazy():
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5), nn.LazyBatchNorm1d()
    )


MODELS = {
    "convolutional": convolutional,
    "dense": dense,
    "residual": Residual,
    "nested and shared": Shared,
    "DataParallel": lambda: nn.DataParallel(convolutional()),
    "lazy": lazy,
    "made at first": lambda: nn.Sequential(nn.Flatten(), own.MadeAtFirst()),
    "synchronised": lambda: nn.SyncBatchNorm.convert_sync_batchnorm(convolutional()),
    "three dimensions": lambda: nn.Sequential(nn.Unflatten(1, (1, 3)), nn.BatchNorm3d(1)),
    "cumulative": lambda: nn.Sequential(nn.BatchNorm2d(3, momentum=None)),
    "by formula": ByFormula,
    "several": Several,
    "standardised": Standardised,
    "with a teacher": WithTeacher,
    "functional": Functional,
    "by hand": lambda: nn.Sequential(nn.Flatten(), own.Own(192)),
    "told by autograd": lambda: nn.Sequential(nn.Flatten(), own.AsksAutograd(192)),
    "float64": lambda: convolutional().double(),
    "bfloat16": lambda: convolutional().bfloat16(),
    "channels last": lambda: convolutional().to(memory_format=torch.channels_last),
    "compiled": lambda: torch.compile(convolutional(), backend="eager"),
    "spectral norm": lambda: nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)
    ),
}


@pytest.mark.parametrize("trained", [False, True], ids=["as made", "in evaluation mode"])
@pytest.mark.parametrize("name", MODELS)
def test_a_healthy_model_passes(name, trained, probe):
    model = MODELS[name]()
    if trained:
        model.eval()
    verification = bnlint.verify(model, probe(16, 3, 8, 8))
    doubts = [outcome for outcome in verification.outcomes if outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
    assert not doubts, str(verification)
    for layer in verification.layers:
        assert layer.verdict == "PASS"
    passed = {check for check in range(1, 13) if verification.verdict(check) is Verdict.PASS}
    assert passed == set(range(1, 13)) - {11}, str(verification)


@pytest.mark.parametrize(
    "name", ["convolutional", "residual", "DataParallel", "lazy", "made at first", "by hand"]
)
def test_a_healthy_model_of_a_factory_passes(name, probe):
    verification = bnlint.verify(MODELS[name](), probe(16, 3, 8, 8), factory=MODELS[name])
    verification.assert_ok()
    assert verification.verdict(10) is Verdict.PASS
    causes = {outcome.cause for outcome in verification.of(10)}
    assert causes == {
        "its state_dict saved and loaded into a model that the factory made: the statistics and the outputs as before"
    }


def frozen_by_mode():
    model = convolutional()
    model[1].eval()
    return model


def frozen_altogether():
    return convolutional().eval().requires_grad_(False)


@pytest.mark.parametrize(
    "build",
    [frozen_by_mode, frozen_altogether, lambda: nn.Sequential(nn.Flatten(), own.KeepsItsNormFrozen(192))],
)
def test_what_is_frozen_stays_as_it_is(build, probe):
    verification = bnlint.verify(build(), probe(16, 3, 8, 8))
    verification.assert_ok()
    assert verification.verdict(11) is Verdict.PASS, str(verification)


def test_freezing_by_mode_is_told(probe):
    (note,) = bnlint.verify(frozen_by_mode(), probe(16, 3, 8, 8)).notes
    assert note == "1 is in evaluation mode while the model trains, which is taken for freezing on purpose."


def test_a_part_that_runs_in_training_alone(probe):
    verification = bnlint.verify(WithHead(), probe(16, 3, 8, 8))
    verification.assert_ok()
    (outcome,) = (each for each in verification.of(9) if each.layer == "head.1")
    assert outcome.verdict is Verdict.SKIP and outcome.cause.endswith(
        "a part of the model that runs in training alone"
    )


def test_a_branch_that_begins_with_nothing(probe):
    model = Residual()
    nn.init.zeros_(model.layers[0].bn2.weight)
    verification = bnlint.verify(model, probe(16, 3, 8, 8))
    verification.assert_ok()
    (outcome,) = (each for each in verification.of(7) if each.layer == "layers.0.bn2")
    assert outcome.verdict is Verdict.SKIP and outcome.cause.startswith("its gamma is 0")


def test_instance_norm_with_statistics(probe):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True))
    verification = bnlint.verify(model, probe(16, 3, 8, 8))
    verification.assert_ok()
    assert {outcome.cause for outcome in verification.of(1)} == {
        "it normalises each sample with statistics of its own"
    }
    assert {check for check in (4, 8, 9, 10, 12) if verification.verdict(check) is Verdict.PASS} == {
        4,
        8,
        9,
        10,
        12,
    }


def test_a_layer_that_does_more_than_normalise_is_not_measured_by_the_formula(probe):
    class Activated(own.Own):
        def formula(self, *args):
            return super().formula(*args).tanh()

    verification = bnlint.verify(nn.Sequential(nn.Linear(6, 4), Activated()), probe(16, 6))
    verification.assert_ok()
    assert verification.verdict(1) is Verdict.SKIP
    assert "it does more than normalise" in verification.of(1)[0].cause


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_what_is_scripted_cannot_be_watched(probe):
    model = nn.Sequential(torch.jit.script(convolutional()), nn.BatchNorm1d(2))
    verification = bnlint.verify(model, probe(16, 3, 8, 8))
    verification.assert_ok()
    assert [layer.verdict for layer in verification.layers].count("PASS") == 1
    skipped = {outcome.cause for outcome in verification.outcomes if outcome.layer == "0.1"}
    assert skipped == {"it is compiled by torch.jit, where nobody can watch it"}
    assert not bnlint.verify(torch.jit.script(convolutional()), probe(16, 3, 8, 8)).ok


@pytest.mark.skipif(importlib.util.find_spec("torch._dynamo") is None, reason="this PyTorch cannot compile")
def test_parts_that_are_compiled_run_as_they_are_written(probe):
    model = convolutional()
    model[1].compile(backend="eager")
    bnlint.verify(nn.Sequential(model), probe(16, 3, 8, 8)).assert_ok()
    assert model[1]._compiled_call_impl is not None


def test_a_training_step_and_an_inference_of_ones_own(probe):
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())
    seen = []

    def train(x):
        seen.append(model.training)
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()

    def infer(x):
        seen.append(model.training)
        return model(x)

    before = {name: value.clone() for name, value in model.state_dict().items()}
    bnlint.verify(model, probe(16, 6), train=train, infer=infer).assert_ok()
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not optimizer.state and True in seen and False in seen


def test_the_figures_of_a_layer(probe):
    model = nn.Sequential(nn.BatchNorm1d(6, momentum=0.25, eps=0.01))
    (layer,) = bnlint.verify(model, probe(16, 6)).layers
    assert (layer.layer.epsilon, layer.layer.momentum, layer.layer.channels) == (0.01, 0.75, 6)
    assert (layer.layer.api, layer.layer.framework) == ("torch.nn.BatchNorm1d", "pytorch")
    assert layer.train.momentum == pytest.approx(0.75, abs=1e-5)
    assert layer.train.mode.value == "batch statistics"
    assert layer.inference.mode.value == "moving statistics"
    assert (layer.train.moved, layer.inference.moved) == (True, False)
    assert layer.independence <= 1 and layer.converges <= 1
    assert len(layer.train_sample) == len(layer.inference_sample) == 96


def test_momentum_is_called_what_pytorch_calls_it(probe):
    (outcome,) = bnlint.verify(nn.Sequential(nn.BatchNorm1d(6, momentum=0.25)), probe(16, 6)).of(3)
    assert outcome.cause == "moved with the momentum 0.25, as declared"
