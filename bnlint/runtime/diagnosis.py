"""Why an output fits neither formula: the usual mistakes, tried one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bnlint.runtime.oracle import Array, Statistics, batch_statistics, error_of
from bnlint.runtime.subject import Application, Norm

_LAMBDA = math.sqrt(2 * math.log(2 / 1e-9))
"""As in the tolerances: one false alarm in 10**9."""


def explain(norm: Norm, application: Application, training: bool) -> tuple[str, str]:
    """What the layer does instead of the formula, as a clause, and the code of the rule that says so, if any."""
    batch = application.batch or batch_statistics(application.x, application.axes, application.mask)
    mean, variance = (batch.mean, batch.variance) if training else (application.mean, application.variance)
    which = "the batch's statistics" if training else "the moving statistics"
    if mean is None:
        return "its output is not the formula with the statistics of its batch", ""
    for clause, code, moments, gamma, beta in _suspects(norm, application, batch, mean, variance):
        if _fits(norm, application, batch, *moments, gamma, beta):
            return clause.format(which=which), code
    error, _ = error_of(
        application.x,
        application.y,
        mean,
        variance,
        application.gamma,
        application.beta,
        norm.seen.epsilon,
        application.axes,
        application.dtype,
        batch.count,
    )
    return (
        f"its output is not the formula with {which}: it is off by {error:,.4g} times the tolerance",
        "",
    )


def _suspects(
    norm: Norm, application: Application, batch: Statistics, mean: Array, variance: Array
) -> Iterator[tuple[str, str, tuple[Array, Array], Array, Array]]:
    import numpy

    gamma, beta = application.gamma, application.beta
    epsilon = norm.seen.epsilon
    one, zero = numpy.ones_like(batch.mean), numpy.zeros_like(batch.mean)
    scale, offset = (one if gamma is None else gamma), (zero if beta is None else beta)
    with numpy.errstate(all="ignore"):
        deviation = numpy.sqrt(numpy.maximum(numpy.asarray(variance, numpy.float64), 0.0))
    yield "scale and offset are in each other's place", "BN604", (mean, variance), offset, scale
    yield "it takes the standard deviation for the variance", "BN604", (mean, deviation), gamma, beta
    yield (
        "it takes the variance for the standard deviation",
        "BN604",
        (mean, deviation**4 - epsilon),
        gamma,
        beta,
    )
    yield "it leaves out gamma and beta", "", (mean, variance), None, None
    yield "it leaves out gamma", "", (mean, variance), None, beta
    yield "it leaves out beta", "", (mean, variance), gamma, None
    yield (
        "it normalises with the unbiased variance",
        "",
        (mean, numpy.asarray(variance, numpy.float64) * batch.bessel),
        gamma,
        beta,
    )
    yield (
        "it takes the mean of the batch and the moving variance",
        "",
        (batch.mean, application.variance if application.variance is not None else variance),
        gamma,
        beta,
    )
    if application.mean is not None:
        mixed = (application.mean, batch.variance)
        yield "it takes the moving mean and the variance of the batch", "", mixed, gamma, beta
    for other in (1e-3, 1e-5, 1e-2, 1e-1, 1e-4, 1e-6, 1e-8, 1e-12, 0.0, norm.seen.momentum or 0.0):
        if other != epsilon:
            shifted = numpy.asarray(variance, numpy.float64) + other - epsilon
            yield (
                f"it uses the epsilon {other:g} and not the declared {epsilon:g}",
                "",
                (mean, shifted),
                gamma,
                beta,
            )


def _fits(
    norm: Norm,
    application: Application,
    batch: Statistics,
    mean: Array,
    variance: Array,
    gamma: Any,
    beta: Any,
) -> bool:
    error, _ = error_of(
        application.x,
        application.y,
        mean,
        variance,
        gamma,
        beta,
        norm.seen.epsilon,
        application.axes,
        application.dtype,
        batch.count,
    )
    return error <= 1


def same_statistics(norm: Norm, applications: list[Application]) -> tuple[float, bool, str]:
    """Whether the inputs of several applications of one layer may come from one distribution.

    Returns how far their statistics are apart in units of what sampling allows (up to 1 is nothing), whether it is
    sure even if all values of one example are the same, and what is apart, as a clause. The mean of n independent
    values has a standard error of 1 / sqrt(n) deviations, the variance one of sqrt(2 / n); values of one example are
    not independent, so that n is at least the number of examples.
    """
    import numpy

    batches = [application.batch for application in applications if application.batch is not None]
    count = min(batch.count for batch in batches)
    examples = max(min(application.examples for application in applications), 1)
    pooled = sum(batch.variance for batch in batches) / len(batches) + norm.seen.epsilon
    means = numpy.stack([batch.mean for batch in batches])
    variances = numpy.stack([batch.variance for batch in batches])
    mean_apart = float(((means.max(axis=0) - means.min(axis=0)) / numpy.sqrt(pooled)).max())
    variance_apart = float(((variances.max(axis=0) - variances.min(axis=0)) / pooled).max())
    # Of a difference of two, each with that error.
    in_units = max(mean_apart, variance_apart / math.sqrt(2)) / (_LAMBDA * math.sqrt(2))
    told = f"means {mean_apart:.3g} standard deviations apart, variances {variance_apart:.3g} of their mean"
    return in_units * math.sqrt(count), in_units * math.sqrt(examples) > 1, told
