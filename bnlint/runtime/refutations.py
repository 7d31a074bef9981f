"""What shows that a finding of ``bnlint check`` is wrong: the layer or the run that it is about did the right thing.

A finding is about the layers that were built, and the runs that were made, on the lines that it names. Nothing is
shown unless all of them were seen, and a program that was stopped early shows nothing of what it did not come to.
Each function gives a clause that says what was seen, or an empty string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bnlint.findings import Finding, Location
from bnlint.runtime.lives import Seen, lives, many
from bnlint.runtime.observed import Mode, Observed, Purpose, RunSeen


def statistics_moved(finding: Finding, observed: Observed) -> str:
    """Every training step moved the moving statistics."""
    steps = _of(finding, observed, Purpose.TRAIN)
    if not steps or not all(seen.passage.moved and seen.passage.mode is Mode.BATCH for seen in steps):
        return ""
    return f"the moving statistics of {_layers(steps)} moved in {_count(steps, 'training step')}"


def trained_by_batch(finding: Finding, observed: Observed) -> str:
    """Every training step normalised with the statistics of the batch."""
    steps = _of(finding, observed, Purpose.TRAIN)
    if not steps or not all(seen.passage.mode is Mode.BATCH for seen in steps):
        return ""
    return f"{_layers(steps)} normalised with the statistics of the batch in {_count(steps, 'training step')}"


def evaluated_by_moving(finding: Finding, observed: Observed) -> str:
    """Every evaluation normalised with the moving statistics."""
    runs = _of(finding, observed, Purpose.EVALUATE)
    if observed.ended or not runs or not all(seen.passage.mode is Mode.MOVING for seen in runs):
        return ""
    return f"{_layers(runs)} normalised with the moving statistics in {_count(runs, 'evaluation')}"


def evaluation_moved_nothing(finding: Finding, observed: Observed) -> str:
    """No evaluation moved the moving statistics."""
    runs = _of(finding, observed, Purpose.EVALUATE)
    if observed.ended or not runs or not all(seen.passage.moved is False for seen in runs):
        return ""
    return f"the moving statistics of {_layers(runs)} stayed as they were in {_count(runs, 'evaluation')}"


def evaluation_goes_through(finding: Finding, observed: Observed) -> str:
    """Every evaluation went through the layer, and none around it."""
    runs = _of(finding, observed, Purpose.EVALUATE)
    around = any(seen.passage.layer in run.skipped for seen in runs for run in observed.runs)
    if observed.ended or not runs or around or any(seen.passage.mode is not Mode.MOVING for seen in runs):
        return ""
    return f"{_count(runs, 'evaluation')} went through {_layers(runs)}"


def _of(finding: Finding, observed: Observed, purpose: Purpose) -> list[Seen]:
    """What the layers of a finding did in the runs of a purpose: in those that it names, or else in all.

    Empty if one of the layers was in none of them.
    """
    known = lives(observed)
    layers = [life for life in known if names(finding, (life.layer.site,))]
    runs = [run for run in observed.runs if run.purpose is purpose]
    named = [run for run in runs if names(finding, _places(run))]
    if not layers and named:
        keys = {passage.layer for run in named for passage in run.passages}
        layers = [life for life in known if life.layer.key in keys]
    found: list[Seen] = []
    for life in layers:
        own = [seen for seen in life.runs if seen.run in (named or runs)]
        if not own or any(not seen.passage.samples for seen in own):
            return []
        found.extend(own)
    return found


def names(finding: Finding, places: Iterable[Location | None]) -> bool:
    """Whether one of these places begins on a line of the finding or of its steps."""
    return any(_within(place, mentioned) for place in places if place for mentioned in _mentioned(finding))


def _mentioned(finding: Finding) -> Iterator[Location]:
    yield finding.location
    yield from (step.location for step in finding.steps)


def _within(place: Location, mentioned: Location) -> bool:
    same = place.path == mentioned.path and place.cell == mentioned.cell
    return same and mentioned.line <= place.line <= max(mentioned.line, mentioned.end_line)


def _places(run: RunSeen) -> list[Location | None]:
    return [run.site, run.step]


def _layers(found: list[Seen]) -> str:
    keys = {seen.passage.layer for seen in found}
    return many(len(keys), "layer")


def _count(found: list[Seen], noun: str) -> str:
    runs = {seen.run.key: seen.run.count for seen in found}
    return f"all {many(sum(runs.values()), noun)}" if sum(runs.values()) > 1 else f"the only {noun}"
