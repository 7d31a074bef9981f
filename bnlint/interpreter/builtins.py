"""Python's own functions and types, and the parts of the standard library that programs are glued with."""

from __future__ import annotations

import builtins as python
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.interpreter.attributes import dictionary_of, set_attribute
from bnlint.interpreter.containers import iterate, merge, put
from bnlint.interpreter.operators import binary
from bnlint.interpreter.store import optional
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiObject,
    ApiRef,
    Builtin,
    Call,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    Partial,
    Property,
    Range,
    Static,
    Tuple,
    contents,
    located,
)

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

NAMES = frozenset(dir(python)) | {"xrange", "unicode", "raw_input", "reduce", "basestring", "long", "unichr"}

Handler = Callable[["Machine", Call], Value]

HANDLERS: dict[str, Handler] = {}
"""By canonical name; methods as ``builtins.list.append``."""

COUNTABLE = 32
"""A ``range`` of more numbers than this is not counted out."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler for canonical names."""

    def add(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return add


def items_of(machine: Machine, value: Value | None) -> tuple[tuple[Value, ...], bool]:
    """The known items of a sequence and whether there may be more."""
    if value is None:
        return (), False
    items = iterate(machine, value, None, machine.activation.scope)
    return tuple(items.known), items.more


@handles("builtins.range", "builtins.xrange")
def _range(machine: Machine, call: Call) -> Value:
    bounds = [machine.constant(argument) for argument in call.args]
    if (
        bounds
        and all(isinstance(bound, int) for bound in bounds)
        and not (len(bounds) == 3 and bounds[2] == 0)
    ):
        numbers = range(*bounds)
        if len(numbers) <= COUNTABLE:
            made = List(Const(number) for number in numbers)
            made.slots["counted"] = True
            return made
        return Range((), numbers.start, len(numbers))
    return Range(contents(call.args), 0 if len(call.args) == 1 else None, None)


@handles("builtins.enumerate")
def _enumerate(machine: Machine, call: Call) -> Value:
    items, more = items_of(machine, call.get(0, "iterable"))
    start = machine.constant(call.get(1, "start"))
    first = start if isinstance(start, int) else 0
    if not items:
        return (
            List([Tuple([Unknown("index"), machine.unknown("", *call.args)])] * 2, True) if more else List()
        )
    iterable = machine.settle(call.args[0]) if call.args else Unknown()
    if isinstance(iterable, List) and not iterable.ordered:
        return List([Tuple([Unknown("index"), item]) for item in items], more)
    made = [Tuple([Const(first + index), item]) for index, item in enumerate(items)]
    return List(made, more)


@handles("builtins.zip", "itertools.izip", "itertools.zip_longest")
def _zip(machine: Machine, call: Call) -> Value:
    columns = [items_of(machine, argument) for argument in call.args]
    known = [items for items, more in columns if items]
    if not known:
        if not call.args or call.open or not all(more for _, more in columns):
            return machine.unknown("zip", *call.values()) if call.values() else List()
        # What the rows are is not known, but which part of them is whose.
        scope = machine.activation.scope
        return List([Tuple(iterate(machine, each, None, scope).other() for each in call.args)], True)
    length = min(len(items) for items, more in columns if items or not more)
    rows = []
    for index in range(length):
        rows.append(
            Tuple(
                items[index] if index < len(items) else machine.unknown("", argument)
                for (items, _), argument in zip(columns, call.args, strict=True)
            )
        )
    return List(rows, all(more for _, more in columns))


@handles("builtins.len", "builtins.list.__len__", "builtins.dict.__len__")
def _len(machine: Machine, call: Call) -> Value:
    value = machine.settle(call.args[0]) if call.args else call.receiver or Unknown()
    if isinstance(value, Tuple) or (isinstance(value, List) and not value.open):
        missing = (guard for item in value.items for guard in optional(item))
        if any(machine.truth(condition) is not outcome for condition, outcome in missing):
            return machine.unknown("len", value)
        return Const(len(value.items))
    if isinstance(value, Dict) and not value.open:
        return Const(len(value.keys))
    if isinstance(value, Const) and isinstance(value.value, str | bytes):
        return Const(len(value.value))
    special = machine.modules.class_method(value, "__len__")
    if special:
        return machine.call(special, [], {}, call.site)
    found = machine.libraries.special(machine, value, "__len__", Call([], {}, call.site))
    return machine.unknown("len", value) if found is None else found


@handles(
    "builtins.list",
    "builtins.set",
    "builtins.frozenset",
    "builtins.sorted",
    "builtins.reversed",
    "builtins.iter",
)
def _list(machine: Machine, call: Call) -> Value:
    if not call.args:
        return List()
    value = machine.settle(call.args[0])
    if isinstance(value, Unknown | Node | Choice):
        return (
            List([value] if isinstance(value, Choice) else [], True) if isinstance(value, Choice) else value
        )
    items, more = items_of(machine, value)
    if call.name == "builtins.sorted":
        return List(in_order(machine, items, call), more)
    made = List(reversed(items) if call.name == "builtins.reversed" else items, more)
    if isinstance(value, List) and not value.ordered:
        made.slots["unordered"] = True
    return made


def in_order(machine: Machine, items: tuple[Value, ...], call: Call) -> list[Value]:
    """The items in their order if that is known, else as they are."""
    if not all(isinstance(item, Const) for item in items):
        return list(items)
    if call.kwargs:
        return [machine.unknown("", *items)] * len(items)
    try:
        return sorted(items, key=machine.constant)
    except TypeError:
        return list(items)


@handles("builtins.tuple")
def _tuple(machine: Machine, call: Call) -> Value:
    if not call.args:
        return Tuple(())
    items, more = items_of(machine, call.args[0])
    return List(items, True) if more else Tuple(items)


@handles("builtins.dict", "collections.OrderedDict", "collections.defaultdict")
def _dict(machine: Machine, call: Call) -> Value:
    made = Dict(open=call.open)
    given = call.args[1:] if call.name == "collections.defaultdict" else call.args
    if call.name == "collections.defaultdict" and call.args:
        made.slots[Dict.OPEN] = True
    for argument in given:
        pairs = machine.settle(argument)
        if isinstance(pairs, Dict):
            merge(machine, made, pairs)
            continue
        items, more = items_of(machine, pairs)
        for pair in items:
            if isinstance(pair, Tuple) and len(pair.items) == 2:
                put(machine, made, pair.items[0], pair.items[1], None)
            else:
                more = True
        if more:
            machine.store.write(made, Dict.OPEN, True)
    for name, value in call.kwargs.items():
        place = call.sites.get(name)
        put(machine, made, Const(name), value, located(place) if place is not None else None)
    return made


@handles(
    "builtins.bool",
    "builtins.int",
    "builtins.float",
    "builtins.str",
    "builtins.abs",
    "builtins.round",
    "builtins.min",
    "builtins.max",
    "builtins.sum",
    "builtins.pow",
    "builtins.divmod",
    "builtins.repr",
    "builtins.unicode",
    "builtins.any",
    "builtins.all",
)
def _pure(machine: Machine, call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    if name == "bool" and call.args:
        outcome = machine.truth(machine.settle(call.args[0]))
        if outcome is not None:
            return TRUE if outcome else FALSE
        return call.args[0]
    arguments: list[Any] = []
    for argument in call.args:
        value = machine.settle(argument)
        if isinstance(value, Tuple) or (isinstance(value, List) and not value.open):
            arguments.append([machine.constant(item) for item in value.items])
        else:
            arguments.append(machine.constant(value))
    flat = [
        part for argument in arguments for part in (argument if isinstance(argument, list) else [argument])
    ]
    if name == "pow" and len(call.args) == 2:
        return binary(machine, "Pow", call.args[0], call.args[1], call.site)
    if call.args and None not in flat and not call.kwargs and not any(isinstance(a, Node) for a in call.args):
        function = {"unicode": str}.get(name) or getattr(python, name)
        try:
            result = function(*arguments)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            return machine.unknown(name, *call.args)
        if isinstance(result, tuple):
            return Tuple(Const(part) for part in result)
        return Const(result)
    return machine.unknown(name, *call.args)


@handles(
    "builtins.print",
    "builtins.open",
    "builtins.input",
    "builtins.raw_input",
    "builtins.vars",
    "builtins.locals",
    "builtins.globals",
    "builtins.id",
    "builtins.hash",
    "builtins.exit",
    "builtins.quit",
)
def _opaque(machine: Machine, call: Call) -> Value:
    return machine.unknown(call.name.rpartition(".")[2])


@handles("builtins.isinstance", "builtins.issubclass")
def _isinstance(machine: Machine, call: Call) -> Value:
    value, wanted = (*call.args, Unknown(), Unknown())[:2]
    value = machine.settle(value)
    kinds = wanted.items if isinstance(wanted, Tuple | List) else (wanted,)
    if isinstance(value, Instance | ClassValue):
        cls = value.cls if isinstance(value, Instance) else value
        lineage = cls.lineage()
        libraries = [machine.libraries.lineage(each.name) for each in lineage if isinstance(each, ApiRef)]
        names = {each.name for each in lineage if isinstance(each, ApiRef)}.union(*libraries)
        if any(kind in lineage or (isinstance(kind, ApiRef) and kind.name in names) for kind in kinds):
            return TRUE
        known = cls.fully_known() or (cls.made_of_classes() and all(libraries))
        return FALSE if known and all(isinstance(kind, ClassValue | ApiRef) for kind in kinds) else Unknown()
    python_type = _python_type(value)
    if python_type is not None and all(isinstance(kind, ApiRef) for kind in kinds):
        name = python_type
        wanted_names = {kind.name for kind in kinds if isinstance(kind, ApiRef)}
        if f"builtins.{name}" in wanted_names or (name == "bool" and "builtins.int" in wanted_names):
            return TRUE
        if name == "str" and wanted_names & {"builtins.basestring", "builtins.unicode"}:
            return TRUE
        if all(kind.startswith("builtins.") for kind in wanted_names):
            return FALSE
    if isinstance(value, Node) and all(
        isinstance(k, ApiRef) and k.name.startswith("builtins.") for k in kinds
    ):
        return FALSE
    if isinstance(value, ApiObject):
        names = {value.kind, *machine.libraries.lineage(value.kind)}
        if any(isinstance(kind, ApiRef) and kind.name in names for kind in kinds):
            return TRUE
        if len(names) > 1 and all(isinstance(kind, ClassValue | ApiRef) for kind in kinds):
            return FALSE
    return Unknown()


def _python_type(value: Value) -> str | None:
    if isinstance(value, Const):
        return type(value.value).__name__
    return "list" if isinstance(value, List) else {Tuple: "tuple", Dict: "dict"}.get(type(value))


def has(machine: Machine, holder: Value, name: str) -> bool | None:
    """Whether an object has an attribute; None when that is not known."""
    holder = machine.settle(holder)
    if isinstance(holder, Instance):
        if name in holder.slots or holder.cls.find(name) is not None:
            return True
        return False if holder.cls.fully_known() else None
    if isinstance(holder, ApiRef):
        return None
    return None


@handles("builtins.vars")
def _vars(machine: Machine, call: Call) -> Value:
    value = machine.settle(call.args[0]) if call.args else Unknown()
    return dictionary_of(value) if isinstance(value, Instance) else machine.unknown("vars", *call.args)


@handles("builtins.hasattr")
def _hasattr(machine: Machine, call: Call) -> Value:
    name = machine.constant(call.args[1]) if len(call.args) > 1 else None
    found = has(machine, call.args[0], name) if isinstance(name, str) else None
    return Unknown("hasattr") if found is None else (TRUE if found else FALSE)


@handles("builtins.setattr")
def _setattr(machine: Machine, call: Call) -> Value:
    if len(call.args) == 3:
        name = machine.constant(call.args[1])
        if isinstance(name, str):
            set_attribute(machine, call.args[0], name, call.args[2], call.site)
    return NONE


@handles("builtins.callable")
def _callable(machine: Machine, call: Call) -> Value:
    value = machine.settle(call.args[0]) if call.args else Unknown()
    if isinstance(value, Function | Method | Partial | ClassValue | Builtin | ApiRef):
        return TRUE
    return FALSE if isinstance(value, Const | List | Dict | Tuple | Node) else Unknown()


@handles("builtins.type")
def _type(machine: Machine, call: Call) -> Value:
    value = machine.settle(call.args[0]) if call.args else Unknown()
    if isinstance(value, ApiObject):
        return machine.libraries.reference(value.kind)
    return value.cls if isinstance(value, Instance) else Unknown("type")


@handles("builtins.map", "builtins.filter")
def _map(machine: Machine, call: Call) -> Value:
    if len(call.args) < 2:
        return Unknown()
    function = call.args[0]
    columns = [items_of(machine, argument) for argument in call.args[1:]]
    more = any(more for _, more in columns)
    rows = list(zip(*(items for items, _ in columns), strict=False))[:COUNTABLE]
    if not rows and more:
        rows = [tuple(machine.unknown("", argument) for argument in call.args[1:])]
    if call.name == "builtins.filter":
        return List((row[0] for row in rows), True)
    return List([machine.call(function, row, {}, call.site) for row in rows], more)


@handles("functools.reduce", "builtins.reduce")
def _reduce(machine: Machine, call: Call) -> Value:
    if len(call.args) < 2:
        return Unknown()
    items, _ = items_of(machine, call.args[1])
    values = [*call.args[2:3], *items]
    if not values:
        return machine.unknown("", *call.args)
    result = values[0]
    for value in values[1:COUNTABLE]:
        result = machine.call(call.args[0], [result, value], {}, call.site)
    return result


@handles("functools.partial")
def _partial(machine: Machine, call: Call) -> Value:
    if not call.args:
        return Unknown()
    return Partial(call.args[0], tuple(call.args[1:]), dict(call.kwargs))


@handles("functools.wraps")
def _wraps(machine: Machine, call: Call) -> Value:
    return ApiRef("functools.wraps")


@handles("builtins.property")
def _property(machine: Machine, call: Call) -> Value:
    function = call.get(0, "fget")
    return Property(function) if isinstance(function, Function) else Unknown("property")


@handles("builtins.staticmethod", "builtins.classmethod")
def _static(machine: Machine, call: Call) -> Value:
    return Static(call.args[0], call.name == "builtins.classmethod") if call.args else Unknown()


@handles("builtins.next")
def _next(machine: Machine, call: Call) -> Value:
    items, _ = items_of(machine, call.args[0] if call.args else None)
    return items[0] if len(items) == 1 else machine.unknown("", *call.args)


@handles("copy.deepcopy")
def _deep_copy(machine: Machine, call: Call) -> Value:
    """A copy that shares nothing; of what a library made, or derives from it, only the library may know one."""
    value = machine.settle(call.args[0]) if call.args else Unknown()
    made = machine.libraries.copied(machine, value, call.site)
    if made is not None:
        return made
    options = [option for _, option in value.options] if isinstance(value, Choice) else [value]
    of_library = any(
        isinstance(each, ApiObject) or (isinstance(each, Instance) and not each.cls.fully_known())
        for each in options
    )
    return Unknown("copy") if of_library else shallow_copy(machine, call)


@handles("copy.copy")
def shallow_copy(machine: Machine, call: Call) -> Value:
    """A copy with the same content."""
    value = machine.settle(call.args[0]) if call.args else Unknown()
    if isinstance(value, List):
        return type(value)(value.items, value.open)
    if isinstance(value, Dict):
        copied = Dict()
        copied.keys, copied.sites = dict(value.keys), dict(value.sites)
        copied.slots.update(value.slots)
        return copied
    if isinstance(value, Instance):
        twin = Instance(value.cls, call.site)
        twin.slots.update(value.slots)
        return twin
    return value


@handles("collections.namedtuple", "typing.NamedTuple")
def _namedtuple(machine: Machine, call: Call) -> Value:
    fields = machine.settle(call.get(1, "field_names") or Unknown())
    if isinstance(fields, Const) and isinstance(fields.value, str):
        names: tuple[Any, ...] = tuple(fields.value.replace(",", " ").split())
    elif isinstance(fields, List | Tuple):
        names = tuple(machine.constant(item) for item in fields.items)
    else:
        return Unknown("namedtuple")

    def make(machine: Machine, call: Call) -> Value:
        values = dict(zip(names, call.args, strict=False)) | call.kwargs
        return Tuple((values.get(name, Unknown(str(name))) for name in names), names)

    return Builtin("namedtuple", make)


@handles("argparse.Namespace", "types.SimpleNamespace", "easydict.EasyDict")
def _namespace(machine: Machine, call: Call) -> Value:
    made = ApiObject(call.name, call.site)
    made.slots.update(call.kwargs)
    for argument in call.args:
        if isinstance(argument, Dict):
            for key, value, _ in argument.entries():
                name = machine.constant(key)
                if isinstance(name, str):
                    made.slots[name] = value
    return made
