"""Abstract values in words."""

from __future__ import annotations

from collections.abc import Iterable

from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.values import (
    ApiObject,
    ApiRef,
    Builtin,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    ModuleValue,
    Partial,
    Tuple,
)

_LONGEST = 60
_MOST_ALTERNATIVES = 4
_OPERATIONS = {
    Op.NORM: "the output of the normalisation",
    Op.PLACEHOLDER: "the placeholder",
    Op.VARIABLE: "the variable",
    Op.TRAIN: "the train step",
    Op.UPDATE: "the update operation of the normalisation",
    Op.ASSIGN: "the assignment",
    Op.COND: "the outcome of the conditional",
    Op.GROUP: "the group of operations",
    Op.GRADIENTS: "gradients",
    Op.MOMENTS: "the moments",
    Op.WEIGHTED: "the output of a layer",
}


def place(location: Location) -> str:
    """``path:line``, in a notebook ``path:cell N:line``."""
    cell = "" if location.cell is None else f"cell {location.cell}:"
    return f"{location.path}:{cell}{location.line}"


def described(value: Value) -> str:
    """What a value is, as a phrase."""
    if isinstance(value, Const):
        text = repr(value.value)
        return f"`{text}`" if len(text) <= _LONGEST else f"`{text[: _LONGEST - 3]}...`"
    if isinstance(value, Choice):
        return _choice(value)
    if isinstance(value, Node):
        return _node(value)
    if isinstance(value, Unknown):
        return f"not known (`{value.hint}`)" if value.hint else "not known"
    if isinstance(value, Tuple):
        return _items("a tuple", value.items, False)
    if isinstance(value, List):
        return _items("a list", value.items, value.open)
    if isinstance(value, Dict):
        size = len(value.entries())
        more = " and perhaps more" if value.open else ""
        return f"a dictionary of {size} {'entry' if size == 1 else 'entries'}{more}"
    return _object(value)


def _object(value: Value) -> str:
    if isinstance(value, Function):
        return f"the function `{value.qualname}` at {place(value.scope.module.source.location(value.node))}"
    if isinstance(value, Method):
        name = value.function if isinstance(value.function, str) else value.function.qualname
        return f"the method `{name}` of {described(value.receiver)}"
    if isinstance(value, Partial):
        return f"{described(value.function)} with some arguments given"
    if isinstance(value, ClassValue):
        return f"the class `{value.name}`"
    if isinstance(value, Instance):
        return f"an object of the class `{value.cls.name}`"
    if isinstance(value, ApiRef):
        return f"`{value.name.removeprefix('builtins.')}`"
    if isinstance(value, ApiObject):
        return f"an object of `{value.kind}`"
    if isinstance(value, ModuleValue):
        return f"the module `{value.name}`"
    if isinstance(value, Builtin):
        return f"`{value.name}`"
    return "a value"


def _node(node: Node) -> str:
    words = _OPERATIONS.get(node.op)
    name = node.attrs.get("name")
    called = f" `{name}`" if isinstance(name, str) else ""
    if words is None:
        words = "a result of " + (f"`{node.op}`" if "." in node.op else f"the operation `{node.op}`")
    return f"{words}{called} at {place(node.site)}"


def _choice(value: Choice) -> str:
    parts = list(dict.fromkeys(described(option) for _, option in value.options))
    more = f" or {len(parts) - _MOST_ALTERNATIVES} others" if len(parts) > _MOST_ALTERNATIVES else ""
    conditions = [condition for guards, _ in value.options for condition, _ in guards[:1]]
    because = f", depending on what is {described(conditions[0])}" if conditions else ""
    if conditions and isinstance(conditions[0], Node):
        because = f", depending on {described(conditions[0])}"
    return " or ".join(parts[:_MOST_ALTERNATIVES]) + more + because


def _items(noun: str, items: Iterable[Value], more: bool) -> str:
    texts = [described(item) for item in items]
    rest = " and perhaps more" if more else ""
    if 0 < len(texts) <= 2 and not more:
        return f"{noun} of {' and '.join(texts)}"
    return f"{noun} of {len(texts)} {'value' if len(texts) == 1 else 'values'}{rest}"
