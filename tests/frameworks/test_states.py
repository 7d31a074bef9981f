"""PyTorch: what is written from one module to another, in whichever way it is written, and which modules copies are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.dataflow import Const
from bnlint.trace import Copy, Forward, Save

Program = Callable[..., Any]

NETS = """\
import copy
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.bn = nn.BatchNorm1d(8)
    def forward(self, x):
        return self.bn(self.hidden(x))
one, other = Net(), Net()
"""

ALL, WEIGHTS, STATISTICS, NOTHING = {"weights", "statistics"}, {"weights"}, {"statistics"}, set[str]()

WHAT_IS_WRITTEN = {
    "whole state": ("other.load_state_dict(one.state_dict())", ALL),
    "state of a copy": ("other.load_state_dict(copy.deepcopy(one.state_dict()))", ALL),
    "own state": ("other.load_state_dict(other.state_dict())", NOTHING),
    "copy of its own state": ("other.load_state_dict(copy.deepcopy(other.state_dict()))", NOTHING),
    "through a wrapper": ("other.load_state_dict(nn.DataParallel(one).state_dict())", ALL),
    "without statistics": (
        "other.load_state_dict({k: v for k, v in one.state_dict().items() if 'running' not in k}, strict=False)",
        WEIGHTS,
    ),
    "without norms": (
        "other.load_state_dict({k: v for k, v in one.state_dict().items() if 'bn' not in k}, strict=False)",
        NOTHING,
    ),
    "an average": (
        "a, b = one.state_dict(), other.state_dict()\nother.load_state_dict({k: a[k] / 2 + b[k] / 2 for k in a})",
        ALL,
    ),
    "all parameters": (
        "for p, q in zip(other.parameters(), one.parameters()): p.data.copy_(q.data)",
        WEIGHTS,
    ),
    "all parameters at once": (
        "torch._foreach_lerp_(list(other.parameters()), list(one.parameters()), 0.1)",
        WEIGHTS,
    ),
    "all buffers": ("for p, q in zip(other.buffers(), one.buffers()): p.copy_(q)", STATISTICS),
    "tensors of the state": (
        "for p, q in zip(other.state_dict().values(), one.state_dict().values()): p.copy_(q)",
        ALL,
    ),
    "tensors of a copied state": (
        "for p, q in zip(copy.deepcopy(other.state_dict()).values(), one.state_dict().values()): p.copy_(q)",
        NOTHING,
    ),
    "one statistic": ("other.bn.running_mean = one.bn.running_mean.clone()", STATISTICS),
    "another module": ("third = Net()\nthird.load_state_dict(one.state_dict())", NOTHING),
}


@pytest.mark.parametrize(("code", "expected"), WHAT_IS_WRITTEN.values(), ids=WHAT_IS_WRITTEN.keys())
def test_what_is_written(code: str, expected: set[str], program: Program) -> None:
    trace = program(f"{NETS}{code}\nother(torch.ones(2, 4))\n", prelude="").trace
    (forward,) = trace.of(Forward)
    (call,) = forward.norms
    copies = [copy for copy in trace.of(Copy) if call.layer in copy.written_to]
    written = {
        *("weights" for copy in copies if copy.weights),
        *("statistics" for copy in copies if copy.statistics),
    }
    assert written == expected


def test_a_copy_has_a_mode_and_layers_of_its_own(program: Program) -> None:
    trace = program(
        f"{NETS}twin = copy.deepcopy(one).eval()\nx = torch.ones(2, 4)\none(x)\ntwin(x)\ntwin(x + 1)\n",
        prelude="",
    ).trace
    first, second, third = (forward.norms[0] for forward in trace.of(Forward))
    assert [isinstance(call.phase, Const) and call.phase.value for call in (first, second, third)] == [
        True,
        False,
        False,
    ]
    assert first.layer is not second.layer and second.layer is third.layer


SAVED = {
    "state": ("one.state_dict()", ALL),
    "state in a dictionary": ("{'epoch': 1, 'model': one.state_dict()}", ALL),
    "module": ("one", STATISTICS),
    "parameters": ("list(one.parameters())", WEIGHTS),
    "parameters by name": ("dict(one.named_parameters())", WEIGHTS),
    "parameters and buffers": ("[list(one.parameters()), list(one.buffers())]", ALL),
    "something else": ("{'epoch': 1}", NOTHING),
}


@pytest.mark.parametrize(("what", "expected"), SAVED.values(), ids=SAVED.keys())
def test_what_a_checkpoint_has(what: str, expected: set[str], program: Program) -> None:
    trace = program(f"{NETS}torch.save({what}, 'model.pt')\n", prelude="").trace
    (save,) = trace.of(Save)
    held = {*(["weights"] if save.weights_of else []), *(["statistics"] if save.statistics_of else [])}
    assert held == expected
