"""Any pair of functions ``(train, infer)`` as a subject: a normalisation written by hand, whatever the framework.

``verify((train, infer), batch, statistics=..., set_statistics=...)``: both functions map a batch to what they make
of it. ``statistics()`` returns the moving mean and variance, ``set_statistics(mean, variance)`` puts others in their
place; without the latter nothing could be tried out, or be put back. ``gamma``, ``beta`` (arrays or functions that
return one), ``epsilon``, ``momentum`` (the share that is kept) and ``axis`` (of the channels) say what is declared.
Functions that do more than normalise can be given too; then the formulas are not looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.backends.batches import Batch, arrays, take
from bnlint.runtime.exceptions import short
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array, batch_statistics
from bnlint.runtime.subject import Application, CannotRun, Norm, Pass, RoundTrip

_KEY = "the functions"
_OPTIONS = ("statistics", "set_statistics", "gamma", "beta", "epsilon", "momentum", "axis")


def subject(model: Any, batch: Any, given: dict[str, Any]) -> CallablesSubject | None:
    """The subject for a pair of functions, or for ``train`` and ``infer`` without a model."""
    if isinstance(model, tuple) and len(model) == 2 and all(callable(each) for each in model):
        train, infer = model
    elif model is None and "train" in given and "infer" in given:
        train, infer = given.pop("train"), given.pop("infer")
    else:
        return None
    unknown = [name for name in given if name not in (*_OPTIONS, "targets")]
    if unknown:
        raise UserError(
            f"verify() does not know what {unknown[0]} is for a pair of functions; it takes {', '.join(_OPTIONS)}."
        )
    if batch is None:
        raise UserError("verify() needs a batch of input data: verify((train, infer), batch).")
    for name in ("statistics", "set_statistics"):
        if not callable(given.get(name)):
            raise UserError(
                f"verify() needs {name} to watch a pair of functions: statistics=lambda: (mean, variance) and "
                "set_statistics=lambda mean, variance: …"
            )
    return CallablesSubject(train, infer, Batch.of(batch), given)


class CallablesSubject:
    """Two functions with their probe batch; together they are one layer."""

    framework = "functions"

    def __init__(
        self, train: Callable[[Any], Any], infer: Callable[[Any], Any], batch: Batch, given: dict[str, Any]
    ) -> None:
        import numpy

        self.examples = batch.examples
        self.notes: list[str] = []
        self._functions = {True: train, False: infer}
        self._batch = batch
        self._given = given
        mean, _ = self._read()
        axis = given.get("axis", -1)
        self._axes = (axis,) if isinstance(axis, int) else tuple(axis)
        seen = LayerSeen(
            _KEY,
            _KEY,
            getattr(train, "__qualname__", type(train).__name__),
            "functions",
            None,
            channels=int(numpy.size(mean)),
            axes=list(self._axes),
            epsilon=float(given.get("epsilon", 1e-3)),
            momentum=given.get("momentum"),
            updates="by hand",
        )
        dtype = mean.dtype.name
        self._norm = Norm(seen, dtype if "float" in dtype else "float32", one_pass=True)

    def norms(self) -> list[Norm]:
        """The one layer."""
        return [self._norm]

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Put the statistics and the random state back."""
        import random

        import numpy

        before, python, state = self._read(), random.getstate(), numpy.random.get_state()
        try:
            yield
        finally:
            self._given["set_statistics"](*before)
            random.setstate(python)
            numpy.random.set_state(state)

    def train(self) -> Pass:
        """Call the one function."""
        return self._run(True, self._batch)

    def infer(self, first_only: bool = False) -> Pass:
        """Call the other."""
        return self._run(False, take(self._batch, alone=True) if first_only else self._batch)

    def statistics(self, key: str) -> tuple[Array, Array]:
        """The moving mean and variance."""
        return self._read()

    def set_statistics(self, key: str, mean: Array, variance: Array) -> None:
        """Set them."""
        import numpy

        old = self._read()
        self._given["set_statistics"](
            *(
                numpy.asarray(new).reshape(was.shape).astype(was.dtype)
                for new, was in zip((mean, variance), old, strict=True)
            )
        )

    def alone(self, key: str, x: Array, training: bool) -> Application:
        """Call a function on x."""
        try:
            return self._apply(training, x)[0]
        except Exception as error:
            raise CannotRun(f"the function cannot be called on other data ({short(error)})") from error

    def round_trip(self) -> RoundTrip:
        """There is no checkpoint."""
        raise CannotRun("two functions have no checkpoint")

    def _run(self, training: bool, batch: Batch) -> Pass:
        try:
            application, outputs = self._apply(training, batch.inputs)
        except Exception as error:
            what = "training" if training else "inference"
            raise UserError(f"The {what} function cannot run on the batch: {short(error)}.") from error
        return Pass([application], outputs)

    def _apply(self, training: bool, x: Any) -> tuple[Application, list[Array]]:
        import numpy

        mean, variance = self._read()
        outputs = arrays(self._functions[training](x))
        y = outputs[0] if outputs else numpy.zeros(())
        values = arrays(x)[0]
        if y.shape != values.shape:
            self._norm.why_not = (
                "the functions do more than normalise: their output has another shape than the input"
            )
        application = Application(
            _KEY,
            numpy.array(values),
            numpy.array(y),
            y.dtype.name,
            batch_statistics(values, self._axes),
            mean,
            variance,
            self._value("gamma"),
            self._value("beta"),
            len(values),
            axes=self._axes,
        )
        return application, outputs

    def _value(self, name: str) -> Array:
        import numpy

        value = self._given.get(name)
        value = value() if callable(value) else value
        return None if value is None else numpy.array(value.numpy() if hasattr(value, "numpy") else value)

    def _read(self) -> tuple[Array, Array]:
        import numpy

        mean, variance = (
            numpy.array(value.numpy() if hasattr(value, "numpy") else value)
            for value in self._given["statistics"]()
        )
        return mean, variance
