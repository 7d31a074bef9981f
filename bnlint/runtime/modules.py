"""What rules ask of a program of PyTorch that was run: which layers are no part of a model, and whose mode is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Location
from bnlint.runtime.lives import Life, Seen, lives
from bnlint.runtime.observed import Mode, Observed, Purpose, RunSeen, SwitchSeen
from bnlint.runtime.symptoms import (
    Source,
    Wrong,
    evaluated_by_batch,
    evidence,
    is_meant,
    trained_in_inference,
)

_FUNCTION = "torch.nn.functional.batch_norm"


def built_in_each_call(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers that are built anew for each forward pass, with something to lose, and that nobody switches; with the
    first training step that they are in."""
    for life in lives(observed):
        layer = life.layer
        loses = layer.has_statistics or layer.initial_scale is not None
        if layer.in_forward and layer.rebuilt > 1 and loses and not is_meant(life):
            step = _untrained_step(life)
            if step is not None:
                yield life, step


def unknown_to_the_model(observed: Observed) -> Iterator[tuple[Life, Seen]]:
    """The layers that are no part of the model that runs them, and that nobody else trains or switches; with the first
    training step that they are in."""
    for life in lives(observed):
        layer = life.layer
        if layer.registered is False and not layer.in_forward and layer.api != _FUNCTION:
            step = _untrained_step(life)
            if step is not None:
                yield life, step


def statistics_unknown_to_the_model(observed: Observed) -> Iterator[Life]:
    """The calls of the function that learn statistics, and use them, of which the model around does not know."""
    for life in lives(observed):
        layer = life.layer
        learned = any(seen.passage.moved for seen in life.training)
        if layer.api == _FUNCTION and layer.buffered is False and layer.has_statistics and learned:
            if life.inference is not None:
                yield life


def left_in_training_mode(observed: Observed) -> Iterator[Wrong]:
    """The evaluations by the batch in a model that says it is in evaluation mode, which came to nothing inside."""
    for life in lives(observed):
        for seen in life.evaluations if life.layer.left_behind and life.over_batch else ():
            passage = seen.passage
            told = seen.run.training is False and passage.declared and passage.phase_site is None
            if passage.mode is Mode.BATCH and passage.origin == "mode" and told and life.layer.registered:
                if not is_meant(life, seen.run):
                    yield Wrong(life, seen, evidence(seen, observed) or "the model is in evaluation mode")


def evaluated_without_averages(observed: Observed) -> Iterator[Wrong]:
    """The evaluations of modules in evaluation mode that use the batch, because they keep no statistics."""
    for life in lives(observed):
        pytorch = life.layer.framework == "pytorch" and life.layer.api != _FUNCTION
        for seen in life.evaluations if pytorch and life.over_batch and not life.layer.has_statistics else ():
            kept_none = seen.passage.mode is Mode.BATCH and seen.passage.declared is False
            if kept_none and life.layer.initial_mean is None and not is_meant(life, seen.run):
                yield Wrong(life, seen)


def sampled_by_batch(observed: Observed) -> Iterator[Wrong]:
    """The evaluations in which a `train()` for the sake of dropout made a layer use the batch."""
    for wrong in evaluated_by_batch(observed, Source.MODE):
        if is_sampling(wrong.seen.run) and wrong.seen.passage.phase_site is not None:
            yield wrong


def is_sampling(run: RunSeen) -> bool:
    """Whether a run gave one input to a model again and again while dropout was on."""
    return run.repeats > 1


def given_away_in_evaluation_mode(observed: Observed) -> Iterator[tuple[Wrong, Location]]:
    """The layers that were never trained in another mode than the one in which the function that made them gave them
    away; with the line that put them into it."""
    for wrong in trained_in_inference(observed, Source.MODE):
        life, seen = wrong.life, wrong.seen
        whole = all(passage.mode is Mode.MOVING for passage in seen.run.passages)
        site = seen.passage.phase_site
        if site is not None and seen.run.training is False and seen.passage.trained and whole:
            reached = [switch for switch in observed.switches if life.layer.key in switch.layers]
            alone = len(reached) == 1 and not reached[0].own and reached[0].site == site
            if alone and _made_there(life, reached[0], seen.run):
                yield wrong, site


def _made_there(life: Life, switch: SwitchSeen, run: RunSeen) -> bool:
    """Whether a layer was built and switched in one call of a function, in which it was not trained."""
    built = {place for place in (life.layer.site, *life.layer.callers) if place is not None}
    trained = {run.site, *run.callers}
    return any(place in built and place not in trained for place in switch.callers)


def _untrained_step(life: Life) -> Seen | None:
    """The first training step of a layer, if neither an optimizer nor a switch ever reached it."""
    steps = [seen for seen in life.runs if seen.run.purpose is Purpose.TRAIN]
    alone = all(seen.passage.phase_site is None and seen.passage.mode is Mode.BATCH for seen in life.runs)
    untrained = all(seen.passage.trained is not True for seen in steps)
    return steps[0] if steps and alone and untrained and life.over_batch else None
