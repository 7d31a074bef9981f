"""Sequences, dictionaries and assignment targets: putting values in and taking them out."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.attributes import attribute, set_attribute
from bnlint.interpreter.operators import compare
from bnlint.interpreter.store import MISSING, choice, optional
from bnlint.interpreter.values import (
    ApiObject,
    ApiRef,
    Call,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    ModuleValue,
    Partial,
    Place,
    Scope,
    Tuple,
    contents,
    located,
)

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

CONCRETE = 32
"""Loops over known items run at most this often."""

MOST_CHOSEN = 8
"""A table of more functions than this is not tried function by function."""

CALLABLE = (Function, ClassValue, Instance, Method, ModuleValue, Partial)
"""What a program keeps in tables to choose a part of itself by name."""


def put(machine: Machine, holder: Dict, key: Value, value: Value, site: Place | None) -> None:
    """Set an entry of a dictionary."""
    name = Dict.key(machine.settle(key))
    try:
        hash(name)
    except TypeError:
        return
    holder.keys[name] = key
    if site is not None:
        holder.sites[name] = site
    if isinstance(key, Unknown):
        machine.store.write(holder, Dict.OPEN, True)
    machine.store.write(holder, name, value)


def merge(machine: Machine, holder: Dict, other: Value) -> None:
    """``holder.update(other)``."""
    other = machine.settle(other)
    if isinstance(other, Dict):
        for key, value, site in other.entries():
            put(machine, holder, key, value, site)
        if other.open:
            machine.store.write(holder, Dict.OPEN, True)
    else:
        machine.store.write(holder, Dict.OPEN, True)


def item(machine: Machine, holder: Value, key: Value, site: Callable[[], Location]) -> Value:
    """``holder[key]``."""
    if isinstance(holder, Choice):
        return choice([(guards, item(machine, option, key, site)) for guards, option in holder.options])
    known = machine.constant(key)
    if isinstance(holder, Dict) and isinstance(key, Choice) and known is None:
        return choice([(guards, item(machine, holder, option, site)) for guards, option in key.options])
    if isinstance(holder, Tuple | List):
        if isinstance(holder, List) and not holder.ordered:
            return some_of(holder)
        if isinstance(known, int) and -len(holder.items) <= known < len(holder.items):
            if not (isinstance(holder, List) and holder.open and known < 0):
                return machine.settle(holder.items[known])
        return machine.unknown("", *holder.items)
    if isinstance(holder, Dict):
        name = Dict.key(machine.settle(key))
        found = holder.slots.get(name) if _hashable(name) else None
        if isinstance(found, Value):
            return machine.settle(found)
        if holder.open or isinstance(key, Unknown):
            chosen = _chosen(machine, holder, machine.settle(key), site)
            if chosen is not None:
                return chosen
            return machine.interned(("item", holder, name), lambda: machine.unknown(str(known or ""), holder))
        return machine.unknown(str(known or ""))
    if isinstance(holder, ModuleValue) or (
        isinstance(holder, ApiRef) and machine.libraries.framework_of(holder.name) is not None
    ):
        wanted = machine.picked(machine.settle(key))
        return machine.unknown("", key) if wanted is None else attribute(machine, holder, wanted, site)
    if isinstance(holder, Node):
        return machine.libraries.item(machine, holder, key, site())
    if isinstance(holder, Unknown):
        name = known if _hashable(known) and known is not None else key
        hint = f"{holder.hint}[{known!r}]" if known is not None else ""
        return machine.interned(("item", holder, name), lambda: Unknown(hint, (holder,)))
    special = machine.modules.class_method(holder, "__getitem__")
    if special is not None:
        return machine.call(special, [key], {}, site())
    found = machine.libraries.special(machine, holder, "__getitem__", Call([key], {}, site()))
    return machine.unknown("", holder) if found is None else found


def some_of(holder: List) -> Unknown:
    """One or more items of a list whose order is not known."""
    return Unknown("", (*holder.items, *contents(holder.items)))


def _chosen(machine: Machine, holder: Dict, key: Value, site: Callable[[], Location]) -> Value | None:
    """What a key that is not known picks from a table of functions, classes or modules: one of them."""
    entries = holder.entries()
    if holder.open or not isinstance(key, Unknown) or not 2 <= len(entries) <= MOST_CHOSEN:
        return None
    if not all(
        isinstance(known, Const) and isinstance(value, CALLABLE) and not optional(value)
        for known, value, _ in entries
    ):
        return None
    equal = [(compare(machine, "Eq", key, known, site), value) for known, value, _ in entries]
    return choice([(((condition, True),), value) for condition, value in equal])


def store_item(machine: Machine, holder: Value, key: Value, value: Value, site: Place) -> None:
    """``holder[key] = value``."""
    holder = machine.settle(holder)
    if isinstance(holder, Dict):
        put(machine, holder, key, value, site)
    elif isinstance(holder, List):
        index = machine.constant(key)
        if isinstance(index, int) and -len(holder.items) <= index < len(holder.items):
            items = list(holder.items)
            items[index] = value
            machine.store.write(holder, "items", tuple(items))
        else:
            machine.store.write(holder, "items", (*holder.items, value))
            machine.store.write(holder, "open", True)
    else:
        special = machine.modules.class_method(holder, "__setitem__")
        if special is not None:
            machine.call(special, [key, value], {}, located(site))


def remove_item(machine: Machine, holder: Value, key: Value) -> None:
    """``del holder[key]``."""
    known = machine.constant(key)
    if isinstance(holder, Dict):
        name = Dict.key(machine.settle(key))
        if _hashable(name) and name in holder.slots:
            machine.store.write(holder, name, MISSING)
    elif isinstance(holder, List):
        if isinstance(known, int) and not holder.open and -len(holder.items) <= known < len(holder.items):
            items = list(holder.items)
            del items[known]
            machine.store.write(holder, "items", tuple(items))
        else:
            machine.store.write(holder, "open", True)


def _hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


@dataclass(slots=True)
class Items:
    """What a loop runs over: the known items, whether there may be more, and what those would be."""

    known: list[Value]
    more: bool
    of: Value
    counted: bool = False
    """Whether they are the numbers of a ``range``."""
    hint: str = ""
    element: Value | None = None
    """What any item is, where that can be said."""

    def other(self) -> Value:
        """An item that is not known."""
        return self.element or Unknown(self.hint, contents((self.of,)))


def iterate(machine: Machine, value: Value, node: ast.expr | None, scope: Scope) -> Items:
    """The items of an iterable."""
    value = machine.settle(value)
    if isinstance(value, ApiObject | Instance):
        value = machine.libraries.special(machine, value, "__iter__", Call([], {}, machine.here)) or value
    hint = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    if isinstance(value, Tuple):
        return Items(list(value.items), False, value, hint=hint)
    if isinstance(value, List):
        counted = bool(value.slots.get("counted"))
        return Items(list(value.items), value.open, value, counted, hint)
    if isinstance(value, Dict):
        return Items([key for key, _, _ in value.entries()], value.open, value, hint=hint)
    if isinstance(value, Const) and isinstance(value.value, str):
        return Items([Const(letter) for letter in value.value[:64]], len(value.value) > 64, value)
    if isinstance(value, Node):
        element = machine.interned(("element", value), lambda: machine.node("element", (value,), value.site))
        return Items([], True, value, hint=hint, element=element)
    return Items([], True, value, hint=hint)


def unpack(machine: Machine, value: Value, targets: Sequence[ast.expr]) -> list[Value]:
    """The parts of a value that is assigned to several targets."""
    value = machine.settle(value)
    if isinstance(value, Choice) and not any(isinstance(target, ast.Starred) for target in targets):
        parts = [(guards, unpack(machine, option, targets)) for guards, option in value.options]
        return [choice([(guards, part[i]) for guards, part in parts]) for i in range(len(targets))]
    count = len(targets)
    star = next((i for i, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
    if isinstance(value, Tuple | List) and not (isinstance(value, List) and value.open):
        items = list(value.items)
        if star is None and len(items) == count:
            return [machine.settle(part) for part in items]
        if star is not None and len(items) >= count - 1:
            after = count - 1 - star
            middle = List(items[star : len(items) - after])
            return [*items[:star], middle, *items[len(items) - after :]]
    if isinstance(value, Node):
        return [machine.libraries.part(machine, value, index) for index in range(count)]
    if isinstance(value, Unknown):
        return [
            machine.interned(("part", value, index), lambda: Unknown(value.hint, (value,)))
            for index in range(count)
        ]
    return [machine.unknown("", value) for _ in range(count)]


def assign(
    machine: Machine, target: ast.expr, value: Value, scope: Scope, written: ast.expr | None = None
) -> None:
    """Bind a value to a target; ``written`` is the expression that gave the value."""
    if isinstance(target, ast.Name):
        holder = scope.declared.get(target.id, scope)
        machine.store.write(holder, target.id, value)
    elif isinstance(target, ast.Attribute):
        site = scope.module.source.location
        set_attribute(
            machine, machine.evaluate(target.value, scope), target.attr, value, lambda: site(target)
        )
    elif isinstance(target, ast.Subscript):
        holder_value = machine.evaluate(target.value, scope)
        key = machine.evaluate(target.slice, scope)
        store_item(
            machine,
            holder_value,
            key,
            value,
            (scope.module.source, written if written is not None else target),
        )
    elif isinstance(target, ast.Tuple | ast.List):
        for element, part in zip(target.elts, unpack(machine, value, target.elts), strict=True):
            assign(machine, element, part, scope)
    elif isinstance(target, ast.Starred):
        assign(machine, target.value, value, scope)
