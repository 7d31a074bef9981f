"""From forward passes, backward passes and optimizers to runs, and what they are for.

A training step is what comes between two updates of an optimizer: all forward passes whose gradients were added up in
weights that it changes, and those that the same backward passes went through. It ends when another forward pass
begins. A forward pass that autograd records is no part of a step until a backward pass comes back to it, and is none
for ever when what was recorded is gone.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.look import Looked
from bnlint.runtime.backends.pytorch_eager.examples import Mixtures
from bnlint.runtime.backends.pytorch_eager.known import Known
from bnlint.runtime.backends.pytorch_eager.origins import Origin
from bnlint.runtime.backends.runs import Runs, place
from bnlint.runtime.observed import Purpose, RunSeen
from bnlint.runtime.script.recorder import Recorder

_MOST_PENDING = 1000
_CALL = "torch.nn.Module.__call__"
_STEP = "torch.optim.Optimizer.step"


@dataclass(eq=False, slots=True)
class Episode:
    """One forward pass: one outermost call of a module, or of the function if there is no module around it."""

    token: weakref.ref[Any] | None
    """Dies when it ends; None if it has no more than one layer."""
    places: list[Location]
    code: CodeType | None
    """The user's function that made it; with those that called it they are ``codes``."""
    codes: set[CodeType]
    sampled: bool
    gradients: bool
    """Whether autograd was on."""
    estimates: bool
    """Whether PyTorch itself estimates the statistics anew."""
    training: bool | None = None
    """The mode of the outermost module."""
    knowns: dict[str, Known] = field(default_factory=dict)
    looked: list[Looked] = field(default_factory=list)
    origins: dict[str, list[Origin]] = field(default_factory=dict)
    """What each layer was applied to in training mode, by its key."""
    modes: set[str] = field(default_factory=set)
    graph: weakref.ref[Reached] | None = None
    """Dies with what autograd recorded; None if it recorded nothing."""
    checkpointed: bool = False
    """Whether activation checkpointing may run it again, so that autograd need not have recorded it."""
    differentiated: bool = False
    added: bool = False
    """Whether gradients were added up in its weights, and were not thrown away since."""
    given_up: bool = False
    """Whether a step was made that, as it seems, did not use it."""
    tasks: set[int] = field(default_factory=set)
    """The backward passes that went through it."""
    repeats: bool = False
    """Whether the forward pass before was of the same line and input, with dropout that was on."""
    reached: dict[int, set[str]] = field(default_factory=dict)
    """The keys of the layers that each of them went through."""
    given: dict[int, weakref.ref[Any]] = field(default_factory=dict)
    """The batches that modules in it were called with, by their ``id``, as far as somebody looked."""

    def add(self, known: Known, training: bool) -> None:
        """A layer is applied in it."""
        if known.seen.key not in self.knowns:
            self.knowns[known.seen.key] = known
            known.episodes += 1
        self.modes.add("batch" if training else "moving")

    @property
    def running(self) -> bool:
        """Whether it is still under way."""
        return self.token is not None and self.token() is not None

    @property
    def waits(self) -> bool:
        """Whether it may become a part of a training step."""
        alive = self.graph is not None and self.graph() is not None
        return self.added or self.frozen or (not self.differentiated and (alive or self.checkpointed))

    @property
    def frozen(self) -> bool:
        """Whether no layer in it learns, though autograd was on: others that learn may have used what it computed."""
        return self.gradients and self.graph is None and not self.given_up

    @property
    def weights(self) -> set[int]:
        """Which gammas and betas were used."""
        return set().union(*(known.weights for known in self.knowns.values()))


class Reached:
    """What autograd calls when a backward pass comes to a layer; it dies with the record of the forward pass."""

    __slots__ = ("__weakref__", "_accumulates", "_episode", "_key")

    def __init__(self, episode: Episode, accumulates: Any, key: str = "") -> None:
        """``accumulates`` is the node that adds up the gradient of gamma or beta, None if there is none.

        ``key`` is that of the layer, empty if there may be several.
        """
        self._episode = episode
        self._accumulates = accumulates
        self._key = key

    def __call__(self, gradients: Any) -> None:
        """A backward pass has come here."""
        import torch

        episode = self._episode
        episode.differentiated = True
        task = torch._C._current_graph_task_id()
        episode.tasks.add(task)
        episode.reached.setdefault(task, set()).add(self._key)
        try:
            node = self._accumulates
            adds = node is None or torch._C._will_engine_execute_node(node)
        except RuntimeError:
            # The gradient is asked for and not added up: the script may use it by itself.
            adds = True
        episode.added = episode.added or adds


@dataclass(slots=True)
class _Step:
    episodes: list[Episode]
    applied: set[int]
    site: Location | None

    @property
    def tasks(self) -> set[int]:
        return set().union(*(episode.tasks for episode in self.episodes))


class Steps:
    """What was seen so far."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._runs = Runs(recorder)
        self._mixtures = Mixtures()
        self._current: Episode | None = None
        self._step: _Step | None = None
        self._pending: list[Episode] = []
        """Forward passes that may be used for an update, and were not so far."""
        self._trained: set[str] = set()
        self._trains_in: set[CodeType] = set()
        """The user's functions that train."""
        self._beside: list[RunSeen] = []
        """Runs in training mode in such a function since the last training step."""
        self._no_evaluations: set[str] = set()
        """Keys of such runs before it."""
        self.restored: set[str] = set()
        """The layers that were read from a file, by their keys."""

    def begin(self, episode: Episode) -> None:
        """A forward pass begins."""
        self._settle_current()
        self._close()
        self._current = episode
        self._recorder.changed()

    def again(self, known: Known) -> Episode | None:
        """The forward pass whose layer is being run again for a backward pass."""
        for episode in self.waiting:
            if known.seen.key in episode.knowns:
                episode.differentiated = episode.added = True
                return episode
        return None

    @property
    def waiting(self) -> list[Episode]:
        """The forward passes that may become a part of a training step, the last one first."""
        current = [self._current] if self._current is not None else []
        return [*current, *reversed(self._pending)]

    def joins(self, changed: set[int]) -> bool:
        """Whether an update of these weights is part of the step that was begun last."""
        self._settle_current()
        step = self._step
        if step is None or changed <= step.applied:
            return False
        found = self._used_for(changed)
        return not found or bool(step.tasks & set().union(*(episode.tasks for episode in found)))

    def apply(self, changed: set[int], site: Location | None) -> None:
        """An optimizer has changed weights."""
        joins = self.joins(changed)
        found = self._used_for(changed)
        step = self._step
        if not joins or step is None:
            self._close()
            step = self._step = _Step([], set(), site)
            self._recorder.step_done()
        step.applied |= changed
        step.episodes += found
        self._pending = [episode for episode in self._pending if episode not in found]
        for episode in self._pending:
            episode.given_up = True

    def thrown_away(self, weights: set[int]) -> None:
        """The gradients of weights were set to zero."""
        self._settle_current()
        for episode in self._pending:
            if episode.weights & weights:
                episode.added = False

    def settle(self) -> None:
        """Nothing more comes: end what is under way."""
        self._settle_current()
        self._close()
        for episode in self._pending:
            self._emit_alone(episode)
        self._pending.clear()

    def _used_for(self, changed: set[int]) -> list[Episode]:
        ready = [episode for episode in self._pending if episode.added]
        own = [episode for episode in ready if episode.weights & changed]
        tasks = set().union(*(episode.tasks for episode in own))
        used = [episode for episode in ready if not own or episode in own or episode.tasks & tasks]
        frozen = [episode for episode in self._pending if episode.frozen]
        return used + [episode for episode in frozen if episode.places[:1] == frozen[-1].places[:1]]

    def _settle_current(self) -> None:
        episode = self._current
        if episode is None or episode.running:
            return
        self._current = None
        if not episode.waits:
            self._emit_alone(episode)
            return
        self._pending.append(episode)
        if len(self._pending) > _MOST_PENDING:
            self._emit_alone(self._pending.pop(0))

    def _close(self) -> None:
        step, self._step = self._step, None
        if step is not None and step.episodes:
            self._emit_step(step)
        left, self._pending = self._pending, []
        for episode in left:
            if episode.waits:
                self._pending.append(episode)
            else:
                self._emit_alone(episode)

    # Runs.

    def _emit_step(self, step: _Step) -> None:
        for episode in step.episodes:
            self._trained |= set(episode.knowns)
            if episode.code is not None:
                self._trains_in.add(episode.code)
        for seen in self._beside:
            # What is computed in training mode for a training step is no evaluation, though autograd was off.
            seen.purpose, seen.reasons = Purpose.UNKNOWN, ["in training mode it runs beside training steps"]
            self._no_evaluations.add(seen.key)
        self._beside.clear()
        self._mixtures.note(
            [(found, next(iter(each.places), None)) for each in step.episodes for found in each.looked]
        )
        self._emit(step, Purpose.TRAIN, ["it changes weights by an optimizer"])

    def _emit_alone(self, episode: Episode) -> None:
        purpose, reasons = self._purpose(episode)
        seen = self._emit(_Step([episode], set(), None), purpose, reasons)
        if seen is not None and purpose is Purpose.EVALUATE and seen.key not in self._no_evaluations:
            seen.purpose, seen.reasons = purpose, reasons
            if "batch" in episode.modes and episode.codes & self._trains_in and seen not in self._beside:
                self._beside.append(seen)

    def _purpose(self, episode: Episode) -> tuple[Purpose, list[str]]:
        if episode.estimates:
            return Purpose.UNKNOWN, ["`update_bn` estimates the moving statistics anew"]
        if episode.differentiated:
            return Purpose.UNKNOWN, ["a backward pass goes through it, and no weights are changed"]
        if episode.gradients and episode.graph is None:
            return Purpose.UNKNOWN, ["its layers do not learn, and what uses its output is not known"]
        trained = any(
            {known.seen.key, known.seen.copy_of} & self._trained for known in episode.knowns.values()
        )
        if not trained and not self.restored & set(episode.knowns):
            return Purpose.UNKNOWN, ["its layers have not been trained so far"]
        why = "weights that were trained before" if trained else "weights that were read from a file"
        recorded = episode.graph is not None
        without = "no backward pass goes through it" if recorded else "autograd does not record it"
        return Purpose.EVALUATE, [f"it uses {why}", without]

    def _emit(self, step: _Step, purpose: Purpose, reasons: list[str]) -> RunSeen | None:
        first = next((each for each in step.episodes if each.places), step.episodes[0])
        api = _STEP if step.applied else _CALL
        lines = sorted({place(each.places[0]) for each in step.episodes if each.places})
        modes = sorted(set().union(*(each.modes for each in step.episodes)))
        outer = {each.training for each in step.episodes}
        training = outer.pop() if len(outer) == 1 else None
        key = "|".join([api, purpose.name, *lines, place(step.site), *modes, str(training)])

        def make() -> RunSeen:
            return RunSeen(
                key=key,
                site=first.places[0] if first.places else None,
                api=api,
                purpose=purpose,
                reasons=reasons,
                callers=first.places[1:],
                step=step.site,
                training=training,
                recorded=any(each.graph is not None or each.checkpointed for each in step.episodes),
            )

        looked = [found for episode in step.episodes for found in episode.looked]
        seen = self._runs.add(make, key, looked, step.applied, {})
        if seen is not None:
            seen.repeats += sum(episode.repeats for episode in step.episodes)
            if step.applied:
                seen.gathered = max(seen.gathered, _gathered(step.episodes))
        return seen


def _gathered(episodes: list[Episode]) -> int:
    """How many forward passes come from the same lines and have no backward pass in common."""
    counts: dict[str, int] = {}
    gone: dict[str, set[int]] = {}
    for episode in episodes:
        key = "|".join(map(place, episode.places))
        before = gone.setdefault(key, set())
        if episode.tasks and not episode.tasks & before:
            counts[key] = counts.get(key, 0) + 1
        before |= episode.tasks
    return max(counts.values(), default=0)
