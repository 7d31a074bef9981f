"""The values that only the interpreter needs: what Python programs are made of.

Constants, choices, unknowns and graph nodes are shared with the rules and live in ``bnlint.dataflow``.
Everything that can change keeps its content in ``slots``, so that a branch can be tried and taken back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bnlint.dataflow import Choice, Const, Frame, Node, Unknown, Value
from bnlint.findings import Location

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine
    from bnlint.source.module import Module

Place = Location | tuple["Module", ast.AST]
"""Where something is written: worked out only when it is asked for."""


def located(place: Place) -> Location:
    """The location of a place."""
    return place if isinstance(place, Location) else place[0].location(place[1])


NONE = Const(None)
TRUE = Const(True)
FALSE = Const(False)


class Range(Unknown):
    """The numbers of a ``range`` that is too long, or not known well enough, to list."""

    __slots__ = ("length", "start")

    def __init__(self, sources: tuple[Value, ...], start: int | None, length: int | None) -> None:
        super().__init__("", sources)
        self.start = start
        self.length = length


class Mutable(Value):
    """A value with content that changes while the program runs."""

    __slots__ = ("born", "slots")

    clock: ClassVar[int] = 0
    """Counts the branches that were begun, in this process."""

    def __init__(self) -> None:
        self.slots: dict[Any, Any] = {}
        self.born = Mutable.clock
        """The clock when it was made: a branch begun later must be able to undo what it writes here."""


class Scope(Mutable):
    """The names of one function call, class body or module."""

    __slots__ = ("class_body", "declared", "frame", "module", "owner", "parent")

    def __init__(
        self, module: ModuleValue, frame: Frame, parent: Scope | None = None, owner: ClassValue | None = None
    ) -> None:
        super().__init__()
        self.module = module
        self.frame = frame
        self.parent = parent
        """The enclosing function's names."""
        self.owner = owner
        """The class whose method this is, for ``super()``."""
        self.class_body = False
        """Whether these are the names of a class body, which functions inside do not see."""
        self.declared: dict[str, Scope] = {}
        """Names declared ``global`` or ``nonlocal``, and where they live."""

    def find(self, name: str) -> Value | None:
        """The value of a name by Python's scoping rules, builtins left out."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.slots.get(name)
            if found is not None:
                return found  # type: ignore[no-any-return]
            scope = scope.parent
        return self.module.scope.slots.get(name)


class ModuleValue(Value):
    """A module of the project; ``scope`` is filled when it is executed."""

    __slots__ = ("executed", "name", "path", "scope", "source", "stars")

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.stars: list[ApiRef] = []
        """The libraries of which it imports everything, in order."""
        self.name = name
        self.executed = False
        self.source: Module
        self.scope: Scope


class Package(Value):
    """A folder of the project without an ``__init__.py``."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path


class Function(Value):
    """A function of the project with its closure."""

    __slots__ = (
        "decorators",
        "defaults",
        "kw_defaults",
        "name",
        "node",
        "owner",
        "qualname",
        "scope",
    )

    def __init__(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        scope: Scope,
        qualname: str,
        defaults: tuple[Value, ...] = (),
        kw_defaults: tuple[Value | None, ...] = (),
        owner: ClassValue | None = None,
    ) -> None:
        self.node = node
        self.scope = scope
        self.qualname = qualname
        self.name = qualname.rpartition(".")[2]
        self.defaults = defaults
        self.kw_defaults = kw_defaults
        self.owner = owner
        self.decorators: tuple[str, ...] = ()
        """Canonical names of the decorators that do not change what a call does."""

    def __repr__(self) -> str:
        return f"Function({self.qualname})"


class ClassValue(Mutable):
    """A class of the project; ``slots`` are its attributes."""

    __slots__ = ("_lineage", "bases", "name", "node", "scope")

    def __init__(self, node: ast.ClassDef | None, name: str, bases: tuple[Value, ...], scope: Scope) -> None:
        super().__init__()
        self.node = node
        self.name = name
        self.bases = bases
        self.scope = scope
        self._lineage: list[ClassValue | ApiRef] | None = None

    def lineage(self) -> list[ClassValue | ApiRef]:
        """The class and its bases in the order in which attributes are looked up."""
        if self._lineage is None:
            bases = [
                base
                for base in self.bases
                if isinstance(base, ApiRef) or (isinstance(base, ClassValue) and base is not self)
            ]
            orders: list[list[ClassValue | ApiRef]] = [
                base.lineage() if isinstance(base, ClassValue) else [base] for base in bases
            ]
            self._lineage = [self, *_linearised([*orders, bases])]
        return self._lineage

    def find(self, name: str, after: ClassValue | None = None) -> Value | None:
        """An attribute of the class or its bases; ``after`` starts behind a class, as ``super()`` does."""
        lineage = self.lineage()
        if after is not None and after in lineage:
            lineage = lineage[lineage.index(after) + 1 :]
        for ancestor in lineage:
            if isinstance(ancestor, ClassValue) and name in ancestor.slots:
                return ancestor.slots[name]  # type: ignore[no-any-return]
        return None

    def api(self) -> ApiRef | None:
        """The first base that belongs to a library."""
        return next((base for base in self.lineage() if isinstance(base, ApiRef)), None)

    def fully_known(self) -> bool:
        """Whether every base is a class of the project (or ``object``)."""
        return all(
            (isinstance(base, ApiRef) and base.name == "builtins.object")
            or (isinstance(base, ClassValue) and base.fully_known())
            for base in self.bases
        )

    def made_of_classes(self) -> bool:
        """Whether every base is known to be a class of the project or of a library."""
        return all(
            isinstance(base, ApiRef) or (isinstance(base, ClassValue) and base.made_of_classes())
            for base in self.bases
        )

    def __repr__(self) -> str:
        return f"Class({self.name})"


def _linearised(orders: list[list[ClassValue | ApiRef]]) -> list[ClassValue | ApiRef]:
    """Python's method resolution order; where there is none, the orders one after the other."""
    found: list[ClassValue | ApiRef] = []
    pending = [list(order) for order in orders]
    while pending := [order for order in pending if order]:
        behind = {other for order in pending for other in order[1:]}
        chosen = next((order[0] for order in pending if order[0] not in behind), pending[0][0])
        found.append(chosen)
        pending = [[other for other in order if other is not chosen] for order in pending]
    return found


class Instance(Mutable):
    """An object of a project's class; ``slots`` are its attributes."""

    __slots__ = ("cls", "site")

    def __init__(self, cls: ClassValue, site: Location) -> None:
        super().__init__()
        self.cls = cls
        self.site = site

    def __repr__(self) -> str:
        return f"Instance({self.cls.name})"


class ApiRef(Value):
    """Something of a library, by canonical dotted name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Api({self.name})"


class ApiObject(Mutable):
    """An object that a library made: a session, an optimizer, a layer, a scope.

    ``kind`` is the canonical name of its class. When it is used in a ``with`` statement ``enter`` runs
    before the body and ``leave`` after it; what ``enter`` returns is bound by ``as``.
    """

    __slots__ = ("enter", "kind", "leave", "site")

    def __init__(
        self,
        kind: str,
        site: Location,
        enter: Callable[[], Value] | None = None,
        leave: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.site = site
        self.enter = enter
        self.leave = leave

    def __repr__(self) -> str:
        return f"ApiObject({self.kind})"


class Method(Value):
    """A callable together with its receiver: a project's function, or a library's method by name."""

    __slots__ = ("function", "receiver")

    def __init__(self, receiver: Value, function: Function | str) -> None:
        self.receiver = receiver
        self.function = function

    def __repr__(self) -> str:
        return f"Method({self.function}, {self.receiver!r})"


class Partial(Value):
    """A callable with some arguments given."""

    __slots__ = ("args", "function", "kwargs")

    def __init__(self, function: Value, args: tuple[Value, ...], kwargs: dict[str, Value]) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs


class Super(Value):
    """``super()``: attributes of the receiver looked up behind a class."""

    __slots__ = ("after", "receiver")

    def __init__(self, receiver: Value, after: ClassValue) -> None:
        self.receiver = receiver
        self.after = after


class Property(Value):
    """A computed attribute, and what runs when it is set."""

    __slots__ = ("function", "setter")

    def __init__(self, function: Function, setter: Function | None = None) -> None:
        self.function = function
        self.setter = setter


class Static(Value):
    """A static method, or a class method with ``bound`` true."""

    __slots__ = ("bound", "function")

    def __init__(self, function: Value, bound: bool) -> None:
        self.function = function
        self.bound = bound


class Tuple(Value):
    """A tuple; ``fields`` names its items when it is a named one."""

    __slots__ = ("fields", "items")

    def __init__(self, items: Iterable[Value], fields: tuple[str, ...] = ()) -> None:
        self.items = tuple(items)
        self.fields = fields

    def __repr__(self) -> str:
        return f"Tuple{self.items!r}"


class List(Mutable):
    """A list or set; ``open`` when it may hold more than is known."""

    __slots__ = ()

    def __init__(self, items: Iterable[Value] = (), open: bool = False) -> None:
        super().__init__()
        self.slots["items"] = tuple(items)
        self.slots["open"] = open

    @property
    def items(self) -> tuple[Value, ...]:
        """The known items, in order."""
        return self.slots["items"]  # type: ignore[no-any-return]

    @property
    def open(self) -> bool:
        """Whether there may be more."""
        return self.slots["open"]  # type: ignore[no-any-return]

    @property
    def ordered(self) -> bool:
        """Whether the known items stand in the order of the list."""
        return not self.slots.get("unordered")

    def __repr__(self) -> str:
        return f"List{self.items!r}"


class Dict(Mutable):
    """A dictionary; ``slots`` maps keys to values, ``keys`` finds the Value that a key was written as.

    Keys are Python constants, or the Value itself for keys such as placeholders.
    """

    __slots__ = ("keys", "sites")

    OPEN = object()
    """The slot that is true when there may be more entries than are known."""

    def __init__(self, open: bool = False) -> None:
        super().__init__()
        self.keys: dict[Any, Value] = {}
        self.sites: dict[Any, Place] = {}
        """Where the value of a key is written."""
        if open:
            self.slots[Dict.OPEN] = True

    @property
    def open(self) -> bool:
        """Whether there may be more entries than are known."""
        return bool(self.slots.get(Dict.OPEN))

    @staticmethod
    def key(value: Value) -> Any:
        """What identifies a key: equal constants are one key."""
        if isinstance(value, Const):
            return (type(value.value).__name__, value.value)
        if isinstance(value, Tuple):
            return tuple(Dict.key(item) for item in value.items)
        return value

    def entries(self) -> list[tuple[Value, Value, Place | None]]:
        """Keys, values and the places of the values."""
        return [
            (self.keys[key], value, self.sites.get(key))
            for key, value in self.slots.items()
            if key is not Dict.OPEN and isinstance(value, Value)
        ]

    def __repr__(self) -> str:
        return f"Dict{self.slots!r}"


class Builtin(Value):
    """A helper that the interpreter itself provides, called with the machine and the call."""

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[[Machine, Call], Value]) -> None:
        self.name = name
        self.function = function


class Call:
    """A call on its way: what is called with which arguments, and where.

    ``sites`` gives the place of each positional argument and keyword that is written at the call.
    ``open`` says that there may be more arguments than are known.
    """

    __slots__ = ("args", "kwargs", "name", "on_yield", "open", "receiver", "rest", "site", "sites")

    def __init__(
        self,
        args: list[Value],
        kwargs: dict[str, Value],
        site: Location,
        *,
        sites: dict[int | str, Place] | None = None,
        open: bool = False,
        name: str = "",
        receiver: Value | None = None,
        rest: tuple[Value, ...] = (),
    ) -> None:
        self.args = args
        self.kwargs = kwargs
        self.site = site
        self.sites = sites if sites is not None else {}
        self.open = open
        self.name = name
        """Canonical name of the library's function or method."""
        self.receiver = receiver
        """The object whose method is called."""
        self.rest = rest
        """What was spread into the call (``*values``) and has items that are not known."""
        self.on_yield: Callable[[Value], None] | None = None
        """What a generator context manager does at its ``yield``."""

    def get(self, position: int | None, name: str) -> Value | None:
        """The argument at a position or with a name."""
        if name in self.kwargs:
            return self.kwargs[name]
        if position is not None and position < len(self.args):
            return self.args[position]
        return None

    def site_of(self, position: int | None, name: str) -> Location:
        """Where an argument is written; the call itself when it comes from elsewhere."""
        place = self.sites.get(name if name in self.kwargs or position is None else position)
        return self.site if place is None else located(place)

    def values(self) -> tuple[Value, ...]:
        """All arguments."""
        return (*self.args, *self.kwargs.values(), *self.rest)


_MOST_SPREAD = 8


def contents(values: Iterable[Value], limit: int = 4000) -> tuple[Value, ...]:
    """The nodes, unknowns and choices inside values: what a computation with them depends on."""
    found: dict[Value, None] = {}
    pending = list(values)
    seen: set[Value] = set()
    while pending and len(seen) < limit:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Choice) and any(isinstance(o, Tuple | List | Dict) for _, o in value.options):
            found.update(dict.fromkeys(_spread(value)))
        elif isinstance(value, Node | Unknown | Choice):
            found[value] = None
        elif isinstance(value, Tuple | List):
            pending.extend(value.items)
        elif isinstance(value, Dict):
            pending.extend(entry for _, entry, _ in value.entries())
        elif isinstance(value, Instance | ApiObject):
            pending.extend(slot for slot in value.slots.values() if isinstance(slot, Value))
        elif isinstance(value, Method):
            pending.append(value.receiver)
        elif isinstance(value, Partial):
            pending.extend((*value.args, *value.kwargs.values()))
    return tuple(found)


def _spread(value: Choice) -> Iterator[Value]:
    """A choice between containers as choices between each item and nothing; among many, which is which is lost."""
    if len(value.options) > _MOST_SPREAD:
        yield Unknown("", contents(option for _, option in value.options))
        return
    for guards, option in value.options:
        others = tuple((guard, NONE) for guard, other in value.options if other is not option)
        for item in contents((option,)):
            yield Choice(((guards, item), *others)) if others else item
