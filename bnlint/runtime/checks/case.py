"""What a check is told about a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bnlint.runtime.measurements import Alone, Measurements
from bnlint.runtime.observed import Mode
from bnlint.runtime.oracle import (
    Array,
    Judgement,
    Outcome,
    Statistics,
    Verdict,
    batch_statistics,
    error_of,
    judge_mode,
)
from bnlint.runtime.subject import Application, Norm


@dataclass(slots=True)
class Case:
    """One layer, what is known of it, and which checks it has failed so far."""

    norm: Norm
    measurements: Measurements
    divergence: tuple[str, float, float] | None
    """The first layer whose input is different in inference; see ``first_divergence``."""
    failed: set[int]

    @property
    def key(self) -> str:
        """The key of the layer."""
        return self.norm.key

    def passed(
        self, check: int, cause: str, measured: float | None = None, tolerance: float | None = None
    ) -> Outcome:
        """The check passed."""
        return Outcome(check, self.key, Verdict.PASS, cause, "", measured, tolerance)

    def warned(self, check: int, cause: str, rule: str = "", measured: float | None = None) -> Outcome:
        """The check has a doubt."""
        return Outcome(check, self.key, Verdict.WARN, cause, rule, measured)

    def skipped(self, check: int, cause: str) -> Outcome:
        """The check could not be made, and why."""
        return Outcome(check, self.key, Verdict.SKIP, cause)

    def fails(
        self,
        check: int,
        cause: str,
        rule: str = "",
        measured: float | None = None,
        tolerance: float | None = None,
    ) -> Outcome:
        """The check failed; later ones may ask for that."""
        self.failed.add(check)
        for fault in self.norm.faults:
            if check in fault.checks:
                rule, cause = fault.rule, f"{cause}: {fault.clause}"
                break
        return Outcome(check, self.key, Verdict.FAIL, cause, rule, measured, tolerance)


def train_mode(measurements: Measurements, norm: Norm) -> list[Judgement]:
    """With which statistics the layer normalised in the training step, for each application."""
    return [_judge(norm, application, training=True) for application in measurements.train.of(norm.key)]


def inference_mode(measurements: Measurements, norm: Norm) -> list[Judgement]:
    """The same for the inference."""
    return [_judge(norm, application, training=False) for application in measurements.infer.of(norm.key)]


def _judge(norm: Norm, application: Application, training: bool) -> Judgement:
    if application.x.shape != application.y.shape:
        return Judgement(Mode.UNKNOWN, math.inf, math.inf, 0.0)
    gamma, beta = application.gamma, application.beta
    batch = application.batch or batch_statistics(application.x, application.axes, application.mask)
    judgement = judge_mode(
        application.x,
        application.y,
        application.mean,
        application.variance,
        gamma,
        beta,
        norm.seen.epsilon,
        application.axes,
        application.dtype,
        batch,
        norm.one_pass,
    )
    if application.renorm is not None and training:
        # Without limits the correction cancels the batch: both formulas are the same then.
        gamma, beta = _corrected(norm, application, batch)
        error, bound = error_of(
            application.x,
            application.y,
            batch.mean,
            batch.variance,
            gamma,
            beta,
            norm.seen.epsilon,
            application.axes,
            application.dtype,
            batch.count,
            norm.one_pass,
        )
        if error <= 1:
            return Judgement(Mode.BATCH, error, judgement.moving_error, bound)
    return judgement


def _corrected(norm: Norm, application: Application, batch: Statistics) -> tuple[Array, Array]:
    """Gamma and beta with the correction of batch renormalisation in them (Ioffe 2017, algorithm 1)."""
    import numpy

    renorm = application.renorm
    assert renorm is not None
    stddev = numpy.maximum(renorm.stddev, math.sqrt(norm.seen.epsilon))
    r = numpy.clip(numpy.sqrt(batch.variance + norm.seen.epsilon) / stddev, renorm.r_least, renorm.r_most)
    d = numpy.clip((batch.mean - renorm.mean) / stddev, -renorm.d_most, renorm.d_most)
    gamma = 1.0 if application.gamma is None else numpy.asarray(application.gamma, numpy.float64)
    beta = 0.0 if application.beta is None else numpy.asarray(application.beta, numpy.float64)
    return gamma * r, beta + gamma * d


def alone_of(case: Case) -> Alone | str:
    """What was measured of the layer alone, or why nothing was."""
    if case.norm.frozen:
        return "the layer is declared frozen"
    if not case.norm.seen.has_statistics:
        return "it keeps no moving statistics"
    if case.measurements.examples < 2:
        return "the batch has one sample only"
    if 12 in case.failed and not is_usable(case.measurements.train.of(case.key)):
        return "its input is not finite"
    return case.measurements.alone.get(case.key, "the layer was not looked at alone")


def why_no_batch(case: Case, applications: list[Application], what: str) -> str:
    """Why the statistics of a batch say nothing about the layer; empty if they do."""
    if not applications:
        return f"the layer did not run in the {what}"
    if case.norm.why_not:
        return case.norm.why_not
    if case.measurements.examples < 2:
        return "the batch has one sample only, which has no variance over samples"
    if any(application.batch is not None and application.batch.count < 2 for application in applications):
        return "its statistics are those of a single value"
    if 12 in case.failed and not is_usable(applications):
        return "its input is not finite"
    return ""


def is_usable(applications: list[Application]) -> bool:
    """Whether all inputs are finite."""
    import numpy

    return all(numpy.isfinite(_double(application.x)).all() for application in applications)


def _double(values: Array) -> Array:
    import numpy

    return numpy.asarray(values, numpy.float64)
