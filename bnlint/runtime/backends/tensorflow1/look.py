"""What a run did with each layer, told by the oracle from what was fetched in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.backends.tensorflow1.applied import Applied
from bnlint.runtime.backends.tensorflow1.plan import Plan, Watched
from bnlint.runtime.backends.tensorflow1.told import phase_of
from bnlint.runtime.diagnosis import explain
from bnlint.runtime.observed import LayerSeen, Mode, Passage, RunSeen
from bnlint.runtime.oracle import (
    Statistics,
    batch_statistics,
    figures,
    judge_mode,
    measured_momentum,
    normalise,
)
from bnlint.runtime.script.recorder import Recorder
from bnlint.runtime.subject import Application, Norm, kept

_MOST_HISTORY = 400
_SAMPLE = 256


@dataclass(slots=True)
class Sample:
    """What is fetched around and in one run."""

    watched: list[Watched]
    variables: dict[str, Any]
    before: dict[str, Any]
    later: dict[str, Any] = field(default_factory=dict)
    values: list[dict[str, Any]] = field(default_factory=list)
    branches: dict[str, int] = field(default_factory=dict)

    def fetches(self) -> list[Any]:
        """What to fetch in the run itself."""
        return [each.fetches() for each in self.watched]

    def take(self, values: list[Any]) -> None:
        """What was fetched."""
        self.values = values
        for each, got in zip(self.watched, values, strict=True):
            if "taken" in got and each.applied.branch is not None:
                self.branches[each.applied.branch.merge.name] = int(got["taken"])

    def after(self, run: Any, session: Any) -> None:
        """Read the variables again."""
        self.later = _read(run, session, self.variables) or {}


class Looking:
    """Takes samples and judges them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._channels: dict[str, int] = {}
        self._passages: dict[tuple[str, int], Passage] = {}

    def before(self, run: Any, session: Any, plan: Plan) -> Sample | None:
        """Read the variables of the layers; None if that is not possible yet."""
        watched = plan.chosen()
        variables: dict[str, Any] = {}
        for each in watched:
            for variable in _variables(each.applied):
                variables[variable.op.name] = variable
        before = _read(run, session, variables)
        return None if before is None else Sample(watched, variables, before)

    def last(self, run: Any, session: Any, norms: list[Applied]) -> None:
        """Read the moving statistics for the last time."""
        for made in norms:
            if (
                made.moving_mean is not None
                and made.moving_variance is not None
                and made.seen.last_mean is not None
            ):
                got = _read(run, session, {"mean": made.moving_mean, "variance": made.moving_variance})
                if got is not None:
                    with self._recorder.lock:
                        made.seen.last_mean = figures(got["mean"])
                        made.seen.last_variance = figures(got["variance"])
                        self._recorder.changed()

    def judge(self, plan: Plan, seen: RunSeen, sample: Sample) -> None:
        """Say what was seen in a sample."""
        plan.sampled += 1
        for watched, got in zip(sample.watched, sample.values, strict=True):
            made = watched.applied
            taken = sample.branches.get(made.branch.merge.name) if made.branch is not None else None
            if made.branch is not None and taken is not None and taken != made.branch.index:
                continue
            self._judge(plan, seen, sample, watched, got)

    def _judge(
        self, plan: Plan, seen: RunSeen, sample: Sample, watched: Watched, got: dict[str, Any]
    ) -> None:
        made = watched.applied
        passage = self._passage(seen, made)
        passage.samples += 1
        passage.trained = plan.trains_parameters_of(made)
        r0, r1 = _moments(made, sample.before), _moments(made, sample.later)
        layer = made.seen
        if r0 is not None and r1 is not None:
            moved = not (_same(r0[0], r1[0]) and _same(r0[1], r1[1]))
            passage.moved = bool(passage.moved) or moved
            passage.updates = float(watched.updates if moved or not watched.updates else 0)
            if layer.initial_mean is None:
                layer.initial_mean, layer.initial_variance = figures(r0[0]), figures(r0[1])
            layer.last_mean, layer.last_variance = figures(r1[0]), figures(r1[1])
        declared = got.get("phase", made.phase if isinstance(made.phase, bool) else None)
        if declared is not None and getattr(declared, "size", 1) == 1:
            passage.declared = bool(declared) != made.inverted
        x, y = got.get("x"), got.get("y")
        if x is None or getattr(x, "ndim", 0) == 0 or x.size == 0 or not _is_float(x):
            return
        watched.values = float(x.size)
        axes = tuple(axis % x.ndim for axis in made.axes)
        batch = batch_statistics(x, axes)
        passage.batch = int(x.shape[0])
        layer.channels = layer.channels or int(batch.mean.size)
        layer.axes = list(axes)
        gamma = _for_each(_value(made.gamma, got.get("gamma"), sample), batch)
        beta = _for_each(_value(made.beta, got.get("beta"), sample), batch)
        if layer.initial_scale is None and gamma is not None:
            layer.initial_scale = figures(gamma)
        if layer.initial_offset is None and beta is not None:
            layer.initial_offset = figures(beta)
        if y is not None and y.shape == x.shape:
            self._formula(passage, made, x, y, batch, r0, r1, gamma, beta, axes)
        if plan.trains():
            self._trained(passage, watched, sample, batch, x, r0, r1, gamma, beta, axes)

    def _formula(
        self,
        passage: Passage,
        made: Applied,
        x: Any,
        y: Any,
        batch: Statistics,
        r0: Any,
        r1: Any,
        gamma: Any,
        beta: Any,
        axes: tuple[int, ...],
    ) -> None:
        part = kept(x.shape, axes)
        judged = None
        for r in (r0, r1) if r1 is not None and r0 is not None else (None,):
            mean, variance = r if r is not None else (None, None)
            judgement = judge_mode(
                x[part], y[part], mean, variance, gamma, beta, made.seen.epsilon, axes, str(y.dtype), batch
            )
            if judged is None or judged.mode is Mode.NEITHER:
                judged = judgement
            if judged.mode is not Mode.NEITHER:
                break
        assert judged is not None
        passage.mode = _merged(passage.mode, judged.mode)
        if judged.mode is Mode.NEITHER and not passage.instead:
            seen_as = Application(
                made.seen.key, x[part], y[part], str(y.dtype), batch, mean, variance, gamma, beta, axes=axes
            )
            passage.instead, passage.suspect = explain(
                Norm(made.seen), seen_as, passage.declared is not False
            )
        passage.batch_error = max(passage.batch_error, judged.batch_error)
        passage.moving_error = max(passage.moving_error, judged.moving_error)
        passage.tolerance = max(passage.tolerance, judged.tolerance)

    def _trained(
        self,
        passage: Passage,
        watched: Watched,
        sample: Sample,
        batch: Statistics,
        x: Any,
        r0: Any,
        r1: Any,
        gamma: Any,
        beta: Any,
        axes: tuple[int, ...],
    ) -> None:
        import numpy

        made, layer = watched.applied, watched.applied.seen
        layer.batch_mean, layer.batch_variance = figures(batch.mean), figures(batch.variance)
        if r0 is None or r1 is None:
            return
        mean, variance = (numpy.asarray(each, numpy.float64).reshape(batch.mean.shape) for each in r1)
        deviation = numpy.sqrt(batch.variance + layer.epsilon)
        far = numpy.abs(mean - batch.mean) / deviation
        apart = numpy.abs(variance - batch.variance) / (batch.variance + layer.epsilon)
        channel = self._channels.setdefault(layer.key, int(far.argmax()))
        step = self._recorder.observed.train_steps + 1
        if len(layer.history) < _MOST_HISTORY and (not layer.history or layer.history[-1][0] != step):
            layer.history.append((step, float(far.mean()), float(apart.mean())))
            layer.track.append(
                (
                    step,
                    float(mean.flat[channel]),
                    float(batch.mean.flat[channel]),
                    float(variance.flat[channel]),
                    float(batch.variance.flat[channel]),
                )
            )
        if passage.moved and watched.updates == 1:
            counted = made.counted.op.name if made.counted is not None else None
            first, second = (
                (sample.before.get(counted), sample.later.get(counted)) if counted else (r0[0], r1[0])
            )
            if first is not None and second is not None and first.shape == r0[0].shape:
                found = measured_momentum(
                    first.reshape(batch.mean.shape), second.reshape(batch.mean.shape), batch.mean
                )
                if found is not None and math.isfinite(found):
                    passage.momentum = found
        self._divergence(layer, x[kept(x.shape, axes)], batch, (mean, variance), gamma, beta, axes)

    def _divergence(
        self,
        layer: LayerSeen,
        x: Any,
        batch: Statistics,
        r: Any,
        gamma: Any,
        beta: Any,
        axes: tuple[int, ...],
    ) -> None:
        import numpy

        with numpy.errstate(all="ignore"):
            by_batch = normalise(x, batch.mean, batch.variance, gamma, beta, layer.epsilon, axes)
            by_moving = normalise(x, r[0], r[1], gamma, beta, layer.epsilon, axes)
            spread = float(by_batch.std())
            apart = float(numpy.abs(by_batch - by_moving).max())
        layer.divergence = apart / spread if spread > 0 else None
        stride = max(1, by_batch.size // _SAMPLE)
        layer.train_sample = [float(value) for value in by_batch.reshape(-1)[::stride][:_SAMPLE]]
        layer.inference_sample = [float(value) for value in by_moving.reshape(-1)[::stride][:_SAMPLE]]

    def _passage(self, seen: RunSeen, made: Applied) -> Passage:
        key = seen.key, id(made)
        found = self._passages.get(key)
        if found is None:
            found = Passage(made.seen.key, Mode.UNKNOWN, origin=made.origin, site=made.site)
            found.fixed, found.phase_site = phase_of(made, self._recorder.frames)
            self._passages[key] = found
            seen.passages.append(found)
        return found


def _variables(made: Applied) -> list[Any]:
    found = [made.moving_mean, made.moving_variance, made.counted]
    found += [each for each in (made.gamma, made.beta) if _is_variable(each)]
    return [each for each in found if each is not None]


def _is_variable(value: Any) -> bool:
    from bnlint.runtime.backends.tensorflow1.graph import VARIABLES

    op = getattr(value, "op", None)
    return op is not None and op.type in VARIABLES


def _read(run: Any, session: Any, variables: dict[str, Any]) -> dict[str, Any] | None:
    from tensorflow.python.framework import errors

    if not variables:
        return {}
    try:
        return dict(run(session, variables))
    except (errors.FailedPreconditionError, errors.NotFoundError, RuntimeError, ValueError):
        # Not initialised yet, or the session has been closed.
        return None


def _moments(made: Applied, values: dict[str, Any]) -> tuple[Any, Any] | None:
    if made.moving_mean is None or made.moving_variance is None:
        return None
    mean, variance = values.get(made.moving_mean.op.name), values.get(made.moving_variance.op.name)
    return None if mean is None or variance is None else (mean, variance)


def _value(given: Any, fetched: Any, sample: Sample) -> Any:
    """gamma or beta: what was fetched, or the variable before the run, or the constant."""
    import numpy

    if fetched is not None:
        return fetched
    if _is_variable(given):
        return sample.before.get(given.op.name)
    if given is None or hasattr(given, "op"):
        return None
    return numpy.asarray(given)


def _for_each(value: Any, batch: Statistics) -> Any:
    """gamma or beta with one value for each of the statistics: a layer over the wrong axes has more of these."""
    import numpy

    shape = numpy.shape(batch.mean)
    if value is None or numpy.size(value) == numpy.size(batch.mean):
        return value
    try:
        return numpy.broadcast_to(value, shape)
    except ValueError:
        return value


def _same(one: Any, other: Any) -> bool:
    import numpy

    return bool(numpy.array_equal(one, other, equal_nan=True))


def _is_float(x: Any) -> bool:
    return bool(x.dtype.kind == "f" or x.dtype.name == "bfloat16")


def _merged(known: Mode, new: Mode) -> Mode:
    if known in (Mode.UNKNOWN, Mode.BOTH) or known is new:
        return new
    return known if new is Mode.BOTH else Mode.NEITHER
