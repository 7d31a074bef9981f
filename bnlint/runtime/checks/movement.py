"""Checks 3, 4 and 11: the statistics move when they must, and only then."""

from __future__ import annotations

from bnlint.runtime.checks.case import Case, train_mode, why_no_batch
from bnlint.runtime.differences import same_bits
from bnlint.runtime.measurements import Alone, Moments
from bnlint.runtime.observed import Mode
from bnlint.runtime.oracle import Outcome, Statistics, measured_momentum, statistics_tolerance
from bnlint.runtime.subject import Norm

_FORGETS = 0.2
"""A step that keeps no more of the statistics than that makes them those of the last few batches."""


def moves(case: Case) -> Outcome:
    """Check 3."""
    check = 3
    applications = case.measurements.train.of(case.key)
    if case.norm.frozen:
        return case.skipped(check, "the layer is declared frozen, so check 11 is about it")
    if not case.norm.seen.has_statistics:
        return case.skipped(check, "it keeps no moving statistics")
    why_not = why_no_batch(case, applications, "training step")
    if why_not:
        return case.skipped(check, why_not)
    before, after = case.measurements.before[case.key], case.measurements.after[case.key]
    still = [same_bits(old, new) for old, new in zip(before, after, strict=True)]
    if all(still):
        return case.fails(
            check, "its moving statistics did not move in a training step", _who_should_move(case), 0.0
        )
    if any(still):
        what = "mean" if still[0] else "variance"
        return case.fails(
            check, f"its moving {what} did not move in a training step", _who_should_move(case), 0.0
        )
    declared = case.norm.seen.momentum
    batches = [application.batch for application in applications if application.batch is not None]
    measured = measured_momentum(before[0], after[0], batches[-1].mean) if len(batches) == 1 else None
    if declared is None:
        if measured is None:
            return case.skipped(check, "it moved, and no momentum is declared to compare with")
        return _plausible(case, measured, before, after, batches)
    if _follows(case.norm, before, after, batches, declared):
        shown = declared if measured is None else measured
        if 0 < declared <= _FORGETS:
            return _forgets(case, shown)
        how_often = (
            "" if len(batches) == 1 else f" in {len(batches)} updates, one for each time that it is applied"
        )
        return case.passed(
            check,
            f"moved with the momentum {case.norm.seen.momentum_of(shown):.6g}{how_often}, as declared",
            shown,
            declared,
        )
    if measured is None:
        named = case.norm.seen.momentum_of(declared)
        return case.fails(check, f"it moved, but not by the declared momentum {named:g}", "")
    if _follows(case.norm, before, after, batches, 1 - declared):
        cause = f"its momentum is inverted: {measured:.4g} of the old value are kept where {declared:g} are declared"
        return case.fails(check, cause, "BN110", measured, declared)
    for times in (2, 3, 4):
        if _follows(case.norm, before, after, batches * times, declared):
            cause = f"one training step updates its statistics {times} times"
            if case.norm.recomputed:
                return case.warned(
                    check, f"{cause}: it is computed again for the gradients", "", float(times)
                )
            return case.fails(check, cause, "", float(times), 1.0)
    cause = f"{measured:.4g} of the old mean are kept where {declared:g} are declared"
    if abs(measured - declared) <= _momentum_tolerance(case.norm, before, batches[-1]):
        cause = "its mean moves by the declared momentum, and its variance does not"
        if _variance_only(case, declared):
            # Where the variance leads is what check 5 asks.
            return case.passed(
                check,
                f"moved with the momentum {case.norm.seen.momentum_of(measured):.6g}, as declared",
                measured,
                declared,
            )
    return case.fails(check, cause, "BN110" if measured < 0.2 else "", measured, declared)


def _variance_only(case: Case, momentum: float) -> bool:
    """Whether the variance moves towards something by this momentum, even if not to the batch's variance."""
    alone = case.measurements.alone.get(case.key)
    if not isinstance(alone, Alone):
        return False
    # Both updates come from the same batch: what they leave of the difference is the momentum.
    import numpy

    slope = (alone.nearer[1] - alone.stays[1]) / (alone.away[1] - alone.batch.variance)
    middle = float(numpy.median(slope))
    return abs(middle - momentum) <= 0.01 * max(momentum, 1 - momentum)


def _plausible(
    case: Case, measured: float, before: Moments, after: Moments, batches: list[Statistics]
) -> Outcome:
    if abs(measured) <= _momentum_tolerance(case.norm, before, batches[-1]):
        # The first step of a plain mean over all batches keeps nothing.
        measured = 0.0
    follows = _follows(case.norm, before, after, batches, measured) or _variance_only(case, measured)
    if 0 <= measured < 1 and follows:
        if 0 < measured <= _FORGETS:
            return _forgets(case, measured)
        cause = f"moved with the momentum {case.norm.seen.momentum_of(measured):.4g}; none is declared"
        return case.passed(3, cause, measured)
    cause = f"it moved, but not as an average does ({measured:.4g} of the old mean are kept)"
    return case.fails(3, cause, "", measured)


def _forgets(case: Case, kept: float) -> Outcome:
    cause = (
        f"only {kept:.4g} of the old statistics are kept in a step: they are those of the last few batches"
    )
    return case.warned(3, cause, "BN110", kept)


def _follows(norm: Norm, before: Moments, after: Moments, batches: list[Statistics], momentum: float) -> bool:
    """Whether the statistics are what updates by these batches with this momentum make."""
    import numpy

    mean, least = (numpy.asarray(values, numpy.float64) for values in before)
    most = least
    size_mean, size_variance = numpy.abs(mean), numpy.abs(least)
    for batch in batches:
        mean = momentum * mean + (1 - momentum) * batch.mean
        least = momentum * least + (1 - momentum) * batch.variance
        most = momentum * most + (1 - momentum) * batch.variance * batch.bessel
        size_mean = numpy.maximum(size_mean, numpy.abs(batch.mean) + numpy.sqrt(batch.variance))
        size_variance = numpy.maximum(size_variance, batch.variance * batch.bessel)
        if norm.one_pass:
            size_variance = numpy.maximum(size_variance, batch.variance + batch.mean**2)
    count = max(batch.count for batch in batches)
    near = statistics_tolerance(norm.dtype, count, size_mean)
    if (numpy.abs(after[0] - mean) > near).any():
        return False
    if norm.renorm:
        # Its variance is the square of an averaged deviation; where it leads is what check 5 asks.
        return True
    near = statistics_tolerance(norm.dtype, count, size_variance)
    low, high = numpy.minimum(least, most), numpy.maximum(least, most)
    return bool(((after[1] >= low - near) & (after[1] <= high + near)).all())


def _momentum_tolerance(norm: Norm, before: Moments, batch: Statistics) -> float:
    import numpy

    size = numpy.abs(before[0]) + numpy.abs(batch.mean) + numpy.sqrt(batch.variance)
    way = numpy.abs(before[0] - batch.mean).max()
    return float(statistics_tolerance(norm.dtype, batch.count, size).max() / max(way, 1e-300))


def _who_should_move(case: Case) -> str:
    modes = {judgement.mode for judgement in train_mode(case.measurements, case.norm)}
    if Mode.MOVING in modes:
        return "BN202" if case.norm.phase_is_fed else "BN107"
    return {"collected": "BN101", "attribute": "BN104", "by hand": "BN106"}.get(case.norm.seen.updates, "")


def still(case: Case) -> Outcome:
    """Check 4."""
    check = 4
    if not case.norm.seen.has_statistics:
        return case.skipped(check, "it keeps no moving statistics")
    if not case.measurements.infer.of(case.key):
        return case.skipped(check, "the layer did not run in the inference")
    before, after = case.measurements.infer_before[case.key], case.measurements.infer_after[case.key]
    if all(same_bits(old, new) for old, new in zip(before, after, strict=True)):
        return case.passed(
            check, "an inference leaves every bit of the moving statistics as it was", 0.0, 0.0
        )
    import numpy

    moved = max(float(numpy.abs(new - old).max()) for old, new in zip(before, after, strict=True))
    return case.fails(check, f"an inference moved its statistics, by up to {moved:.3g}", "BN210", moved, 0.0)


def frozen(case: Case) -> Outcome:
    """Check 11."""
    check = 11
    if not case.norm.frozen:
        return case.skipped(check, "the layer is not declared frozen")
    before, after = case.measurements.before.get(case.key), case.measurements.after.get(case.key)
    if before is None or after is None:
        return case.skipped(check, "it keeps no moving statistics")
    if not case.measurements.train.of(case.key):
        return case.skipped(check, "the layer did not run in the training step")
    if not all(same_bits(old, new) for old, new in zip(before, after, strict=True)):
        return case.fails(check, "it is declared frozen, and a training step moved its statistics", "BN401")
    if case.key in case.measurements.train.moved_weights:
        return case.fails(check, "it is declared frozen, and a training step moved its weights")
    modes = {judgement.mode for judgement in train_mode(case.measurements, case.norm)}
    if modes == {Mode.BATCH} and not case.norm.why_not:
        cause = "it is declared frozen and normalises with the batch's statistics in training: they are never learned"
        return case.fails(check, cause, "BN113")
    return case.passed(check, "a training step leaves it as it was", 0.0, 0.0)
