"""The layers of Keras: which are called, and what those that normalise do."""

from __future__ import annotations

import functools
import sys
from typing import Any

from bnlint.runtime.backends.eager.calls import Call, Phase, plain
from bnlint.runtime.backends.eager.functions import Noted, functions_of
from bnlint.runtime.backends.eager.known import Known
from bnlint.runtime.backends.eager.look import look
from bnlint.runtime.backends.eager.watch import Watch
from bnlint.runtime.backends.eager.where import built_at, line_of
from bnlint.runtime.backends.hooks import is_convolution, maps_of
from bnlint.runtime.backends.tensorflow1.graph import is_for_session
from bnlint.runtime.backends.tensorflow1.patches import around_method


def observe(watch: Watch, layer: type, norm: type, *, keeps_baked: bool) -> None:
    """Patch the class of all layers and the class that normalises.

    ``keeps_baked`` says whether a functional model keeps the phase that was passed when it was built.
    """
    hooks = _Layers(watch, norm, keeps_baked)
    around_method(layer, "__init__", hooks.init)
    around_method(layer, "__call__", hooks.called)
    _patch_call(norm, hooks)


def _patch_call(norm: Any, hooks: _Layers) -> None:
    import tensorflow

    original = norm.call

    # Frameworks look at the arguments, and would translate the function if they were let.
    @functools.wraps(original)
    def call(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return hooks.normalises(original, self, inputs, training, mask)

    norm.call = hooks.patched = tensorflow.autograph.experimental.do_not_convert(call)


class _Layers:
    def __init__(self, watch: Watch, norm: Any, keeps_baked: bool) -> None:
        self._watch = watch
        self._functions = functions_of(watch)
        self._keeps_baked = keeps_baked
        self.patched: Any = None

    def init(self, original: Any, layer: Any, *arguments: Any, **keywords: Any) -> None:
        """A layer is being built."""
        watch = self._watch
        if watch.recorder.active:
            with watch.recorder.observing():
                watch.registry.built(layer, built_at(watch.recorder.frames, layer, sys._getframe(1)))
        original(layer, *arguments, **keywords)

    def called(self, original: Any, layer: Any, *arguments: Any, **keywords: Any) -> Any:
        """A layer is called."""
        watch = self._watch
        local = watch.local
        if not watch.recorder.active or local.inside or _is_for_a_session():
            return original(layer, *arguments, **keywords)
        given, training = watch.phases.given(layer, arguments, keywords)
        call = Call(layer, given, training, watch.callers.user(sys._getframe(1)))
        eager = _is_eager()
        if eager and _is_symbolic(arguments, keywords):
            return self._symbolic(original, call, arguments, keywords)
        if not eager:
            with watch.recorder.observing():
                # The frame cannot be asked later if it runs a translation.
                watch.phases.site(call)
        if not eager or local.calls or local.episode is not None:
            return self._inner(original, call, arguments, keywords, eager)
        frame = call.frame
        episode = watch.begin(frame.f_code if frame is not None else None, frame.f_lasti if frame else 0)
        if given and training is not None and frame is not None:
            episode.fed.add(str(training))
        local.episode = episode
        try:
            result = self._inner(original, call, arguments, keywords, eager)
        finally:
            local.episode = None
        watch.end(episode)
        return result

    def _inner(
        self, original: Any, call: Call, arguments: tuple[Any, ...], keywords: dict[str, Any], eager: bool
    ) -> Any:
        watch, layer = self._watch, call.layer
        calls, episode = watch.local.calls, watch.local.episode
        known = watch.registry.get(layer)
        own = known is not None and type(layer).call is not self.patched
        before = None
        if own and known is not None and eager and episode is not None:
            episode.counts = True
            episode.weights |= known.weights
            if episode.sampled:
                with watch.recorder.observing():
                    before = known.state()
        calls.append(call)
        try:
            result = original(layer, *arguments, **keywords)
            if own and known is not None and not call.noted:
                with watch.recorder.observing():
                    self._note_whole(known, call, arguments, result, before, eager)
        finally:
            calls.pop()
        with watch.recorder.observing():
            if is_convolution(layer):
                watch.local.maps = maps_of(layer, result)
        if not watch.registry.is_settled(layer) and getattr(layer, "built", False):
            with watch.recorder.observing():
                watch.registry.of(layer)
        return result

    def _note_whole(
        self, known: Known, call: Call, arguments: tuple[Any, ...], result: Any, before: Any, eager: bool
    ) -> None:
        """A layer of the user's own has been called: what is seen is what went in and came out."""
        watch = self._watch
        if not eager:
            phase = watch.phases.of(watch.local.calls, declared(watch))
            self.note_traced(known, call.layer, arguments[0] if arguments else None, phase, None)
        elif before is not None and arguments:
            phase = watch.phases.of(watch.local.calls, declared(watch))
            site = watch.phases.applied_at(watch.local.calls, call.layer)
            watch.looked(look(known, phase, site, arguments[0], result, None, before, known.state()))

    def _symbolic(
        self, original: Any, call: Call, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Any:
        """A functional model is being built: what runs is a rehearsal."""
        watch = self._watch
        with watch.recorder.observing():
            watch.phases.note_symbolic(call, self._keeps_baked)
        watch.local.inside = True
        try:
            result = original(call.layer, *arguments, **keywords)
        finally:
            watch.local.inside = False
        if getattr(call.layer, "built", False):
            with watch.recorder.observing():
                watch.registry.of(call.layer)
        return result

    def normalises(self, original: Any, layer: Any, inputs: Any, training: Any, mask: Any) -> Any:
        """``BatchNormalization.call``."""
        watch = self._watch
        local = watch.local
        episode = local.episode
        eager = _is_eager()
        if (
            local.inside
            or not watch.recorder.active
            or (eager and episode is None)
            or (not eager and _is_for_a_session())
        ):
            return original(layer, inputs, training=training, mask=mask)
        known: Known | None = None
        before = None
        with watch.recorder.observing():
            known = watch.registry.of(layer)
            if eager and known is not None and episode is not None:
                episode.counts = True
                episode.weights |= known.weights
                if episode.sampled:
                    before = known.state()
        local.inside = True
        try:
            result = original(layer, inputs, training=training, mask=mask)
        finally:
            local.inside = False
        if known is not None and (not eager or before is not None):
            with watch.recorder.observing():
                self._note(known, layer, inputs, training, mask, result, before, eager)
        return result

    def _note(
        self,
        known: Known,
        layer: Any,
        inputs: Any,
        training: Any,
        mask: Any,
        result: Any,
        before: Any,
        eager: bool,
    ) -> None:
        watch = self._watch
        known.seen.trainable = bool(layer.trainable)
        maps = watch.local.maps
        if maps is not None and maps.channels_in(inputs):
            known.seen.channels_in = maps.channels_in(inputs)
        told = plain(training) if training is not None else bool(watch.phases.learning_phase.value)
        stack = watch.local.calls
        call = next((each for each in reversed(stack) if each.layer is layer), None)
        if call is not None:
            call.noted = True
        phase = watch.phases.of(stack, told)
        if told is not None and type(layer).call is not self.patched:
            # A class of the user's own may tell it another phase than it was told.
            frame = watch.callers.user(sys._getframe(1))
            place = line_of(watch.recorder.frames, frame) if frame is not None else None
            if watch.phases.sources.is_constant(place, told):
                phase = Phase(told, "argument", True, place)
        if not eager:
            effective = None if told is None else told and known.seen.trainable
            self.note_traced(known, layer, inputs, phase, effective)
            return
        site = watch.phases.applied_at(stack, layer)
        watch.looked(look(known, phase, site, inputs, result, mask, before, known.state()))

    def note_traced(self, known: Known, layer: Any, inputs: Any, phase: Phase, training: bool | None) -> None:
        """A layer is applied in a function that is being traced."""
        facts = self._functions.tracing()
        if facts is not None:
            watch = self._watch
            calls = watch.local.calls
            shape = getattr(inputs, "shape", None)
            if known.part is not None and shape is not None and shape.rank:
                known.seen.axes = list(known.part.axes([size or 0 for size in shape.as_list()]))
            site = watch.phases.applied_at(calls, layer)
            facts.forwards.append(Noted(known, phase, site, training))
            outermost = calls[0] if calls else None
            if outermost is not None and outermost.given and outermost.training is not None:
                if outermost.frame is not None:
                    facts.fed.add(str(outermost.training))


def declared(watch: Watch) -> bool | None:
    """The phase that reaches the innermost layer that is being called."""
    told = next((call for call in reversed(watch.local.calls) if call.given), None)
    return told.training if told is not None else bool(watch.phases.learning_phase.value)


def phase_outside(watch: Watch) -> Phase:
    """The phase of a formula that may be in a layer."""
    calls = watch.local.calls
    return watch.phases.of(calls, declared(watch)) if calls else Phase(None, "none")


def _is_eager() -> bool:
    from tensorflow.python.eager import context

    return bool(context.executing_eagerly())


def _is_for_a_session() -> bool:
    """Whether a graph of TensorFlow 1 is being built, which ``tensorflow1`` watches."""
    from tensorflow.python.framework import ops

    return not _is_eager() and is_for_session(ops.get_default_graph())


def _is_symbolic(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    first = arguments[0] if arguments else next(iter(keywords.values()), None)
    while isinstance(first, (list, tuple, dict)) and first:
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    return type(first).__name__ == "KerasTensor"
