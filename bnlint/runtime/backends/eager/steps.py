"""From forward passes, gradients and updates of weights to runs, and what they are for.

A training step is what comes between two updates: all forward passes on tapes from which the gradients came, and
every update made with them. It ends when a forward pass on another tape begins. So a step of two networks, each with
a tape and an optimizer of its own, is one step if they share a forward pass, and else two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.look import Looked
from bnlint.runtime.backends.runs import Runs, place
from bnlint.runtime.observed import METHODS_THAT_EVALUATE, Purpose, RunSeen
from bnlint.runtime.script.recorder import Recorder

if TYPE_CHECKING:
    from bnlint.runtime.backends.eager.watch import Counter

_MOST_PENDING = 1000
_PROBES = 3
"""How often variables are compared after a gradient to see whether the script moves them by hand."""
_BY_OPTIMIZER = "it changes weights by an optimizer"


@dataclass(eq=False, slots=True)
class Episode:
    """One forward pass: one outermost call of a layer, or of a compiled function."""

    api: str
    """Of the call like ``fit`` that it is part of; empty if it is the user's own."""
    tapes: list[Tape]
    code: CodeType | None
    """The user's function that made it; with those that called it they are ``codes``."""
    counter: Counter
    compiled: bool = False
    """Whether it is the call of a compiled function."""
    sampled: bool = False
    counts: bool = False
    """Whether a layer normalised in it."""
    looked: list[Looked] = field(default_factory=list)
    places: list[Location] = field(default_factory=list)
    codes: set[CodeType] = field(default_factory=set)
    fed: set[str] = field(default_factory=set)
    weights: set[int] = field(default_factory=set)
    """Which gammas and betas were used."""
    trainable: Mapping[str, bool] = field(default_factory=dict)
    """Whether layers, by their keys, were trainable when the call like ``fit`` began."""


@dataclass(eq=False, slots=True)
class Tape:
    """A gradient tape, and what was done with it."""

    owner: CodeType | None = None
    """The user's function that opened it."""
    episodes: list[Episode] = field(default_factory=list)
    sources: set[int] = field(default_factory=set)
    """Of which variables gradients were asked."""
    is_open: bool = True
    differentiated: bool = False


@dataclass(slots=True)
class _Step:
    episodes: list[Episode]
    tapes: list[Tape]
    applied: set[int]
    site: Location | None
    reasons: list[str]
    by_hand: bool = False


class Steps:
    """What was seen so far."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._step: _Step | None = None
        self._pending: list[Episode] = []
        """On tapes, and not used for an update so far."""
        self._tapes: list[Tape] = []
        """From which gradients were taken that were not used so far."""
        self._trained: set[int] = set()
        self._trains_in: set[CodeType] = set()
        """The user's functions that train."""
        self._beside: list[RunSeen] = []
        """Runs in training mode in such a function since the last training step."""
        self._probes: dict[frozenset[int], int] = {}
        self._by_hand: set[frozenset[int]] = set()
        self._probe: tuple[Tape, Any, Any] | None = None
        self._runs = Runs(recorder)
        self.restored: set[int] = set()
        """The variables that were read from a file."""

    # What happens.

    def episode(self, episode: Episode) -> None:
        """A forward pass has been made."""
        self._check_probe()
        step = self._step
        if step is not None and not any(tape in step.tapes for tape in episode.tapes):
            self._close()
        if not episode.tapes:
            self._emit_alone(episode)
            return
        for tape in episode.tapes:
            tape.episodes.append(episode)
        self._pending.append(episode)
        if len(self._pending) > _MOST_PENDING:
            self._emit_alone(self._pending.pop(0))

    def gradient(self, tape: Tape, variables: Iterable[Any], identities: set[int]) -> None:
        """Gradients were taken."""
        tape.differentiated = True
        if not identities:
            return
        tape.sources |= identities
        if tape not in self._tapes:
            self._tapes.append(tape)
        kind = frozenset(identities)
        if kind in self._by_hand:
            self.apply(identities, None, by_hand=True)
        elif tape.episodes and self._probes.get(kind, 0) < _PROBES:
            self._probes[kind] = self._probes.get(kind, 0) + 1
            smallest = min(variables, key=lambda each: int(getattr(each.shape, "num_elements", int)() or 0))
            self._probe = tape, smallest, _value(smallest)

    def joins(self, identities: set[int]) -> bool:
        """Whether an update of these variables is part of the step that was begun last."""
        step = self._step
        if step is None:
            return False
        shared = [tape for tape in self._matching(identities) if not _apart(tape.episodes, step.episodes)]
        return bool(shared) and (step.by_hand or not identities <= step.applied)

    def apply(self, identities: set[int], site: Location | None, by_hand: bool = False) -> None:
        """Weights were changed by their gradients."""
        self._probe = None
        tapes = self._matching(identities)
        episodes = list(dict.fromkeys(episode for tape in tapes for episode in tape.episodes))
        self._trained |= identities
        if self.joins(identities):
            step = self._step
            assert step is not None
            if step.by_hand and not by_hand:
                # What looked like the script's own update is made by an optimizer from now on.
                self._by_hand -= {kind for kind in self._by_hand if kind & identities}
                step.by_hand, step.site, step.reasons = False, site, [_BY_OPTIMIZER]
            step.applied |= identities
            step.tapes += [tape for tape in tapes if tape not in step.tapes]
            step.episodes += [episode for episode in episodes if episode not in step.episodes]
            return
        self._close()
        why = "it changes weights by their gradients" if by_hand else _BY_OPTIMIZER
        self._step = _Step(episodes, tapes, set(identities), site, [why], by_hand)
        self._recorder.step_done()

    def whole(self, episode: Episode, applied: set[int], site: Location | None, steps: int) -> None:
        """A compiled function has made training steps."""
        self._check_probe()
        self._close()
        self._trained |= applied
        self._trained_in([] if episode.api else [episode.code])
        if episode.counts:
            step = _Step([episode], [], applied, site, [_BY_OPTIMIZER])
            self._emit(step, Purpose.TRAIN, steps)
        self._recorder.step_done(steps)

    def settle(self) -> None:
        """Nothing more comes, or something that has nothing to do with it: end what is under way."""
        self._check_probe()
        self._close()
        for episode in self._pending:
            self._emit_alone(episode)
        self._pending.clear()
        self._tapes.clear()

    # Steps.

    def _matching(self, identities: set[int]) -> list[Tape]:
        matching = [tape for tape in self._tapes if tape.sources & identities]
        # Gradients may have been taken for tensors that the script made of variables.
        return matching or [tape for tape in self._tapes if not tape.sources & self._trained]

    def _check_probe(self) -> None:
        if self._probe is None:
            return
        tape, variable, before = self._probe
        self._probe = None
        after = _value(variable)
        if before is not None and after is not None and bool((before != after).any()):
            self._by_hand.add(frozenset(tape.sources))
            self.apply(set(tape.sources), None, by_hand=True)

    def _close(self) -> None:
        step = self._step
        if step is None:
            return
        self._step = None
        used = set(map(id, step.episodes))
        self._tapes = [tape for tape in self._tapes if tape not in step.tapes]
        left, self._pending = self._pending, []
        if step.episodes:
            self._trained_in([tape.owner for tape in step.tapes])
            self._emit(step, Purpose.TRAIN)
        for episode in left:
            if id(episode) in used:
                continue
            if any(tape.is_open or tape.sources for tape in episode.tapes):
                # Its gradients may still be used, for example because they are added up.
                self._pending.append(episode)
            else:
                self._emit_alone(episode)

    def _trained_in(self, codes: Iterable[CodeType | None]) -> None:
        self._trains_in |= {code for code in codes if code is not None}
        for seen in self._beside:
            # What is computed in training mode for a training step is no evaluation, though it is on no tape.
            seen.purpose, seen.reasons = Purpose.UNKNOWN, ["in training mode it runs beside training steps"]
        self._beside.clear()

    def _emit_alone(self, episode: Episode) -> None:
        """A forward pass that is no part of a training step."""
        purpose, reasons = self._purpose(episode)
        seen = self._emit(_Step([episode], [], set(), None, reasons), purpose)
        if seen is not None and purpose is Purpose.EVALUATE:
            seen.purpose, seen.reasons = purpose, reasons
            if "True" in episode.fed and episode.codes & self._trains_in and seen not in self._beside:
                self._beside.append(seen)

    def _purpose(self, episode: Episode) -> tuple[Purpose, list[str]]:
        method = episode.api.rpartition(".")[2]
        if method in METHODS_THAT_EVALUATE:
            return Purpose.EVALUATE, [f"{episode.api} evaluates"]
        if method:
            return Purpose.UNKNOWN, []
        if episode.tapes:
            return Purpose.UNKNOWN, ["it is on a tape, and no weights are changed"]
        weights = episode.weights
        trained = bool(weights & self._trained or (self._trained and not weights))
        if not trained and not weights & self.restored:
            return Purpose.UNKNOWN, ["its layers have not been trained so far"]
        why = "weights that were trained before" if trained else "weights that were read from a file"
        return Purpose.EVALUATE, [f"it uses {why}", "it is on no gradient tape"]

    # Runs.

    def _emit(self, step: _Step, purpose: Purpose, count: int = 1) -> RunSeen | None:
        if not step.episodes or count < 1:
            return None
        first = next((each for each in step.episodes if each.places), step.episodes[0])
        site = first.places[0] if first.places else None
        fed = sorted(set().union(*(each.fed for each in step.episodes)))
        api = first.api or _api_of(first, step)
        # A call like `fit` in a helper is another one wherever the helper is called.
        places = first.places if first.api else [each.places[0] for each in step.episodes if each.places]
        lines = sorted(set(map(place, places)))
        key = "|".join([api, purpose.name, *lines, place(step.site), *fed])

        def make() -> RunSeen:
            return RunSeen(
                key=key,
                site=site,
                api=api,
                purpose=purpose,
                reasons=step.reasons,
                fed={"training": " and ".join(fed)} if fed else {},
                callers=first.places[1:],
                step=step.site,
            )

        looked = [found for episode in step.episodes for found in episode.looked]
        return self._runs.add(make, key, looked, step.applied, step.episodes[0].trainable, count)


def _api_of(first: Episode, step: _Step) -> str:
    if step.applied and (step.tapes or not first.compiled):
        return "tf.GradientTape"
    return "tf.function" if first.compiled else "Layer.__call__"


def _apart(one: list[Episode], other: list[Episode]) -> bool:
    return not set(map(id, one)) & set(map(id, other))


def _value(variable: Any) -> Any:
    from bnlint.runtime.backends.parts import read

    try:
        return read(variable)
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return None
