"""What a program that was run did with layers that it had frozen, or made trainable."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Location
from bnlint.runtime.lives import Life, Seen, lives
from bnlint.runtime.observed import METHODS_THAT_TRAIN, Mode, Observed, Purpose, SwitchSeen
from bnlint.runtime.symptoms import Wrong, is_meant


def frozen_by_batch(observed: Observed) -> Iterator[Wrong]:
    """The frozen layers with statistics of another training that used those of the batch while others learned."""
    for life in lives(observed):
        for seen in _in_training(life) if _has_learned(life) else ():
            # In graph mode a trainer leaves out only what is frozen.
            by_trainer = life.layer.updates == "attribute" and _method(seen) in METHODS_THAT_TRAIN
            if seen.passage.mode is Mode.BATCH and seen.passage.trained is False and not seen.passage.moved:
                if by_trainer or not life.layer.trainable:
                    yield Wrong(life, seen)


def frozen_in_training_mode(observed: Observed) -> Iterator[Wrong]:
    """The modules with statistics and weights of another training that went on learning statistics while others
    learned, and that nobody had put into evaluation mode to freeze them."""
    undone = {wrong.life.layer.key for wrong, _ in freeze_undone(observed)}
    for life in lives(observed):
        layer = life.layer
        if layer.framework != "pytorch" or layer.key in undone or not _stays_frozen(life):
            continue
        for seen in _in_training(life):
            passage = seen.passage
            live = passage.mode is Mode.BATCH and passage.moved and passage.origin == "mode"
            if live and passage.trainable is False and not is_meant(life, seen.run):
                yield Wrong(life, seen)


def freeze_undone(observed: Observed) -> Iterator[tuple[Wrong, SwitchSeen]]:
    """The modules that were put into evaluation mode to be frozen, never ran so, and were trained in the training mode
    in which a later switch had put them; with the switch that was to freeze them."""
    for life in lives(observed):
        for seen in _in_training(life):
            passage = seen.passage
            if passage.mode is Mode.BATCH and passage.origin == "mode" and passage.phase_site is not None:
                off = _undone(life, seen, passage.phase_site, observed)
                if off is not None:
                    yield Wrong(life, seen), off
                    break


def changed_in_vain(observed: Observed) -> Iterator[Wrong]:
    """The layers that a trainer went on training although they were frozen, or did not although they were not."""
    for life in lives(observed):
        for seen in _in_training(life):
            passage = seen.passage
            if passage.trainable is False and passage.trained and passage.moved:
                yield Wrong(life, seen, "learned and moved their statistics although they were frozen")
            elif passage.trainable and passage.trained is False and passage.mode is Mode.MOVING:
                if passage.origin == "context" and passage.moved is False:
                    yield Wrong(life, seen, "stayed as they were although they were trainable")


def overwritten(observed: Observed) -> Iterator[tuple[Wrong, Seen]]:
    """The layers that moved the statistics of another training, and the step before that had left them alone."""
    for life in lives(observed):
        # Of a module that has a mode somebody may have switched it in between, on purpose.
        kept = life.layer.has_statistics and life.layer.framework != "pytorch" and _has_learned(life)
        steps = _in_training(life) if kept else []
        rests = [seen for seen in steps if seen.passage.mode is Mode.MOVING and not seen.passage.moved]
        for seen in steps:
            rest = next((each for each in rests if each.run.order < seen.run.order), None)
            if rest is not None and seen.passage.moved and seen.passage.trained:
                yield Wrong(life, seen), rest


def frozen_before_training(observed: Observed) -> Iterator[Wrong]:
    """The layers that another model uses in its training, and whose own trainer found nothing to train."""
    for life in lives(observed):
        used = any(seen.passage.trained is False for seen in _in_training(life))
        for seen in life.runs if used and life.moved is False else ():
            if (
                _method(seen) in METHODS_THAT_TRAIN
                and seen.run.purpose is not Purpose.TRAIN
                and seen.passage.mode is Mode.MOVING
            ):
                yield Wrong(life, seen)


def _stays_frozen(life: Life) -> bool:
    """Whether a layer came with what it has learned elsewhere, and no optimizer and no average changed its weights."""
    layer = life.layer
    return (
        _has_learned(life)
        and layer.momentum not in (0, 1)
        and layer.initial_scale is not None
        and layer.initial_scale == layer.last_scale
        and not any(seen.passage.trained for seen in life.runs)
    )


def _undone(life: Life, seen: Seen, site: Location, observed: Observed) -> SwitchSeen | None:
    """The switch that was to freeze a layer before the one at ``site`` put it back into training mode."""
    key = life.layer.key
    reaching = [switch for switch in observed.switches if key in switch.layers]
    on = next((switch for switch in reaching if switch.training and switch.site == site), None)
    if on is None:
        return None
    used = {each.passage.phase_site for each in life.runs if each.passage.mode is not Mode.BATCH}
    whole = {switch.site for switch in reaching if not switch.training and not switch.own}
    for off in reaching[: reaching.index(on)]:
        if off.training or off.site is None or off.site in used:
            continue
        part = off.module != on.module or set(off.layers) < set(on.layers)
        freezes = off.site not in whole if off.own else part and seen.passage.trainable is False
        if freezes and not on.own:
            return off
    return None


def _method(seen: Seen) -> str:
    return seen.run.api.rpartition(".")[2]


def _in_training(life: Life) -> list[Seen]:
    return [seen for seen in life.runs if seen.run.purpose is Purpose.TRAIN]


def _has_learned(life: Life) -> bool:
    """Whether its statistics were those of another training when it was first seen."""
    return life.layer.initial_mean is not None and not life.began_fresh
