"""What can be verified: the protocol between the twelve checks, which know no framework, and the backends.

A backend makes a ``Subject`` of a model. The checks ask it for whole passes (a training step, an inference), in which
it records what went into and came out of every normalisation layer, and for single layers on given data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bnlint.errors import UserError
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array, Statistics

KEPT_VALUES = 1 << 16
"""How many values of an activation are kept for a closer look; the statistics are always of all of them."""


class CannotRun(Exception):
    """Something that a check needs cannot be done to this subject; the text is the reason for a SKIP, a clause."""


@dataclass(slots=True)
class Renorm:
    """What batch renormalisation corrects with (Ioffe 2017), and the limits of the correction."""

    mean: Array
    stddev: Array
    r_least: float = 0.0
    r_most: float = math.inf
    d_most: float = math.inf


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with how a model holds a layer, if the backend knows: it explains what some checks find."""

    rule: str
    clause: str
    checks: frozenset[int]


@dataclass(slots=True)
class Norm:
    """A normalisation layer, as the checks see it."""

    seen: LayerSeen
    dtype: str = "float32"
    """Of the statistics."""
    frozen: bool = False
    """Declared so by the user: neither its weights nor its statistics are to move."""
    one_pass: bool = False
    """It computes the variance as the mean of squares minus the square of the mean."""
    epsilons: tuple[float, ...] = ()
    """What epsilon may be, if it is not declared."""
    why_not: str = ""
    """Why the formulas do not apply to it, as a clause; empty if they do."""
    renorm: bool = False
    """Batch renormalisation: the training output is corrected with moving statistics of its own."""
    phase_is_fed: bool | None = None
    """Whether the user chooses the phase with each run; None where the framework does."""
    faults: list[Fault] = field(default_factory=list)
    by_choice: bool = False
    """That it keeps no moving statistics is declared."""
    aside: bool = False
    """In a part of the model that runs in training alone as a whole, as an auxiliary classifier does."""
    recomputed: bool = False
    """Its forward pass runs again for the gradients, to save memory."""
    unseen: str = ""
    """Why nobody can watch it run, as a clause; empty if one can."""

    @property
    def key(self) -> str:
        """Unique among the layers of the subject."""
        return self.seen.key


@dataclass(slots=True)
class Application:
    """One layer, applied once: ``x`` and ``y`` are what was kept of its input and output."""

    key: str
    x: Array
    y: Array
    dtype: str
    """Of the output."""
    batch: Statistics | None
    """The statistics of the whole input; None in passes where nobody asks for them."""
    mean: Array
    """The moving statistics when the layer was applied; None if it has none."""
    variance: Array
    gamma: Array = None
    beta: Array = None
    examples: int = 0
    renorm: Renorm | None = None
    axes: tuple[int, ...] = (-1,)
    mask: Array = None


@dataclass(slots=True)
class Pass:
    """What happened in one pass through the subject."""

    applications: list[Application] = field(default_factory=list)
    outputs: list[Array] = field(default_factory=list)
    random: bool = False
    """Whether random numbers were drawn, as dropout and augmentation do."""
    moved_weights: list[str] = field(default_factory=list)
    """In a training step: the layers whose gamma or beta moved."""

    def of(self, key: str) -> list[Application]:
        """How a layer was applied, in order."""
        return [application for application in self.applications if application.key == key]

    def ran(self) -> list[str]:
        """The layers that ran, in the order of their first application."""
        return list(dict.fromkeys(application.key for application in self.applications))


@dataclass(slots=True)
class RoundTrip:
    """What a fresh model knows after it has read the checkpoint."""

    how: str
    """What was done, as a clause."""
    statistics: dict[str, tuple[Array, Array]]
    """By the keys of the original."""
    outputs: list[Array] | None
    """Of an inference on the probe batch; None if every variable was compared instead."""
    lost: str = ""
    """The first variable that is another one, if all were compared."""


class Subject(Protocol):
    """A model with a probe batch."""

    framework: str
    examples: int
    """How many samples the probe batch has."""
    notes: list[str]
    """Sentences about what could not be looked at."""

    def norms(self) -> list[Norm]:
        """The normalisation layers."""

    def restored(self) -> AbstractContextManager[None]:
        """Within it anything may be done to the model; after it everything is as it was."""

    def train(self) -> Pass:
        """One training step on the probe batch, as the model is trained.

        After it the statistics have moved, and the weights are as they were.
        """

    def infer(self, first_only: bool = False) -> Pass:
        """One inference on the probe batch, or on its first sample alone."""

    def statistics(self, key: str) -> tuple[Array, Array] | None:
        """The moving mean and variance of a layer, as copies; None if it has none."""

    def set_statistics(self, key: str, mean: Array, variance: Array) -> None:
        """Set the moving statistics of a layer, and what it derives from them."""

    def alone(self, key: str, x: Array, training: bool) -> Application:
        """Apply one layer to x, in the way that the last pass of that kind did; its statistics may move.

        Raises CannotRun.
        """

    def round_trip(self) -> RoundTrip:
        """Write a checkpoint, read it into a fresh model and infer with that.

        Raises CannotRun.
        """


def kept(shape: Sequence[int], axes: Sequence[int]) -> tuple[slice, ...]:
    """Which positions of an activation to keep: all channels, evenly spread over the rest.

    The first example is always among them. Of axes with equal shares the later are thinned out first.
    """
    rank = len(shape)
    channels = {axis % rank for axis in axes} if rank else set()
    steps = [1] * rank
    for axis in reversed([axis for axis in range(rank) if axis not in channels]):
        size = math.prod(-(-length // step) for length, step in zip(shape, steps, strict=True))
        # At least two positions of every axis stay, and of the examples eight: the layer alone needs a batch.
        least = 8 if axis == 0 else 2
        if size > KEPT_VALUES and shape[axis] > least:
            steps[axis] = min(-(-size // KEPT_VALUES), shape[axis] // least)
    return tuple(slice(None, None, step) for step in steps)


def refuse_bad_numbers(name: str, values: Array) -> None:
    """Raise UserError if the batch cannot be used for measuring."""
    import numpy

    if values.dtype.kind not in "fiub" and values.dtype.name != "bfloat16":
        raise UserError(
            f"The {name} holds values of the type {values.dtype}, not numbers. Give arrays of numbers."
        )
    if values.size == 0:
        raise UserError(
            f"The {name} is empty (its shape is {values.shape}). Give at least 8 different samples."
        )
    if values.dtype.kind not in "iub":
        as_float = values.astype(numpy.float32) if values.dtype.name == "bfloat16" else values
        bad = int((~numpy.isfinite(as_float)).sum())
        if bad:
            values_are = "1 value that is" if bad == 1 else f"{bad:,} values that are"
            raise UserError(
                f"The {name} holds {values_are} NaN or infinite; every statistic of it would be, too. Remove those "
                "samples."
            )
