"""What a running program did that matters to batch normalisation, as plain data.

It is written by the backends and read by the rules (``Rule.confirm``), the reports and ``check --evidence``. All of
it can be turned into JSON and back without loss; arrays are kept as summaries (``Figures``), never whole.

Notation: a layer keeps moving statistics r (mean and variance); a batch has the statistics B. A training step does
r <- m r + (1 - m) B with the momentum m (the share that is kept; PyTorch's ``momentum`` is 1 - m).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from bnlint.findings import Location


class Mode(enum.Enum):
    """With which statistics a layer normalised, told by its output and not by its flags."""

    BATCH = "batch statistics"
    MOVING = "moving statistics"
    BOTH = "either"
    """Both formulas fit: the batch has the statistics that are stored."""
    NEITHER = "neither"
    """Neither formula fits, for example because of renormalisation or a wrong variance."""
    UNKNOWN = "unknown"


class Purpose(enum.Enum):
    """What a run was for."""

    TRAIN = "training"
    """It changed weights by an optimizer."""
    EVALUATE = "evaluation"
    """It changed no weights, and there is evidence that it measures or predicts."""
    UNKNOWN = "unknown"


METHODS_THAT_TRAIN = ("fit", "train_on_batch")
METHODS_THAT_EVALUATE = ("evaluate", "predict", "test_on_batch", "predict_on_batch")
"""Of a Keras model."""


@dataclass(slots=True)
class Figures:
    """A vector in short: its mean, its extremes, and its first values (at most 8), over the channels."""

    mean: float
    least: float
    most: float
    first: list[float] = field(default_factory=list)


@dataclass(slots=True)
class LayerSeen:
    """One normalisation layer: one set of statistics."""

    key: str
    """Unique in the run."""
    name: str
    """For the user: the scope of its variables, or the name of the object."""
    api: str
    """Canonical name of the API that made it, as in the trace of ``bnlint check``."""
    framework: str
    site: Location | None
    """The line of the user's code that built it."""
    callers: list[Location] = field(default_factory=list)
    """The user's lines on the way there, innermost first, at most five."""
    channels: int = 0
    axes: list[int] = field(default_factory=list)
    """The axes that it takes for those of the channels in its input, counted from 0."""
    channels_in: list[int] = field(default_factory=list)
    """The axis in which a convolution or a recurrent layer that makes its input puts the channels; none if that is not
    known."""
    epsilon: float = 0.0
    momentum: float | None = None
    """As declared: the share that is kept."""
    trainable: bool = True
    has_statistics: bool = True
    """False for a bare formula over the batch: there is nothing to use in inference."""
    updates: str = "in place"
    """Who moves the statistics: ``collected``, ``in place``, ``attribute``, ``by hand``, ``none``: the values of
    ``bnlint.trace.Updates``."""
    updates_read: str = ""
    """What the program did with the collection of the updates: ``never`` read it, read it ``too early``, or collected
    them and left them ``unused``; empty when that is not known."""
    fused: bool = False
    initial_mean: Figures | None = None
    initial_variance: Figures | None = None
    initial_scale: Figures | None = None
    """Of gamma, when it was first seen."""
    initial_offset: Figures | None = None
    """Of beta."""
    last_mean: Figures | None = None
    last_variance: Figures | None = None
    batch_mean: Figures | None = None
    """B of the last sampled training step, and a running average of B over all sampled ones in ``history``."""
    batch_variance: Figures | None = None
    history: list[tuple[int, float, float]] = field(default_factory=list)
    """For the picture: training step, distance of r's mean from B's, distance of the variances; each relative to B."""
    track: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    """For the picture: training step, r's mean, B's mean, r's variance, B's variance, all of one channel: the one whose
    B was farthest from r in the first step that was looked at."""
    divergence: float | None = None
    """The largest difference between the output by B and the output by r for the input of the last sampled training
    step, in standard deviations of the output by B: as in ``LayerFigures``."""
    independence: float | None = None
    """As in ``LayerFigures``; None when it was not measured."""
    train_sample: list[float] = field(default_factory=list)
    """For the picture: some outputs by B of the last sampled training step (at most 256)."""
    inference_sample: list[float] = field(default_factory=list)
    """The outputs by r for the same input at the same places."""
    last_scale: Figures | None = None
    """Of gamma, when it was last seen."""
    given: list[str] = field(default_factory=list)
    """The parameters that it was given by position when it was built, where that is known."""
    statistics_type: str = ""
    """The type of its moving statistics, like ``float16``, when they were last used; empty if that is not known."""
    registered: bool | None = None
    """Whether the model that runs it has it, or its gamma, among its parts; None if that is not known."""
    buffered: bool | None = None
    """Whether the model has its moving statistics among its buffers or parameters; None if it is not known where it
    has them from."""
    in_forward: bool = False
    """Whether it was built while a module was being called."""
    rebuilt: int = 0
    """How often the same lines built it anew after the one before was gone, each for one forward pass only."""
    copy_of: str = ""
    """The key of the layer that it is a copy of, if it is one."""
    left_behind: bool = False
    """Whether the model that runs it said once that it is in evaluation mode, while all that is inside was in training
    mode, because nobody had switched the model in the way of its framework."""
    own_switch: Location | None = None
    """With ``left_behind``: where the class of the model has a switch of its own, if it has one."""
    stale: str = ""
    """Why it once used moving statistics that no data had been through since: they were ``reset``, or are those of the
    last of the weights that were ``averaged``."""
    stale_site: Location | None = None
    """The line that did that."""

    def momentum_of(self, kept: float) -> float:
        """What the layer's framework calls momentum, for a share that is kept."""
        return 1 - kept if self.framework == "pytorch" else kept


@dataclass(slots=True)
class Passage:
    """One layer in one kind of run; the figures are from the sampled runs, the worst of them where it matters."""

    layer: str
    """The layer's key."""
    mode: Mode
    declared: bool | None = None
    """The phase that the layer was given (true: training); None when there is none or it is not known."""
    origin: str = ""
    """How it got it: the values of ``bnlint.trace.Origin``."""
    fixed: bool | None = None
    """Whether the phase is a constant that no feed and no variable can change; None when that is not known."""
    phase_site: Location | None = None
    """The line that made the placeholder which tells the phase, or that set the phase of the whole program; for a
    module that has a mode, the one that last called its ``train`` or ``eval``."""
    trained: bool | None = None
    """Whether the run changed the layer's own gamma or beta; None when it has none or it is not known."""
    trainable: bool | None = None
    """Whether the program had it trainable when it called the trainer (``fit``) for the run; None when that is not
    known, or not always the same."""
    moved: bool | None = None
    """Whether r changed during the run; None when it was not looked at."""
    momentum: float | None = None
    """As measured: the share of r that was kept."""
    updates: float | None = None
    """How many updates one run made, where it can be told."""
    batch_error: float = 0.0
    """The largest difference between the output and the formula with B, in units of the tolerance."""
    moving_error: float = 0.0
    """The same for r."""
    tolerance: float = 0.0
    samples: int = 0
    """How many runs were looked at."""
    batch: int = 0
    """Examples in the batch."""
    site: Location | None = None
    """The user's line that applied the layer."""
    instead: str = ""
    """What the layer does if neither formula fits, as a clause, where one of the usual mistakes fits."""
    suspect: str = ""
    """The code of the rule about that mistake."""
    apart: float = 0.0
    """Where the layer had been applied before in the same forward pass, to the output of other layers or to what this
    input was computed from: the largest difference between the means of a channel, in standard deviations."""
    mixed: float = 0.0
    """Where the layer was applied in one training step to examples of two sets of data, in separate calls: how far the
    means of a channel are apart over all such steps, in standard deviations, less what may be chance."""
    mixed_with: Location | None = None
    """With ``mixed``: the line of the first of the two calls."""
    mixed_at: Location | None = None
    """The line of the second."""
    recomputed: bool = False
    """Whether the layer ran again for the backward pass, as activation checkpointing has it: ``updates`` has both."""
    checkpoint: Location | None = None
    """With ``recomputed``: the line of the checkpoint."""
    statistics_type: str = ""
    """The type of its moving statistics then, where it is known."""
    penalised: Location | None = None
    """The line that took a gradient through the layer by the examples, if the loss that was trained depends on it."""
    converted: Location | None = None
    """The line that had put them into that type, if they were made with another one."""


@dataclass(slots=True)
class RunSeen:
    """Runs of one kind: from the same line of the user's code, with the same fetches and phases."""

    key: str
    site: Location | None
    api: str
    """``tf.Session.run``, ``keras.Model.fit``, ``tf.GradientTape``, …"""
    purpose: Purpose
    reasons: list[str] = field(default_factory=list)
    """Why it is taken for that, as clauses."""
    count: int = 0
    passages: list[Passage] = field(default_factory=list)
    """The layers that ran in it."""
    skipped: list[str] = field(default_factory=list)
    """Keys of layers over whose trained weights it ran without the layer itself (BN301)."""
    fed: dict[str, str] = field(default_factory=dict)
    """Phase-like values that were fed, by the name of the placeholder or argument."""
    callers: list[Location] = field(default_factory=list)
    order: int = 0
    """When it first happened, counting runs."""
    last: int = 0
    """When it last happened, counting runs; 0 when that is not known."""
    step: Location | None = None
    """For training: the line that built the train step."""
    skips: Location | None = None
    """With ``skipped``: the line that built the first operation that goes without the layers, if it can be told."""
    training: bool | None = None
    """The mode of the outermost module that was called, if it has one."""
    recorded: bool | None = None
    """Whether gradients could have been taken of it; None if that is not known."""
    repeats: int = 0
    """How often a model with dropout that was on got the very input that it had got in the run right before."""
    gathered: int = 0
    """For training: how many forward passes from the same lines, each with a backward pass of its own, went into one
    step; the most that were seen, 0 if that is not known."""


@dataclass(slots=True)
class SwitchSeen:
    """A line that puts a module and its parts into training or evaluation mode."""

    site: Location | None
    training: bool
    module: str
    """The name of the module's class."""
    own: bool
    """Whether the module is a normalisation layer itself."""
    callers: list[Location] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    """Keys of the layers that it put into that mode."""
    count: int = 0
    order: int = 0
    """How many kinds of runs had been seen when it happened first."""


@dataclass(slots=True)
class CheckpointSeen:
    """A checkpoint that was written or read, or a model that was exported."""

    site: Location | None
    api: str
    writes: bool
    missing: list[str] = field(default_factory=list)
    """Keys of layers whose statistics it does not hold."""
    training_mode: list[str] = field(default_factory=list)
    """For an export: keys of layers that are in training mode in it."""
    strict: bool | None = None
    """For a model that takes a state dictionary: whether all names had to fit."""
    left_out: list[str] = field(default_factory=list)
    """Names of the model that are not in it, at most 20."""
    unused: list[str] = field(default_factory=list)
    """Names in it that the model does not have, at most 20."""


@dataclass(slots=True)
class Observed:
    """All that was seen of one program."""

    entry: str
    """Display path of the script."""
    frameworks: dict[str, str] = field(default_factory=dict)
    """Versions by name."""
    layers: list[LayerSeen] = field(default_factory=list)
    runs: list[RunSeen] = field(default_factory=list)
    checkpoints: list[CheckpointSeen] = field(default_factory=list)
    train_steps: int = 0
    ended: str = ""
    """How the script ended if not by itself: ``timeout``, ``memory``, ``max-steps``, ``exception``, ``signal 9`` …"""
    error: str = ""
    """The exception that ended it: its type and the first line that tells something."""
    error_site: Location | None = None
    """The innermost place of the user's code in its traceback."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """Sentences about what could not be observed, and why."""
    switches: list[SwitchSeen] = field(default_factory=list)
    """Of modules that have a mode."""

    def layer(self, key: str) -> LayerSeen:
        """The layer of a key."""
        return next(layer for layer in self.layers if layer.key == key)

    def training(self) -> list[RunSeen]:
        """The runs that changed weights."""
        return [run for run in self.runs if run.purpose is Purpose.TRAIN]

    def evaluations(self) -> list[RunSeen]:
        """The runs that evaluate."""
        return [run for run in self.runs if run.purpose is Purpose.EVALUATE]


@dataclass(slots=True)
class LayerFigures:
    """One layer that ``bnlint.verify`` looked at: the row of a table, and what the picture of it needs."""

    layer: LayerSeen
    train: Passage | None = None
    """None if the layer did not run in the training step."""
    inference: Passage | None = None
    divergence: float | None = None
    """The largest difference between the training and the inference output for the same input, in standard
    deviations of the training output, with the statistics that the model came with."""
    independence: float | None = None
    """How much the inference output of one sample depends on the rest of the batch, in units of the tolerance: up
    to 1 is rounding."""
    converges: float | None = None
    """Where repeated training steps on the same data lead, as a distance from the statistics of the data, in units
    of the tolerance."""
    verdict: str = "SKIP"
    """The worst over the twelve checks: ``PASS``, ``WARN``, ``FAIL`` or ``SKIP``."""
    train_sample: list[float] = field(default_factory=list)
    """Some outputs of the training step (at most 256), for the picture."""
    inference_sample: list[float] = field(default_factory=list)
    """The inference outputs at the same places."""
