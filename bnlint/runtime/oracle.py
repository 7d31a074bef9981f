"""The oracle: what batch normalisation must compute, how far a float may be off, and the twelve checks' verdicts.

With B the statistics of the batch and r the moving statistics (Ioffe and Szegedy 2015, algorithms 1 and 2):

- training:  y = gamma (x - mean_B) / sqrt(var_B + epsilon) + beta, and r <- m r + (1 - m) B
- inference: y = gamma (x - mean_r) / sqrt(var_r + epsilon) + beta

NumPy is imported where it is used; no framework is.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.observed import Figures, LayerFigures, Mode

Array = Any
"""A NumPy array; NumPy is not there where only ``bnlint check`` runs."""


class Verdict(enum.Enum):
    """The outcome of a check. SKIP is never success."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


TITLES = {
    1: "training normalises with the statistics of the batch",
    2: "inference normalises with the moving statistics",
    3: "a training step moves the statistics, by the declared momentum",
    4: "inference moves nothing",
    5: "the statistics converge to those of the data",
    6: "then training and inference agree",
    7: "on shifted data they differ",
    8: "inference treats each sample alone",
    9: "the same layers run in training and in inference",
    10: "a checkpoint keeps what inference needs",
    11: "a frozen layer does not move",
    12: "the statistics are finite, and belong to the channels",
}
"""What each of the twelve checks asks."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check of one layer (or of the whole model: ``layer`` is empty)."""

    check: int
    layer: str
    """Its key; ``Verification.name`` is what the user calls it."""
    verdict: Verdict
    cause: str
    """One sentence."""
    rule: str = ""
    """The code that it confirms, if it fails."""
    measured: float | None = None
    tolerance: float | None = None


@dataclass(slots=True)
class Verification:
    """The twelve checks of a model. ``layers`` has the figures of each layer for the reports."""

    outcomes: list[Outcome] = field(default_factory=list)
    layers: list[LayerFigures] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and something passed."""
        verdicts = {outcome.verdict for outcome in self.outcomes}
        return Verdict.FAIL not in verdicts and Verdict.PASS in verdicts

    def failures(self) -> Iterator[Outcome]:
        """The checks that failed."""
        return (outcome for outcome in self.outcomes if outcome.verdict is Verdict.FAIL)

    def of(self, check: int) -> list[Outcome]:
        """The outcomes of one of the twelve checks."""
        return [outcome for outcome in self.outcomes if outcome.check == check]

    def name(self, outcome: Outcome) -> str:
        """What an outcome is about, as the user calls it."""
        names = {figures.layer.key: figures.layer.name for figures in self.layers}
        return names.get(outcome.layer) or outcome.layer or "the model"

    def verdict(self, check: int) -> Verdict:
        """The worst outcome of a check over all layers; SKIP only if there is nothing else."""
        found = {outcome.verdict for outcome in self.of(check)}
        worst_first = (Verdict.FAIL, Verdict.WARN, Verdict.PASS)
        return next((verdict for verdict in worst_first if verdict in found), Verdict.SKIP)

    def assert_ok(self) -> None:
        """Raise AssertionError, with one line for each failed check, unless all is well."""
        if not self.ok:
            lines = [
                f"{self.name(outcome)}: {TITLES[outcome.check]}: {outcome.cause}"
                for outcome in self.failures()
            ]
            raise AssertionError("\n".join(lines) or "No check could be made.")

    def __str__(self) -> str:
        lines = []
        for number, title in TITLES.items():
            verdict = self.verdict(number)
            lines.append(f"{number:2} {verdict.value}  {title}")
            told = self.of(number)
            if verdict is not Verdict.SKIP:
                told = [outcome for outcome in told if outcome.verdict in (Verdict.FAIL, Verdict.WARN)]
            for outcome in told:
                code = f" [{outcome.rule}]" if outcome.rule else ""
                lines.append(f"     {self.name(outcome)}: {outcome.cause}{code}")
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of a batch, in float64: vectors over the channels, in the order of ``axes``."""

    mean: Array
    variance: Array
    """Biased: the sum of squares divided by ``count``."""
    count: int
    """How many values each is the mean of."""

    @property
    def bessel(self) -> float:
        """What turns the biased variance into the unbiased one: n/(n-1)."""
        return self.count / (self.count - 1) if self.count > 1 else 1.0


def batch_statistics(x: Array, axes: Sequence[int], mask: Array = None) -> Statistics:
    """The mean and variance of a batch for each channel.

    ``x`` has any shape, ``axes`` are the axes of the channels, and ``mask`` is true for the values that count; it
    has the shape of ``x`` without its last axes, or can be broadcast to it. The variance is computed in two passes,
    in float64.
    """
    import numpy

    rows = _channels_last(x, axes)
    if mask is not None:
        mask = numpy.asarray(mask, bool)
        mask = mask.reshape(mask.shape + (1,) * (numpy.ndim(x) - mask.ndim))
        counts = _channels_last(numpy.broadcast_to(mask, numpy.shape(x)), axes)[:, 0]
        rows = rows[counts.astype(bool)]
    mean = rows.mean(axis=0, dtype=numpy.float64)
    # Row by row in blocks: one float64 copy of a large activation would be the peak of the memory.
    total = numpy.zeros_like(mean)
    for start in range(0, len(rows), _BLOCK):
        centred = rows[start : start + _BLOCK] - mean
        total += numpy.einsum("nc,nc->c", centred, centred)
    shape = [numpy.shape(x)[axis] for axis in axes]
    return Statistics(mean.reshape(shape), (total / max(len(rows), 1)).reshape(shape), len(rows))


_BLOCK = 1 << 14


def normalise(
    x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float, axes: Sequence[int]
) -> Array:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, in float64; a gamma or beta of None is 1 or 0."""
    import numpy

    along = spread(numpy.ndim(x), axes)
    scale = 1.0 / numpy.sqrt(numpy.asarray(variance, numpy.float64) + epsilon)
    if gamma is not None:
        scale = scale * numpy.asarray(gamma, numpy.float64).reshape(numpy.shape(scale))
    y = (numpy.asarray(x, numpy.float64) - along(mean)) * along(scale)
    return y if beta is None else y + along(beta)


def batch_formula(x: Array, gamma: Array, beta: Array, epsilon: float, axes: Sequence[int]) -> Array:
    """What training computes: ``normalise`` with the statistics of ``x`` itself."""
    batch = batch_statistics(x, axes)
    return normalise(x, batch.mean, batch.variance, gamma, beta, epsilon, axes)


def moving_formula(
    x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float, axes: Sequence[int]
) -> Array:
    """What inference computes: ``normalise`` with the moving statistics."""
    return normalise(x, mean, variance, gamma, beta, epsilon, axes)


def magnitude(
    x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float, axes: Sequence[int]
) -> Array:
    """The largest term that the formula adds or subtracts, for each channel, as an array that can be broadcast to x.

    It is max |gamma| (|x| + |mean|) / sqrt(variance + epsilon) + |beta|: implementations compute x s + (beta - mean s)
    with s = gamma / sqrt(variance + epsilon), so an error is relative to these terms and not to the result.
    """
    import numpy

    along = spread(numpy.ndim(x), axes)
    others = tuple(axis for axis in range(numpy.ndim(x)) if axis not in _positive(numpy.ndim(x), axes))
    scale = 1.0 / numpy.sqrt(numpy.maximum(numpy.asarray(variance, numpy.float64) + epsilon, _SMALLEST))
    if gamma is not None:
        scale = scale * numpy.abs(numpy.asarray(gamma, numpy.float64).reshape(numpy.shape(scale)))
    largest = numpy.abs(x).max(axis=others, keepdims=True).astype(numpy.float64) + numpy.abs(along(mean))
    terms = largest * along(scale)
    return terms if beta is None else terms + numpy.abs(along(beta))


_SMALLEST = 1e-300

ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
"""The unit roundoff u: half the distance from 1 to the next number (IEEE 754; Higham 2002, section 2.1)."""
_FORMULA_ROUNDINGS = 8
"""Roundings between the statistics and the output: var + epsilon, square root, reciprocal, times gamma, mean times
that, beta minus that, x times the scale, the last addition."""
_OUTPUT_ROUNDINGS = 4
"""Of those, the ones that may happen in the type of the output: the scale, the shift, the product, the sum."""
_CONFIDENCE = math.sqrt(2 * math.log(2 / 1e-9))
"""Higham and Mary's lambda for one false alarm in 10**9."""


def tolerance(dtype: str, batch: int, magnitude: Any, one_pass: Any = 0.0) -> Any:
    """How far an output may be off the formula by rounding alone, in units of the output.

    ``dtype`` is the type of the output (statistics are kept in float32 at least: every framework casts), ``batch`` the
    number n of values that a statistic is the mean of (1 if statistics are given and not computed), and ``magnitude``
    that of the terms (see there); a float or an array.

    Derivation. k roundings make a relative error of at most k u / (1 - k u) (Higham 2002, lemma 3.1). A sum of n
    terms is off by lambda sqrt(n) u times the sum of their sizes, but with probability 2 exp(-lambda²/2) (Higham and
    Mary 2019, theorem 2.4); lambda is for one false alarm in 10**9. The error of the mean counts once, that of the
    variance half, because y depends on its square root. To it come the roundings of the formula, and those in the
    type of the output. ``one_pass`` is x²/variance where the variance is computed as the mean of squares minus the
    square of the mean: cancellation multiplies its error by that (Chan, Golub and LeVeque 1983).
    """
    u = max(ROUNDOFF.get(dtype, ROUNDOFF["float32"]), ROUNDOFF["float64"])
    inner = min(u, ROUNDOFF["float32"])
    sums = _CONFIDENCE * math.sqrt(batch) if batch > 1 else 0.0
    roundings = _FORMULA_ROUNDINGS + sums * (1.5 + one_pass / 2)
    bound = roundings * inner / (1 - _FORMULA_ROUNDINGS * inner)
    if u > inner:
        bound = bound + _OUTPUT_ROUNDINGS * u / (1 - _OUTPUT_ROUNDINGS * u)
    return bound * magnitude


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which formula an output fits. The errors are in units of the tolerance: up to 1 is a fit."""

    mode: Mode
    batch_error: float
    moving_error: float
    tolerance: float
    """In units of the output: the largest over the channels."""


def judge_mode(
    x: Array,
    y: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    beta: Array,
    epsilon: float,
    axes: Sequence[int],
    dtype: str = "float32",
    batch: Statistics | None = None,
    one_pass: bool = False,
) -> Judgement:
    """With which statistics a layer made ``y`` of ``x``; ``mean`` and ``variance`` are the moving statistics then.

    ``batch`` are the statistics of the whole batch if x and y are only some positions of it. A moving mean of None
    says that there are no moving statistics.
    """
    batch = batch or batch_statistics(x, axes)
    batch_error, bound = error_of(
        x, y, batch.mean, batch.variance, gamma, beta, epsilon, axes, dtype, batch.count, one_pass
    )
    moving_error = math.inf
    if mean is not None:
        moving_error, moving_bound = error_of(x, y, mean, variance, gamma, beta, epsilon, axes, dtype)
        bound = bound if batch_error <= moving_error else moving_bound
    fits = (batch_error <= 1, moving_error <= 1)
    mode = {
        (True, True): Mode.BOTH,
        (True, False): Mode.BATCH,
        (False, True): Mode.MOVING,
        (False, False): Mode.NEITHER,
    }[fits]
    return Judgement(mode, batch_error, moving_error, bound)


def error_of(
    x: Array,
    y: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    beta: Array,
    epsilon: float,
    axes: Sequence[int],
    dtype: str,
    count: int = 1,
    one_pass: bool = False,
) -> tuple[float, float]:
    """The largest difference between an output and the formula in units of the tolerance, and the tolerance there."""
    import numpy

    with numpy.errstate(all="ignore"):
        expected = normalise(x, mean, variance, gamma, beta, epsilon, axes)
        size = magnitude(x, mean, variance, gamma, beta, epsilon, axes)
        cancellation: Any = 0.0
        if one_pass:
            along = spread(numpy.ndim(x), axes)
            divisor = numpy.asarray(variance, numpy.float64) + epsilon
            cancellation = along((numpy.asarray(mean, numpy.float64) ** 2 + divisor) / divisor)
        bound = numpy.broadcast_to(tolerance(dtype, count, size, cancellation), expected.shape)
        bound = numpy.maximum(bound, _SMALLEST)
        error = numpy.abs(numpy.asarray(y, numpy.float64) - expected) / bound
    if error.size == 0:
        return 0.0, 0.0
    if not numpy.isfinite(error).all():
        return math.inf, float(bound.max())
    worst = int(error.argmax())
    return float(error.flat[worst]), float(bound.flat[worst])


def statistics_tolerance(dtype: str, batch: int, size: Any) -> Any:
    """How far an updated statistic may be off m r + (1 - m) B by rounding: a float or an array like ``size``.

    ``size`` is the larger of |r| and the mean of |x| (for a variance, of |x - mean|²). The update rounds m, 1 - m, two
    products and the sum; B is off as a sum of n terms is (see ``tolerance``).
    """
    u = max(ROUNDOFF.get(dtype, ROUNDOFF["float32"]), ROUNDOFF["float64"])
    return (5 + _CONFIDENCE * math.sqrt(max(batch, 1))) * u * size


def measured_momentum(before: Array, after: Array, batch: Array) -> float | None:
    """The share m of ``before`` that is in ``after`` = m before + (1 - m) batch; None if before and batch are equal.

    It is the least-squares solution over the channels.
    """
    import numpy

    way = numpy.asarray(before, numpy.float64) - batch
    length = float((way * way).sum())
    if length == 0 or not math.isfinite(length):
        return None
    return float(((numpy.asarray(after, numpy.float64) - batch) * way).sum() / length)


def _positive(rank: int, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis % rank for axis in axes)


def spread(rank: int, axes: Sequence[int]) -> Any:
    """A function that gives a vector over the channels the rank of the input."""
    import numpy

    positions = _positive(rank, axes)

    def along(values: Array) -> Array:
        values = numpy.asarray(values, numpy.float64)
        if values.ndim == 0:
            return values
        kept = [size for size in values.shape if size != 1]
        shape = [1] * rank
        if len(positions) == 1:
            shape[positions[0]] = values.size
        else:
            sizes = values.shape if values.ndim == len(positions) else kept
            for position, size in zip(positions, sizes, strict=True):
                shape[position] = size
        return values.reshape(shape)

    return along


def _channels_last(x: Array, axes: Sequence[int]) -> Array:
    """The values as rows with a column for each channel."""
    import numpy

    x = numpy.asarray(x)
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        x = x.astype(numpy.float32)
    positions = _positive(x.ndim, axes)
    x = numpy.moveaxis(x, positions, range(x.ndim - len(positions), x.ndim))
    return x.reshape(-1, math.prod(x.shape[x.ndim - len(positions) :]))


def figures(values: Array) -> Figures:
    """A vector in short."""
    import numpy

    values = numpy.asarray(values, numpy.float64).reshape(-1)
    if values.size == 0:
        return Figures(0.0, 0.0, 0.0)
    return Figures(
        float(values.mean()), float(values.min()), float(values.max()), [float(value) for value in values[:8]]
    )
