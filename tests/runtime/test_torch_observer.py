"""Scripts of PyTorch under `bnlint run`: what their layers do is seen, and nothing is changed.

Each process imports PyTorch, so a script holds as much as it can.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bnlint.check import Options
from bnlint.findings import Location
from bnlint.runtime.backends.eager.said import Sources
from bnlint.runtime.judge import judge
from bnlint.runtime.observed import CheckpointSeen, LayerSeen, Mode, Observed, Passage, Purpose, RunSeen
from bnlint.runtime.script import journal
from bnlint.runtime.script.frames import Frames

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")

PATIENCE = 280


class Seen:
    """What `bnlint run` made of a script."""

    def __init__(self, script: str, finished: subprocess.CompletedProcess[str], folder: Path) -> None:
        self.script = dedent(script)
        self.code, self.out, self.err = finished.returncode, finished.stdout, finished.stderr
        self.report: Any = json.loads((folder / "report.json").read_text("utf-8"))
        self.observed: Observed = journal.read_evidence(folder / "seen.json").observed

    def line(self, words: str) -> int:
        (found,) = [number for number, line in enumerate(self.script.splitlines(), 1) if words in line]
        return found

    def layer(self, key: str) -> LayerSeen:
        return self.observed.layer(key)

    def runs(self, words: str) -> list[RunSeen]:
        """The runs from a line."""
        line = self.line(words)
        return [run for run in self.observed.runs if run.site is not None and run.site.line == line]

    def run(self, words: str) -> RunSeen:
        (found,) = self.runs(words)
        return found

    def passage(self, words: str, key: str) -> Passage:
        (found,) = [passage for passage in self.run(words).passages if passage.layer == key]
        return found

    def kept(self, words: str) -> CheckpointSeen:
        """What was written or read on a line."""
        line = self.line(words)
        (found,) = [each for each in self.observed.checkpoints if each.site and each.site.line == line]
        return found

    def findings(self) -> set[tuple[str, int]]:
        return {(finding["code"], finding["line"]) for finding in self.report["findings"]}


def observe(folder: Path, script: str, *options: str) -> Seen:
    (folder / "script.py").write_text(dedent(script), "utf-8")
    outputs = ["--output-format", "json", "--output-file", "report.json", "--evidence", "seen.json"]
    finished = subprocess.run(
        [sys.executable, "-m", "bnlint", "run", *outputs, *options, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "BNLINT_TRACEBACK": "1"},
    )
    assert finished.returncode in (0, 1) and "Traceback" not in finished.stderr, finished.stderr
    return Seen(script, finished, folder)


ROLES = """
    import torch
    from torch import nn

    torch.manual_seed(0)
    X = torch.randn(32, 4) * 2 + 3

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(4, 8)
            self.norm = nn.BatchNorm1d(8, momentum=0.3)
            self.out = nn.Linear(8, 1)

        def forward(self, x):
            return self.out(self.norm(self.hidden(x)))

    def learn(model, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            model(X).pow(2).mean().backward()  # learns
            optimizer.step()

    def measure(model):
        return model(X)  # nobody wants gradients

    net = Net()
    sgd = torch.optim.SGD(net.parameters(), 0.01)
    net(X)  # before the training
    learn(net, sgd, 5)
    net.eval()  # first off
    with torch.no_grad():
        net(X)  # tested
    measure(net)
    net.train()  # on
    for _ in range(4):
        for part in X.split(8):
            (net(part).mean() / 4).backward()  # adds up
        sgd.step()
        sgd.zero_grad()
    net.eval()  # off again
    attacked = X.clone().requires_grad_()
    net(attacked).mean().backward()  # attacks all
    torch.autograd.grad(net(attacked).mean(), attacked)  # attacks as well
    net.train()  # on again
    sgd.zero_grad()
    net(X).mean().backward()  # last
    sgd.step()
"""


@needs_torch
def test_what_a_forward_pass_is_for_is_told_by_gradients_and_optimizers(tmp_path: Path) -> None:
    seen = observe(tmp_path, ROLES)
    assert not seen.findings() and not seen.observed.notes
    (layer,) = seen.observed.layers
    assert (layer.key, layer.api, layer.framework, layer.axes) == (
        "norm",
        "torch.nn.BatchNorm1d",
        "pytorch",
        [1],
    )
    assert layer.site is not None and layer.site.line == seen.line("nn.BatchNorm1d")
    assert layer.momentum == pytest.approx(0.7) and layer.given == ["num_features"]
    assert layer.registered and layer.buffered and not layer.in_forward and not layer.copy_of
    assert layer.statistics_type == "float32"

    assert seen.run("before the training").purpose is Purpose.UNKNOWN
    learned = seen.run("# learns")
    assert (learned.purpose, learned.count, learned.training, learned.recorded) == (
        Purpose.TRAIN,
        5,
        True,
        True,
    )
    assert learned.step is not None and learned.step.line == seen.line("# learns") + 1
    passage = seen.passage("# learns", "norm")
    assert (passage.mode, passage.declared, passage.origin) == (Mode.BATCH, True, "mode")
    assert passage.trained and passage.trainable and passage.moved and passage.updates == 1
    assert passage.momentum == pytest.approx(0.7, abs=1e-4)
    assert passage.site is not None and passage.site.line == seen.line("self.out(self.norm")
    assert passage.phase_site is None and passage.batch == 32

    tested = seen.run("# tested")
    assert (tested.purpose, tested.training, tested.recorded) == (Purpose.EVALUATE, False, False)
    passage = seen.passage("# tested", "norm")
    assert passage.mode is Mode.MOVING and passage.moved is False
    assert passage.phase_site is not None and passage.phase_site.line == seen.line("# first off")
    measured = seen.run("nobody wants")
    assert (measured.purpose, measured.recorded) == (Purpose.EVALUATE, True)

    added = seen.run("# adds up")
    assert (added.purpose, added.count) == (Purpose.TRAIN, 4)
    assert seen.passage("# adds up", "norm").updates == 4
    for words in ("# attacks all", "# attacks as well"):
        assert seen.run(words).purpose is Purpose.UNKNOWN
    assert seen.run("# last").purpose is Purpose.TRAIN
    assert seen.observed.train_steps == 10
    assert [switch.training for switch in seen.observed.switches] == [False, True, False, True]
    assert all(switch.layers == ["norm"] and not switch.own for switch in seen.observed.switches)


GAN = """
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, given, made):
            super().__init__()
            self.norm = nn.BatchNorm1d(16)
            self.first, self.last = nn.Linear(given, 16), nn.Linear(16, made)

        def forward(self, x):
            return self.last(torch.relu(self.norm(self.first(x))))

    maker, critic = Block(8, 4), Block(4, 1)
    own, other = torch.optim.Adam(maker.parameters()), torch.optim.Adam(critic.parameters())

    def step():
        critic.zero_grad()
        made = maker(torch.randn(16, 8))  # makes
        loss = critic(torch.randn(16, 4)).mean() - critic(made.detach()).mean()  # judges
        loss.backward()
        other.step()  # of the critic
        maker.zero_grad()
        (-critic(made).mean()).backward()  # judges again
        own.step()  # of the maker
        with torch.no_grad():
            maker(torch.randn(4, 8))  # shows

    for _ in range(3):
        step()
"""


@needs_torch
def test_steps_of_two_networks_are_told_apart(tmp_path: Path) -> None:
    seen = observe(tmp_path, GAN)
    assert not seen.findings()
    steps = {run.step.line: run for run in seen.observed.training() if run.step}
    assert set(steps) == {seen.line("# of the critic"), seen.line("# of the maker")}
    trained = {
        line: {seen.layer(passage.layer).key: passage.trained for passage in run.passages}
        for line, run in steps.items()
    }
    # Layers have their keys in the order in which they run.
    assert trained == {
        seen.line("# of the critic"): {"norm#2": True},
        seen.line("# of the maker"): {"norm": True, "norm#2": False},
    }
    assert all(run.count == 3 for run in steps.values()) and seen.observed.train_steps == 6
    # In training mode, in a function that trains: it is not known what for.
    assert seen.run("# shows").purpose is Purpose.UNKNOWN


FUNCTIONS = """
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(0)
    X = torch.randn(32, 4) * 2 + 3

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))
            self.register_buffer("mean", torch.zeros(4))
            self.register_buffer("variance", torch.ones(4))

    class Follows(Norm):
        def forward(self, x):
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, self.training)  # mode

    class Always(Norm):
        def forward(self, x):
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, training=True)

    class Never(Norm):
        def forward(self, x):
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias)  # default

    class Meant(Norm):
        def forward(self, x):
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, False)  # said

    class Plain(Norm):
        def __init__(self):
            super().__init__()
            del self.mean
            self.mean = torch.zeros(4)

        def forward(self, x):
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, self.training)  # plain

    class Made(nn.Module):
        def forward(self, x):
            return nn.BatchNorm1d(4)(x)  # made anew

    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = [nn.BatchNorm1d(4)]

        def forward(self, x):
            return self.parts[0](x)  # hidden

    class Again(nn.Module):
        def __init__(self, reentrant):
            super().__init__()
            self.body = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())
            self.reentrant = reentrant

        def forward(self, x):
            return checkpoint(self.body, x, use_reentrant=self.reentrant)

    others = [Plain(), Made(), Hidden(), Again(True), Again(False)]
    model = nn.Sequential(nn.Linear(4, 4), Follows(), Always(), Never(), Meant(), *others)
    sgd = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(3):
        sgd.zero_grad()
        model(X).pow(2).mean().backward()  # learns
        sgd.step()
    model.eval()
    with torch.no_grad():
        model(X)  # tested
"""


@needs_torch
def test_functions_layers_that_nobody_keeps_and_recomputed_ones(tmp_path: Path) -> None:
    seen = observe(tmp_path, FUNCTIONS)
    learned = {passage.layer: passage for passage in seen.run("# learns").passages}
    follows, always, never, meant, plain = (f"Sequential.{number}" for number in range(1, 6))
    assert seen.layer(follows).api == "torch.nn.functional.batch_norm"
    assert seen.layer(follows).site.line == seen.line("# mode")  # type: ignore[union-attr]
    told = {
        key: (
            learned[key].mode,
            learned[key].declared,
            learned[key].origin,
            learned[key].fixed,
            learned[key].moved,
        )
        for key in (follows, always, never, meant)
    }
    assert told == {
        follows: (Mode.BATCH, True, "mode", None, True),
        always: (Mode.BATCH, True, "argument", True, True),
        never: (Mode.MOVING, False, "default", True, False),
        meant: (Mode.MOVING, False, "argument", None, False),
    }
    assert all(learned[key].trained for key in told)
    assert seen.layer(follows).buffered and seen.layer(follows).registered
    assert seen.layer(plain).buffered is False and seen.layer(plain).registered

    made = next(layer for layer in seen.observed.layers if layer.in_forward)
    assert (made.rebuilt, made.site.line) == (3, seen.line("# made anew"))  # type: ignore[union-attr]
    assert learned[made.key].trained is False
    (hidden,) = [
        layer for layer in seen.observed.layers if layer.registered is False and not layer.in_forward
    ]
    assert hidden.site.line == seen.line("self.parts = [")  # type: ignore[union-attr]
    assert learned[hidden.key].trained is False and learned[hidden.key].mode is Mode.BATCH
    again = [passage for passage in learned.values() if passage.recomputed]
    assert [passage.updates for passage in again] == [2, 2] and all(passage.moved for passage in again)
    assert sum(layer.name.endswith("body.0") for layer in seen.observed.layers) == 2

    tested = seen.run("# tested")
    assert tested.purpose is Purpose.EVALUATE and tested.training is False
    modes = {passage.layer: passage.mode for passage in tested.passages}
    assert modes[follows] is Mode.MOVING and modes[always] is Mode.BATCH
    assert modes[hidden.key] is modes[made.key] is Mode.BATCH
    assert seen.findings() == {
        ("BN107", seen.line("# default")),
        ("BN111", seen.line("# made anew")),
        ("BN112", seen.line("# plain")),
        ("BN112", seen.line("self.parts = [")),
        ("BN203", seen.line("training=True")),
        ("BN704", seen.line("return checkpoint(")),
    }


KEEPING = """
    import copy
    import torch
    from torch import nn

    torch.manual_seed(0)
    X = torch.randn(32, 4) * 2 + 3

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4, 1e-3)

        def forward(self, x):
            return self.norm(x)

    net = Net()
    sgd = torch.optim.SGD(net.parameters(), 0.01)
    average = copy.deepcopy(net)
    for _ in range(3):
        sgd.zero_grad()
        net(X).pow(2).mean().backward()
        sgd.step()
        with torch.no_grad():
            for mine, other in zip(average.parameters(), net.parameters()):
                mine.mul_(0.5).add_(other, alpha=0.5)
    torch.save({"model": net.state_dict(), "step": 3}, "whole.pt")  # whole
    torch.save(dict(net.named_parameters()), "part.pt")  # part
    fresh = Net()
    fresh.load_state_dict(torch.load("part.pt"), strict=False)  # taken
    fresh.eval()
    with torch.no_grad():
        fresh(X)  # of the fresh one
        average.eval()
        average(X)  # of the average
    traced = torch.jit.trace(net, X)  # traced
    exported = torch.export.export(net.eval(), (X,))  # exported
    traced.save("traced.pt")
    torch.jit.save(traced, "again.pt")
    torch.export.save(exported, "exported.pt2")
    torch.jit.trace(net.train(), X)  # looked at
    net.eval()
    torch.save(net, "model.pt")  # pickled
    torch.load("model.pt", weights_only=False)(X)  # read
"""


@needs_torch
def test_what_is_kept_and_copied(tmp_path: Path) -> None:
    seen = observe(tmp_path, KEEPING)
    whole, part = seen.kept("# whole"), seen.kept("# part")
    assert whole.writes and not whole.missing
    assert part.writes and part.missing == ["norm"]
    taken = seen.kept("# taken")
    assert (taken.api, taken.writes, taken.strict) == ("torch.nn.Module.load_state_dict", False, False)
    assert taken.left_out == ["norm.num_batches_tracked", "norm.running_mean", "norm.running_var"]
    (fresh,) = taken.missing
    assert seen.run("of the fresh one").purpose is Purpose.EVALUATE
    assert {passage.layer for passage in seen.run("of the fresh one").passages} == {fresh}

    (copied,) = [layer for layer in seen.observed.layers if layer.copy_of == "norm"]
    assert {passage.layer for passage in seen.run("of the average").passages} == {copied.key}
    assert seen.run("of the average").purpose is Purpose.EVALUATE
    assert copied.initial_mean == copied.last_mean and copied.last_scale != seen.layer(fresh).initial_scale

    traced, exported = seen.kept("# traced"), seen.kept("# exported")
    assert (traced.api, traced.training_mode) == ("torch.jit.trace", ["norm"])
    assert (exported.api, exported.training_mode) == ("torch.export.export", [])
    assert not seen.kept("# pickled").missing and seen.run("# read").purpose is Purpose.EVALUATE
    assert [line for code, line in seen.findings() if code == "BN801"] == [seen.line("# traced")]
    assert seen.layer("norm").given == ["num_features", "eps"] and seen.layer("norm").epsilon == 1e-3


REPLACED = """
    import torch
    from torch import nn
    from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, update_bn

    torch.manual_seed(0)
    X = torch.randn(32, 4) * 2 + 3

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
            self.twice, self.alike = nn.BatchNorm1d(4), nn.BatchNorm1d(4)

        def forward(self, x):
            x = self.twice(self.one(x)).relu() + 5
            x = self.twice(self.two(x))
            return self.alike(self.one(x)) + self.alike(self.one(-x))

    def learn(net, *averages):
        sgd = torch.optim.SGD(net.parameters(), 0.01)
        for _ in range(3):
            sgd.zero_grad()
            net(X).pow(2).mean().backward()  # learn
            sgd.step()
            for average in averages:
                average.update_parameters(net)  # added

    def test(net):
        net.eval()
        with torch.no_grad():
            return net(X)

    net = Net()
    plain, estimated, smooth = AveragedModel(net), AveragedModel(net), AveragedModel(net, avg_fn=get_ema_avg_fn())
    learn(net, plain, estimated, smooth)
    update_bn([X, X], estimated)
    for each in (plain, estimated, smooth):
        test(each)
    net.twice.reset_running_stats()  # set back
    net.alike.reset_running_stats()
    net.alike.running_mean.copy_(plain.module.alike.running_mean)
    test(net)
    print([id(each.module.alike) != 0 for each in (plain, estimated, smooth)])
"""


@needs_torch
def test_what_is_applied_twice_and_statistics_that_are_replaced(tmp_path: Path) -> None:
    seen = observe(tmp_path, REPLACED)
    apart = {}
    for passage in seen.run("# learn").passages:
        apart[passage.layer] = max(passage.apart, apart.get(passage.layer, 0.0))
    twice, alike = (next(key for key in apart if name in seen.layer(key).name) for name in ("twice", "alike"))
    assert apart[twice] > 1 and apart[alike] == 0

    added, back = seen.line("# added"), seen.line("# set back")
    stale = [
        (layer.stale, layer.stale_site.line if layer.stale_site else 0, layer.copy_of)
        for layer in seen.observed.layers
        if layer.stale
    ]
    assert sorted(stale) == [("averaged", added, alike), ("averaged", added, twice), ("reset", back, "")]
    report = judge(seen.observed, Options(select=("ALL",), isolated=True))
    found = {(finding.code, finding.location.line) for finding in report.findings}
    assert found >= {("BN303", seen.line("self.two(x)")), ("BN503", added), ("BN505", back)}


LOADERS = """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Subset, TensorDataset

    torch.manual_seed(0)

    def batches(shift, *parts):
        whole = TensorDataset(torch.randn(96, 4) + shift)
        return [DataLoader(Subset(whole, range(*part)) if part else whole, 16) for part in parts]

    def learn(net, one, other):
        sgd = torch.optim.SGD(net.parameters(), 0.01)
        for (x,), (y,) in zip(one, other):
            sgd.zero_grad()
            first = net(x.view(-1, 2, 2).flatten(1))  # first
            second = net(y)  # second
            (first.mean() - second.mean()).pow(2).backward()
            sgd.step()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.out = nn.Linear(4, 1)

        def forward(self, x):
            return self.out(self.norm(x))

    (near,), (alike,), (far,) = batches(0, ()), batches(0, ()), batches(3, ())
    parts = batches(0, (48,), (48, 96))
    far_apart, of_a_kind, of_one_set, copied = Net(), Net(), Net(), Net()
    learn(far_apart, near, far)
    learn(of_a_kind, near, alike)
    learn(of_one_set, *parts)
    learn(copied, near, ((y.clone(),) for (y,) in far))
    print(far_apart.norm.running_mean.min() > 1, of_a_kind.norm.running_mean.max() < 1)
"""


@needs_torch
def test_examples_of_two_sets_in_one_step(tmp_path: Path) -> None:
    seen = observe(tmp_path, LOADERS)
    assert seen.out == "tensor(True) tensor(True)\n"
    passages = [passage for run in seen.observed.runs for passage in run.passages]
    mixed = [
        (round(passage.mixed), passage.mixed_with.line, passage.mixed_at.line)
        for passage in passages
        if passage.mixed_with is not None and passage.mixed_at is not None
    ]
    first, second = seen.line("# first"), seen.line("# second")
    # The first network, and the second one; examples of one set, and copies, are not compared.
    assert mixed == [(3, first, second), (0, first, second)]
    assert len({passage.layer for passage in passages}) == 4


UNTOUCHED = """
    import torch
    import torch.fx
    from torch import nn
    from torch.func import functional_call, vmap
    import torch.nn.functional as F

    torch.manual_seed(0)
    X = torch.randn(32, 4) * 2 + 3

    def built():
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

    def learn(model, steps=3):
        sgd = torch.optim.SGD(model.parameters(), 0.01)
        for _ in range(steps):
            sgd.zero_grad()
            loss = model(X).pow(2).mean()
            loss.backward()
            sgd.step()
        print(loss.item())

    model = built()
    learn(model)
    learn(nn.DataParallel(model))
    compiled = torch.compile(built(), backend="aot_eager")
    learn(compiled)
    compiled.eval()
    with torch.no_grad():
        print(compiled(X).mean().item())

    @torch.compile(backend="eager", fullgraph=True)
    def bare(x):
        return F.batch_norm(x, None, None, training=True).sum()

    @torch.compile(backend="eager")
    def with_breaks(x):
        print("breaks")
        model.train()
        return model(x).mean() + nn.BatchNorm1d(4)(x).mean()

    print(bare(X).item(), with_breaks(X).item())
    model.eval()
    print(torch.jit.script(model)(X).mean().item(), torch.jit.trace(model, X)(X).mean().item())
    print(torch.fx.symbolic_trace(model)(X).mean().item())
    print(functional_call(model, dict(model.named_parameters()), (X,)).mean().item())
    print(vmap(lambda x: F.batch_norm(x, None, None, training=True))(X.reshape(4, 8, 4)).mean().item())
    print(model.to(torch.bfloat16)(X.bfloat16()).float().mean().item())
    print(torch.randn(2), hash(F.batch_norm.__name__) == hash("batch_norm"), torch.batch_norm.__name__)
"""


@needs_torch
def test_a_program_computes_what_it_computes_without_bnlint(tmp_path: Path) -> None:
    seen = observe(tmp_path, UNTOUCHED)
    alone = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert seen.out == alone.stdout
    assert seen.err == alone.stderr
    assert any("torch.compile" in note for note in seen.observed.notes)
    # The model, the same in `nn.DataParallel`, and the one that is compiled.
    steps = [run for run in seen.observed.training() if run.passages]
    assert sum(run.count for run in steps) == 9
    assert {passage.mode for run in steps for passage in run.passages} == {Mode.BATCH}
    assert all(passage.moved for run in steps for passage in run.passages)


@needs_torch
def test_enough_steps_end_the_script(tmp_path: Path) -> None:
    seen = observe(tmp_path, ROLES, "--max-steps", "3")
    assert seen.observed.ended == "max-steps" and seen.observed.train_steps == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("F.batch_norm(x, m, v)", ["nothing"]),
        ("batch_norm(x, m, v, w, b, self.training)", ["self.training"]),
        ("F.batch_norm(x, m, v, training=True)", ["True"]),
        ("F.batch_norm(x, m, v, **options)", []),
        ("F.batch_norm(*everything)", []),
        ("F.layer_norm(x, 8)", []),
    ],
)
def test_what_a_call_passes_for_the_phase(tmp_path: Path, call: str, said: list[str]) -> None:
    import ast

    (tmp_path / "own.py").write_text(f"y = {call}\n", "utf-8")
    place = Location("own.py", 1, 5, 1, 5 + len(call))
    found = Sources(Frames(str(tmp_path))).arguments(place, "batch_norm", "training", 5)
    assert ["nothing" if each is None else ast.unparse(each) for each in found] == said
