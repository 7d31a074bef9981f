"""Gradient tapes and optimizers."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any

from bnlint.runtime.backends.eager.functions import functions_of
from bnlint.runtime.backends.eager.known import identity
from bnlint.runtime.backends.eager.steps import Tape
from bnlint.runtime.backends.eager.watch import Watch
from bnlint.runtime.backends.eager.where import here
from bnlint.runtime.backends.tensorflow1.patches import around_method


def observe(watch: Watch) -> None:
    """Patch tapes, and the optimizers of TensorFlow 1 where they are used eagerly."""
    from tensorflow.python.eager.backprop import GradientTape
    from tensorflow.python.training import optimizer

    tapes = _Tapes(watch)
    around_method(GradientTape, "_push_tape", tapes.push)
    around_method(GradientTape, "_pop_tape", tapes.pop)
    around_method(GradientTape, "gradient", tapes.gradient)
    around_method(optimizer.Optimizer, "apply_gradients", Optimizers(watch).apply_gradients)


class _Tapes:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._known: weakref.WeakKeyDictionary[Any, Tape] = weakref.WeakKeyDictionary()

    def push(self, original: Any, tape: Any) -> None:
        """A tape begins to record."""
        original(tape)
        if self._watch.recorder.active and _is_eager():
            known = self._known.get(tape)
            if known is None:
                frame = self._watch.callers.user(sys._getframe(1))
                known = self._known[tape] = Tape(frame.f_code if frame is not None else None)
            known.is_open = True
            self._watch.local.tapes.append(known)

    def pop(self, original: Any, tape: Any) -> None:
        """It no longer records."""
        known = self._known.get(tape)
        if known is not None:
            known.is_open = False
            tapes = self._watch.local.tapes
            tapes[:] = [each for each in tapes if each is not known]
        original(tape)

    def gradient(
        self, original: Any, tape: Any, target: Any, sources: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        """Gradients are asked for."""
        result = original(tape, target, sources, *arguments, **keywords)
        watch = self._watch
        if watch.recorder.active:
            with watch.recorder.observing():
                self._note(tape, sources)
        return result

    def _note(self, tape: Any, sources: Any) -> None:
        import tensorflow

        flat = tensorflow.nest.flatten(sources)
        variables = {identity(each): each for each in flat if hasattr(each, "assign")}
        if _is_eager():
            known = self._known.get(tape)
            if known is not None:
                self._watch.steps.gradient(known, list(variables.values()), set(variables))
            return
        facts = functions_of(self._watch).tracing()
        if facts is not None:
            facts.sources.update(variables)


class Optimizers:
    """What changes weights."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def apply(self, original: Any, optimizer: Any, gradients: Any, variables: Any = None) -> Any:
        """``Optimizer.apply`` of Keras 3."""
        gradients = list(gradients)
        if variables is not None:
            variables = list(variables)
        known = variables if variables is not None else getattr(optimizer, "_trainable_variables", ())
        changed = [each for gradient, each in zip(gradients, known, strict=False) if gradient is not None]
        return self._applied(lambda: original(optimizer, gradients, variables), optimizer, changed)

    def apply_gradients(
        self, original: Any, optimizer: Any, pairs: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        """``Optimizer.apply_gradients`` of tf-keras and TensorFlow 1."""
        pairs = list(pairs)
        changed = [variable for gradient, variable in pairs if gradient is not None]
        return self._applied(lambda: original(optimizer, pairs, *arguments, **keywords), optimizer, changed)

    def _applied(self, original: Any, optimizer: Any, changed: Iterable[Any]) -> Any:
        watch = self._watch
        local = watch.local
        if local.applying or not watch.recorder.active:
            return original()
        identities = {identity(each) for each in changed}
        eager = _is_eager()
        if eager and not watch.steps.joins(identities):
            watch.recorder.step_begins()
        local.applying = True
        try:
            result = original()
        finally:
            local.applying = False
        with watch.recorder.observing():
            site = next(iter(here(watch.recorder.frames)), None)
            if eager:
                watch.steps.apply(identities, site)
            else:
                facts = functions_of(watch).tracing()
                if facts is not None:
                    facts.applied |= identities
                    facts.site = facts.site or site
                    counter = getattr(optimizer, "iterations", None)
                    if counter is not None and not any(each is counter for each in facts.iterations):
                        facts.iterations.append(counter)
        return result


def _is_eager() -> bool:
    from tensorflow.python.eager import context

    return bool(context.executing_eagerly())
