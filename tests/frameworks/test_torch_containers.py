"""PyTorch: which modules are part of the one that keeps them, and which it only uses."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.dataflow import Const
from bnlint.trace import Forward, ModeSwitch, Origin, Unregistered

Program = Callable[..., Any]

NET = """\
import torch
import torch.nn.functional as F
from torch import nn
def norms():
    return [nn.BatchNorm1d(8), nn.BatchNorm1d(8)]
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {made}
    def forward(self, x):
        {applied}
        return x
net = Net().eval()
net(torch.randn(4, 8))
"""
LOOP = "for norm in self.kept: x = norm(x)"


@pytest.mark.parametrize(
    ("made", "applied", "registered"),
    [
        ("self.kept = nn.ModuleList(norms())", LOOP, True),
        ("self.kept = nn.ModuleList(norms()); self.kept.append(nn.BatchNorm1d(8))", LOOP, True),
        ("self.kept = nn.ModuleList(); self.kept += norms()", LOOP, True),
        ("self.kept = nn.ModuleList(); self.kept.extend(norms()); self.kept.insert(0, nn.BatchNorm1d(8))", LOOP, True),
        ("self.kept = nn.ModuleList(norms())[1:]", LOOP, True),
        ("self.kept = nn.ModuleList(norms() * 2)", "for i in range(len(self.kept)): x = self.kept[i](x)", True),
        ("self.kept = nn.ModuleDict({'a': nn.BatchNorm1d(8)})", "for _, norm in self.kept.items(): x = norm(x)", True),
        ("self.kept = nn.ModuleDict([['a', nn.BatchNorm1d(8)]])", "x = self.kept['a'](x)", True),
        ("self.kept = nn.ModuleDict(); self.kept['a'] = nn.BatchNorm1d(8)", "for norm in self.kept.values(): x = norm(x)", True),
        ("self.kept = norms(); self.sequence = nn.Sequential(*self.kept)", LOOP, True),
        ("self.kept = norms(); self.kept = nn.Sequential(*self.kept)", "x = self.kept(x)", True),
        ("self.kept = norms()", LOOP, False),
        ("self.kept = tuple(norms())", LOOP, False),
        ("self.kept = []; self.kept += norms()", LOOP, False),
        ("self.kept = {'a': nn.BatchNorm1d(8)}", "x = self.kept['a'](x)", False),
        ("self.kept = [nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))]", LOOP, False),
    ],
)  # fmt: skip
def test_what_eval_reaches(program: Program, made: str, applied: str, registered: bool) -> None:
    trace = program(NET.format(made=made, applied=applied)).trace
    calls = [call for forward in trace.of(Forward) for call in forward.norms]
    assert calls
    assert {isinstance(call.phase, Const) and call.phase.value for call in calls} == {not registered}
    assert any(trace.of(Unregistered)) is not registered
    [switch] = trace.of(ModeSwitch)
    assert all((call.layer.owner in switch.parts) is registered for call in calls)


@pytest.mark.parametrize(
    ("phase", "origin"),
    [
        ("self.training", Origin.MODE),
        ("training=self.training", Origin.MODE),
        ("True", Origin.ARGUMENT),
        ("training=not self.training", Origin.ARGUMENT),
        ("momentum=0.2", Origin.DEFAULT),
    ],
)
def test_where_the_phase_of_the_function_comes_from(program: Program, phase: str, origin: Origin) -> None:
    made = "self.register_buffer('mean', torch.zeros(8)); self.register_buffer('var', torch.ones(8))"
    arguments = phase if "=" in phase else f"None, None, {phase}"
    applied = f"x = F.batch_norm(x, self.mean, self.var, {arguments})"
    trace = program(NET.format(made=made, applied=applied)).trace
    [call] = [call for forward in trace.of(Forward) for call in forward.norms]
    assert call.origin is origin
