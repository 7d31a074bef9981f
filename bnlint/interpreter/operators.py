"""Arithmetic, comparison and text building on abstract values."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.store import choice
from bnlint.interpreter.values import FALSE, TRUE, ApiRef, ClassValue, Dict, Function, List, Tuple

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
}
_COMPARISON: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
}
_UNDECIDED = {Op.EQUAL, Op.NOT_EQUAL, Op.NOT, Op.AND, Op.OR}
"""Nodes that may stand for a condition of Python; every other one is a tensor, which no constant is identical to."""
_LARGEST = 10_000
"""Longer texts and larger powers are not worth computing."""
_BITS = 4096
"""Larger products are not worth computing."""
MOST = 20_000
"""A sequence of more items than this is no longer known item by item."""
_WIDE = re.compile(r"\d{5}")
"""A field of a template that would make a very long text."""


def binary(
    machine: Machine, name: str, left: Value, right: Value, site: Location | Callable[[], Location]
) -> Value:
    """``left <operator> right``; the name is that of the operator's ``ast`` class."""
    if isinstance(left, Const) and isinstance(right, Const):
        return _fold(name, left.value, right.value)
    if name == "Eq":
        return compare(machine, name, left, right, site)
    if name == "Add":
        joined = _concatenate(left, right)
        if joined is not None:
            return joined
    if name == "Mult" and isinstance(left, List | Tuple) and isinstance(right, Const):
        if isinstance(right.value, int) and len(left.items) * max(right.value, 0) <= 200:
            items = left.items * right.value
            return Tuple(items) if isinstance(left, Tuple) else List(items, left.open)
    if name == "Mod" and isinstance(left, Const) and isinstance(left.value, str):
        return _percent(machine, left.value, right)
    if isinstance(left, Node) or isinstance(right, Node):
        return machine.libraries.arithmetic(machine, name, left, right, site() if callable(site) else site)
    for one, other, left_side in ((left, right, True), (right, left, False)):
        if isinstance(one, Choice) and isinstance(other, Const | Choice) and len(one.options) <= 4:
            pairs = []
            for guards, option in one.options:
                operands = (option, other) if left_side else (other, option)
                pairs.append((guards, binary(machine, name, operands[0], operands[1], site)))
            return choice(pairs)
    return machine.unknown("%" if name == "Mod" else "", left, right)


def _fold(name: str, left: Any, right: Any) -> Value:
    if name == "Eq":
        return TRUE if left == right else FALSE
    if name == "Pow":
        if (
            not (isinstance(left, int | float) and isinstance(right, int | float))
            or abs(right) > 64
            or abs(left) > 1e6
        ):
            return Unknown()
        operation: Callable[[Any, Any], Any] = operator.pow
    elif name in _ARITHMETIC:
        operation = _ARITHMETIC[name]
        if name == "Mult" and (isinstance(left, str | bytes) or isinstance(right, str | bytes)):
            size = next((value for value in (left, right) if isinstance(value, int)), 0)
            if size > _LARGEST:
                return Unknown()
        if name == "Mult" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > _BITS:
                return Unknown()
        if name == "Mod" and isinstance(left, str | bytes) and is_wide(left):
            return Unknown()
    else:
        return Unknown()
    try:
        result = operation(left, right)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return Unknown()
    if isinstance(result, str | bytes) and len(result) > _LARGEST:
        return Unknown()
    return Const(result)


def is_wide(template: str | bytes) -> bool:
    """Whether a template may make a text too long to be worth computing."""
    text = template if isinstance(template, str) else template.decode("latin-1")
    return len(text) > _LARGEST or _WIDE.search(text) is not None


def _concatenate(left: Value, right: Value) -> Value | None:
    if isinstance(left, List | Tuple) and isinstance(right, List | Tuple):
        if len(left.items) + len(right.items) > MOST:
            return List((left.items + right.items)[:MOST], True)
    if isinstance(left, List) and isinstance(right, List | Tuple):
        return type(left)(left.items + right.items, left.open or (isinstance(right, List) and right.open))
    if isinstance(left, Tuple) and isinstance(right, Tuple):
        return Tuple(left.items + right.items)
    if isinstance(left, Tuple) and isinstance(right, List):
        return List(left.items + right.items, right.open)
    if isinstance(left, List) and isinstance(right, Unknown | Choice):
        return List((*left.items, right), True)
    if isinstance(right, List) and isinstance(left, Unknown | Choice):
        return List((left, *right.items), True)
    return None


def _percent(machine: Machine, template: str, value: Value) -> Value:
    items = value.items if isinstance(value, Tuple) else (value,)
    known = [machine.constant(item) for item in items]
    if all(item is not None for item in known) and not is_wide(template):
        try:
            return Const(template % tuple(known))
        except (TypeError, ValueError):
            return Unknown()
    return machine.unknown("", value)


def format_string(machine: Machine, parts: Sequence[Value]) -> Value:
    """The text that known parts make together."""
    known = [machine.constant(part) for part in parts]
    if all(part is not None for part in known):
        return Const("".join(str(part) for part in known))
    return machine.unknown("", *parts)


def compare(
    machine: Machine, name: str, left: Value, right: Value, site: Location | Callable[[], Location]
) -> Value:
    """``left <comparison> right``; the name is that of the comparison's ``ast`` class."""
    left, right = machine.settle(left), machine.settle(right)
    if name in ("Eq", "NotEq", "Is", "IsNot"):
        equal = _equal(machine, name in ("Is", "IsNot"), left, right, site)
        if name in ("Eq", "Is"):
            return equal
        outcome = machine.truth(equal)
        if outcome is not None:
            return FALSE if outcome else TRUE
        if isinstance(equal, Unknown):
            return equal
        return machine.logic(Op.NOT, (equal,), site() if callable(site) else site)
    if name in ("In", "NotIn"):
        return _contained(machine, name, left, right)
    if isinstance(left, Node) or isinstance(right, Node):
        return machine.libraries.arithmetic(machine, name, left, right, site() if callable(site) else site)
    one, other = machine.constant(left), machine.constant(right)
    if one is not None and other is not None:
        try:
            return TRUE if _COMPARISON[name](one, other) else FALSE
        except TypeError:
            return Unknown()
    return machine.unknown("", left, right)


def _equal(
    machine: Machine, identity: bool, left: Value, right: Value, site: Location | Callable[[], Location]
) -> Value:
    if isinstance(left, Const) and isinstance(right, Const):
        return TRUE if left.value == right.value and (left.value is None) == (right.value is None) else FALSE
    if isinstance(left, Const):
        left, right = right, left
    if left is right and not isinstance(left, Unknown):
        return TRUE
    if isinstance(left, ApiRef) and isinstance(right, ApiRef):
        return TRUE if left.name == right.name else FALSE
    if isinstance(left, ApiRef | ClassValue | Function) and isinstance(right, ApiRef | ClassValue | Function):
        return FALSE
    if isinstance(right, Const) and not isinstance(left, Unknown | Choice | ApiRef):
        if right.value is None or not isinstance(left, Node) or (identity and left.op not in _UNDECIDED):
            return FALSE
    if isinstance(left, Choice):
        return choice(
            [(guards, _equal(machine, identity, option, right, site)) for guards, option in left.options]
        )
    if isinstance(left, Node) and isinstance(right, Node) and not identity:
        return FALSE if left is not right else TRUE
    if isinstance(left, Unknown | ApiRef) and isinstance(right, Const | Unknown | ApiRef):
        return machine.logic(Op.EQUAL, (left, right), site() if callable(site) else site)
    return machine.unknown("", left, right)


def _contained(machine: Machine, name: str, left: Value, right: Value) -> Value:
    wanted = machine.constant(left)
    found: bool | None = None
    if isinstance(right, Const) and isinstance(right.value, str) and isinstance(wanted, str):
        found = wanted in right.value
    elif isinstance(right, Dict):
        if wanted is not None or isinstance(left, Node):
            known = right.slots.get(Dict.key(machine.settle(left)))
            found = True if known is not None else (None if right.open else False)
    elif isinstance(right, List | Tuple) and isinstance(left, Node):
        if any(item is left for item in right.items):
            found = True
        elif all(isinstance(item, Node) for item in right.items):
            found = None if isinstance(right, List) and right.open else False
    elif isinstance(right, List | Tuple) and wanted is not None:
        values = [machine.constant(item) for item in right.items]
        if wanted in values:
            found = True
        elif None not in values and not (isinstance(right, List) and right.open):
            found = False
    elif isinstance(right, List | Tuple) and isinstance(left, ApiRef):
        if any(isinstance(item, ApiRef) and item.name == left.name for item in right.items):
            found = True
        elif all(isinstance(item, ApiRef) for item in right.items):
            found = False
    if found is None:
        return machine.unknown("", left, right)
    return TRUE if found == (name == "In") else FALSE
