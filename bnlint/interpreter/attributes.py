"""Reading and writing attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.store import choice, optional, otherwise
from bnlint.interpreter.values import (
    ApiObject,
    ApiRef,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    ModuleValue,
    Package,
    Partial,
    Property,
    Static,
    Super,
    Tuple,
)
from bnlint.trace import Hidden

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

Site = Location | Callable[[], Location]


def attribute(machine: Machine, holder: Value, name: str, site: Site) -> Value:
    """``holder.name``."""
    holder = machine.settle(holder)
    if isinstance(holder, Instance):
        return _of_instance(machine, holder, name, site)
    if isinstance(holder, Node):
        return machine.libraries.node_attribute(machine, holder, name, site() if callable(site) else site)
    if isinstance(holder, ApiRef):
        if name == "__name__":
            return Const(holder.name.rpartition(".")[2])
        if name == "__dict__":
            return holder
        return machine.libraries.member(machine, holder, name)
    if isinstance(holder, ApiObject):
        return _of_object(machine, holder, name, site)
    if isinstance(holder, ModuleValue) and name == "__dict__":
        return holder
    if isinstance(holder, ModuleValue | Package):
        return machine.modules.member(machine, holder, name, site() if callable(site) else site)
    if isinstance(holder, ClassValue):
        return _of_class(machine, holder, name)
    if isinstance(holder, Choice):
        return choice([(guards, attribute(machine, option, name, site)) for guards, option in holder.options])
    if isinstance(holder, Super):
        return _of_super(machine, holder, name)
    if isinstance(holder, Tuple) and name in holder.fields:
        return machine.settle(holder.items[holder.fields.index(name)])
    if isinstance(holder, List | Dict | Tuple) or (
        isinstance(holder, Const) and isinstance(holder.value, str)
    ):
        return Method(holder, name)
    if isinstance(holder, Unknown):
        return machine.interned(("attribute", holder, name), lambda: Unknown(_hint(holder, name), (holder,)))
    if isinstance(holder, Function) and name in ("__name__", "__qualname__"):
        return Const(holder.name)
    if isinstance(holder, Property) and name in ("setter", "getter", "deleter"):
        return Method(holder, name)
    if isinstance(holder, Partial) and name in ("func", "keywords", "args"):
        return holder.function if name == "func" else machine.unknown(name, holder)
    return machine.interned(("attribute", holder, name), lambda: machine.unknown(name, holder))


def _hint(holder: Unknown, name: str) -> str:
    return f"{holder.hint}.{name}" if holder.hint else name


def bind(receiver: Value, found: Value, cls: Value | None = None) -> Value:
    """A class attribute as it is seen through an object."""
    if isinstance(found, Function):
        return Method(receiver, found)
    if isinstance(found, Static):
        if not found.bound:
            return found.function
        if isinstance(found.function, Function):
            return Method(cls if cls is not None else receiver, found.function)
    return found


def _of_instance(machine: Machine, holder: Instance, name: str, site: Site) -> Value:
    found = holder.slots.get(name)
    if found is not None:
        if optional(found):
            inherited = holder.cls.find(name)
            if inherited is not None and not isinstance(inherited, Property):
                found = otherwise(found, bind(holder, inherited, holder.cls))
        return machine.settle(found)
    if name == "__class__":
        return holder.cls
    if name == "__dict__":
        return dictionary_of(holder)
    inherited = holder.cls.find(name)
    if inherited is not None:
        if isinstance(inherited, Property):
            return machine.call(inherited.function, [holder], {}, site() if callable(site) else site)
        return bind(holder, machine.settle(inherited), holder.cls)
    base = holder.cls.api()
    if base is not None:
        return machine.libraries.inherited(machine, holder, base, name)
    fallback = holder.cls.find("__getattr__")
    if isinstance(fallback, Function):
        return machine.call(fallback, [holder, Const(name)], {}, site() if callable(site) else site)
    return machine.interned(("attribute", holder, name), lambda: Unknown(f"self.{name}"))


def dictionary_of(holder: Instance) -> Dict:
    """``vars(holder)``, as it is now; there may be more in it."""
    made = Dict(open=True)
    for name, value in holder.slots.items():
        if isinstance(name, str) and isinstance(value, Value):
            key = Const(name)
            made.keys[Dict.key(key)], made.slots[Dict.key(key)] = key, value
    return made


def _of_object(machine: Machine, holder: ApiObject, name: str, site: Site) -> Value:
    found = holder.slots.get(name)
    if isinstance(found, Value):
        return machine.settle(found)
    if name == "__class__":
        return machine.libraries.reference(holder.kind)
    return machine.libraries.object_attribute(machine, holder, name, site() if callable(site) else site)


def _of_class(machine: Machine, holder: ClassValue, name: str) -> Value:
    if name == "__name__":
        return Const(holder.name)
    found = holder.find(name)
    if found is None:
        base = holder.api()
        if base is not None:
            return machine.libraries.member(machine, base, name)
        return machine.interned(("attribute", holder, name), lambda: Unknown(f"{holder.name}.{name}"))
    if isinstance(found, Static):
        return found.function if not found.bound else bind(holder, found, holder)
    return machine.settle(found)


def _of_super(machine: Machine, holder: Super, name: str) -> Value:
    receiver = holder.receiver
    cls = receiver.cls if isinstance(receiver, Instance) else receiver
    if isinstance(cls, ClassValue):
        found = cls.find(name, after=holder.after)
        if found is not None:
            return bind(receiver, found, cls)
        base = cls.api()
        if base is not None and isinstance(receiver, Instance):
            return machine.libraries.inherited(machine, receiver, base, name)
    return machine.unknown(name)


def set_attribute(machine: Machine, holder: Value, name: str, value: Value, site: Site) -> None:
    """``holder.name = value``."""
    holder = machine.settle(holder)
    if isinstance(holder, Instance):
        setter = holder.cls.find(name)
        if isinstance(setter, Function) and isinstance(value, Const | Unknown) and name not in holder.slots:
            _hide(machine, holder, name, setter, site)
        if not isinstance(setter, Property):
            if not machine.libraries.set_attribute(machine, holder, name, value, site):
                machine.store.write(holder, name, value)
        elif setter.setter is not None:
            machine.call(setter.setter, [holder, value], {}, site() if callable(site) else site)
    elif isinstance(holder, ClassValue):
        machine.store.write(holder, name, value)
    elif isinstance(holder, ApiObject):
        if not machine.libraries.set_attribute(machine, holder, name, value, site):
            machine.store.write(holder, name, value)
    elif isinstance(holder, ModuleValue):
        machine.store.write(holder.scope, name, value)
    elif isinstance(holder, Choice):
        for _, option in holder.options:
            if isinstance(option, Instance | ApiObject) and not _may_set(machine, option, name, value, site):
                old = option.slots.get(name)
                machine.store.write(option, name, value if old is None else machine.unknown(name, old, value))
    elif isinstance(holder, Unknown | Function):
        machine.remember(("attribute", holder, name), value)
        _may_set(machine, holder, name, value, site)


def _hide(machine: Machine, holder: Instance, name: str, method: Function, site: Site) -> None:
    """Note that an attribute takes the place of a method."""
    context = machine.context(site() if callable(site) else site)
    definition = method.scope.module.source.location(method.node)
    machine.emit(Hidden(context, machine.tick(), holder, name, method.node, definition))


def _may_set(machine: Machine, holder: Value, name: str, value: Value, site: Site) -> bool:
    """Let a framework see that an attribute may be set, of an object or of something that comes out of it."""
    pending, seen, found = [holder], {holder}, False
    while pending:
        current = pending.pop()
        if isinstance(current, Instance | ApiObject):
            unknown = machine.unknown(name, value)
            found = machine.libraries.set_attribute(machine, current, name, unknown, site) or found
        elif isinstance(current, Unknown):
            pending.extend(source for source in current.sources if source not in seen)
            seen.update(current.sources)
    return found
