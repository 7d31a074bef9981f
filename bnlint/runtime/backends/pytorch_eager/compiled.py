"""What ``torch.compile`` made of a module: nobody can look into it, so its layers are read before and after."""

from __future__ import annotations

import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any

from bnlint.runtime.backends.eager.calls import Phase
from bnlint.runtime.backends.eager.look import Looked, compare, derived
from bnlint.runtime.backends.pytorch_eager.known import Known
from bnlint.runtime.backends.pytorch_eager.patches import around
from bnlint.runtime.backends.pytorch_eager.steps import Episode, Reached
from bnlint.runtime.backends.pytorch_eager.watch import Watch, watch_of
from bnlint.runtime.observed import Mode

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder

_NOTE = (
    "Nobody can look into what `torch.compile` made: in which mode a layer is in it is told by the mode of the module, "
    "and by whether its statistics moved."
)


def observe(recorder: Recorder) -> None:
    """Patch the modules that are made, now that they can be."""
    from torch._dynamo.eval_frame import OptimizedModule

    around(OptimizedModule, "__call__", functools.partial(_called, watch_of(recorder)))


def _called(watch: Watch, original: Any, module: Any, *arguments: Any, **keywords: Any) -> Any:
    if not watch.recorder.active or watch.local.keeping:
        return original(module, *arguments, **keywords)
    before: dict[Known, Any] = {}
    episode: Episode | None = None
    with watch.recorder.observing():
        stack = watch.stacks.read(sys._getframe(2))
        episode = watch.local.episode
        if not stack.modules or episode is None or not episode.running:
            stack.modules.append(module)
            episode = watch.begin(stack)
        for known in watch.registry.under(module):
            part = known.module() if known.module is not None else None
            if part is not None:
                episode.add(known, part.training or not known.seen.has_statistics)
                before[known] = known.state() if episode.sampled else None
    result = original(module, *arguments, **keywords)
    if episode is not None:
        with watch.recorder.observing():
            _follow(episode, result)
            if episode.sampled:
                watch.recorder.note(_NOTE)
                _look(watch, episode, before)
    return result


def _look(watch: Watch, episode: Episode, before: dict[Known, Any]) -> None:
    seen = {id(found.known) for found in episode.looked}
    for known, first in before.items():
        part = known.module() if known.module is not None else None
        if part is None or id(known) in seen:
            # Where the compiler gave up, it ran as it is written.
            continue
        phase = Phase(bool(part.training), "mode", None, watch.switches.site(part))
        found = Looked(known, phase, None, first=first, last=known.state())
        compare(found)
        batch = part.training or not known.seen.has_statistics
        found.mode = Mode.BATCH if batch else Mode.MOVING
        found.trainable = known.seen.trainable if known.weights else None
        derived(found)
        episode.looked.append(found)


def _follow(episode: Episode, result: Any) -> None:
    """Let a backward pass through the result be seen."""
    import torch

    waiting = [result]
    while waiting:
        each = waiting.pop()
        if isinstance(each, torch.Tensor):
            if each.grad_fn is not None:
                reached = Reached(episode, None)
                each.grad_fn.register_prehook(reached)
                episode.graph = weakref.ref(reached)
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, (list, tuple)):
            waiting += each
