"""What all patches of eager TensorFlow and Keras share."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.calls import Call, Phases
from bnlint.runtime.backends.eager.known import Known, Registry
from bnlint.runtime.backends.eager.look import Looked
from bnlint.runtime.backends.eager.said import Sources
from bnlint.runtime.backends.eager.steps import Episode, Steps, Tape
from bnlint.runtime.backends.eager.where import Callers, here
from bnlint.runtime.backends.hooks import Maps
from bnlint.runtime.script.recorder import Recorder


@dataclass(slots=True)
class Api:
    """A call like ``fit`` that is under way."""

    name: str
    places: list[Location]
    trainable: dict[str, bool] = field(default_factory=dict)
    """Whether the layers that are known, by their keys, were trainable when it began."""


class Local(threading.local):
    """What is under way in one thread."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.apis: list[Api] = []
        self.tapes: list[Tape] = []
        self.episode: Episode | None = None
        self.inside = False
        """Whether a layer that is known is at work: what it is made of does not count."""
        self.applying = False
        self.exported: dict[Known, bool] | None = None
        """While a model is exported, the layers in it, and whether they are in training mode wherever they are."""
        self.maps: Maps | None = None
        """What the last convolution made."""


@dataclass(slots=True)
class Counter:
    """How often something happened, and how often it was looked at."""

    seen: int = 0
    sampled: int = 0


@dataclass(eq=False)
class Watch:
    """The state of the observation."""

    recorder: Recorder
    local: Local = field(default_factory=Local)

    def __post_init__(self) -> None:
        frames = self.recorder.frames
        self.callers = Callers(frames)
        self.phases = Phases(frames, Sources(frames))
        self.registry = Registry(self.recorder)
        self.steps = Steps(self.recorder)
        self._counters: dict[tuple[Any, ...], Counter] = {}
        self.recorder.before_writing(self._last_look)

    def begin(self, code: CodeType | None, place: int) -> Episode:
        """A forward pass begins, called from there."""
        local = self.local
        api = local.apis[-1] if local.apis else None
        counter = self._counters.setdefault((api.name if api else "", code, place), Counter())
        episode = Episode(api.name if api else "", list(local.tapes), code, counter)
        episode.trainable = api.trainable if api else {}
        episode.sampled = self.recorder.wanted(counter.seen, counter.sampled)
        return episode

    def end(self, episode: Episode) -> None:
        """It has ended; say so if a layer normalised in it."""
        if not episode.counts:
            return
        episode.counter.seen += 1
        episode.counter.sampled += episode.sampled
        with self.recorder.observing():
            self.place(episode)
            self.steps.episode(episode)

    def place(self, episode: Episode) -> None:
        """Fill in the user's lines; within a call like ``fit`` those that called it."""
        apis = self.local.apis
        episode.places = apis[-1].places if apis else here(self.recorder.frames)
        if episode.fed and not episode.tapes and not apis:
            episode.codes = self.callers.codes(sys._getframe(1))

    def looked(self, found: Looked) -> None:
        """A layer was looked at in the forward pass that is under way."""
        if self.local.episode is not None:
            self.local.episode.looked.append(found)

    def _last_look(self) -> None:
        # It is also called by the thread that writes now and then, while the script is at work.
        if threading.current_thread() is not threading.main_thread() or not self.recorder.active:
            return
        with self.recorder.observing():
            self.steps.settle()
            for known in self.registry.all:
                state = known.state()
                if state is not None and state.mean is not None and known.seen.last_mean is not None:
                    from bnlint.runtime.backends.eager.look import keep_state

                    keep_state(known.seen, None, state)


_watches: dict[int, Watch] = {}


def watch_of(recorder: Recorder) -> Watch:
    """The one watch of a recorder."""
    if id(recorder) not in _watches:
        _watches[id(recorder)] = Watch(recorder)
    return _watches[id(recorder)]
