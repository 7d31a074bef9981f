"""Layers that normalised with moving statistics that do not belong to their weights, or to their data."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Location
from bnlint.runtime.lives import Life, Seen, are_initial, lives
from bnlint.runtime.observed import Mode, Observed, Purpose
from bnlint.runtime.surroundings import is_on_made_up_data
from bnlint.runtime.symptoms import is_meant

_FAR = 0.5
"""Standard deviations between means that are more than chance."""


def left_behind(observed: Observed) -> Iterator[tuple[Life, Seen, Location | None]]:
    """The layers that used old statistics beside new weights, which no optimizer made, and the line that read the
    weights if it is known."""
    if any(checkpoint.writes and checkpoint.missing for checkpoint in observed.checkpoints):
        # What is missing where it was written is missing in all that read it.
        return
    known = [life for life in lives(observed) if _is_module(life)]
    read = {
        key: checkpoint.site
        for checkpoint in observed.checkpoints
        if not checkpoint.writes
        for key in checkpoint.missing
    }
    for life in known:
        used = life.inference
        if used is None or life.layer.stale or not _only_infers(life) or is_meant(life, used.run):
            continue
        sources = [other for other in known if other is not life and _is_source(other, life)]
        by_state = life.layer.key in read and life.is_fresh and bool(observed.training())
        if by_state or any(_has_new_weights(life, other, observed) for other in sources):
            yield life, used, read.get(life.layer.key)


def stale(observed: Observed, how: str) -> Iterator[tuple[Life, Seen]]:
    """The layers that used statistics that were ``reset``, or left from before weights were ``averaged``."""
    known = lives(observed)
    for life in known:
        used = life.inference
        if life.layer.stale != how or used is None or is_meant(life, used.run):
            continue
        origin = next((other for other in known if other.layer.key == life.layer.copy_of), None)
        # What was set back may be computed by the program; and where training left the statistics of the model alone,
        # the average has those that it was meant to have.
        forgotten = are_initial(life.layer.last_mean, life.layer.last_variance)
        if forgotten if how == "reset" else origin is not None and _moved_by_training(origin):
            yield life, used


def negative(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers that used a moving variance that is negative: it was computed of several."""
    others = bool(observed.training()) or any(not checkpoint.writes for checkpoint in observed.checkpoints)
    for life in lives(observed):
        layer = life.layer
        found = [each for each in (layer.initial_variance, layer.last_variance) if each is not None]
        averages = layer.momentum is None or 0 <= layer.momentum <= 1
        used = next((seen for seen in life.runs if seen.passage.declared is False), None)
        if _is_module(life) and others and averages and used and any(each.least < 0 for each in found):
            yield life, used


def tried_out(observed: Observed) -> Iterator[tuple[Life, Seen, Seen]]:
    """The layers whose learned statistics made-up data moved, that call, and the one that used them afterwards."""
    for life in lives(observed):
        steps = [seen for seen in life.runs if seen.run.purpose is Purpose.TRAIN]
        if any(is_on_made_up_data(seen.run.site) for seen in steps) or not _is_module(life):
            # Random numbers are its data.
            continue
        for seen in life.runs:
            run, passage = seen.run, seen.passage
            moves = passage.mode is Mode.BATCH and passage.origin == "mode" and passage.moved
            learned = not life.began_fresh or any(each.run.order < run.order for each in steps)
            if not moves or not learned or seen in steps or not is_on_made_up_data(run.site):
                continue
            later = [each for each in life.runs if each.run.last > run.last]
            learns = any(each.passage.mode is not Mode.MOVING for each in later)
            if later and not learns and not is_meant(life, run):
                yield life, seen, later[0]
                break


def shared(observed: Observed) -> Iterator[tuple[Life, Seen, Seen]]:
    """The layers that training applied to inputs of several distributions in one forward pass: first, and again."""
    for life in lives(observed):
        if not life.layer.has_statistics or life.layer.momentum in (0, 1):
            continue
        for again in life.trained_by(Mode.BATCH):
            if again.passage.apart >= _FAR and again.passage.moved and not is_meant(life, again.run):
                first = next(seen for seen in life.training if seen.run is again.run)
                yield life, first, again
                break


def mixed(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers that training applied to the examples of two sets of data in one step, each set by itself; one for
    each line where the second one comes in."""
    seen: set[Location | None] = set()
    for life in lives(observed):
        if not life.layer.has_statistics or life.layer.momentum in (0, 1):
            continue
        if any(each.passage.moved for each in life.runs if each.run.purpose is not Purpose.TRAIN):
            # They are estimated anew.
            continue
        for again in life.trained_by(Mode.BATCH):
            passage = again.passage
            if passage.mixed >= _FAR and passage.mixed_at not in seen and not is_meant(life, again.run):
                seen.add(passage.mixed_at)
                yield life, again


def _is_module(life: Life) -> bool:
    return life.layer.framework == "pytorch" and life.layer.has_statistics and life.over_batch


def _only_infers(life: Life) -> bool:
    """Whether a layer kept the statistics that it came with, and no gradient changed its weights."""
    layer = life.layer
    unchanged = (layer.initial_mean, layer.initial_variance) == (layer.last_mean, layer.last_variance)
    return unchanged and all(
        seen.passage.mode in (Mode.MOVING, Mode.BOTH)
        and not seen.passage.trained
        and (seen.run.purpose is not Purpose.UNKNOWN or seen.run.recorded is False)
        for seen in life.runs
    )


def _is_source(other: Life, life: Life) -> bool:
    """Whether a layer is one of those that another may have got its weights from."""
    one, two = other.layer, life.layer
    return (
        (one.api, one.site, one.channels) == (two.api, two.site, two.channels)
        and one.initial_scale != one.last_scale
        and _moved_by_training(other)
    )


def _moved_by_training(life: Life) -> bool:
    return any(seen.passage.moved and seen.passage.trained for seen in life.trained_by(Mode.BATCH))


def _has_new_weights(life: Life, source: Life, observed: Observed) -> bool:
    """Whether the scale of a layer is newer than its statistics: an average of others, or a copy of the last one."""
    layer = life.layer
    changed = layer.initial_scale is not None and layer.initial_scale != layer.last_scale
    if life.is_fresh:
        return changed or (layer.last_scale is not None and layer.last_scale == source.layer.last_scale)
    used = min(seen.run.order for seen in life.runs)
    goes_on = any(seen.run.last > used for seen in source.trained_by(Mode.BATCH))
    return changed and goes_on and not observed.ended
