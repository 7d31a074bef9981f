"""What several rules ask of a program that was run: which layers stood still, which ran in the wrong mode, and why.

Every question is answered for what is beyond doubt only. Answers that could have a cause in common leave each other's
layers out, so that one cause is reported by one rule.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bnlint.findings import Location, Step
from bnlint.phase import deliberate
from bnlint.runtime.lives import Life, Seen, lives, many, place_of, somewhere
from bnlint.runtime.observed import METHODS_THAT_EVALUATE, CheckpointSeen, Mode, Observed, Purpose, RunSeen
from bnlint.runtime.surroundings import all_names, called, sign_of_evaluation, text
from bnlint.words import META_LEARNING

_STEPS_THAT_TELL = 2
"""With fewer training steps, too little was seen to say that something never happens."""
_HALF = ("float16", "bfloat16")
_DEFAULT = 0.9
"""What PyTorch keeps of the statistics unless it is told otherwise."""


# Statistics that stand still.


class Standstill(enum.Enum):
    """Why the statistics of a layer that was trained with batch statistics never moved."""

    NOT_TRAINABLE = "it is not trainable and makes no updates"
    KEEPS_ALL = "a flag in the place of the decay keeps all of them"
    ON_LAYER = "its updates hang on the layer"
    BY_HAND = "its updates are the program's own"
    NEVER_READ = "nothing reads the collection of its updates"
    TOO_EARLY = "the collection of its updates was read before"
    UNUSED = "its updates were collected"


_SAID = re.compile(r"\b(is_)?training\s*=\s*True\b")
_READ = {"too early": Standstill.TOO_EARLY, "unused": Standstill.UNUSED}
_KEPT = {"attribute": Standstill.ON_LAYER, "by hand": Standstill.BY_HAND}


def standstill(life: Life) -> Standstill | None:
    """Why the statistics of a layer never moved; None if they moved, or if it is not beyond doubt."""
    layer, training = life.layer, life.trained_by(Mode.BATCH)
    if waits_for_phase(life):
        return Standstill.ON_LAYER
    steps = sum(seen.run.count for seen in training)
    if not layer.has_statistics or not life.over_batch or life.moved is not False or steps < _STEPS_THAT_TELL:
        return None
    if layer.momentum == 1:
        # Exactly 1 is asked for on purpose, or it is True.
        by_default = all(seen.passage.origin == "default" for seen in training)
        return Standstill.KEEPS_ALL if by_default and layer.api == "tf.contrib.layers.batch_norm" else None
    if any(seen.passage.updates for seen in training):
        return None
    if not layer.trainable:
        return Standstill.NOT_TRAINABLE
    if any(_is_constant(seen) and _wants_batch(life, seen) for seen in training):
        return None
    if layer.updates == "collected":
        return _READ.get(layer.updates_read, Standstill.NEVER_READ)
    return _KEPT.get(layer.updates)


def _wants_batch(life: Life, seen: Seen) -> bool:
    """Whether batch statistics in every phase are meant: said at the layer, or the way of meta-learning."""
    sign = _sign(life, seen.run)
    said = life.layer.site is not None and _SAID.search(text(life.layer.site)) is not None
    return sign is not None and (said or (seen.passage.origin == "default" and sign in META_LEARNING))


def waits_for_phase(life: Life) -> bool:
    """Whether a Keras layer was trained in inference mode because it waits for a learning phase that nobody feeds."""
    return life.layer.updates == "attribute" and any(
        seen.passage.origin == "context" and seen.passage.fixed is False and not seen.run.fed
        for seen in stuck_in_inference(life)
    )


@dataclass(frozen=True, slots=True)
class Neglect:
    """A train step and the layers that stood still in it for one reason."""

    site: Location
    lives: list[Life]
    count: int
    """How often it ran."""
    run: RunSeen

    def steps(self, observed: Observed, built: str, trained: str) -> tuple[Step, ...]:
        """The places, told by clauses."""
        steps = [Step(place, built) for place in list(by_site(self.lives, observed))[:3]]
        steps.append(Step(self.site, trained))
        place = place_of(self.run, observed)
        return tuple(steps) if place == self.site else (*steps, Step(place, "the train step runs here"))

    def message(self, because: str) -> str:
        """How many layers, how many steps, and why."""
        return f"{never_moved(self.lives, self.count)}: {because}"


def never_moved(still: list[Life], count: int) -> str:
    """The figures, as a clause."""
    return (
        f"the moving statistics of {many(len(still), 'layer')} never moved in {many(count, 'training step')}"
    )


def neglected(observed: Observed, reason: Standstill) -> list[Neglect]:
    """The train steps with layers that stood still for a reason."""
    found: dict[Location, Neglect] = {}
    for life in lives(observed):
        if standstill(life) is reason:
            steps = life.trained_by(Mode.BATCH) or stuck_in_inference(life)
            run = next((seen for seen in steps if seen.passage.trained), steps[0]).run
            site = somewhere(observed, run.step, run.site, life.layer.site)
            count = sum(seen.run.count for seen in steps)
            found.setdefault(site, Neglect(site, [], count, run)).lives.append(life)
    return list(found.values())


# The wrong mode.


class Source(enum.Enum):
    """Where a layer has its phase from."""

    FED = "a feed"
    CONSTANT = "a constant"
    CONTEXT = "the learning phase, fixed for the whole program"
    FORGOTTEN = "the default of a placeholder that this run does not feed"
    MODE = "the mode of the module"
    UNTOLD = "nobody, because the trainer tells a model nothing whose `call` does not ask"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Wrong:
    """A layer in a run in whose purpose its mode is wrong."""

    life: Life
    seen: Seen
    because: str = ""
    """Why the run is an evaluation, if it is one."""

    @property
    def fed(self) -> str:
        """The phase as it was fed."""
        return ", ".join(f"{name}: {value}" for name, value in sorted(self.seen.run.fed.items()))


def source(seen: Seen) -> Source:
    """Where a layer has its phase from in a run."""
    passage = seen.passage
    if passage.suspect == "BN108":
        return Source.UNTOLD
    if passage.origin == "mode":
        return Source.MODE
    if _is_constant(seen):
        if passage.origin == "context":
            return Source.CONTEXT
        return Source.CONSTANT if passage.origin in ("default", "argument", "scope") else Source.UNKNOWN
    if passage.fixed is False and seen.run.fed:
        return Source.FED
    if passage.fixed is False and passage.phase_site is not None:
        return Source.FORGOTTEN
    return Source.UNKNOWN


def stuck_in_inference(life: Life) -> list[Seen]:
    """The training steps of a layer that was trained from scratch, and in inference mode only."""
    if not life.layer.trainable or not life.layer.has_statistics or not life.is_fresh or life.moved:
        return []
    modes = {seen.passage.mode for seen in life.training}
    if modes - {Mode.MOVING, Mode.BOTH, Mode.UNKNOWN}:
        return []
    return [seen for seen in life.trained_by(Mode.MOVING) if seen.passage.declared is not True]


def trained_in_inference(observed: Observed, where: Source) -> Iterator[Wrong]:
    """The layers that were trained in inference mode for a reason, in a program that reads no foreign checkpoint."""
    if _restores(observed) and not any(checkpoint.writes for checkpoint in observed.checkpoints):
        return
    for life in lives(observed):
        steps = stuck_in_inference(life)
        if steps and not waits_for_phase(life) and source(steps[0]) is where:
            yield Wrong(life, steps[0])


def evaluated_by_batch(observed: Observed, where: Source) -> Iterator[Wrong]:
    """The evaluations in which a layer with moving statistics used those of the batch, for a reason."""
    for life in lives(observed):
        for wrong in _evaluated_by_batch(life, observed):
            if life.layer.has_statistics and source(wrong.seen) is where:
                yield wrong


def evaluated_without_statistics(observed: Observed) -> Iterator[tuple[Wrong, Seen | None]]:
    """The evaluations of layers without moving statistics, with a step that trained them if there is one."""
    for life in lives(observed):
        # In PyTorch there are statistics unless somebody wants none.
        if not life.layer.has_statistics and life.layer.framework != "pytorch":
            trained = next(iter(life.trained_by(Mode.BATCH)), None)
            for wrong in _evaluated_by_batch(life, observed):
                if trained is not None or _restores(observed):
                    yield wrong, trained


def _evaluated_by_batch(life: Life, observed: Observed) -> Iterator[Wrong]:
    # In PyTorch the share of the batch may be all or nothing on purpose: then no average is kept.
    kept = life.layer.framework != "pytorch" or life.layer.momentum not in (0, 1)
    for seen in life.evaluations if life.over_batch and kept else ():
        if _is_of_the_sample(seen) and life.training and all(map(_is_of_the_sample, life.training)):
            continue
        if seen.passage.mode is Mode.BATCH and seen.passage.declared is not False:
            because = evidence(seen, observed)
            if because and not is_meant(life, seen.run):
                yield Wrong(life, seen, because)


def _is_of_the_sample(seen: Seen) -> bool:
    """Whether the statistics of the batch are those of its only sample, as instance normalisation has them."""
    return seen.passage.batch == 1


def evidence(seen: Seen, observed: Observed) -> str:
    """Why a run that changes no weights is an evaluation and no look at the training; empty if that is in doubt."""
    run, training = seen.run, observed.training()
    declares = run.api.rpartition(".")[2]
    if declares in METHODS_THAT_EVALUATE:
        return f"`{declares}` says so"
    sign = sign_of_evaluation(_places(run))
    if sign and not any(sign_of_evaluation(_places(other)) == sign for other in training):
        return sign
    ends = [other.last for other in training]
    after = training and all(ends) and run.order > max(ends) and not observed.ended
    if after and not _may_estimate(seen, observed):
        return "it comes after the last training step"
    batches = {passage.batch for other in training for passage in other.passages} - {0}
    if _is_constant(seen) and seen.passage.batch and batches and seen.passage.batch not in batches:
        return f"its batch has {many(seen.passage.batch, 'example')}, those of the training have {min(batches):,}"
    return "the program reads a checkpoint and never trains" if not training and _restores(observed) else ""


def _may_estimate(seen: Seen, observed: Observed) -> bool:
    """Whether a module in training mode may have run to estimate its statistics, which are used later."""
    return seen.passage.origin == "mode" and any(
        passage.layer == seen.passage.layer and passage.mode is Mode.MOVING and run.last > seen.run.order
        for run in observed.runs
        for passage in run.passages
    )


def is_meant(life: Life, run: RunSeen | None = None) -> bool:
    """Whether names around a layer, or around a run of it, say that batch statistics are meant."""
    return _sign(life, run) is not None


def _sign(life: Life, run: RunSeen | None) -> str | None:
    places = [life.layer.site, *life.layer.callers, *(_places(run) if run is not None else ())]
    return deliberate(
        (), [life.layer.name, called(run.site if run is not None else None), *all_names(places)]
    )


def left_in_evaluation_mode(observed: Observed) -> Iterator[tuple[Life, Seen, Seen]]:
    """The layers that a training step uses in training mode first, and then in the evaluation mode that somebody asked
    for to evaluate; with that step before and after."""
    for life in lives(observed):
        for after in life.trained_by(Mode.MOVING):
            passage = after.passage
            asked = passage.origin == "mode" and any(
                seen.passage.mode is Mode.MOVING and seen.passage.phase_site == passage.phase_site
                for seen in life.evaluations
            )
            for before in life.trained_by(Mode.BATCH) if asked and passage.phase_site is not None else ():
                if before.run.site == after.run.site and before.run.order < after.run.order:
                    yield life, before, after
                    break


def overruled(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers for which Keras 3 replaced what they were told, where that made a difference: training moved
    statistics that were learned before, or an evaluation used the moving ones."""
    for life in lives(observed):
        learned = not life.began_fresh
        for seen in sorted(life.runs, key=lambda one: one.run.order):
            passage, purpose = seen.passage, seen.run.purpose
            replaced = passage.suspect == "BN211" and life.layer.trainable
            overwrites = purpose is Purpose.TRAIN and passage.moved and learned
            if replaced and (overwrites or (purpose is Purpose.EVALUATE and passage.mode is Mode.MOVING)):
                yield life, seen
            learned = learned or (not replaced and bool(passage.moved))


# How statistics are kept.


def trained_in_half_precision(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers that moved statistics of half precision in training, with the first such steps."""
    for life in lives(observed):
        for seen in life.trained_by(Mode.BATCH) if life.layer.momentum not in (0, 1) else ():
            if seen.passage.statistics_type in _HALF and seen.passage.moved:
                yield life, seen
                break


def counted_twice(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers of PyTorch that moved their statistics again for the backward pass, by a momentum for one update."""
    for life in lives(observed):
        kept = life.layer.momentum
        for seen in life.trained_by(Mode.BATCH) if kept is not None and math.isclose(kept, _DEFAULT) else ():
            if seen.passage.recomputed and (seen.passage.updates or 0) > 1:
                yield life, seen
                break


# Whole programs.


def untrained_twins(observed: Observed) -> Iterator[tuple[Life, Seen, Life]]:
    """The layers that no train step runs, with initial statistics, where training runs one that differs from it by
    the number at the end of its name alone, and that is not run there."""
    known = lives(observed)
    for life in known:
        if not life.is_fresh or life.moved or any(seen.run.purpose is Purpose.TRAIN for seen in life.runs):
            continue
        for seen in life.runs:
            there = {passage.layer for passage in seen.run.passages}
            for twin in known:
                if (
                    seen.passage.mode is Mode.MOVING
                    and twin.layer.key not in there
                    and twin.layer.channels == life.layer.channels
                    and twin.layer.name != life.layer.name
                    and _without_number(twin.layer.name) == _without_number(life.layer.name)
                    and any(step.run.order < seen.run.last for step in twin.training)
                ):
                    yield life, seen, twin
                    break


def moved_by_others(observed: Observed) -> Iterator[tuple[Life, Seen, Seen]]:
    """The layers whose statistics are moved by a train step that does not train them, that step, and their own."""
    for life in lives(observed):
        moving = [seen for seen in life.runs if seen.run.purpose is Purpose.TRAIN and seen.passage.moved]
        own = next((seen for seen in moving if seen.passage.trained is True), None)
        for seen in moving:
            # That a part of a larger step runs in the mode of its module says nothing about what is wanted.
            told = seen.passage.origin != "mode" and not _is_constant(seen)
            wanted = life.inference is not None or told
            if own is not None and seen.passage.trained is False and wanted:
                yield life, seen, own


def missed(checkpoint: CheckpointSeen, observed: Observed) -> list[Life]:
    """The layers whose statistics a checkpoint lacks and that need them from there."""
    found = [life for life in lives(observed) if life.layer.key in checkpoint.missing]
    if checkpoint.writes:
        return [life for life in found if life.moved or life.inference is not None]
    if observed.training():
        return []
    return [life for life in found if life.is_fresh and life.inference is not None]


def share_kept(life: Life) -> float | None:
    """The share of the statistics that one update keeps, as measured; None if it is not known."""
    shares = [seen.passage.momentum for seen in moving(life) if seen.passage.momentum]
    return shares[0] if shares else None


def moving(life: Life) -> list[Seen]:
    """The runs that moved its statistics: training steps, or any if there was none."""
    return [seen for seen in life.training or life.runs if seen.passage.moved]


def count_of_updates(life: Life) -> int:
    """How many updates the training made."""
    return round(
        sum(seen.run.count * (seen.passage.updates or 1) for seen in life.training if seen.passage.moved)
    )


# Small questions.


def by_site(some: Iterable[Life], observed: Observed) -> dict[Location, list[Life]]:
    """The layers by where they were built."""
    found: dict[Location, list[Life]] = {}
    for life in some:
        found.setdefault(life.site(observed), []).append(life)
    return found


def by_run(wrong: Iterable[Wrong], observed: Observed) -> dict[Location, list[Wrong]]:
    """What is wrong by where it was run."""
    found: dict[Location, list[Wrong]] = {}
    for each in wrong:
        found.setdefault(place_of(each.seen.run, observed), []).append(each)
    return found


def by_cause(wrong: Iterable[Wrong], observed: Observed) -> list[list[Wrong]]:
    """What is wrong by what may be one constant: of layers that take the default each place is one, of those that are
    told each function call that builds them, and an argument scope may tell all."""
    groups: list[list[Wrong]] = []
    known: dict[object, list[Wrong]] = {}
    for each in wrong:
        origin, callers = each.seen.passage.origin, each.life.layer.callers
        causes: list[object] = [each.life.site(observed)]
        if origin == "scope":
            causes.append("scope")
        elif origin == "argument" and callers:
            causes.append(("called", callers[0]))
        group = next((known[cause] for cause in causes if cause in known), None)
        if group is None:
            group = []
            groups.append(group)
        group.append(each)
        known.update({cause: group for cause in causes if cause not in known})
    return groups


def _is_constant(seen: Seen) -> bool:
    return seen.passage.fixed is True or (seen.passage.fixed is None and seen.passage.origin == "default")


def _restores(observed: Observed) -> bool:
    return any(not checkpoint.writes for checkpoint in observed.checkpoints)


def _places(run: RunSeen) -> list[Location]:
    return [place for place in (run.site, *run.callers) if place is not None]


def _without_number(name: str) -> str:
    return re.sub(r"_\d+$", "", name)
