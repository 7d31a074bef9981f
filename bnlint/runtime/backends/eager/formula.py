"""The bare formula, ``tf.nn.batch_normalization``, in eager code and in compiled functions."""

from __future__ import annotations

import sys
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager import look
from bnlint.runtime.backends.eager.functions import Noted, functions_of
from bnlint.runtime.backends.eager.known import Known
from bnlint.runtime.backends.eager.layers import phase_outside
from bnlint.runtime.backends.eager.watch import Watch
from bnlint.runtime.backends.eager.where import built_at, here
from bnlint.runtime.backends.tensorflow1.graph import is_for_session
from bnlint.runtime.backends.tensorflow1.patches import around, around_method


def observe(watch: Watch) -> None:
    """Patch the formula, and the modules that may keep what it is given."""
    from tensorflow.python.module.module import Module
    from tensorflow.python.ops import nn_impl

    formula = _Formula(watch)
    around(nn_impl, "batch_normalization", formula.apply, ("tensorflow", "keras", "tf_keras"))
    around_method(Module, "__init__", formula.init)


class _Formula:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def init(self, original: Any, module: Any, *arguments: Any, **keywords: Any) -> None:
        """A module is being built."""
        watch = self._watch
        if watch.recorder.active and not watch.registry.is_built(module):
            with watch.recorder.observing():
                watch.registry.built(module, built_at(watch.recorder.frames, module, sys._getframe(1)))
        original(module, *arguments, **keywords)

    def apply(
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
        """``tf.nn.batch_normalization``."""
        y = original(x, mean, variance, offset, scale, variance_epsilon, name)
        watch = self._watch
        if watch.recorder.active and not watch.local.inside:
            with watch.recorder.observing():
                self._note(x, y, mean, variance, offset, scale, variance_epsilon)
        return y

    def _note(self, x: Any, y: Any, mean: Any, variance: Any, offset: Any, scale: Any, epsilon: Any) -> None:
        watch = self._watch
        gamma, beta, kept_mean, kept_variance = (
            each if hasattr(each, "assign") else None for each in (scale, offset, mean, variance)
        )
        if gamma is None and beta is None and kept_mean is None:
            # Nothing is learned and nothing is kept.
            return
        calls = watch.local.calls
        is_eager = type(y).__name__ == "EagerTensor"
        if not is_eager and is_for_session(y.graph):
            # A graph of TensorFlow 1, which ``tensorflow1`` watches.
            return
        if is_eager and calls and watch.registry.of(calls[-1].layer) is not None:
            # The layer is looked at as a whole, though not in the call that builds it.
            if watch.local.episode is not None:
                watch.local.episode.counts = True
            return
        number = epsilon if isinstance(epsilon, float) else float(epsilon) if is_eager else 1e-3
        known = watch.registry.of_formula(
            "tf.nn.batch_normalization", gamma, beta, kept_mean, kept_variance, number
        )
        places = here(watch.recorder.frames)
        site = places[0] if places else None
        if is_eager:
            self._look(known, x, y, site)
            return
        facts = functions_of(watch).tracing()
        if facts is not None:
            facts.forwards.append(Noted(known, phase_outside(watch), site, _uses_batch(x, mean)))
            if calls:
                calls[-1].noted = True

    def _look(self, known: Known, x: Any, y: Any, site: Location | None) -> None:
        watch = self._watch
        episode = watch.local.episode
        alone = episode is None
        if episode is None:
            frame = watch.callers.user(sys._getframe(1))
            episode = watch.begin(frame.f_code if frame is not None else None, frame.f_lasti if frame else 0)
        episode.counts = True
        episode.weights |= known.weights
        if episode.sampled:
            now = known.state()
            found = look.look(known, phase_outside(watch), site, x, y, None, now, now)
            found.moved = found.updates = None
            if episode.tapes:
                # Whoever moves the statistics by hand does it before or after: from one step to the next.
                found.first, known.previous = known.previous or now, now
                if found.first is not now:
                    look.compare(found)
            episode.looked.append(found)
        if alone:
            watch.end(episode)


def _uses_batch(x: Any, mean: Any) -> bool | None:
    """Whether a mean in a graph is that of the batch; None if that is not clear."""
    from bnlint.runtime.backends.tensorflow1.graph import data_ancestors

    if hasattr(mean, "assign"):
        return False
    op = getattr(mean, "op", None)
    if op is None or not hasattr(x, "op"):
        return None
    if op.type in ("ReadVariableOp", "Placeholder"):
        return False
    return True if x.op.name in data_ancestors(mean) else None
