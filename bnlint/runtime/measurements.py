"""What is measured for the twelve checks: a few passes through the model, and each layer on its own.

The passes, and with which moving statistics r:

1. a training step, from an r that is away from the stored one, so that a step is seen even in a converged model;
2. an inference with an r away from the batch's statistics B, so that the two formulas cannot be mistaken;
3. the same on the first sample alone;
4. an inference with r = B, which is where r converges to;
5. the same as 2 in a fresh model that has read a checkpoint.

Whether r converges is not tried out in hundreds of passes: r <- m r + (1 - m) B is a contraction, so two updates of
the layer alone decide: from away it must come nearer, and B must be where it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.runtime.differences import difference
from bnlint.runtime.oracle import Array, Statistics, batch_statistics, judge_mode, spread
from bnlint.runtime.subject import Application, CannotRun, Norm, Pass, RoundTrip, Subject

Moments = tuple[Array, Array]
"""A mean and a variance, over the channels."""


@dataclass(slots=True)
class Alone:
    """One layer on its own, on the kept part of its input."""

    batch: Statistics
    away: Moments
    nearer: Moments
    """r after one update from ``away``."""
    stays: Moments
    """r after one update from the batch's own statistics."""
    apart: float
    """The difference of the training and the inference output with r = B, in units of what may be."""
    shifted_apart: float
    """The same for twice the input plus three standard deviations, with r = B of the input that is not shifted."""


@dataclass(slots=True)
class Measurements:
    """All that was measured; the keys are those of the layers."""

    norms: list[Norm]
    examples: int
    stored: dict[str, Moments] = field(default_factory=dict)
    """r as the model came."""
    before: dict[str, Moments] = field(default_factory=dict)
    """r at the start of the training step."""
    after: dict[str, Moments] = field(default_factory=dict)
    train: Pass = field(default_factory=Pass)
    infer_before: dict[str, Moments] = field(default_factory=dict)
    infer_after: dict[str, Moments] = field(default_factory=dict)
    infer: Pass = field(default_factory=Pass)
    single: Pass | str = ""
    """A string says why there is none; the same below."""
    converged: Pass | str = ""
    alone: dict[str, Alone | str] = field(default_factory=dict)
    round_trip: RoundTrip | str = ""


def measure(subject: Subject) -> Measurements:
    """Measure, and leave the subject as it was."""
    measurements = Measurements(subject.norms(), subject.examples)
    with subject.restored():
        measurements.stored = _all(subject)
        movable = [norm for norm in measurements.norms if not norm.frozen and norm.key in measurements.stored]
        _set(subject, {norm.key: _away(measurements.stored[norm.key], norm) for norm in movable})
        measurements.before = _all(subject)
        measurements.train = subject.train()
        measurements.after = _all(subject)

        batches = {norm.key: _batch(measurements.train.of(norm.key)) for norm in movable}
        found = {key: batch for key, batch in batches.items() if batch is not None}
        away = {norm.key: _away(found[norm.key], norm) for norm in movable if norm.key in found}
        _set(subject, away)
        measurements.infer_before = _all(subject)
        measurements.infer = subject.infer()
        measurements.infer_after = _all(subject)
        for norm in measurements.norms:
            _learn_epsilon(norm, [*measurements.train.of(norm.key), *measurements.infer.of(norm.key)])
        if subject.examples < 2:
            measurements.single = "the batch has one sample only"
        else:
            _set(subject, away)
            try:
                measurements.single = subject.infer(first_only=True)
            except CannotRun as reason:
                measurements.single = str(reason)
        _set(subject, found)
        if any(norm.unseen for norm in measurements.norms):
            measurements.converged = (
                "the model has layers that nobody can watch, which may not have converged"
            )
        else:
            measurements.converged = subject.infer()
        for norm in movable:
            try:
                measurements.alone[norm.key] = _alone(subject, norm, measurements.train)
            except CannotRun as reason:
                measurements.alone[norm.key] = str(reason)
        _set(subject, away)
        try:
            measurements.round_trip = subject.round_trip()
        except CannotRun as reason:
            measurements.round_trip = str(reason)
    return measurements


def _learn_epsilon(norm: Norm, applications: list[Application]) -> None:
    """Take the epsilon that explains the outputs best, if none is declared."""
    known = [application for application in applications if application.x.shape == application.y.shape]
    if not norm.epsilons or not known:
        return

    def misfit(epsilon: float) -> float:
        judgements = [
            judge_mode(
                one.x,
                one.y,
                one.mean,
                one.variance,
                one.gamma,
                one.beta,
                epsilon,
                one.axes,
                one.dtype,
                one.batch,
                norm.one_pass,
            )
            for one in known
        ]
        # Each in the units of its own tolerance: so the pass that can tell more decides.
        return sum(min(judgement.batch_error, judgement.moving_error) for judgement in judgements)

    norm.seen.epsilon = min(norm.epsilons, key=misfit)


def _alone(subject: Subject, norm: Norm, train: Pass) -> Alone:
    applications = train.of(norm.key)
    if not applications:
        raise CannotRun("the layer did not run in the training step")
    if norm.why_not:
        raise CannotRun(norm.why_not)
    first = applications[0]
    x = first.x
    key = norm.key
    batch = batch_statistics(x, first.axes, first.mask)
    if batch.count < 2:
        raise CannotRun("its statistics are those of a single value")
    away = _away((batch.mean, batch.variance), norm)
    subject.set_statistics(key, *away)
    away = subject.statistics(key) or away
    subject.alone(key, x, training=True)
    nearer = subject.statistics(key)
    subject.set_statistics(key, batch.mean, batch.variance)
    train_again = subject.alone(key, x, training=True)
    stays = subject.statistics(key)
    subject.set_statistics(key, batch.mean, batch.variance)
    infer = subject.alone(key, x, training=False)
    shifted = _shifted(x, first, batch, norm)
    subject.set_statistics(key, batch.mean, batch.variance)
    shifted_infer = subject.alone(key, shifted, training=False)
    subject.set_statistics(key, batch.mean, batch.variance)
    shifted_train = subject.alone(key, shifted, training=True)
    assert nearer is not None and stays is not None
    apart = difference(norm, train_again, infer, batch)
    shifted_batch = batch_statistics(shifted, first.axes, first.mask)
    shifted_apart = difference(norm, shifted_train, shifted_infer, shifted_batch)
    return Alone(batch, away, nearer, stays, apart, shifted_apart)


def _shifted(x: Array, application: Application, batch: Statistics, norm: Norm) -> Array:
    import numpy

    along = spread(numpy.ndim(x), application.axes)
    deviation = along(numpy.sqrt(batch.variance + norm.seen.epsilon))
    return (2 * numpy.asarray(x, numpy.float64) + 3 * deviation).astype(x.dtype)


def _batch(applications: list[Application]) -> Moments | None:
    batches = [application.batch for application in applications if application.batch is not None]
    if not batches:
        return None
    mean = sum(batch.mean for batch in batches) / len(batches)
    variance = sum(batch.variance for batch in batches) / len(batches)
    return mean, variance


def _away(moments: Moments, norm: Norm) -> Moments:
    """Other statistics of the same size: the mean half a standard deviation off, the variance twice as large."""
    import numpy

    mean = numpy.nan_to_num(numpy.asarray(moments[0], numpy.float64), nan=0.0, posinf=0.0, neginf=0.0)
    variance = numpy.nan_to_num(numpy.asarray(moments[1], numpy.float64), nan=1.0, posinf=1.0, neginf=1.0)
    variance = numpy.abs(variance) + max(norm.seen.epsilon, 0.0)
    return mean + numpy.sqrt(variance) / 2, 2 * variance


def _all(subject: Subject) -> dict[str, Moments]:
    found = {norm.key: subject.statistics(norm.key) for norm in subject.norms()}
    return {key: moments for key, moments in found.items() if moments is not None}


def _set(subject: Subject, moments: dict[str, Moments]) -> None:
    for key, (mean, variance) in moments.items():
        subject.set_statistics(key, mean, variance)
