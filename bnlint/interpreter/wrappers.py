"""Functions and classes that the user says to be normalisation layers: a call of one is a call of that layer."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnlint.dataflow import Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.values import Call, ClassValue, Function, Place

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A layer of the user's own, and the framework's that it is like.

    ``known`` are the parameters of the framework's layer in order, ``parameters`` its own (empty: the same), and
    ``arguments`` says which of its own are which of the framework's, where the names differ.
    """

    api: str
    known: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, machine: Machine, made: Call) -> Value:
        """Call the framework's layer instead."""
        machine.libraries.wrappers.calls.add(made.site)
        call = self.translated(made)
        # What only the wrapper takes may still be a function that builds something.
        machine.callbacks(set(made.values()).difference(call.values()), made.site)
        return machine.libraries.call(machine, self.api, call)

    def translated(self, made: Call) -> Call:
        """The call of the framework's layer that a call of the wrapper amounts to.

        What is only the wrapper's is dropped. A parameter of the wrapper's that is not given has a default that
        nobody knows, and an argument that it is not said to have may mean anything.
        """
        own = self.parameters or self.known
        meant = self._meant
        given: dict[str, tuple[Value, Place | None]] = {
            name: (value, made.sites.get(index))
            for index, (name, value) in enumerate(zip(own, made.args, strict=False))
        }
        given.update((name, (value, made.sites.get(name))) for name, value in made.kwargs.items())
        strange = len(made.args) > len(own) or any(name not in own and name not in meant for name in given)
        call = Call([], {}, made.site, open=made.open or strange, rest=made.rest)
        for name, (value, place) in given.items():
            parameter = meant.get(name)
            if parameter is not None:
                call.kwargs[parameter] = value
                if place is not None:
                    call.sites[parameter] = place
        for name in (*self.parameters, *self.arguments):
            if name in meant:
                call.kwargs.setdefault(meant[name], Unknown(name))
        return call

    @property
    def _meant(self) -> dict[str, str]:
        """The parameters of the framework's layer by those of the wrapper."""
        meant = {name: name for name in self.parameters or self.known if name in self.known}
        meant |= self.arguments
        takes_input = self.api.rpartition(".")[2][:1].islower()
        if takes_input and self.parameters and self.known[0] not in meant.values():
            # Whatever it is called, the first parameter of such a function is what it normalises.
            meant.setdefault(self.parameters[0], self.known[0])
        return meant


class Wrappers:
    """The functions and classes of the project that are wrappers."""

    def __init__(self) -> None:
        self._named: dict[str, list[tuple[tuple[str, ...], Wrapper]]] = {}
        self.calls: set[Location] = set()
        """Where wrappers are called, those of libraries included."""

    def add(self, name: str, wrapper: Wrapper) -> None:
        """Add one by its dotted name: that of its module, or the end of it, and its own."""
        parts = tuple(name.split("."))
        self._named.setdefault(parts[-1], []).append((parts, wrapper))

    def find(self, value: Value) -> Wrapper | None:
        """What a function or class of the project stands for, if the user says so."""
        if not self._named or not isinstance(value, Function | ClassValue) or value.node is None:
            return None
        candidates = self._named.get(value.name)
        if candidates is None:
            return None
        module = value.scope.module.path.with_suffix("").parts
        if module[-1] == "__init__":
            module = module[:-1]
        own = value.qualname if isinstance(value, Function) else value.name
        full = (*module, *own.split("."))
        return next((wrapper for parts, wrapper in candidates if full[-len(parts) :] == parts), None)

    def stand_in(self, machine: Machine, value: Value) -> Wrapper | None:
        """As :meth:`find`; the function or class is then not followed, and counts as seen."""
        found = self.find(value)
        if found is not None and isinstance(value, Function | ClassValue) and value.node is not None:
            machine.entered.update(
                node
                for node in ast.walk(value.node)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            )
        return found
