"""Checks 1 and 2: the outputs are those of the formulas."""

from __future__ import annotations

from bnlint.runtime.checks.case import Case, inference_mode, is_usable, train_mode, why_no_batch
from bnlint.runtime.diagnosis import explain
from bnlint.runtime.observed import Mode
from bnlint.runtime.oracle import Outcome, error_of
from bnlint.runtime.subject import Application

_FIT = {Mode.BATCH, Mode.BOTH}


def training(case: Case) -> Outcome:
    """Check 1."""
    check = 1
    applications = case.measurements.train.of(case.key)
    why_not = why_no_batch(case, applications, "training step")
    if case.norm.frozen:
        return case.skipped(check, "the layer is declared frozen, so check 11 is about it")
    if why_not:
        return case.skipped(check, why_not)
    judgements = train_mode(case.measurements, case.norm)
    for application, judgement in zip(applications, judgements, strict=True):
        if judgement.mode in _FIT:
            continue
        if judgement.mode is Mode.MOVING:
            rule = "BN202" if case.norm.phase_is_fed else "BN107"
            cause = "in the training step it normalises with the moving statistics"
        else:
            cause, rule = explain(case.norm, application, training=True)
        return case.fails(check, cause, rule, judgement.batch_error, 1.0)
    worst = max(judgements, key=lambda judgement: judgement.batch_error)
    cause = f"the output is the formula with the batch's statistics, up to {worst.batch_error:.2g} of the tolerance"
    return case.passed(check, cause, worst.batch_error * worst.tolerance, worst.tolerance)


def inference(case: Case) -> Outcome:
    """Check 2."""
    check = 2
    applications = case.measurements.infer.of(case.key)
    if not applications:
        return case.skipped(check, "the layer did not run in the inference")
    if case.norm.why_not:
        return case.skipped(check, case.norm.why_not)
    if 12 in case.failed and not is_usable(applications):
        return case.skipped(check, "its input is not finite")
    judgements = inference_mode(case.measurements, case.norm)
    for application, judgement in zip(applications, judgements, strict=True):
        if judgement.mode in (Mode.MOVING, Mode.BOTH):
            continue
        if judgement.mode is Mode.BATCH:
            rule = "BN201" if case.norm.phase_is_fed is not False else "BN203"
            cause = "in inference it normalises with the statistics of the batch"
            if case.norm.by_choice:
                return case.warned(check, f"{cause}: it is declared to keep no moving statistics")
            if not case.norm.seen.has_statistics:
                rule, cause = "BN105", f"{cause}, and keeps no moving statistics"
        elif _fits_what_it_updated(case, application):
            # That it updates them is what check 4 says.
            return case.passed(
                check, "the output is the formula with the moving statistics that it has just updated"
            )
        else:
            cause, rule = explain(case.norm, application, training=False)
        return case.fails(check, cause, rule, judgement.moving_error, 1.0)
    worst = max(judgements, key=lambda judgement: judgement.moving_error)
    cause = f"the output is the formula with the moving statistics, up to {worst.moving_error:.2g} of the tolerance"
    return case.passed(check, cause, worst.moving_error * worst.tolerance, worst.tolerance)


def _fits_what_it_updated(case: Case, application: Application) -> bool:
    after = case.measurements.infer_after.get(case.key)
    if after is None:
        return False
    state = (*after, application.gamma, application.beta, case.norm.seen.epsilon)
    error, _ = error_of(application.x, application.y, *state, application.axes, application.dtype)
    return error <= 1
