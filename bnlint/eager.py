"""What happens only in eager programs, beside the events of ``bnlint.trace``: data, devices and derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.dataflow import Node, Value
from bnlint.trace import Arguments, Event, NormCall, NormLayer


@dataclass(eq=False, slots=True)
class Batches(Event):
    """Data is cut into batches."""

    value: Value
    """What stands for the batches."""
    size: Value
    """How many examples each batch has."""
    arguments: Arguments = field(default_factory=Arguments)


@dataclass(eq=False, slots=True)
class Synchronise(Event):
    """Normalisations are made to share their statistics between processes."""

    target: Value
    result: Value
    """Another object than the target where that is such a layer itself, and is not changed."""
    layers: tuple[NormLayer, ...] = ()


@dataclass(eq=False, slots=True)
class Replicate(Event):
    """A model is wrapped for training on several devices."""

    target: Value
    api: str
    alone: tuple[NormLayer, ...] = ()
    """Its layers of which each replica uses its own statistics."""
    synchronised: tuple[NormLayer, ...] = ()
    """Its layers that share them, or may do so."""
    devices: int | None = None
    """How many devices there are in one process; None when that is not known."""


@dataclass(eq=False, slots=True)
class Applied(Event):
    """An optimizer changes weights by the gradients that have been gathered."""

    optimizer: Value


@dataclass(eq=False, slots=True)
class Derivative(Event):
    """The program asks for derivatives itself, to compute with them."""

    result: Node
    outputs: tuple[Value, ...]
    inputs: tuple[Value, ...]
    again: Value
    """Whether it can be differentiated once more."""


@dataclass(eq=False, slots=True)
class Recomputed(Event):
    """A part of a model is computed once more for its gradients (activation checkpointing)."""

    api: str
    norms: tuple[NormCall, ...]
    """The normalisations in it."""


@dataclass(eq=False, slots=True)
class Padded(Event):
    """Sequences that may have different lengths stand in one tensor, filled up to the longest."""

    value: Value
    """The tensor."""
    batch_first: Value
    """Whether the examples are in the first axis, and the steps in the second; else it is the other way round."""
    lengths: Value
    """How many steps each has."""
    packed: bool = False
    """Whether the event is that the padding is left out again, from that tensor."""
    vectors: bool = False
    """Whether each step certainly has several numbers, in a third axis."""


@dataclass(eq=False, slots=True)
class Rearranged(Event):
    """A tensor is given other axes; no position is left out."""

    value: Value
    result: Value
    by: str
    """How: ``transpose``, ``permute``, ``view``, ``reshape``, ``flatten`` or ``unsqueeze``; anything else
    (``contiguous``, ``masked_fill``) leaves the axes as they are."""
    given: tuple[Value, ...]
    """The axes or the sizes."""
