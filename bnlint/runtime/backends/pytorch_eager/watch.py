"""What all patches of PyTorch share."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.backends.eager.said import Sources
from bnlint.runtime.backends.pytorch_eager.examples import Examples
from bnlint.runtime.backends.pytorch_eager.known import Registry, last_look
from bnlint.runtime.backends.pytorch_eager.modes import Switches
from bnlint.runtime.backends.pytorch_eager.stack import Stack, Stacks
from bnlint.runtime.backends.pytorch_eager.steps import Episode, Steps
from bnlint.runtime.script.recorder import Recorder


class Local(threading.local):
    """What is under way in one thread."""

    def __init__(self) -> None:
        self.episode: Episode | None = None
        self.given: tuple[tuple[Any, ...], weakref.ref[Any]] | None = None
        """The line that made the forward pass before, and the tensor that it gave to it."""
        self.switching = False
        """Whether a module is switching the modes of its parts, or converting their tensors."""
        self.keeping = False
        """Whether weights are being written or read, or a model is being exported."""


@dataclass(slots=True)
class _Counter:
    seen: int = 0
    sampled: int = 0


@dataclass(eq=False)
class Watch:
    """The state of the observation."""

    recorder: Recorder
    local: Local = field(default_factory=Local)

    def __post_init__(self) -> None:
        self.stacks = Stacks(self.recorder.frames)
        self.sources = Sources(self.recorder.frames)
        self.registry = Registry(self.recorder, self.stacks)
        self.switches = Switches(self.recorder, self.registry, self.stacks)
        self.steps = Steps(self.recorder)
        self.examples = Examples()
        self._counters: dict[tuple[Any, ...], _Counter] = {}
        self.recorder.before_writing(self._last_look)

    def begin(self, stack: Stack) -> Episode:
        """A forward pass has begun."""
        import torch

        caller, outermost = stack.caller, stack.outermost
        gradients = torch.is_grad_enabled()
        site = (caller.f_code, caller.f_lasti) if caller is not None else (None, 0)
        counter = self._counters.setdefault(
            (*site, gradients, getattr(outermost, "training", None)), _Counter()
        )
        sampled = self.recorder.wanted(counter.seen, counter.sampled)
        counter.seen += 1
        counter.sampled += sampled
        episode = Episode(
            stack.token,
            self.stacks.places(caller),
            caller.f_code if caller is not None else None,
            self.stacks.codes(caller),
            sampled,
            gradients,
            stack.estimates,
            getattr(outermost, "training", None),
        )
        episode.checkpointed = stack.checkpointed
        episode.repeats = self._repeats(stack, (*site, gradients))
        self.local.episode = episode
        self.steps.begin(episode)
        return episode

    def _repeats(self, stack: Stack, line: tuple[Any, ...]) -> bool:
        """Whether a line gives a tensor to a model again, with nothing in between, while dropout is on."""
        import torch

        given, before = stack.batch, self.local.given
        plain = isinstance(given, torch.Tensor)
        self.local.given = (line, weakref.ref(given)) if plain else None
        if not plain or before is None or before[0] != line or before[1]() is not given:
            return False
        dropout = torch.nn.modules.dropout._DropoutNd
        return any(isinstance(part, dropout) and part.training for part in stack.outermost.modules())

    def _last_look(self) -> None:
        # It is also called by the thread that writes now and then, while the script is at work.
        if threading.current_thread() is not threading.main_thread() or not self.recorder.active:
            return
        with self.recorder.observing():
            self.steps.settle()
            for known in self.registry.all:
                last_look(known)


_watches: dict[int, Watch] = {}


def watch_of(recorder: Recorder) -> Watch:
    """The one watch of a recorder."""
    if id(recorder) not in _watches:
        _watches[id(recorder)] = Watch(recorder)
    return _watches[id(recorder)]
