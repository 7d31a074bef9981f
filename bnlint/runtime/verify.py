"""Run the twelve checks on a model: ``bnlint.verify``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.checks import outcomes
from bnlint.runtime.checks.case import inference_mode, train_mode
from bnlint.runtime.checks.convergence import limit_error
from bnlint.runtime.differences import same_bits, sample_error
from bnlint.runtime.measurements import Alone, Measurements, measure
from bnlint.runtime.observed import LayerFigures, LayerSeen, Mode, Passage
from bnlint.runtime.oracle import (
    Array,
    Judgement,
    Outcome,
    Verdict,
    Verification,
    measured_momentum,
    normalise,
)
from bnlint.runtime.subject import Norm, Subject

EXAMPLES = 8
"""Fewer distinct samples make a poor probe."""
_SAMPLE = 256
"""Outputs of a layer that are kept for its picture."""


def verify(
    model: Any,
    batch: Any = None,
    *,
    targets: Any = None,
    train: Callable[[Any], Any] | None = None,
    infer: Callable[[Any], Any] | None = None,
    factory: Callable[[], Any] | None = None,
    **more: Any,
) -> Verification:
    """Prove that a model's training and inference diverge as batch normalisation must.

    ``model`` is one of

    - a Keras model (Keras 3 or tf-keras) or a ``tf.Module``, with a ``batch``: an array, a list of arrays for
      several inputs, a dict of arrays for named ones, or ``(inputs, targets)``. A compiled Keras model that is given
      targets runs its own training step; any other is called with ``training=True``. ``train`` and ``infer`` say how
      to call it otherwise.
    - a ``torch.nn.Module``, with a ``batch`` as above of arrays or tensors; a list is passed as several arguments, a
      dict by name. It is put into training and into evaluation mode by ``train()`` and ``eval()``; one that comes in
      training mode keeps the modes of its parts, so that what is frozen stays frozen. A training step computes the
      gradients of the mean squared output. ``train`` and ``infer`` do it otherwise.
    - a TensorFlow 1 ``Session``, with ``train_feed``, ``inference_feed`` (dicts of placeholders), ``outputs`` (what
      inference fetches) and ``train_op``; ``train_outputs`` if another graph is trained than inferred.
    - ``(train, infer)``, two functions that normalise, with ``statistics`` and ``set_statistics``; see
      ``bnlint.runtime.backends.callables``.

    The batch should have at least 8 different samples, a mean that is not 0 and a variance that is not 1: stale
    statistics of 0 and 1 would look right otherwise. ``factory`` makes a fresh model for the checkpoint round trip.

    The model is left as it was, bit for bit: weights, statistics, optimizer, random state and modes. A model that has
    no weights yet is built by calling it once, and stays built.

    Raises UserError if the model or the batch cannot be used.
    """
    return examine(
        make_subject(model, batch, targets=targets, train=train, infer=infer, factory=factory, **more)
    )


def make_subject(model: Any, batch: Any = None, **more: Any) -> Subject:
    """The subject for a model, by what the model is. Raises UserError."""
    given = {name: value for name, value in more.items() if value is not None}
    for backend in ("keras", "pytorch", "callables", "session"):
        made: Subject | None = _backend(backend).subject(model, batch, given)
        if made is not None:
            return made
    what = f"The class {model.__name__}" if isinstance(model, type) else type(model).__name__
    raise UserError(
        f"{what} is not a model that bnlint can verify. Give a Keras model, a tf.Module, a "
        "torch.nn.Module, a tf.compat.v1.Session with feeds, or a pair of functions (train, infer)."
    )


def _backend(name: str) -> Any:
    from importlib import import_module

    return import_module(f"bnlint.runtime.backends.{name}")


def examine(subject: Subject) -> Verification:
    """The twelve checks of a subject."""
    try:
        import numpy
    except ImportError as error:
        raise UserError(
            'bnlint verify needs NumPy. Install it with: pip install "bnlint[runtime]"'
        ) from error
    if not subject.norms():
        raise UserError(
            "The model has no normalisation layer that keeps moving statistics, so there is nothing to verify."
        )
    with numpy.errstate(all="ignore"):
        measurements = measure(subject)
        verification = Verification(list(outcomes(measurements)), [], [*subject.notes])
        verification.outcomes.extend(_poor_batch(subject, measurements))
        verification.layers = [
            _figures(norm, measurements, verification.outcomes) for norm in measurements.norms
        ]
    return verification


def _poor_batch(subject: Subject, measurements: Measurements) -> list[Outcome]:
    """What makes the batch a poor probe."""
    import numpy

    if subject.examples < EXAMPLES:
        cause = f"the batch has {subject.examples} of the at least {EXAMPLES} samples that a probe needs"
        return [Outcome(1, "", Verdict.WARN, cause)]
    for application in measurements.train.applications[:1]:
        x = numpy.asarray(application.x, numpy.float64)
        if len(x) > 1 and numpy.ptp(x, axis=0).max() == 0:
            return [Outcome(1, "", Verdict.WARN, "all samples of the batch are the same for the first layer")]
    return []


def _figures(norm: Norm, measurements: Measurements, found: list[Outcome]) -> LayerFigures:
    seen = norm.seen
    stored = measurements.stored.get(norm.key)
    figures = LayerFigures(seen)
    mine = [outcome.verdict for outcome in found if outcome.layer == norm.key]
    for verdict in (Verdict.FAIL, Verdict.WARN, Verdict.PASS):
        if verdict in mine:
            figures.verdict = verdict.value
            break
    trained, inferred = measurements.train.of(norm.key), measurements.infer.of(norm.key)
    if trained:
        moved = _moved(measurements.before.get(norm.key), measurements.after.get(norm.key))
        figures.train = _passage(norm, train_mode(measurements, norm), trained[0].examples, moved)
        batch = trained[0].batch
        if moved and batch is not None and len(trained) == 1:
            figures.train.momentum = measured_momentum(
                measurements.before[norm.key][0], measurements.after[norm.key][0], batch.mean
            )
        _fill(seen, batch, stored)
        _sample(figures, norm, measurements, stored)
    if inferred:
        moved = _moved(measurements.infer_before.get(norm.key), measurements.infer_after.get(norm.key))
        figures.inference = _passage(norm, inference_mode(measurements, norm), inferred[0].examples, moved)
    if inferred and not isinstance(measurements.single, str):
        apart = measurements.single.of(norm.key)
        pairs = zip(inferred, apart, strict=False)
        figures.independence = max((sample_error(norm, one, other) for one, other in pairs), default=None)
    alone = measurements.alone.get(norm.key)
    if isinstance(alone, Alone):
        kept = measured_momentum(alone.away[0], alone.nearer[0], alone.batch.mean)
        if kept is not None and abs(kept) < 1:
            figures.converges = limit_error(norm, alone, kept)[0]
    return figures


def _moved(before: Any, after: Any) -> bool | None:
    if before is None or after is None:
        return None
    return not all(same_bits(old, new) for old, new in zip(before, after, strict=True))


def _passage(norm: Norm, judgements: list[Judgement], examples: int, moved: bool | None) -> Passage:
    worst = max(judgements, key=lambda judgement: min(judgement.batch_error, judgement.moving_error))
    return Passage(
        norm.key,
        worst.mode if not norm.why_not else Mode.UNKNOWN,
        moved=moved,
        batch_error=worst.batch_error,
        moving_error=worst.moving_error,
        tolerance=worst.tolerance,
        samples=len(judgements),
        batch=examples,
    )


def _fill(seen: LayerSeen, batch: Any, stored: Any) -> None:
    from bnlint.runtime.oracle import figures

    if batch is not None:
        seen.batch_mean, seen.batch_variance = figures(batch.mean), figures(batch.variance)
    if stored is not None:
        seen.initial_mean, seen.initial_variance = figures(stored[0]), figures(stored[1])
        seen.last_mean, seen.last_variance = seen.initial_mean, seen.initial_variance


def _sample(figures: LayerFigures, norm: Norm, measurements: Measurements, stored: Any) -> None:
    """Training and inference outputs of the same input, for the picture."""
    import numpy

    application = measurements.train.of(norm.key)[0]
    y = numpy.asarray(application.y, numpy.float64)
    if stored is None or norm.why_not or not numpy.isfinite(y).all() or y.size == 0:
        return
    modes = {judgement.mode for judgement in inference_mode(measurements, norm)}
    if modes == {Mode.BATCH}:
        other = y
    else:
        other = normalise(
            application.x,
            stored[0],
            stored[1],
            application.gamma,
            application.beta,
            norm.seen.epsilon,
            application.axes,
        )
    deviation = float(y.std())
    off = float(numpy.abs(y - other).max())
    if math.isfinite(off) and deviation > 0:
        figures.divergence = off / deviation
    step = max(1, -(-y.size // _SAMPLE))
    figures.train_sample = _floats(y, step)
    figures.inference_sample = _floats(other, step)


def _floats(values: Array, step: int) -> list[float]:
    return [float(value) for value in values.reshape(-1)[::step]]
