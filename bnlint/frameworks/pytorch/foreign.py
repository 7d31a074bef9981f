"""Code that nobody described, and what it may have done to the modules that it was given."""

from __future__ import annotations

from collections.abc import Iterable

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.parameters import copied
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Instance, List, Method, Tuple


def forget(machine: Machine, values: Iterable[Value]) -> None:
    """Forget the modes of the modules in values; their statistics may be others, too."""
    for value in values:
        holder = value.receiver if isinstance(value, Method) else value
        if isinstance(holder, Unknown):
            # A method that an object has from a class that is not known.
            forget(machine, [source for source in holder.sources if isinstance(source, Instance)])
        elif isinstance(holder, List | Tuple):
            forget(machine, [item for item in holder.items if isinstance(item, ApiObject | Instance)])
        elif isinstance(holder, Instance | ApiObject):
            norms = [part for part in calling.parts_of(holder) if "norm layer" in part.slots]
            for part in norms:
                machine.store.write(part, "training", Unknown("training"))
            if norms:
                copied(machine, Unknown(), holder, machine.here, weights=False)
