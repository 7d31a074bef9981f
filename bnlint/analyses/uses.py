"""When layers are used, and in which mode, where each call of a model is made where it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.dataflow import World
from bnlint.trace import Copy, Forward, NormCall, NormLayer, Trace, Updates


@dataclass(frozen=True, slots=True)
class Use:
    """A call of a model in which a layer normalises."""

    forward: Forward
    call: NormCall

    @property
    def order(self) -> int:
        """When it happens."""
        return self.forward.order

    @property
    def training(self) -> bool | None:
        """Whether the layer uses the statistics of the batch; None when not known."""
        return self.call.training(World(self.forward.guards))

    @property
    def learns(self) -> bool:
        """Whether the moving statistics certainly move."""
        return self.training is True and self.call.updates is Updates.IN_PLACE


def uses(layer: NormLayer, trace: Trace) -> list[Use]:
    """The uses of a layer, in order."""
    found: dict[NormLayer, list[Use]] | None = trace.facts.get("uses of layers")
    if found is None:
        found = trace.facts["uses of layers"] = {}
        for forward in sorted(trace.of(Forward), key=lambda forward: forward.order):
            for call in forward.norms:
                found.setdefault(call.layer, []).append(Use(forward, call))
    return found.get(layer, [])


def copies_into(layer: NormLayer, trace: Trace) -> list[Copy]:
    """What is written to a layer from elsewhere, in order."""
    found: dict[NormLayer, list[Copy]] | None = trace.facts.get("copies into layers")
    if found is None:
        found = trace.facts["copies into layers"] = {}
        for copy in trace.of(Copy):
            for target in copy.written_to:
                found.setdefault(target, []).append(copy)
    return found.get(layer, [])


def copied_layers(trace: Trace) -> Iterator[NormLayer]:
    """The layers that something is written to from elsewhere."""
    yield from dict.fromkeys(layer for copy in trace.of(Copy) for layer in copy.written_to)
