"""What a layer did in one forward pass: told by the oracle where its input and output can be seen, else by the phase
it was given and by whether its statistics moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.calls import Phase
from bnlint.runtime.backends.eager.known import Known, State
from bnlint.runtime.diagnosis import explain
from bnlint.runtime.observed import Figures, LayerSeen, Mode
from bnlint.runtime.oracle import (
    Array,
    Statistics,
    batch_statistics,
    figures,
    judge_mode,
    measured_momentum,
    normalise,
    statistics_tolerance,
)
from bnlint.runtime.subject import Application, kept

_MOST_HISTORY = 400
_SAMPLE = 256
_CERTAIN = 0.01
"""How large rounding may be, compared with the way that the statistics go, for a measured momentum."""


@dataclass(slots=True)
class Picture:
    """What the picture of a layer shows of a training step."""

    batch_mean: Array
    batch_variance: Array
    mean: Array
    """r after the step."""
    variance: Array
    divergence: float | None = None
    train_sample: list[float] = field(default_factory=list)
    inference_sample: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Looked:
    """One layer in one forward pass."""

    known: Known
    phase: Phase
    site: Location | None
    mode: Mode = Mode.UNKNOWN
    moved: bool | None = None
    updates: float | None = None
    momentum: float | None = None
    batch: int = 0
    batch_error: float = 0.0
    moving_error: float = 0.0
    tolerance: float = 0.0
    """0: the mode was told without looking at the output."""
    instead: str = ""
    suspect: str = ""
    trainable: bool | None = None
    """Whether the layer's own gamma and beta were to be trained, where the layer itself can be asked."""
    apart: float = 0.0
    """As in ``Passage``."""
    examples: int = 0
    """The set of data from which its examples are; 0 if that is not known."""
    mixed: float = 0.0
    """As in ``Passage``, and the two places."""
    mixed_with: Location | None = None
    mixed_at: Location | None = None
    recomputed: bool = False
    """Whether this was done again for a backward pass, as activation checkpointing does it."""
    checkpoint: Location | None = None
    """The line that asks for it."""
    penalised: Location | None = None
    """The line that took a gradient through it by the examples, on which a loss depends."""
    statistics_type: str = ""
    converted: Location | None = None
    """The line that put the statistics into that type."""
    first: State | None = None
    """What the layer had before and after."""
    last: State | None = None
    picture: Picture | None = None


def look(
    known: Known,
    phase: Phase,
    site: Location | None,
    x: Any,
    y: Any,
    mask: Any,
    before: State | None,
    after: State | None,
    dtype: str = "",
) -> Looked:
    """Judge a layer by its input and output, both with values; ``dtype`` is that of the output if NumPy lacks it."""
    import numpy

    found = Looked(known, phase, site, first=before, last=after)
    compare(found)
    values, results = numpy.asarray(x), numpy.asarray(y)
    if known.norm.renorm or known.norm.why_not:
        by_phase(found, training=bool(phase.declared) and known.seen.trainable)
        return found
    if before is None or values.ndim == 0 or values.size == 0 or results.shape != values.shape:
        return found
    if not (values.dtype.kind == "f" or values.dtype.name == "bfloat16"):
        return found
    axes = known.axes(values.shape, before)
    known.seen.axes = list(axes)
    found.batch = int(values.shape[0])
    batch = batch_statistics(values, axes, None if mask is None else numpy.asarray(mask))
    known.seen.channels = known.seen.channels or int(batch.mean.size)
    _formula(found, values, results, batch, before, after, axes, dtype or str(results.dtype))
    if before.mean is not None and after is not None:
        if found.moved:
            found.momentum = _momentum(before, after, batch, known.unbiased)
        part = kept(values.shape, axes)
        found.picture = _picture(values[part], batch, before, after, known.seen.epsilon, axes)
    return found


def compare(found: Looked) -> None:
    """Say whether the statistics moved between the two states."""
    first, last = found.first, found.last
    if first is not None and last is not None and first.mean is not None and last.mean is not None:
        same = _same(first.mean, last.mean) and _same(first.variance, last.variance)
        found.moved = not same
        found.updates = 0.0 if same else 1.0


def by_phase(found: Looked, training: bool) -> None:
    """Take the mode that follows from the phase in the code of Keras."""
    found.mode = Mode.BATCH if training else Mode.MOVING


def derived(found: Looked) -> None:
    """Draw the picture of a step from the statistics before and after it: B = (r' - m r) / (1 - m).

    It holds for one update by the declared momentum.
    """
    first, last, m = found.first, found.last, found.known.seen.momentum
    if not found.moved or first is None or last is None or m is None or not 0 <= m < 1:
        return
    batch_mean, batch_variance = (
        (new.astype("float64") - m * old) / (1 - m)
        for old, new in ((first.mean, last.mean), (first.variance, last.variance))
    )
    if (batch_variance >= 0).all():
        found.picture = Picture(batch_mean, batch_variance, last.mean, last.variance)


def show(layer: LayerSeen, picture: Picture, step: int, channels: dict[str, int]) -> None:
    """Add what was seen in a training step to the pictures of a layer."""
    import numpy

    layer.batch_mean, layer.batch_variance = figures(picture.batch_mean), figures(picture.batch_variance)
    shape = numpy.shape(picture.batch_mean)
    mean, variance = (
        numpy.asarray(each, numpy.float64).reshape(shape) for each in (picture.mean, picture.variance)
    )
    scale = picture.batch_variance + layer.epsilon
    with numpy.errstate(all="ignore"):
        far = numpy.abs(mean - picture.batch_mean) / numpy.sqrt(scale)
        apart = numpy.abs(variance - picture.batch_variance) / scale
    channel = channels.setdefault(layer.key, int(far.argmax()))
    if len(layer.history) < _MOST_HISTORY and (not layer.history or layer.history[-1][0] != step):
        layer.history.append((step, float(far.mean()), float(apart.mean())))
        pairs = (mean, picture.batch_mean, variance, picture.batch_variance)
        values = [float(each.flat[channel]) for each in pairs]
        layer.track.append((step, values[0], values[1], values[2], values[3]))
    if picture.train_sample:
        layer.divergence = picture.divergence
        layer.train_sample, layer.inference_sample = picture.train_sample, picture.inference_sample


def keep_state(layer: LayerSeen, first: State | None, last: State | None) -> None:
    """Keep the statistics of a layer as they were first and last seen."""
    if first is not None and first.mean is not None and layer.initial_mean is None:
        layer.initial_mean, layer.initial_variance = figures(first.mean), figures(first.variance)
    if first is not None:
        layer.initial_scale = layer.initial_scale or _figures(first.gamma)
        layer.initial_offset = layer.initial_offset or _figures(first.beta)
    if last is not None and last.mean is not None:
        layer.last_mean, layer.last_variance = figures(last.mean), figures(last.variance)


def _formula(
    found: Looked,
    x: Array,
    y: Array,
    batch: Statistics,
    before: State,
    after: State | None,
    axes: tuple[int, ...],
    dtype: str,
) -> None:
    known = found.known
    part = kept(x.shape, axes)
    judged = None
    used = before
    # A layer may move its statistics first and use them then.
    for state in (before, after) if after is not None and found.moved else (before,):
        judgement = judge_mode(
            x[part],
            y[part],
            state.mean,
            state.variance,
            state.gamma,
            state.beta,
            known.seen.epsilon,
            axes,
            dtype,
            batch,
            known.norm.one_pass,
        )
        if judged is None or judgement.mode is not Mode.NEITHER:
            judged, used = judgement, state
        if judged.mode is not Mode.NEITHER:
            break
    assert judged is not None
    found.mode = judged.mode
    found.batch_error, found.moving_error = judged.batch_error, judged.moving_error
    found.tolerance = judged.tolerance
    if judged.mode is Mode.NEITHER:
        seen_as = Application(
            known.seen.key,
            x[part],
            y[part],
            dtype,
            batch,
            used.mean,
            used.variance,
            used.gamma,
            used.beta,
            axes=axes,
        )
        found.instead, found.suspect = explain(known.norm, seen_as, found.phase.declared is not False)


def _momentum(before: State, after: State, batch: Statistics, unbiased: bool) -> float | None:
    """The share that was kept, as measured; None if rounding could be taken for it.

    It is told by the mean, or by the variance where that of the mean is lost: B is 0 up to rounding for an input that
    comes from normalised values.
    """
    import numpy

    size = numpy.sqrt(batch.variance + batch.mean**2)
    pairs = (
        (before.mean, after.mean, batch.mean, size),
        (before.variance, after.variance, batch.variance * (batch.bessel if unbiased else 1.0), size**2),
    )
    for old, new, value, scale in pairs:
        old = numpy.asarray(old, numpy.float64).reshape(value.shape)
        noise = statistics_tolerance("float32", batch.count, numpy.maximum(numpy.abs(old), scale))
        if numpy.linalg.norm(noise) <= _CERTAIN * numpy.linalg.norm(old - value):
            momentum = measured_momentum(old, numpy.reshape(new, value.shape), value)
            return momentum if momentum is not None and math.isfinite(momentum) else None
    return None


def _picture(
    x: Array, batch: Statistics, before: State, after: State, epsilon: float, axes: tuple[int, ...]
) -> Picture:
    import numpy

    shape = batch.mean.shape
    mean, variance = (
        numpy.asarray(each, numpy.float64).reshape(shape) for each in (after.mean, after.variance)
    )
    picture = Picture(batch.mean, batch.variance, mean, variance)
    with numpy.errstate(all="ignore"):
        by_batch = normalise(x, batch.mean, batch.variance, before.gamma, before.beta, epsilon, axes)
        by_moving = normalise(x, mean, variance, before.gamma, before.beta, epsilon, axes)
        spread = float(by_batch.std())
        apart = float(numpy.abs(by_batch - by_moving).max())
    picture.divergence = apart / spread if spread > 0 else None
    stride = max(1, by_batch.size // _SAMPLE)
    picture.train_sample = [float(value) for value in by_batch.reshape(-1)[::stride][:_SAMPLE]]
    picture.inference_sample = [float(value) for value in by_moving.reshape(-1)[::stride][:_SAMPLE]]
    return picture


def _figures(values: Array) -> Figures | None:
    return None if values is None else figures(values)


def _same(one: Array, other: Array) -> bool:
    import numpy

    return bool(numpy.array_equal(one, other, equal_nan=True))
