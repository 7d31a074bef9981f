"""Checks 8, 9, 10 and 12: samples, graphs, checkpoints, and the statistics themselves."""

from __future__ import annotations

import math

from bnlint.runtime.checks.case import Case, is_usable
from bnlint.runtime.differences import same_bits, sample_error
from bnlint.runtime.measurements import Measurements
from bnlint.runtime.oracle import Array, Outcome, statistics_tolerance
from bnlint.runtime.subject import RoundTrip


def finite(case: Case) -> Outcome:
    """Check 12."""
    import numpy

    check = 12
    stored = case.measurements.stored.get(case.key)
    seen = case.norm.seen
    moments = [stored] if stored is not None else []
    if case.key in case.measurements.after:
        moments.append(case.measurements.after[case.key])
    for when, (mean, variance) in zip(("", " after a training step"), moments, strict=False):
        bad = int((~numpy.isfinite(mean)).sum() + (~numpy.isfinite(variance)).sum())
        if bad:
            return case.fails(
                check, f"{bad} values of its moving statistics are NaN or infinite{when}", measured=bad
            )
        least = float(numpy.min(variance)) if variance.size else 0.0
        if least < 0:
            return case.fails(check, f"a moving variance is negative{when} ({least:.3g})", measured=least)
    for application in [*case.measurements.train.of(case.key), *case.measurements.infer.of(case.key)]:
        if not numpy.isfinite(numpy.asarray(application.x, numpy.float64)).all():
            return case.fails(check, "its input holds NaN or infinite values")
    application = next(iter([*case.measurements.train.of(case.key), *case.measurements.infer.of(case.key)]))
    rank = numpy.ndim(application.x)
    axes = tuple(axis % rank for axis in application.axes)
    if rank > 2 and seen.channels_in and tuple(seen.channels_in) != axes:
        if len(axes) > 1:
            cause = f"it keeps statistics for each position (axes {list(axes)}) of a feature map, not for each channel"
            return case.fails(check, cause, "BN603")
        return case.fails(
            check,
            f"it takes axis {axes[0]} for the channels, and what makes its input has them in axis "
            f"{seen.channels_in[0]}",
            "BN602",
        )
    if len(axes) > 1 and rank > 2:
        cause = f"it keeps statistics for each position (axes {list(axes)}), not for each channel"
        return case.warned(check, cause, "BN603")
    if not moments:
        return case.skipped(check, "it keeps no moving statistics")
    return case.passed(check, f"all {seen.channels or moments[0][0].size} means and variances are finite")


def independent(case: Case) -> Outcome:
    """Check 8."""
    check = 8
    single = case.measurements.single
    if isinstance(single, str):
        return case.skipped(check, single)
    together, apart = case.measurements.infer.of(case.key), single.of(case.key)
    if not together:
        return case.skipped(check, "the layer did not run in the inference")
    if len(together) != len(apart):
        return case.fails(check, "with one sample it is applied another number of times", "BN201")
    if 12 in case.failed and not is_usable(together):
        return case.skipped(check, "its input is not finite")
    worst = max(
        (sample_error(case.norm, one, other) for one, other in zip(together, apart, strict=True)), default=0.0
    )
    if worst > 1:
        cause = "in inference the output for one sample depends on the other samples of its batch"
        if case.norm.by_choice:
            return case.warned(check, f"{cause}: it is declared to keep no moving statistics", "", worst)
        return case.fails(check, cause, "BN201" if case.norm.seen.has_statistics else "BN105", worst, 1.0)
    return case.passed(check, "one sample gives what it gives inside a batch", worst, 1.0)


def same_layers(case: Case) -> Outcome:
    """Check 9."""
    check = 9
    trained, inferred = case.measurements.train.of(case.key), case.measurements.infer.of(case.key)
    if trained and not inferred and case.norm.aside:
        return case.skipped(check, "it belongs to a part of the model that runs in training alone")
    if trained and not inferred:
        return case.fails(check, "it runs in training and not in inference", "BN301")
    if inferred and not trained:
        return case.fails(check, "it runs in inference only, so that nothing learns its statistics", "BN302")
    if len(trained) != len(inferred):
        cause = f"it is applied {len(trained)} times in training and {len(inferred)} times in inference"
        return case.warned(check, cause)
    return case.passed(check, "the same variables are used in training and in inference")


def round_trip(case: Case) -> Outcome:
    """Check 10."""
    import numpy

    check = 10
    trip = case.measurements.round_trip
    if isinstance(trip, str):
        return case.skipped(check, trip)
    if not case.norm.seen.has_statistics:
        return case.skipped(check, "it keeps no moving statistics")
    if case.key not in trip.statistics:
        return case.fails(check, f"{trip.how}, and the fresh model has no such layer", "BN501")
    if not _came_back(case.measurements, trip, case.key):
        return case.fails(check, f"{trip.how}, and its moving statistics did not come back", "BN501")
    for norm in case.measurements.norms:
        if norm.key in case.measurements.infer_before and not _came_back(case.measurements, trip, norm.key):
            return case.skipped(check, f"its own statistics came back, and those of {norm.seen.name} did not")
    outputs = case.measurements.infer.outputs
    for old, new in zip(outputs, trip.outputs or [], strict=False):
        off = float(numpy.abs(_double(old) - _double(new)).max()) if old.shape == new.shape else math.inf
        # The same operations in the same order: what differs is how threads split the sums.
        near = float(statistics_tolerance("float32", old.size, numpy.abs(_double(old)).max()))
        if not off <= near and 4 not in case.failed:
            return case.fails(
                check, f"{trip.how}, and the outputs are other ones (by {off:.3g})", "", off, near
            )
    if trip.lost:
        return case.fails(check, f"{trip.how}, and {trip.lost} did not come back", "")
    what = "every variable" if trip.outputs is None else "the statistics and the outputs"
    return case.passed(check, f"{trip.how}: {what} as before", 0.0, 0.0)


def _came_back(measurements: Measurements, trip: RoundTrip, key: str) -> bool:
    back = trip.statistics.get(key)
    here = measurements.infer_before[key]
    return back is not None and all(same_bits(old, new) for old, new in zip(here, back, strict=True))


def _double(values: Array) -> Array:
    import numpy

    return numpy.asarray(values, numpy.float64)
