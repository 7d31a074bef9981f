"""How far outputs are apart, in units of what rounding allows."""

from __future__ import annotations

import math

from bnlint.runtime.oracle import Array, Statistics, batch_statistics, magnitude, spread, tolerance
from bnlint.runtime.subject import Application, Norm

_LEAST = 1e-300
"""Keeps a tolerance of 0 from dividing 0."""


def difference(norm: Norm, train: Application, infer: Application, batch: Statistics) -> float:
    """The largest difference of two outputs for the same input, in units of what rounding and n/(n-1) allow."""
    import numpy

    epsilon = norm.seen.epsilon
    size = magnitude(train.x, batch.mean, batch.variance, train.gamma, train.beta, epsilon, train.axes)
    cancellation: Array = 0.0
    if norm.one_pass:
        along = spread(numpy.ndim(train.x), train.axes)
        cancellation = along((batch.mean**2 + batch.variance + epsilon) / (batch.variance + epsilon))
    near = 2 * tolerance(train.dtype, batch.count, size, cancellation)
    return float((numpy.abs(_double(train.y) - _double(infer.y)) / numpy.maximum(near, _LEAST)).max())


def sample_error(norm: Norm, together: Application, apart: Application) -> float:
    """How far a sample's output inside a batch is off that of the sample alone, in units of what may be.

    What may be is the rounding of both, and what the map of the layer makes of a difference in its input.
    """
    import numpy

    x, alone = _double(together.x)[:1], _double(apart.x)[:1]
    if x.shape != alone.shape:
        return 0.0
    if together.x.shape != together.y.shape:
        # It does more than normalise: nothing is known of its map but its size.
        inside, alone_y = _double(together.y)[:1], _double(apart.y)[:1]
        near = 2 * tolerance(together.dtype, together.x[:1].size, numpy.abs(_double(together.y)).max())
        return float((numpy.abs(inside - alone_y) / max(near, _LEAST)).max()) if inside.size else 0.0
    mean, variance = together.mean, together.variance
    if mean is None:
        batch = batch_statistics(together.x, together.axes)
        mean, variance = batch.mean, batch.variance
    epsilon = norm.seen.epsilon
    size = magnitude(together.x, mean, variance, together.gamma, together.beta, epsilon, together.axes)
    slope = 1 / numpy.sqrt(numpy.maximum(numpy.asarray(variance, numpy.float64) + epsilon, _LEAST))
    if together.gamma is not None:
        slope = slope * numpy.abs(_double(together.gamma).reshape(slope.shape))
    near = 2 * tolerance(together.dtype, 1, size)
    near = near + spread(x.ndim, together.axes)(slope) * numpy.abs(x - alone)
    off = numpy.abs(_double(together.y)[:1] - _double(apart.y)[:1]) / numpy.maximum(near, _LEAST)
    return float(off.max()) if numpy.isfinite(off).all() else math.inf


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays are the same, bit for bit; NaN is like itself."""
    import numpy

    left, right = numpy.asarray(one), numpy.asarray(other)
    return bool(left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes())


def _double(values: Array) -> Array:
    import numpy

    return numpy.asarray(values, numpy.float64)
