"""The formulas, and how far rounding may take an output from them."""

from __future__ import annotations

import pytest

numpy = pytest.importorskip("numpy")

from hypothesis import example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from bnlint.runtime.observed import Mode  # noqa: E402
from bnlint.runtime.oracle import (  # noqa: E402
    batch_formula,
    batch_statistics,
    judge_mode,
    measured_momentum,
    moving_formula,
    tolerance,
)


def data(seed, shape, mean, deviation, dtype="float32"):
    values = numpy.random.default_rng(seed).standard_normal(shape) * deviation + mean
    return values.astype(dtype)


def single_precision(x, mean, variance, gamma, beta, epsilon):
    """As implementations do it: everything rounded to the type of x."""
    one = x.dtype.type
    inverse = (gamma / numpy.sqrt(variance + one(epsilon))).astype(x.dtype)
    return x * inverse + (beta - mean * inverse)


@settings(max_examples=60, deadline=None)
@example(seed=0, rows=20_000, mean=277.375, deviation=0.0625)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from([2, 8, 300, 20_000]),
    mean=st.floats(-1000, 1000),
    deviation=st.floats(0.01, 100),
)
def test_rounding_is_within_the_tolerance(seed, rows, mean, deviation):
    x = data(seed, (rows, 3), mean, deviation)
    gamma, beta = data(seed + 1, 3, 1, 0.3), data(seed + 2, 3, 0, 1)
    # Summed in pairs, as frameworks do it in one way or another. One running sum of many numbers that are nearly the
    # same rounds all of them in the same direction.
    columns = numpy.ascontiguousarray(x.T)
    batch_mean = columns.mean(axis=1)
    batch_variance = ((columns - batch_mean[:, None]) ** 2).mean(axis=1)
    y = single_precision(x, batch_mean, batch_variance, gamma, beta, 1e-3)
    away = batch_mean + 3 * numpy.sqrt(batch_variance), batch_variance * 4
    judgement = judge_mode(x, y, *away, gamma, beta, 1e-3, [1])
    assert judgement.batch_error <= 1
    y = single_precision(x, *away, gamma, beta, 1e-3)
    assert judge_mode(x, y, *away, gamma, beta, 1e-3, [1]).moving_error <= 1


@pytest.mark.parametrize("wrong", ["epsilon", "variance", "mean", "axis"])
def test_a_mistake_is_outside_of_it(wrong):
    x = data(0, (16, 5, 5, 3), 2, 3)
    zero, one = numpy.zeros(3), numpy.ones(3)
    batch = batch_statistics(x, [3])
    y = {
        "epsilon": lambda: batch_formula(x, None, None, 2e-2, [3]),
        "variance": lambda: moving_formula(
            x, batch.mean, batch.variance * batch.bessel, None, None, 1e-3, [3]
        ),
        "mean": lambda: moving_formula(x, batch.mean * 1.001, batch.variance, None, None, 1e-3, [3]),
        "axis": lambda: batch_formula(x, None, None, 1e-3, [1, 2, 3]),
    }[wrong]()
    assert judge_mode(x, y.astype("float32"), zero, one, None, None, 1e-3, [3]).mode is Mode.NEITHER


def test_both_formulas_fit_when_the_statistics_are_those_of_the_batch():
    x = data(0, (16, 3), 2, 3)
    batch = batch_statistics(x, [1])
    y = batch_formula(x, None, None, 1e-3, [1]).astype("float32")
    assert judge_mode(x, y, batch.mean, batch.variance, None, None, 1e-3, [1]).mode is Mode.BOTH
    assert judge_mode(x, y, None, None, None, None, 1e-3, [1]).mode is Mode.BATCH


@pytest.mark.parametrize("axes", [[3], [1], [-1], [1, 3]])
def test_the_statistics_are_those_of_numpy(axes):
    x = data(1, (7, 4, 5, 3), 2, 3, "float64")
    others = tuple(axis for axis in range(4) if axis not in [each % 4 for each in axes])
    batch = batch_statistics(x, axes)
    assert numpy.allclose(batch.mean, x.mean(axis=others), rtol=1e-12)
    assert numpy.allclose(batch.variance, x.var(axis=others), rtol=1e-12)
    assert batch.count * batch.mean.size == x.size


def test_masked_values_do_not_count():
    x = data(1, (6, 5, 3), 2, 3)
    mask = numpy.random.default_rng(2).integers(0, 2, (6, 5)).astype(bool)
    batch = batch_statistics(x, [2], mask)
    assert batch.count == mask.sum()
    assert numpy.allclose(batch.mean, x[mask].mean(axis=0), rtol=1e-5)


def test_the_tolerance_grows_with_what_it_is_made_of():
    assert tolerance("float16", 8, 1.0) > tolerance("float32", 8, 1.0) > tolerance("float64", 8, 1.0) > 0
    assert tolerance("bfloat16", 8, 1.0) > tolerance("float16", 8, 1.0)
    assert tolerance("float32", 800, 1.0) > tolerance("float32", 8, 1.0) > tolerance("float32", 1, 1.0)
    assert tolerance("float32", 8, 10.0) == pytest.approx(10 * tolerance("float32", 8, 1.0))
    assert tolerance("float32", 8, 1.0, 100.0) > tolerance("float32", 8, 1.0)


def test_momentum():
    before, batch = numpy.array([0.0, 1.0]), numpy.array([2.0, 5.0])
    assert measured_momentum(before, 0.99 * before + 0.01 * batch, batch) == pytest.approx(0.99)
    assert measured_momentum(batch, batch, batch) is None
