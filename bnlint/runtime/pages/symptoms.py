"""What can be wrong with a layer of a running program, told from what was seen of it.

A symptom is what the figures say. Whether it is a bug is for the rules to say: a symptom that no finding explains is
shown as a warning, because it may be meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bnlint.runtime.lives import are_initial
from bnlint.runtime.observed import (
    CheckpointSeen,
    Figures,
    LayerSeen,
    Mode,
    Observed,
    Passage,
    Purpose,
    RunSeen,
)
from bnlint.runtime.pages.words import average, built_at, count, number

_MOMENTUM_OFF = 0.02
"""A measured momentum that is farther off the declared one, as a share of 1 - m, is not rounding."""
_STEPS_THAT_TELL = 2
"""With fewer training steps, too little was seen to say that something never happens."""


@dataclass(slots=True)
class Seen:
    """All that was seen of one layer."""

    layer: LayerSeen
    steps: int
    """Training steps of the whole program."""
    training: list[Passage] = field(default_factory=list)
    inference: list[Passage] = field(default_factory=list)
    left_out: list[RunSeen] = field(default_factory=list)
    """The evaluations that go around it."""
    lost: list[CheckpointSeen] = field(default_factory=list)
    """The checkpoints that lack its statistics."""
    exported: list[CheckpointSeen] = field(default_factory=list)
    """The exports in which it is in training mode."""

    @property
    def training_modes(self) -> list[Mode]:
        """With which statistics it normalised in training, without what is not known."""
        return _modes(self.training)

    @property
    def inference_modes(self) -> list[Mode]:
        """The same for evaluation."""
        return _modes(self.inference)

    @property
    def moved(self) -> bool | None:
        """Whether training moved its statistics; None if that was not looked at."""
        return _any(passage.moved for passage in self.training)

    @property
    def moved_in_inference(self) -> bool | None:
        """The same for evaluation."""
        return _any(passage.moved for passage in self.inference)

    @property
    def momentum(self) -> float | None:
        """As measured in training."""
        known = (passage.momentum for passage in self.training if passage.momentum is not None)
        return next(known, None)


@dataclass(frozen=True, slots=True)
class Symptom:
    """One way to be broken."""

    one: str
    """Continues ``1 of 3 batch-norm layers`` …"""
    many: str
    """… and ``2 of 3 batch-norm layers``."""
    so: str
    """What comes of it, as a sentence for someone who does not know batch normalisation well."""
    codes: frozenset[str]
    """The rules that report bugs with this symptom."""
    tell: Callable[[Seen], str]
    """The evidence, in sentences with figures; empty if the layer does not have the symptom."""


def look(observed: Observed) -> list[Seen]:
    """What was seen of each layer, in the order of the layers."""
    known = {layer.key: Seen(layer, observed.train_steps) for layer in observed.layers}
    for run in observed.runs:
        for passage in run.passages:
            seen = known.get(passage.layer)
            if seen is not None and run.purpose is Purpose.TRAIN:
                seen.training.append(passage)
            elif seen is not None and run.purpose is Purpose.EVALUATE:
                seen.inference.append(passage)
        for key in run.skipped if run.purpose is Purpose.EVALUATE else ():
            if key in known:
                known[key].left_out.append(run)
    for checkpoint in observed.checkpoints:
        for key in checkpoint.missing:
            if key in known:
                known[key].lost.append(checkpoint)
        for key in checkpoint.training_mode:
            if key in known:
                known[key].exported.append(checkpoint)
    return list(known.values())


def symptoms_of(seen: Seen) -> Iterator[tuple[Symptom, str]]:
    """The symptoms of a layer with their evidence, the worst first."""
    for symptom in SYMPTOMS:
        text = symptom.tell(seen)
        if text:
            yield symptom, text


def _not_finite(seen: Seen) -> str:
    for what, figures in (("mean", seen.layer.last_mean), ("variance", seen.layer.last_variance)):
        if figures is not None and not all(map(math.isfinite, (figures.mean, figures.least, figures.most))):
            return f"Its moving {what} is {number(figures.mean)} at the end."
    variance = seen.layer.last_variance
    if variance is not None and variance.least < 0:
        return f"Its moving variance is negative in some channel ({number(variance.least)})."
    return ""


def _no_statistics(seen: Seen) -> str:
    if seen.layer.has_statistics or Mode.BATCH not in seen.inference_modes:
        return ""
    return (
        "It is a formula over the batch and keeps no moving statistics. In evaluation it normalises with the "
        "statistics of the batch, too."
    )


def _trained_in_inference_mode(seen: Seen) -> str:
    if not seen.layer.trainable or seen.training_modes != [Mode.MOVING] or seen.steps < _STEPS_THAT_TELL:
        return ""
    stays = ", which never change" if seen.moved is False else ""
    return (
        f"In the training steps its output is the formula with the moving statistics{stays}. It should normalise "
        "with the statistics of the batch there."
    )


def _never_moved(seen: Seen) -> str:
    layer = seen.layer
    if (
        not layer.has_statistics
        or not layer.trainable
        or seen.steps < _STEPS_THAT_TELL
        or seen.moved is not False
    ):
        return ""
    if seen.training_modes == [Mode.MOVING]:
        return ""
    text = f"In {count(seen.steps, 'training step')} its moving statistics never moved: "
    text += f"{_pair(layer.last_mean, layer.last_variance) or 'they are what they were at the beginning'}"
    batch = _pair(layer.batch_mean, layer.batch_variance)
    return f"{text}; those of the batches are {batch}." if batch else f"{text}."


def _left_out(seen: Seen) -> str:
    if not seen.left_out:
        return ""
    run = seen.left_out[0]
    where = f" at {built_at(run.site)}" if run.site else ""
    others = len(seen.left_out) - 1
    more = f" (and {count(others, 'other evaluation')})" if others else ""
    return (
        f"The evaluation{where}{more} uses the weights that were trained behind this layer, and goes around the "
        "layer itself."
    )


def _own_statistics(seen: Seen) -> str:
    if seen.training or not seen.inference or not seen.layer.has_statistics or seen.steps < _STEPS_THAT_TELL:
        return ""
    mean, variance = seen.layer.last_mean, seen.layer.last_variance
    if not are_initial(mean, variance):
        return ""
    return (
        "It runs in evaluation only, with statistics of its own, which are what they were at the beginning: "
        f"{_pair(mean, variance)}."
    )


def _batch_in_inference(seen: Seen) -> str:
    if not seen.layer.has_statistics or Mode.BATCH not in seen.inference_modes:
        return ""
    passage = next(passage for passage in seen.inference if passage.mode is Mode.BATCH)
    where = f" at {built_at(passage.site)}" if passage.site else ""
    told = " It was told that it is training." if passage.declared else ""
    return f"In evaluation{where} its output is the formula with the statistics of the batch.{told}"


def _moved_in_inference(seen: Seen) -> str:
    if not seen.moved_in_inference:
        return ""
    return "Runs that evaluate move its statistics: it goes on learning from the data it is measured with."


def _frozen(seen: Seen) -> str:
    if seen.layer.trainable or not seen.training:
        return ""
    if seen.moved:
        return "It is declared frozen, and training moves its statistics."
    if seen.layer.has_statistics and Mode.BATCH in seen.training_modes:
        return (
            "It is declared frozen, and normalises with the statistics of the batch in training; those that inference "
            "uses never move."
        )
    return ""


def _momentum(seen: Seen) -> str:
    declared, measured = seen.layer.momentum, seen.momentum
    if declared is None or measured is None or seen.moved is False:
        return ""
    if inverted(declared, measured):
        return (
            f"The momentum {average(declared)} is meant as the share that is kept, and one update keeps "
            f"{average(measured)}: it is taken the other way around."
        )
    if abs(measured - declared) > max(_MOMENTUM_OFF * (1 - declared), 1e-6):
        return f"The momentum is declared as {average(declared)}, and one training step keeps {average(measured)}."
    return ""


def _neither(seen: Seen) -> str:
    if Mode.NEITHER in seen.training_modes:
        phase, passages = "training", seen.training
    elif Mode.NEITHER in seen.inference_modes:
        phase, passages = "evaluation", seen.inference
    else:
        return ""
    worst = max(
        (p for p in passages if p.mode is Mode.NEITHER), key=lambda p: min(p.batch_error, p.moving_error)
    )
    error = min(worst.batch_error, worst.moving_error)
    return f"In {phase} its output fits neither formula: it is off by {number(error)} times what rounding explains."


def _lost(seen: Seen) -> str:
    if not seen.lost:
        return ""
    where = f" at {built_at(seen.lost[0].site)}" if seen.lost[0].site else ""
    return f"The checkpoint{where} does not hold its moving statistics."


def _exported(seen: Seen) -> str:
    if not seen.exported:
        return ""
    where = f" at {built_at(seen.exported[0].site)}" if seen.exported[0].site else ""
    return f"The model is exported{where} with this layer in training mode."


def inverted(declared: float, measured: float) -> bool:
    """Whether a momentum is taken for 1 - m."""
    return abs(declared - 0.5) > 0.1 and abs(measured - (1 - declared)) < 0.1 * min(declared, 1 - declared)


def _any(answers: Iterator[bool | None]) -> bool | None:
    known = [answer for answer in answers if answer is not None]
    return any(known) if known else None


def _modes(passages: list[Passage]) -> list[Mode]:
    return list(dict.fromkeys(p.mode for p in passages if p.mode is not Mode.UNKNOWN))


def _pair(mean: Figures | None, variance: Figures | None) -> str:
    if mean is None or variance is None:
        return ""
    return f"mean {_figure(mean)}, variance {_figure(variance)}"


def _figure(figures: Figures) -> str:
    """One number if all channels have it, else their range."""
    if figures.least == figures.most:
        return number(figures.mean)
    return f"{number(figures.least)} to {number(figures.most)}"


def _codes(text: str) -> frozenset[str]:
    return frozenset(f"BN{code}" for code in text.split())


SYMPTOMS = (
    Symptom(
        "has statistics that are not finite",
        "have statistics that are not finite",
        "Nothing that inference computes with them is of use.",
        _codes(""),
        _not_finite,
    ),
    Symptom(
        "was trained in inference mode",
        "were trained in inference mode",
        "The layer did not normalise while the model was trained, and it learned no statistics.",
        _codes("104 107 108 114 202 203 204 205 214"),
        _trained_in_inference_mode,
    ),
    Symptom(
        "never learned its statistics",
        "never learned their statistics",
        "Training looks fine, because it uses the statistics of each batch. Inference uses the learned ones, and those "
        "are not there: outside of training the model computes something else than what was trained.",
        _codes("101 102 103 104 106 110 113 204 214"),
        _never_moved,
    ),
    Symptom(
        "is left out when the model is evaluated",
        "are left out when the model is evaluated",
        "What is measured there is another network than the one that was trained.",
        _codes("301"),
        _left_out,
    ),
    Symptom(
        "is evaluated with statistics that nothing trains",
        "are evaluated with statistics that nothing trains",
        "The evaluation uses its own copy of the statistics instead of the ones that training learns.",
        _codes("302"),
        _own_statistics,
    ),
    Symptom(
        "keeps no statistics for inference",
        "keep no statistics for inference",
        "A prediction depends on which other samples are in its batch.",
        _codes("105"),
        _no_statistics,
    ),
    Symptom(
        "uses the statistics of the batch when the model is evaluated",
        "use the statistics of the batch when the model is evaluated",
        "A prediction depends on which other samples are in its batch, and one sample alone cannot be predicted.",
        _codes("105 114 201 203 204 205 214"),
        _batch_in_inference,
    ),
    Symptom(
        "goes on learning while the model is evaluated",
        "go on learning while the model is evaluated",
        "Evaluation changes the model that it measures.",
        _codes("201 203 210"),
        _moved_in_inference,
    ),
    Symptom(
        "is frozen and does not behave so",
        "are frozen and do not behave so",
        "A frozen layer should use its stored statistics and leave them alone.",
        _codes("107 113 203"),
        _frozen,
    ),
    Symptom(
        "has another momentum than is declared",
        "have another momentum than is declared",
        "The moving statistics follow the batches faster or slower than was asked for.",
        _codes("110 204"),
        _momentum,
    ),
    Symptom(
        "computes something else than batch normalisation",
        "compute something else than batch normalisation",
        "The output fits neither the formula for training nor the one for inference.",
        _codes("603 604 606"),
        _neither,
    ),
    Symptom(
        "is saved without its statistics",
        "are saved without their statistics",
        "A model that is restored from the checkpoint predicts with the initial statistics.",
        _codes("501"),
        _lost,
    ),
    Symptom(
        "is exported in training mode",
        "are exported in training mode",
        "The exported model normalises with whatever batch it is given.",
        _codes("801"),
        _exported,
    ),
)
"""The worst first: the first one that a layer has is its headline."""
