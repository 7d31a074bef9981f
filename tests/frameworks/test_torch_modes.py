"""PyTorch: in which mode a layer is, in whichever way it is built and switched, and what is frozen."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.dataflow import Choice, Const
from bnlint.trace import Forward, Freeze

Program = Callable[..., Any]

TRAINS, INFERS, UNKNOWN = True, False, None

NET = """\
import torch, torchvision
from torch import nn
class Norm(nn.BatchNorm1d):
    pass
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
    def forward(self, x):
        return self.norm(self.first(x))
class Sequence(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 8), nn.BatchNorm1d(8))
class Growing(nn.Sequential):
    def __init__(self, norm):
        super().__init__()
        for i in range(2):
            self.add_module(f"layer{i}", norm(8))
own, sequence, growing = Own(), Sequence(), Growing(nn.BatchNorm1d)
library = torchvision.models.resnet18(weights="DEFAULT")
def off(module):
    if isinstance(module, nn.BatchNorm1d):
        module.eval()
def off_by_name(module):
    if module.__class__.__name__.find("BatchNorm") >= 0:
        module.eval()
def off_other(module):
    if isinstance(module, nn.Dropout):
        module.eval()
"""

MODES = {
    "nothing": ("own(x)", TRAINS),
    "eval": ("own.eval()\nown(x)", INFERS),
    "and back": ("own.eval()\nown.train()\nown(x)", TRAINS),
    "train(False)": ("own.train(False)\nown(x)", INFERS),
    "train by a flag that is not known": ("own.train(flag)\nown(x)", UNKNOWN),
    "a part": ("own.norm.eval()\nown(x)", INFERS),
    "another part": ("own.first.eval()\nown(x)", TRAINS),
    "attribute of the whole": ("own.training = False\nown(x)", TRAINS),
    "attribute of the layer": ("own.norm.training = False\nown(x)", INFERS),
    "apply": ("own.apply(off)\nown(x)", INFERS),
    "apply by the name of the class": ("own.apply(off_by_name)\nown(x)", INFERS),
    "apply to something else": ("own.apply(off_other)\nown(x)", TRAINS),
    "modules": ("for m in own.modules(): off(m)\nown(x)", INFERS),
    "named modules": ("for name, m in own.named_modules():\n  if isinstance(m, nn.modules.batchnorm._BatchNorm): m.eval()\nown(x)", INFERS),
    "own class of layer": ("m = Norm(8)\nm.apply(off)\nm(x)", INFERS),
    "sequence": ("sequence.eval()\nsequence(x)", INFERS),
    "item of a sequence": ("sequence[1].eval()\nsequence(x)", INFERS),
    "other item of a sequence": ("sequence[0].eval()\nsequence(x)", TRAINS),
    "items of a sequence": ("for m in sequence: m.eval()\nsequence(x)", INFERS),
    "sequence that grows": ("growing(x)", TRAINS),
    "sequence that grows, evaluated": ("growing.eval()\ngrowing(x)", INFERS),
    "parallel": ("m = nn.DataParallel(own)\nm.eval()\nm(x)", INFERS),
    "library": ("library(x)", TRAINS),
    "library, evaluated": ("library.eval()\nlibrary(x)", INFERS),
    "children of a model of a library": (
        "m = nn.Sequential(*list(library.children())[:-1])\nlibrary.eval()\nm(x)", INFERS,
    ),
    "chain": ("own.cuda().eval()\nown(x)", INFERS),
    "many modules": ("m = nn.Sequential(*[Own() for _ in range(30)])\nm.apply(off)\nm(x)", INFERS),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in MODES.items()]
)
def test_mode(program: Program, source: str, expected: bool | None) -> None:
    trace = program(NET + source).trace
    phases = [call.phase for forward in trace.of(Forward) for call in forward.norms]
    assert phases
    modes = {phase.value if isinstance(phase, Const) else None for phase in phases}
    assert modes == {expected}, [phase for phase in phases if isinstance(phase, Choice)]


FROZEN = {
    "loop": ("for p in own.parameters(): p.requires_grad = False", {"own": False}),
    "loop with names": ("for name, p in own.named_parameters(): p.requires_grad = False", {"own": False}),
    "method of the parameter": ("for p in own.parameters(): p.requires_grad_(False)", {"own": False}),
    "method of the module": ("own.requires_grad_(False)", {"own": False}),
    "and free again": ("own.requires_grad_(False)\nown.requires_grad_()", {"own": True}),
    "not all": ("for name, p in own.named_parameters():\n  if 'norm' in name: p.requires_grad = False", {}),
    "not the last ones": (
        "for i, p in enumerate(own.parameters()):\n  if i < 2: p.requires_grad = False",
        {},
    ),
    "part": ("for p in own.first.parameters(): p.requires_grad = False", {"own.first": False}),
    "list of them": ("for p in list(library.parameters()): p.requires_grad = False", {"library": False}),
}


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in FROZEN.items()]
)
def test_frozen(program: Program, source: str, expected: dict[str, bool]) -> None:
    trace = program(NET + source).trace
    found = {
        freeze.target: freeze.trainable.value
        for freeze in trace.of(Freeze)
        if not freeze.guards and freeze.parts
    }
    assert list(found.values()) == list(expected.values())
