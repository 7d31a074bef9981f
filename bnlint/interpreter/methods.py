"""The methods of lists, dictionaries and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnlint.dataflow import Const, Unknown, Value
from bnlint.interpreter.containers import item, merge, put
from bnlint.interpreter.operators import MOST, is_wide
from bnlint.interpreter.store import MISSING, optional, otherwise
from bnlint.interpreter.values import (
    NONE,
    Call,
    Dict,
    List,
    Tuple,
)

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine
from bnlint.interpreter.builtins import COUNTABLE, handles, in_order, items_of, shallow_copy


@handles("builtins.list.append", "builtins.list.add")
def _append(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, List) and call.args:
        machine.store.write(call.receiver, "items", (*call.receiver.items, call.args[0]))
    return NONE


@handles("builtins.list.extend", "builtins.list.update")
def _extend(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, List) and call.args:
        items, more = items_of(machine, call.args[0])
        if not items and more:
            items = (machine.settle(call.args[0]),)
        if len(call.receiver.items) + len(items) > MOST:
            items, more = (), True
        machine.store.write(call.receiver, "items", (*call.receiver.items, *items))
        if more:
            machine.store.write(call.receiver, "open", True)
    return NONE


@handles("builtins.list.insert")
def _insert(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, List) and len(call.args) == 2:
        index = machine.constant(call.args[0])
        items = list(call.receiver.items)
        items.insert(index if isinstance(index, int) else len(items), call.args[1])
        machine.store.write(call.receiver, "items", tuple(items))
    return NONE


@handles("builtins.list.pop")
def _pop(machine: Machine, call: Call) -> Value:
    receiver = call.receiver
    index = machine.constant(call.args[0]) if call.args else -1
    if (
        isinstance(receiver, List)
        and isinstance(index, int)
        and not (receiver.open and index < 0)
        and -len(receiver.items) <= index < len(receiver.items)
    ):
        items = list(receiver.items)
        value = items.pop(index)
        machine.store.write(receiver, "items", tuple(items))
        return value
    return machine.unknown("", receiver or Unknown())


@handles(
    "builtins.list.remove",
    "builtins.list.clear",
    "builtins.list.sort",
    "builtins.list.reverse",
    "builtins.list.discard",
)
def _remove(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, List):
        if call.name.endswith("clear"):
            machine.store.write(call.receiver, "items", ())
        elif call.name.endswith("reverse"):
            machine.store.write(call.receiver, "items", tuple(reversed(call.receiver.items)))
        elif call.name.endswith("sort"):
            items = call.receiver.items
            machine.store.write(call.receiver, "items", tuple(in_order(machine, items, call)))
        elif call.args:
            wanted = Dict.key(machine.settle(call.args[0]))
            kept = list(call.receiver.items)
            index = next((i for i, item in enumerate(kept) if Dict.key(item) == wanted), None)
            if index is not None:
                del kept[index]
                machine.store.write(call.receiver, "items", tuple(kept))
    return NONE


@handles("builtins.list.copy")
def _list_copy(machine: Machine, call: Call) -> Value:
    return List(call.receiver.items, call.receiver.open) if isinstance(call.receiver, List) else Unknown()


@handles(
    "builtins.dict.items",
    "builtins.dict.iteritems",
    "builtins.dict.values",
    "builtins.dict.itervalues",
    "builtins.dict.keys",
    "builtins.dict.iterkeys",
)
def _dict_items(machine: Machine, call: Call) -> Value:
    if not isinstance(call.receiver, Dict):
        return Unknown()
    entries = call.receiver.entries()
    kind = call.name.rpartition(".")[2].removeprefix("iter")
    if kind == "items":
        return List([Tuple([key, value]) for key, value, _ in entries], call.receiver.open)
    return List([key if kind == "keys" else value for key, value, _ in entries], call.receiver.open)


@handles("builtins.dict.get", "builtins.dict.pop", "builtins.dict.setdefault")
def _get(machine: Machine, call: Call) -> Value:

    receiver = call.receiver
    if not isinstance(receiver, Dict) or not call.args:
        return Unknown()
    key = call.args[0]
    default = call.get(1, "default") or NONE
    found = receiver.slots.get(Dict.key(machine.settle(key)))
    if found is None:
        if receiver.open or machine.constant(key) is None:
            return item(machine, receiver, key, lambda: call.site)
        if call.name.endswith("setdefault"):
            put(machine, receiver, key, default, None)
        return default
    if optional(found):
        found = otherwise(found, default)
    if call.name.endswith("pop"):
        machine.store.write(receiver, Dict.key(machine.settle(key)), MISSING)
    return machine.settle(found) if isinstance(found, Value) else default


@handles("builtins.dict.update")
def _update(machine: Machine, call: Call) -> Value:

    if isinstance(call.receiver, Dict):
        for argument in call.args:
            merge(machine, call.receiver, argument)
        for name, value in call.kwargs.items():
            put(machine, call.receiver, Const(name), value, call.site_of(None, name))
    return NONE


@handles("builtins.dict.copy")
def _dict_copy(machine: Machine, call: Call) -> Value:
    return shallow_copy(machine, Call([call.receiver or Unknown()], {}, call.site))


_TEXT = {
    "lower", "upper", "strip", "lstrip", "rstrip", "replace", "startswith", "endswith", "title", "capitalize",
    "split", "rsplit", "join", "format", "count", "find", "isdigit", "partition", "rpartition", "splitlines",
}  # fmt: skip


_LONG = 10_000
"""Longer texts are not worth computing with."""


def text_method(machine: Machine, text: str, name: str, call: Call) -> Value:
    """A method of a known text."""
    arguments: list[Any] = []
    for argument in call.args:
        value = machine.settle(argument)
        if isinstance(value, List | Tuple) and not (isinstance(value, List) and value.open):
            parts = [machine.constant(item) for item in value.items]
            arguments.append(None if None in parts else parts)
        else:
            arguments.append(machine.constant(value))
    keywords = {key: machine.constant(value) for key, value in call.kwargs.items()}
    if is_wide(text) and (name == "format" or len(text) > _LONG):
        return machine.unknown("", *call.args)
    if name in _TEXT and None not in arguments and None not in keywords.values():
        try:
            result = getattr(text, name)(*arguments, **keywords)
        except (TypeError, ValueError, IndexError, KeyError):
            return machine.unknown("", *call.args)
        if isinstance(result, list):
            return List(Const(part) for part in result[:COUNTABLE])
        if isinstance(result, tuple):
            return Tuple(Const(part) for part in result)
        if isinstance(result, str) and len(result) > _LONG:
            return machine.unknown("", *call.args)
        return Const(result)
    return machine.unknown("", *call.args)
