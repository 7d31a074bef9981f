"""What was seen of one program, sorted by layer: the view that most questions about it need."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.findings import Location
from bnlint.runtime.observed import Figures, LayerSeen, Mode, Observed, Passage, Purpose, RunSeen


@dataclass(frozen=True, slots=True)
class Seen:
    """One layer in one kind of run."""

    run: RunSeen
    passage: Passage


@dataclass(slots=True)
class Life:
    """All that was seen of one layer."""

    layer: LayerSeen
    runs: list[Seen] = field(default_factory=list)
    """In all runs, whatever they are for."""

    @property
    def training(self) -> list[Seen]:
        """In the steps that train the layer, as far as is known; one that is not trainable, in all that it is in."""
        steps = [seen for seen in self.runs if seen.run.purpose is Purpose.TRAIN]
        return [seen for seen in steps if seen.passage.trained is not False or not self.layer.trainable]

    def trained_by(self, mode: Mode) -> list[Seen]:
        """In the training steps in which it certainly normalised in this way."""
        return [seen for seen in self.training if seen.passage.mode is mode]

    @property
    def evaluations(self) -> list[Seen]:
        """In the runs that evaluate."""
        return [seen for seen in self.runs if seen.run.purpose is Purpose.EVALUATE]

    @property
    def inference(self) -> Seen | None:
        """In the first run without training in which it used its moving statistics."""
        others = (seen for seen in self.runs if seen.run.purpose is not Purpose.TRAIN)
        return next((seen for seen in others if seen.passage.mode is Mode.MOVING), None)

    @property
    def moved(self) -> bool | None:
        """Whether any run moved the statistics; None if no training step was looked at."""
        layer = self.layer
        if any(seen.passage.moved for seen in self.runs):
            return True
        if _differ(layer.initial_mean, layer.last_mean) or _differ(
            layer.initial_variance, layer.last_variance
        ):
            return True
        training = self.training
        if any(seen.passage.moved is False for seen in training):
            return False
        # Training may run a graph in which the layer has no moving statistics, and inference another one.
        later = (seen for seen in self.runs if training and seen.run.last > training[0].run.order + 1)
        return False if self.is_fresh and any(seen.passage.moved is False for seen in later) else None

    @property
    def began_fresh(self) -> bool:
        """Whether the statistics had initial values when they were first seen: they come from no checkpoint."""
        return are_initial(self.layer.initial_mean, self.layer.initial_variance)

    @property
    def is_fresh(self) -> bool:
        """Whether they are so to the end."""
        return self.began_fresh and are_initial(self.layer.last_mean, self.layer.last_variance)

    @property
    def over_batch(self) -> bool:
        """Whether the statistics are over the batch: those of instance and layer normalisation leave it out."""
        return 0 not in self.layer.axes

    @property
    def always_batch(self) -> bool:
        """Whether no run used the moving statistics, or was told to."""
        inference = (Mode.MOVING, Mode.BOTH)
        return not any(seen.passage.declared is False or seen.passage.mode in inference for seen in self.runs)

    def site(self, observed: Observed) -> Location:
        """Where it was built."""
        return somewhere(observed, self.layer.site, *self.layer.callers[:1])


def lives(observed: Observed) -> list[Life]:
    """What was seen of each layer, in the order of the layers."""
    found = {layer.key: Life(layer) for layer in observed.layers}
    for run in observed.runs:
        for passage in run.passages:
            if passage.layer in found:
                found[passage.layer].runs.append(Seen(run, passage))
    return list(found.values())


def somewhere(observed: Observed, *places: Location | None) -> Location:
    """The first place that is known, or the beginning of the script."""
    return next((place for place in places if place is not None), Location(observed.entry, 1, 1, 1, 1))


def place_of(run: RunSeen, observed: Observed) -> Location:
    """Where a run is made."""
    return somewhere(observed, run.site, *run.callers[:1])


def place_of_step(run: RunSeen, observed: Observed) -> Location:
    """Where a train step is built, or else run."""
    return somewhere(observed, run.step, run.site, *run.callers[:1])


def many(count: int, noun: str) -> str:
    """``1 step``, ``3,001 steps``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def are_initial(mean: Figures | None, variance: Figures | None) -> bool:
    """Whether moving statistics are those of a layer that was just made."""
    # The averages of ``tf.train.ExponentialMovingAverage`` are all zeros at first.
    return _all_are(mean, 0.0) and (_all_are(variance, 1.0) or _all_are(variance, 0.0))


def _differ(one: Figures | None, other: Figures | None) -> bool:
    return one is not None and other is not None and one != other


def _all_are(figures: Figures | None, value: float) -> bool:
    return figures is not None and figures.least == figures.most == value
