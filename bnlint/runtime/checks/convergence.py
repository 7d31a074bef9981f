"""Checks 5, 6 and 7: the statistics become those of the data, and then the two outputs agree on it alone."""

from __future__ import annotations

import math

from bnlint.runtime.checks.case import Case, alone_of
from bnlint.runtime.diagnosis import same_statistics
from bnlint.runtime.differences import same_bits
from bnlint.runtime.measurements import Alone, Measurements
from bnlint.runtime.oracle import Outcome, batch_statistics, measured_momentum, statistics_tolerance
from bnlint.runtime.subject import Norm, Pass


def converges(case: Case) -> Outcome:
    """Check 5."""

    check = 5
    alone = alone_of(case)
    if isinstance(alone, str):
        return case.skipped(check, alone)
    if all(same_bits(old, new) for old, new in zip(alone.away, alone.nearer, strict=True)):
        return case.skipped(check, "its statistics do not move (check 3)")
    kept = measured_momentum(alone.away[0], alone.nearer[0], alone.batch.mean)
    if kept is None or not -1 < kept < 1:
        cause = f"repeated training steps lead away from the data (factor {kept:.4g} a step)"
        return case.fails(check, cause, "", kept)
    error, what = limit_error(case.norm, alone, kept)
    if error > 1:
        cause = f"fed the same data again and again, its moving {what} leads to another than that of the data"
        return case.fails(check, cause, "", error, 1.0)
    applications = case.measurements.train.of(case.key)
    if len(applications) > 1:
        apart, sure, told = same_statistics(case.norm, applications)
        if apart > 1:
            cause = (
                f"it is applied {len(applications)} times to inputs with different statistics, so that its moving "
                f"statistics are those of none of them ({told})"
            )
            return (
                case.fails(check, cause, "BN303", apart, 1.0)
                if sure
                else case.warned(check, cause, "BN303", apart)
            )
    # After k steps m^k of the old value are left: until only rounding is.
    steps = 1 if kept <= 0 else math.ceil(math.log(2.0**-24) / math.log(kept)) if kept > 1e-7 else 1
    cause = f"converges to the mean and variance of the data, to rounding within {steps:,} steps"
    return case.passed(check, cause, error, 1.0)


def limit_error(norm: Norm, alone: Alone, kept: float) -> tuple[float, str]:
    """How far the limit of r is from the statistics of the data, in units of the tolerance, and for which of the two.

    From the data's own statistics B an update may only move r by rounding; the limit is 1 / (1 - m) times as far off.
    That the variance may be unbiased moves it by up to (1 - m) variance / (n - 1).
    """
    import numpy

    batch = alone.batch
    size = numpy.abs(batch.mean) + numpy.sqrt(batch.variance)
    near = numpy.maximum(statistics_tolerance(norm.dtype, batch.count, size), 1e-300)
    mean_error = float((numpy.abs(alone.stays[0] - batch.mean) / near).max())
    size = batch.variance * batch.bessel + norm.seen.epsilon
    if norm.one_pass:
        size = size + batch.mean**2
    near = numpy.maximum(statistics_tolerance(norm.dtype, batch.count, size), 1e-300)
    off = alone.stays[1] - batch.variance
    room = (1 - kept) * batch.variance * (batch.bessel - 1)
    if norm.renorm:
        # The unbiased deviation is averaged and squared.
        room = room * 2
    variance_error = float((numpy.maximum(numpy.maximum(-off, off - room), 0.0) / near).max())
    return (mean_error, "mean") if mean_error >= variance_error else (variance_error, "variance")


def agrees(case: Case) -> Outcome:
    """Check 6."""
    check = 6
    alone = alone_of(case)
    if isinstance(alone, str):
        return case.skipped(check, alone)
    before = sorted(case.failed & {1, 2, 3, 5})
    if before:
        return case.skipped(check, f"check {before[0]} failed, so they cannot agree for the right reason")
    error = alone.apart
    if error > 1:
        cause = "with the statistics of the batch as moving statistics, training and inference outputs still differ"
        return case.fails(check, cause, "", error, 1.0)
    converged = case.measurements.converged
    if isinstance(converged, str):
        return case.skipped(check, converged)
    if case.divergence is not None:
        key, apart, sampling = case.divergence
        if key == case.key:
            cause = (
                "its input has other statistics in inference than in training: something before it behaves "
                f"differently (off by {apart:.3g} standard deviations)"
            )
            if case.measurements.train.random:
                return case.warned(check, f"{cause}, for example dropout", "", apart)
            return case.fails(check, cause, "", apart, sampling)
        keys = case.measurements.train.ran()
        if case.key in keys and keys.index(case.key) > keys.index(key):
            return case.skipped(check, f"the input of {_name(case.measurements, key)} already differs")
    return case.passed(check, "with converged statistics, training and inference outputs agree", error, 1.0)


def first_divergence(measurements: Measurements, converged: Pass) -> tuple[str, float, float] | None:
    """The first layer whose input is different in inference although everything before it has converged.

    Returns its key, by how much, and what may be a matter of sampling.
    """
    import numpy

    frozen = {norm.key for norm in measurements.norms if norm.frozen}
    others = {norm.key for norm in measurements.norms if norm.renorm or norm.why_not}
    epsilon = {norm.key: norm.seen.epsilon for norm in measurements.norms}
    for key in measurements.train.ran():
        for old, new in zip(measurements.train.of(key), converged.of(key), strict=False):
            if key in frozen or old.x.shape != new.x.shape or numpy.size(old.x) == 0:
                continue
            was, now = (
                batch_statistics(old.x, old.axes, old.mask),
                batch_statistics(new.x, new.axes, new.mask),
            )
            deviation = numpy.sqrt(was.variance + epsilon[key])
            apart = numpy.abs(now.mean - was.mean) / deviation
            ratio = numpy.abs(now.variance - was.variance) / deviation**2
            # A mean of n values has a standard error of 1 / sqrt(n) deviations, a variance of sqrt(2 / n).
            sampling = 1 / math.sqrt(max(was.count, 1))
            off = max(float(apart.mean()) / sampling, float(ratio.mean()) / (math.sqrt(2) * sampling))
            if off > 1:
                return key, float(max(apart.max(), ratio.max())), sampling
        if key in others:
            # Its training output was not made with the statistics of now, and neither was all that follows.
            break
    return None


def shifted(case: Case) -> Outcome:
    """Check 7."""
    check = 7
    alone = alone_of(case)
    if isinstance(alone, str):
        return case.skipped(check, alone)
    before = sorted(case.failed & {1, 2})
    if before:
        return case.skipped(check, f"check {before[0]} failed, so a difference would mean nothing")
    if case.norm.renorm:
        return case.skipped(
            check, "batch renormalisation trains with what inference uses, so they need not differ"
        )
    error = alone.shifted_apart
    if error > 1:
        return case.passed(check, "on shifted data the two outputs differ, as they must", error, 1.0)
    if _is_silent(case):
        return case.skipped(
            check, "its gamma is 0, so that its output is the same whatever it normalises with"
        )
    cause = "on shifted data inference gives what training gives: it follows the batch instead of what was learned"
    return case.fails(check, cause, "BN201", error, 1.0)


def _is_silent(case: Case) -> bool:
    """Whether it multiplies everything by 0, as the last layer of a residual branch does at first."""
    import numpy

    gammas = [application.gamma for application in case.measurements.train.of(case.key)]
    return all(gamma is not None and not numpy.any(gamma) for gamma in gammas)


def _name(measurements: Measurements, key: str) -> str:
    return next(norm.seen.name for norm in measurements.norms if norm.key == key)
