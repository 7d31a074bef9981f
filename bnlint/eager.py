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
