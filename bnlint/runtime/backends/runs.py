"""From what layers did in the forward passes of a step to the runs and passages of ``Observed``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.look import Looked, keep_state, show
from bnlint.runtime.observed import Mode, Passage, RunSeen
from bnlint.runtime.script.recorder import Recorder


class Runs:
    """The runs that were seen, and what the layers did in them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._passages: dict[tuple[Any, ...], Passage] = {}
        self._channels: dict[str, int] = {}

    def add(
        self,
        make: Callable[[], RunSeen],
        key: str,
        looked: Sequence[Looked],
        applied: Set[int],
        trainable: Mapping[str, bool],
        count: int = 1,
    ) -> RunSeen | None:
        """Count runs of a kind, and add what was looked at in one of them; None if there are too many kinds.

        ``applied`` are the weights that it changed; of what was not trainable at a single layer ``trainable`` knows.
        """
        with self._recorder.lock:
            seen = self._recorder.run(key, make)
            if seen is not None:
                seen.count += count - 1
                self._passages_of(seen, looked, applied, trainable)
                self._recorder.changed()
            return seen

    def _passages_of(
        self, seen: RunSeen, looked: Sequence[Looked], applied: Set[int], trainable: Mapping[str, bool]
    ) -> None:
        together: dict[tuple[Any, ...], list[Looked]] = {}
        for found in looked:
            phase = found.phase
            # A module has one mode after the other, and who switched it tells more than how often.
            switched = place(phase.site) if phase.origin == "mode" else ""
            key = seen.key, found.known.seen.key, place(found.site), phase.origin, switched
            together.setdefault(key, []).append(found)
        for key, group in together.items():
            passage = self._passages.get(key)
            if passage is None:
                phase = group[0].phase
                passage = self._passages[key] = Passage(
                    group[0].known.seen.key,
                    Mode.UNKNOWN,
                    phase.declared,
                    phase.origin,
                    phase.fixed,
                    phase.site,
                    site=group[0].site,
                    instead=phase.instead,
                    suspect=phase.suspect,
                )
                seen.passages.append(passage)
            passage.samples += 1
            self._add(passage, group, applied, trainable)

    def _add(
        self, passage: Passage, group: list[Looked], applied: Set[int], trainable: Mapping[str, bool]
    ) -> None:
        training = bool(applied)
        known = group[0].known
        own = group[0].trainable
        now = trainable.get(known.seen.key) if own is None else own
        passage.trainable = now if passage.trainable is now or passage.samples == 1 else None
        if training:
            passage.trained = bool(known.weights & applied) if known.weights else None
        counts = [found.updates for found in group]
        if any(found.moved is not None for found in group):
            passage.updates = None if None in counts else sum(each for each in counts if each is not None)
        for found in group:
            passage.mode = merged(passage.mode, found.mode)
            if found.phase.declared is not passage.declared:
                passage.declared, passage.fixed = None, False
            if found.moved is not None:
                passage.moved = bool(passage.moved) or found.moved
            passage.apart = max(passage.apart, found.apart)
            if found.mixed_at is not None:
                passage.mixed, passage.mixed_with, passage.mixed_at = (
                    found.mixed,
                    found.mixed_with,
                    found.mixed_at,
                )
            passage.recomputed = passage.recomputed or found.recomputed
            passage.checkpoint = passage.checkpoint or found.checkpoint
            passage.penalised = passage.penalised or found.penalised
            passage.statistics_type = found.statistics_type or passage.statistics_type
            passage.converted = found.converted or passage.converted
            passage.momentum = found.momentum if found.momentum is not None else passage.momentum
            passage.batch = found.batch or passage.batch
            passage.batch_error = max(passage.batch_error, found.batch_error)
            passage.moving_error = max(passage.moving_error, found.moving_error)
            passage.tolerance = max(passage.tolerance, found.tolerance)
            passage.instead = passage.instead or found.instead
            passage.suspect = passage.suspect or found.suspect
            keep_state(known.seen, found.first, found.last)
            if training and found.picture is not None:
                show(known.seen, found.picture, max(1, self._recorder.observed.train_steps), self._channels)


def merged(known: Mode, new: Mode) -> Mode:
    """The mode in several runs: one that fits all of them."""
    if known in (Mode.UNKNOWN, Mode.BOTH) or known is new:
        return new
    return known if new in (Mode.BOTH, Mode.UNKNOWN) else Mode.NEITHER


def place(site: Location | None) -> str:
    """A place as a part of a key."""
    return f"{site.path}:{site.line}:{site.column}" if site else ""
