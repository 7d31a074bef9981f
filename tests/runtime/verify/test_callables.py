"""Pairs of functions, without any framework."""

from __future__ import annotations

import pytest

numpy = pytest.importorskip("numpy")

import bnlint  # noqa: E402
from bnlint.errors import UserError  # noqa: E402
from bnlint.runtime.oracle import Verdict  # noqa: E402


class Norm:
    """In NumPy."""

    def __init__(self, momentum: float = 0.9, moves: bool = True) -> None:
        self.mean, self.variance = numpy.zeros(4, "float32"), numpy.ones(4, "float32")
        self.momentum, self.moves = momentum, moves

    def train(self, x):
        mean, variance = x.mean(axis=0), x.var(axis=0)
        if self.moves:
            self.mean = self.momentum * self.mean + (1 - self.momentum) * mean
            self.variance = self.momentum * self.variance + (1 - self.momentum) * variance
        return (x - mean) / numpy.sqrt(variance + 1e-5)

    def infer(self, x):
        return (x - self.mean) / numpy.sqrt(self.variance + 1e-5)

    def set(self, mean, variance):
        self.mean, self.variance = mean, variance


def verify(norm, batch, **more):
    return bnlint.verify(
        (norm.train, norm.infer),
        batch,
        statistics=lambda: (norm.mean, norm.variance),
        set_statistics=norm.set,
        epsilon=1e-5,
        **more,
    )


def test_right(probe):
    norm = Norm()
    verification = verify(norm, probe(32, 4), momentum=0.9)
    assert verification.ok, str(verification)
    assert {check for check in range(1, 13) if verification.verdict(check) is Verdict.SKIP} == {10, 11}
    assert (norm.mean.tolist(), norm.variance.tolist()) == ([0] * 4, [1] * 4)


def test_never_moves(probe):
    assert {outcome.check for outcome in verify(Norm(moves=False), probe(32, 4)).failures()} == {3}


def test_another_momentum_than_declared(probe):
    (outcome,) = verify(Norm(momentum=0.5), probe(32, 4), momentum=0.9).failures()
    assert outcome.cause == "0.5 of the old mean are kept where 0.9 are declared"


def test_functions_that_do_more(probe):
    norm = Norm()
    verification = bnlint.verify(
        (lambda x: norm.train(x).sum(axis=1), lambda x: norm.infer(x).sum(axis=1)),
        probe(32, 4),
        statistics=lambda: (norm.mean, norm.variance),
        set_statistics=norm.set,
    )
    assert verification.verdict(1) is Verdict.SKIP
    assert verification.verdict(4) is Verdict.PASS


def test_what_is_missing_is_said(probe):
    norm = Norm()
    with pytest.raises(UserError, match="needs set_statistics"):
        bnlint.verify((norm.train, norm.infer), probe(8, 4), statistics=lambda: (norm.mean, norm.variance))
    with pytest.raises(UserError, match="does not know what gama is"):
        verify(norm, probe(8, 4), gama=1)


def test_a_function_that_raises(probe):
    norm = Norm()
    norm.infer = lambda x: 1 / 0
    with pytest.raises(UserError, match="The inference function cannot run on the batch: ZeroDivisionError"):
        verify(norm, probe(8, 4))
