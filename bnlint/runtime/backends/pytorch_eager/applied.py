"""Every application of batch and instance normalisation: the functions of ``torch`` that all layers call."""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.calls import Phase
from bnlint.runtime.backends.eager.look import Looked, compare, look
from bnlint.runtime.backends.eager.said import is_constant
from bnlint.runtime.backends.pytorch_eager.known import FUNCTION, Known, is_plain, state_of, value_of
from bnlint.runtime.backends.pytorch_eager.origins import apart, origin
from bnlint.runtime.backends.pytorch_eager.patches import around, leave_alone
from bnlint.runtime.backends.pytorch_eager.recurrent import features_of
from bnlint.runtime.backends.pytorch_eager.stack import Stack
from bnlint.runtime.backends.pytorch_eager.steps import Episode, Reached
from bnlint.runtime.backends.pytorch_eager.watch import Watch
from bnlint.runtime.observed import Mode
from bnlint.runtime.oracle import figures

_ARGUMENTS = (
    "input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps", "cudnn_enabled",
)  # fmt: skip
_POSITION = 5
"""Of ``training``, in ``torch.batch_norm`` and in ``torch.nn.functional.batch_norm``."""


def observe(watch: Watch) -> None:
    """Patch the two functions, and what builds the layers."""
    import torch

    leave_alone(Reached.__call__)
    applied = _Applied(watch)
    for name in ("batch_norm", "instance_norm"):
        # To TorchScript it is what it was.
        torch.jit._builtins._register_builtin(around(torch, name, applied.called), f"aten::{name}")
    for kind in _with_init(torch.nn.modules.batchnorm._NormBase):
        parameters = list(inspect.signature(kind.__init__).parameters)[1:]
        around(kind, "__init__", functools.partial(_built, watch, parameters))


def _with_init(kind: Any) -> list[Any]:
    found = [kind] if "__init__" in kind.__dict__ else []
    return [*found, *(each for below in kind.__subclasses__() for each in _with_init(below))]


def _built(
    watch: Watch, parameters: list[str], original: Any, layer: Any, *arguments: Any, **keywords: Any
) -> None:
    if watch.recorder.active:
        with watch.recorder.observing():
            watch.registry.building(layer, parameters[: len(arguments)])
    original(layer, *arguments, **keywords)


class _Applied:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def called(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        """``torch.batch_norm`` or ``torch.instance_norm``."""
        if not self._watch.recorder.active or self._watch.local.keeping or _is_traced():
            return original(*arguments, **keywords)
        if len(arguments) != len(_ARGUMENTS) or keywords:
            given = dict(zip(_ARGUMENTS, arguments, strict=False)) | keywords
            if len(arguments) > len(_ARGUMENTS) or set(given) != set(_ARGUMENTS):
                return original(*arguments, **keywords)
            arguments = tuple(given[name] for name in _ARGUMENTS)
        return self._apply(original, arguments)

    def _apply(self, original: Any, arguments: tuple[Any, ...]) -> Any:
        watch = self._watch
        applied: _Application | None = None
        if is_plain(arguments[0]):
            with watch.recorder.observing():
                applied = self._begin(arguments)
        y: Any = None
        try:
            y = original(*arguments)
        finally:
            # Activation checkpointing ends what it does again as soon as it has all it needs, by an exception.
            if applied is not None and (
                y is not None or (applied.stack is not None and applied.stack.recomputes)
            ):
                with watch.recorder.observing():
                    self._end(applied, arguments, y)
        return y

    def _begin(self, arguments: tuple[Any, ...]) -> _Application | None:
        watch = self._watch
        _, gamma, beta, mean, variance, training, momentum, epsilon, _ = arguments
        episode = watch.local.episode
        if episode is not None and episode.running and not episode.sampled:
            known = watch.registry.by_mean(mean)
            if known is not None:
                # Most calls end here, and the stack need not be read.
                self._add(episode, known, mean, training)
                return _Application(known, episode, None)
        stack = watch.stacks.read(sys._getframe(3))
        if getattr(stack.innermost, "_is_replica", False):
            watch.recorder.note("What the replicas of `nn.DataParallel` do was not looked at.")
            return None
        known = self._known(stack, gamma, beta, mean)
        if stack.recomputes:
            episode = None if known is None else watch.steps.again(known)
        elif episode is None or not episode.running:
            episode = watch.begin(stack)
        if known is None or episode is None:
            return None
        self._add(episode, known, mean, training)
        applied = _Application(known, episode, stack)
        if episode.sampled:
            episode.given.update(_batches(stack.given, arguments[0]))
            known.seen.epsilon = float(epsilon)
            known.seen.channels_in = known.seen.channels_in or features_of(arguments[0])
            if known.seen.api == FUNCTION:
                known.seen.momentum = 1.0 - float(momentum)
            watch.registry.locate(known, gamma, mean, stack.outermost)
            if watch.switches.leaves_behind(stack.outermost):
                known.seen.left_behind = True
                known.seen.own_switch = watch.switches.own(stack.outermost)
            applied.site = self._site(applied)
            applied.examples = watch.examples.of(stack.given)
            applied.before = state_of(gamma, beta, mean, variance)
        return applied

    def _add(self, episode: Episode, known: Known, mean: Any, training: Any) -> None:
        episode.add(known, bool(training))
        if known.replaced is not None:
            known.use(mean, bool(training))

    def _end(self, applied: _Application, arguments: tuple[Any, ...], y: Any) -> None:
        x, gamma, beta, mean, variance, training, *_ = arguments
        episode = applied.episode
        if y is not None and y.requires_grad and y.grad_fn is not None:
            reached = Reached(episode, _accumulates(y.grad_fn), applied.known.seen.key)
            y.grad_fn.register_prehook(reached)
            episode.graph = weakref.ref(reached)
        if applied.before is None or applied.stack is None:
            return
        known = applied.known
        after = state_of(gamma, beta, mean, variance)
        if after.gamma is not None:
            # Nothing may be left of the layer when the script ends.
            known.seen.last_scale = figures(after.gamma)
        phase = self._phase(known, applied.stack, applied.site, bool(training))
        if known.norm.why_not or y is None:
            found = Looked(known, phase, applied.site, first=applied.before, last=after)
            compare(found)
            found.mode = Mode.BATCH if training else Mode.MOVING
            found.batch = int(x.shape[0])
        else:
            values, result = value_of(x, copy=False), value_of(y, copy=False)
            dtype = str(y.dtype).rpartition(".")[2]
            found = look(known, phase, applied.site, values, result, None, applied.before, after, dtype)
        if _averages_all(known):
            # The share is another one each time, and nobody declares it.
            found.momentum = None
        found.trainable = None if gamma is None else bool(gamma.requires_grad)
        found.recomputed = applied.stack.recomputes
        found.examples = applied.examples
        now = origin(x, found.picture) if training and not found.recomputed else None
        if now is not None:
            before = episode.origins.setdefault(known.seen.key, [])
            found.apart = apart(x, gamma, now, before) if before else 0.0
            before.append(now)
        if not found.recomputed and applied.stack.checkpoint is not None:
            found.checkpoint = self._watch.recorder.frames.at(applied.stack.checkpoint)
        if mean is not None:
            found.statistics_type = known.seen.statistics_type
            found.converted = known.converted
        episode.looked.append(found)

    def _known(self, stack: Stack, gamma: Any, beta: Any, mean: Any) -> Known | None:
        import torch

        registry, module = self._watch.registry, stack.innermost
        known = registry.by_mean(mean)
        if known is not None and known.seen.api != FUNCTION:
            return known
        if isinstance(module, torch.nn.modules.batchnorm._NormBase) and module.running_mean is mean:
            return registry.of(module, stack.outermost)
        places = self._watch.stacks.places(stack.applied)
        function = FUNCTION if stack.applied is None else stack.applied.f_code.co_name
        return registry.of_function((gamma, beta, mean), module, stack.outermost, places, function)

    def _phase(self, known: Known, stack: Stack, place: Location | None, training: bool) -> Phase:
        watch, module = self._watch, stack.innermost
        layer = known.module() if known.module is not None and known.seen.api != FUNCTION else None
        if layer is not None:
            origin = "mode" if known.seen.has_statistics else "none"
            return Phase(bool(layer.training), origin, None, watch.switches.site(layer))
        said = watch.sources.arguments(place, "batch_norm", "training", _POSITION)
        if said and all(each is None for each in said):
            return Phase(training, "default", True, place)
        if said and all(is_constant(each, training) for each in said):
            # False is the default: whoever says it all the same means it.
            return Phase(training, "argument", True if training else None, place)
        if module is not None and module.training is training:
            return Phase(training, "mode", None, watch.switches.site(module))
        return Phase(training, "argument")

    def _site(self, applied: _Application) -> Location | None:
        stack = applied.stack
        if stack is None:
            return None
        if stack.recomputes:
            # It is the same application, though the way to it is another one.
            same = (found for found in applied.episode.looked if found.known is applied.known)
            return next((found.site for found in same), None)
        return None if stack.applied is None else self._watch.recorder.frames.at(stack.applied)


class _Application:
    """A layer at work."""

    __slots__ = ("before", "episode", "examples", "known", "site", "stack")

    def __init__(self, known: Known, episode: Episode, stack: Stack | None) -> None:
        """``stack`` is None if nobody looks closely."""
        self.known = known
        self.episode = episode
        self.stack = stack
        self.site: Location | None = None
        self.before: Any = None
        self.examples = 0


def _is_traced() -> bool:
    """Whether what runs is not only run: values may not be there, and what is done to them would be kept."""
    import torch

    return bool(
        torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _batches(calls: list[list[Any]], x: Any) -> dict[int, weakref.ref[Any]]:
    """Those of the arguments of modules that may be the same examples as the input of a layer, and have a gradient."""
    return {
        id(each): weakref.ref(each)
        for given in calls
        for each in given
        if is_plain(each) and each.requires_grad and each.shape[:1] == x.shape[:1]
    }


def _averages_all(known: Known) -> bool:
    module = known.module() if known.module is not None else None
    return known.seen.api != FUNCTION and module is not None and module.momentum is None


def _accumulates(node: Any) -> Any:
    """The node that adds up the gradient of gamma; None if gamma learns nothing."""
    following = node.next_functions
    return following[1][0] if len(following) > 1 else None
