"""What has a name when a function ends: a repair that needs a value must know how to write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Named, Node, Unknown, Value
from bnlint.interpreter.values import ApiObject, Instance, List, ModuleValue, Scope, Tuple, contents

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine


def names_in(machine: Machine, scope: Scope) -> list[Named]:
    """The names that a function, or a module, gives to values, with the attributes of its objects."""
    found: list[Named] = []
    for name, value in scope.slots.items():
        if isinstance(name, str) and isinstance(value, Value) and not isinstance(value, ModuleValue):
            found.extend(_named(machine, name, value))
            if isinstance(value, Instance):
                for attribute, inner in value.slots.items():
                    if isinstance(attribute, str) and isinstance(inner, Value) and attribute.isidentifier():
                        found.extend(_named(machine, f"{name}.{attribute}", inner))
    return found


def _named(machine: Machine, text: str, value: Value) -> Iterator[Named]:
    if isinstance(value, Node | Unknown | Choice):
        yield Named(text, (value,), False)
    elif isinstance(value, List | Tuple):
        if all(isinstance(item, Node | Unknown | Choice) for item in value.items):
            yield Named(text, value.items, True)
    elif _is_keras(value):
        updates = machine.attribute(value, "updates", machine.here)
        yield Named(f"{text}.updates", contents((updates,)), True)


def _is_keras(value: Value) -> bool:
    """Whether an object is a layer or a model of Keras, with the updates that Keras gives it."""
    if isinstance(value, ApiObject):
        return value.kind.startswith(("keras.layers.", "keras.Model", "keras.Sequential"))
    if isinstance(value, Instance):
        base = value.cls.api()
        return base is not None and base.name.startswith("keras.") and value.cls.find("updates") is None
    return False
