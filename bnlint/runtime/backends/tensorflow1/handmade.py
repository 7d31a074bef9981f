"""Norms that the script makes of ``tf.nn.moments`` and the bare formula, and moving averages that it keeps by hand."""

from __future__ import annotations

from typing import Any

from bnlint.runtime.backends.tensorflow1 import graph
from bnlint.runtime.backends.tensorflow1.capture import Capture
from bnlint.runtime.backends.tensorflow1.graph import Tensor, Variable
from bnlint.runtime.backends.tensorflow1.patches import around, around_method


def observe(capture: Capture) -> None:
    """Patch the functions."""
    from tensorflow.python.ops import nn_impl
    from tensorflow.python.training import moving_averages

    around(nn_impl, "batch_normalization", Formula(capture))
    around(nn_impl, "batch_norm_with_global_normalization", _OldFormula(capture))
    fused = _Fused(capture)
    for name in ("fused_batch_norm", "fused_batch_norm_v2", "fused_batch_norm_v3"):
        around(nn_impl, name, fused)
    around(moving_averages, "assign_moving_average", _Assign(capture))
    around_method(moving_averages.ExponentialMovingAverage, "apply", _Apply(capture))


class Formula:
    """``tf.nn.batch_normalization``."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(
        self,
        original: Any,
        x: Any,
        mean: Any,
        variance: Any,
        offset: Any,
        scale: Any,
        variance_epsilon: Any,
        name: Any = None,
    ) -> Any:
        """Call the function, and note what it was called with."""
        y = original(x, mean, variance, offset, scale, variance_epsilon, name)
        capture = self._capture
        if not capture.calls and capture.looking(y) and capture.looking(x):
            with capture.recorder.observing():
                self.note("tf.nn.batch_normalization", x, y, mean, variance, offset, scale, variance_epsilon)
        return y

    def note(
        self, api: str, x: Tensor, y: Tensor, mean: Any, variance: Any, beta: Any, gamma: Any, epsilon: Any
    ) -> None:
        """Find out what it is made of, and keep it."""
        capture = self._capture
        if not hasattr(mean, "op"):
            # Numbers: nothing is learned, and nothing is measured.
            return
        axes = _axes(x, mean)
        if 0 in axes and x.shape.rank != 1:
            # Each example has statistics of its own: that is layer or instance normalisation.
            return
        input_ops = graph.data_ancestors(x)
        of_batch = x.op.name in graph.data_ancestors(mean)
        moving_mean = _moving(mean, input_ops)
        moving_variance = _moving(variance, input_ops) if hasattr(variance, "op") else None
        if moving_mean is moving_variance and moving_mean is not None:
            moving_mean, moving_variance = _pair(mean, input_ops)
        switch = graph.predicate_of(mean, x.op.name) if of_batch else None
        phase, when = switch if switch is not None else (None, True)
        if switch is None and of_batch != (moving_mean is not None):
            # No switch: what it uses is always the same.
            phase = of_batch
        key = moving_mean.op.name if moving_mean is not None else ""
        capture.add(
            x,
            y,
            api=api,
            origin="argument" if switch else "none",
            gamma=gamma,
            beta=beta,
            mean=moving_mean,
            variance=moving_variance,
            epsilon=_number(epsilon),
            momentum=capture.decays.get(key),
            axes=axes,
            phase=phase,
            inverted=not when,
            updates="by hand" if moving_mean is not None else "none",
        )


class _OldFormula:
    """``tf.nn.batch_norm_with_global_normalization``."""

    def __init__(self, capture: Capture) -> None:
        self._formula = Formula(capture)
        self._capture = capture

    def __call__(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        with self._capture.call("tf.nn.batch_norm_with_global_normalization", "none"):
            y = original(*arguments, **keywords)
        names = ("t", "m", "v", "beta", "gamma", "variance_epsilon", "scale_after_normalization")
        given = {**dict(zip(names, arguments, strict=False)), **keywords}
        x, mean = given.get("t", given.get("input")), given.get("m", given.get("mean"))
        variance = given.get("v", given.get("variance"))
        capture = self._capture
        if not capture.calls and capture.looking(y) and capture.looking(x):
            gamma = given.get("gamma") if given.get("scale_after_normalization") else None
            self._formula.note(
                "tf.nn.batch_norm_with_global_normalization",
                x,
                y,
                mean,
                variance,
                given.get("beta"),
                gamma,
                given.get("variance_epsilon"),
            )
        return y


class _Fused:
    """``tf.nn.fused_batch_norm``."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(*arguments, **keywords)
        capture = self._capture
        y = result[0]
        if capture.calls or not capture.looking(y):
            return result
        names = (
            "x scale offset mean variance epsilon data_format is_training name exponential_avg_factor".split()
        )
        given = {**dict(zip(names, arguments, strict=False)), **keywords}
        training = bool(given.get("is_training", True))
        with capture.recorder.observing():
            mean, variance = given.get("mean"), given.get("variance")
            input_ops = graph.data_ancestors(y.op.inputs[0])
            known = [
                _moving(value, input_ops) if capture.looking(value) else _as_variable(value)
                for value in (mean, variance)
            ]
            capture.add(
                y.op.inputs[0],
                y,
                api="tf.nn.fused_batch_norm",
                origin="argument" if "is_training" in given else "default",
                gamma=given["scale"],
                beta=given["offset"],
                mean=known[0],
                variance=known[1],
                epsilon=_number(given.get("epsilon", 0.001)),
                momentum=None,
                axes=(1,) if str(given.get("data_format", "NHWC")).startswith("NC") else (-1,),
                phase=training,
                updates="by hand" if known[0] is not None or training else "none",
                fused=True,
            )
        return result


class _Assign:
    """``assign_moving_average(variable, value, decay)``."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(
        self, original: Any, variable: Any, value: Any, decay: Any, *others: Any, **keywords: Any
    ) -> Any:
        _declare(self._capture, variable, decay)
        return original(variable, value, decay, *others, **keywords)


class _Apply:
    """``ExponentialMovingAverage.apply``."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, original: Any, average: Any, var_list: Any = None) -> Any:
        operation = original(average, var_list)
        if average._num_updates is not None:
            # Then the decay is smaller at the beginning.
            return operation
        for averaged in var_list or ():
            try:
                shadow = average.average(averaged)
            except (TypeError, ValueError):
                continue
            if shadow is not None:
                _declare(self._capture, shadow, average._decay)
        return operation


def _declare(capture: Capture, variable: Any, decay: Any) -> None:
    if isinstance(decay, (int, float)) and getattr(variable, "op", None) is not None:
        capture.decays[variable.op.name] = float(decay)


def _moving(value: Any, input_ops: set[str]) -> Variable:
    """The variable that holds the moving statistics which a tensor may be."""
    index = graph.index_of(value.graph)
    if value.op.type in graph.VARIABLES:
        return index.variables.get(value.op.name)
    names = [name for name in graph.variables_behind(value, input_ops) if name in index.variables]
    # What is trained is no statistic, and what only counts has no channels.
    names = [name for name in names if name not in index.trainable] or names
    size = value.shape.num_elements() if value.shape.is_fully_defined() else None
    fitting = [name for name in names if size is None or index.variables[name].shape.num_elements() == size]
    return index.variables[fitting[0]] if fitting else None


def _pair(mean: Tensor, input_ops: set[str]) -> tuple[Variable, Variable]:
    """Two variables behind one tensor: the first is that of the mean."""
    index = graph.index_of(mean.graph)
    names = [name for name in graph.variables_behind(mean, input_ops) if name in index.variables]
    names = [name for name in names if name not in index.trainable]
    if len(names) < 2:
        return None, None
    ordered = sorted(names[:2], key=lambda name: ("var" in name.lower(), names.index(name)))
    return index.variables[ordered[0]], index.variables[ordered[1]]


def _as_variable(value: Any) -> Variable:
    op = getattr(value, "op", None)
    if op is None:
        return None
    return graph.index_of(op.graph).variables.get(op.name)


def _axes(x: Tensor, mean: Tensor) -> tuple[int, ...]:
    """Where the channels are: the axes of the input that the mean has."""
    rank, of_mean = x.shape.rank, mean.shape.rank
    if rank is None or of_mean is None or of_mean == 0:
        return (-1,)
    if rank == of_mean:
        kept = tuple(axis for axis, size in enumerate(mean.shape.as_list()) if size != 1)
        return kept or (rank - 1,)
    return tuple(range(rank - of_mean, rank))


def _number(value: Any) -> float:
    from tensorflow.python.framework import tensor_util

    known = tensor_util.constant_value(value) if hasattr(value, "op") else value
    return 0.001 if known is None else float(known)
