"""What libraries mean: the tables of all frameworks together, and what holds for code nobody described.

A framework is one module or package in ``bnlint.frameworks`` with a ``FRAMEWORK``. Its table maps canonical
names to handlers: short functions that turn a call into trace events and an abstract result. Its ``WORDS`` are
groups of words: a project is about the framework if its files hold a word of each group.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bnlint.frameworks
from bnlint.dataflow import Const, Node, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter import builtins, methods, options
from bnlint.interpreter.attributes import Site
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
    contents,
)
from bnlint.interpreter.wrappers import Wrapper, Wrappers

if TYPE_CHECKING:
    import re

    from bnlint.interpreter.machine import Machine

Handler = Callable[["Machine", Call], Value]

_HARMLESS = frozenset(
    "print summary watch profile info debug warning get_model_complexity_info add_graph log_model len str repr count "
    "count_parameters flop_count make_dot unwrap_model".split()
)
"""Functions of libraries that only look at what they are given."""


_SHARED = "tensorflow1"
"""What holds for the tensors of all frameworks is described with this one."""


def _speak(texts: Sequence[bytes], words: Iterable[Sequence[bytes]]) -> bool:
    return all(any(word in text for text in texts for word in group) for group in words)


def _is_foreign(name: str) -> bool:
    """Whether an API belongs to a library that nobody described, and may do anything to what it is given."""
    top, last = name.partition(".")[0], name.rpartition(".")[2]
    return top not in sys.stdlib_module_names and top != "builtins" and last not in _HARMLESS


@dataclass(slots=True)
class Framework:
    """What one framework's API means."""

    name: str
    roots: dict[str, str]
    """Importable names and the canonical names they stand for (``tensorflow`` is ``tf``)."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Canonical prefixes that are other spellings of the same things, longest match wins."""
    handlers: dict[str, Handler] = field(default_factory=dict)
    """By canonical name: functions, classes, and methods as ``tf.Session.run``. Methods of dataflow nodes
    are ``Tensor.eval``; ``Tensor.eval`` and the like are shared by all frameworks."""
    properties: dict[str, Handler] = field(default_factory=dict)
    """Attributes of objects and nodes that are computed, not called; also names that are values."""
    fallback: Handler | None = None
    """What a call of the framework's API means that has no handler."""
    inherited: Callable[[Machine, Instance, ApiRef, str], Value | None] | None = None
    """An attribute that a project's class has from the framework's class, if that needs more than a handler."""
    construct: Callable[[Machine, ClassValue, ApiRef, Call], Value | None] | None = None
    """Making an object of a project's class that derives from the framework's; None for the usual way."""
    named: Callable[[Machine, Method, Location], None] | None = None
    """A method is named in a statement of its own, and not called."""
    decorated: dict[str, Callable[[Machine, Function, Call], Call]] = field(default_factory=dict)
    """Decorators that change how a function is called: what they make of the call."""
    hooks: dict[str, Callable[[Machine, Instance, Call], Value | None]] = field(default_factory=dict)
    """Methods of the project's classes that the framework calls, by name: what it is if the program does so itself."""
    escaped: Callable[[Machine, tuple[Value, ...]], None] | None = None
    """What becomes of values that code which is not known may have changed."""
    adopted: Callable[[Machine, Instance, str], Value | None] | None = None
    """An attribute that an object has from a class that no framework knows, if the framework can tell from the rest."""
    lineage: Callable[[str], frozenset[str]] | None = None
    """A class of the framework and all classes that it derives from, by canonical names; empty if not known."""
    copied: Callable[[Machine, Value, Location], Value | None] | None = None
    """A deep copy of objects of the framework; None where it has no part in a value."""
    norms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The normalisation layers that a layer of the user's own may be like, with their parameters in order."""


class Library:
    """All frameworks, and the standard library."""

    def __init__(self, texts: Iterable[bytes] | None = None) -> None:
        """``texts`` are those of a project: a framework is left out that they are not about."""
        self.frameworks: list[Framework] = []
        self.norms: dict[str, tuple[str, ...]] = {}
        """The normalisation layers by canonical name, with their parameters in order."""
        self.wrappers = Wrappers()
        """The functions and classes of the project that are to be taken for one of them."""
        self.norm_words: Sequence[re.Pattern[bytes]] = ()
        """What a file that uses a layer of the user's own mentions."""
        self._of_users: set[str] = set()
        self._roots: dict[str, str] = {}
        self._handlers: dict[str, Handler] = {**builtins.HANDLERS, **options.HANDLERS}
        self._properties: dict[str, Handler] = {}
        self._decorated: dict[str, Callable[[Machine, Function, Call], Call]] = {}
        self._hooks: dict[str, Callable[[Machine, Instance, Call], Value | None]] = {}
        self._aliases: dict[str, str] = {}
        self._canonical: dict[str, str] = {}
        self._references: dict[str, ApiRef] = {}
        self.spoken: set[str] = set()
        """The frameworks that the project is about, by the names of their packages."""
        known = None if texts is None else list(texts)
        for info in pkgutil.iter_modules(bnlint.frameworks.__path__):
            if info.name != "library":
                module = importlib.import_module(f"bnlint.frameworks.{info.name}")
                if known is None or _speak(known, module.WORDS):
                    self.spoken.add(info.name)
                if info.name in self.spoken or info.name == _SHARED:
                    self._add(module.FRAMEWORK)

    def _add(self, framework: Framework) -> None:
        self.frameworks.append(framework)
        self._roots.update(framework.roots)
        self._aliases.update(framework.aliases)
        self._handlers.update(framework.handlers)
        self._properties.update(framework.properties)
        self._decorated.update(framework.decorated)
        self._hooks.update(framework.hooks)
        self.norms.update(framework.norms)

    def norm_parameters(self, name: str) -> tuple[str, ...] | None:
        """The parameters of a normalisation layer in order; None if no framework has that layer."""
        return self.norms.get(self.root(name).name)

    def add_norm(
        self, name: str, like: str, parameters: tuple[str, ...], arguments: Mapping[str, str]
    ) -> None:
        """Take a function or class, of the project or of a library, for a normalisation layer.

        ``parameters`` are its own in order (empty: those of the layer), and ``arguments`` says which of them are
        which of the layer's, where the names differ.
        """
        api = self.root(like).name
        wrapper = Wrapper(api, self.norms[api], parameters, arguments)
        self.wrappers.add(name, wrapper)
        self._handlers[self.root(name).name] = wrapper
        self._of_users.add(name.partition(".")[0])

    # -- names ---------------------------------------------------------------------------------------

    def root(self, dotted: str) -> ApiRef:
        """What importing a library's module gives."""
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            known = self._roots.get(".".join(parts[:end]))
            if known is not None:
                return self.reference(".".join((known, *parts[end:])))
        return self.reference(dotted)

    def reference(self, name: str) -> ApiRef:
        """The API of that name, in its canonical spelling."""
        canonical = self._canonical.get(name)
        if canonical is None:
            canonical = self._canonical[name] = self._canonicalised(name)
        found = self._references.get(canonical)
        if found is None:
            found = self._references[canonical] = ApiRef(canonical)
        return found

    def _canonicalised(self, name: str) -> str:
        for _ in range(6):
            prefix = name
            while prefix and prefix not in self._aliases:
                prefix = prefix.rpartition(".")[0]
            if not prefix:
                return name
            name = self._aliases[prefix] + name[len(prefix) :]
        return name

    def knows(self, name: str) -> bool:
        """Whether a framework says what an API means."""
        canonical = self.reference(name).name
        return canonical in self._handlers or canonical in self._properties

    def framework_of(self, name: str) -> Framework | None:
        """The framework that an API belongs to."""
        top = name.partition(".")[0]
        for framework in self.frameworks:
            if top in {root.partition(".")[0] for root in framework.roots.values()}:
                return framework
        return None

    def builds(self, name: str) -> bool:
        """Whether an API may be part of a model: of a framework, or beside a layer of the user's own."""
        return name.partition(".")[0] in self._of_users or self.framework_of(name) is not None

    def member(self, machine: Machine, holder: ApiRef, name: str) -> Value:
        """``holder.name``."""
        found = self.reference(f"{holder.name}.{name}")
        computed = self._properties.get(found.name)
        if computed is not None:
            return computed(machine, Call([], {}, machine.here, name=found.name))
        return found

    def lineage(self, name: str) -> frozenset[str]:
        """A library's class and all classes that it derives from; empty if that is not known."""
        framework = self.framework_of(name)
        return framework.lineage(name) if framework is not None and framework.lineage else frozenset()

    def hook(self, machine: Machine, receiver: Instance, name: str, call: Call) -> Value | None:
        """A call, by the program, of a method that otherwise a framework calls; None if that is nothing special."""
        found = self._hooks.get(name)
        return found(machine, receiver, call) if found is not None else None

    def escaped(self, machine: Machine, values: tuple[Value, ...]) -> None:
        """Let the frameworks forget what code that is not known may have changed."""
        for framework in self.frameworks:
            if framework.escaped is not None:
                framework.escaped(machine, values)

    # -- calls ---------------------------------------------------------------------------------------

    def call(self, machine: Machine, name: str, call: Call) -> Value:
        """Call an API."""
        machine.spend(2)
        call.name = name
        handler = self._handlers.get(name)
        if handler is not None:
            return handler(machine, call)
        framework = self.framework_of(name)
        machine.callbacks(call.values(), call.site)
        if framework is None and _is_foreign(name):
            self.escaped(machine, call.values())
        if framework is not None and framework.fallback is not None:
            return framework.fallback(machine, call)
        last = name.rpartition(".")[2]
        if last[:1].isupper() and not call.values():
            return ApiObject(name, call.site)
        return machine.unknown(last, *call.values())

    def call_method(self, machine: Machine, receiver: Value, name: str, call: Call) -> Value:
        """Call a library's method."""
        if "." in name:
            return self.call(machine, name, call)
        if isinstance(receiver, List):
            return self._builtin_method(machine, "list", name, call)
        if isinstance(receiver, Dict):
            return self._builtin_method(machine, "dict", name, call)
        if isinstance(receiver, Const) and isinstance(receiver.value, str):
            return methods.text_method(machine, receiver.value, name, call)
        if isinstance(receiver, ApiObject):
            handler = self._handlers.get(f"{receiver.kind}.{name}")
            if handler is not None:
                machine.spend(2)
                call.name = f"{receiver.kind}.{name}"
                return handler(machine, call)
            machine.callbacks(call.values(), call.site)
            if self.framework_of(receiver.kind) is None and _is_foreign(f"{receiver.kind}.{name}"):
                self.escaped(machine, call.values())
            return machine.unknown(name, receiver, *call.values())
        if isinstance(receiver, Node):
            handler = self._handlers.get(f"Tensor.{name}")
            if handler is not None:
                machine.spend(2)
                call.name = f"Tensor.{name}"
                return handler(machine, call)
            machine.callbacks(call.values(), call.site)
        return machine.unknown(name, receiver, *call.values())

    def _builtin_method(self, machine: Machine, kind: str, name: str, call: Call) -> Value:
        call.name = f"builtins.{kind}.{name}"
        handler = self._handlers.get(call.name)
        return (
            handler(machine, call)
            if handler
            else machine.unknown(name, call.receiver or Unknown(), *call.values())
        )

    def call_unknown(self, machine: Machine, function: Unknown, call: Call) -> Value | None:
        """Call what may be a method of a tensor that is not known; None if no framework says what that means."""
        name = function.hint.rpartition(".")[2]
        handler = self._handlers.get(f"Unknown.{name}") if function.sources and name else None
        if handler is None:
            return None
        call.name, call.receiver = f"Unknown.{name}", function.sources[0]
        return handler(machine, call)

    def decorated(self, machine: Machine, function: Function, call: Call) -> Call:
        """What the decorators of a function make of a call to it."""
        for name in function.decorators:
            change = self._decorated.get(name)
            if change is not None:
                call = change(machine, function, call)
        return call

    def named(self, machine: Machine, method: Method, site: Location) -> None:
        """Let the frameworks see that a method is named in a statement of its own, and not called."""
        for framework in self.frameworks:
            if framework.named is not None:
                framework.named(machine, method, site)

    # -- objects and nodes -----------------------------------------------------------------------------

    def copied(self, machine: Machine, value: Value, site: Location) -> Value | None:
        """A deep copy of a value that a framework has a part in; None if none can say what that is."""
        for framework in self.frameworks:
            made = framework.copied(machine, value, site) if framework.copied else None
            if made is not None:
                return made
        return None

    def object_attribute(self, machine: Machine, holder: ApiObject, name: str, site: Location) -> Value:
        """An attribute of a library's object that nobody has set."""
        computed = self._properties.get(f"{holder.kind}.{name}")
        if computed is not None:
            return computed(machine, Call([], {}, site, receiver=holder, name=name))
        if f"{holder.kind}.{name}" in self._handlers:
            return Method(holder, name)
        return machine.interned(("attribute", holder, name), lambda: Unknown(name, (holder,)))

    def node_attribute(self, machine: Machine, holder: Node, name: str, site: Location) -> Value:
        """An attribute of a dataflow node."""
        computed = self._properties.get(f"Tensor.{name}")
        if computed is not None:
            return computed(machine, Call([], {}, site, receiver=holder, name=name))
        return Method(holder, name)

    def set_attribute(
        self, machine: Machine, holder: ApiObject | Instance, name: str, value: Value, site: Site
    ) -> bool:
        """Let a framework see that an attribute of its object is set, or of one that derives from its class.

        True if that was all.
        """
        if isinstance(holder, ApiObject):
            kind = holder.kind
        else:
            base = holder.cls.api()
            kind = base.name if base is not None else ""
        handler = self._handlers.get(f"{kind}.{name}=")
        if handler is None:
            return False
        made = Call([value], {}, site() if callable(site) else site, receiver=holder, name=name)
        handler(machine, made)
        return True

    def special(self, machine: Machine, holder: Value, name: str, call: Call) -> Value | None:
        """What a special method of a library's object gives (``holder[0]``); None if nobody says what that means."""
        kind = ""
        if isinstance(holder, ApiObject):
            kind = holder.kind
        elif isinstance(holder, Instance) and (base := holder.cls.api()) is not None:
            kind = base.name
        handler = self._handlers.get(f"{kind}.{name}") if kind else None
        if handler is None:
            return None
        call.receiver, call.name = holder, f"{kind}.{name}"
        return handler(machine, call)

    def inherited(self, machine: Machine, instance: Instance, base: ApiRef, name: str) -> Value:
        """An attribute that an object has from a library's class."""
        framework = self.framework_of(base.name)
        if framework is not None and framework.inherited is not None:
            found = framework.inherited(machine, instance, base, name)
            if found is not None:
                return found
        full = f"{base.name}.{name}"
        if full in self._handlers:
            return Method(instance, full)
        for each in self.frameworks if framework is None else ():
            found = each.adopted(machine, instance, name) if each.adopted is not None else None
            if found is not None:
                return found
        return machine.interned(("attribute", instance, name), lambda: Unknown(f"self.{name}"))

    def construct(self, machine: Machine, cls: ClassValue, base: ApiRef, call: Call) -> Value | None:
        """An object of a project's class that derives from a library's; None to make it the usual way."""
        framework = self.framework_of(base.name)
        if framework is not None and framework.construct is not None:
            return framework.construct(machine, cls, base, call)
        return None

    def call_instance(self, machine: Machine, instance: Instance, base: ApiRef, call: Call) -> Value:
        """Call an object whose class inherits ``__call__`` from a library."""
        call.receiver = instance
        name = f"{base.name}.__call__"
        if name in self._handlers:
            return self.call(machine, name, call)
        machine.callbacks(call.values(), call.site)
        return machine.unknown(instance.cls.name, instance, *call.values())

    def item(self, machine: Machine, holder: Node, key: Value, site: Location) -> Value:
        """``node[key]``."""
        return machine.node("item", (holder, *contents((key,))), site, key=key)

    def part(self, machine: Machine, holder: Node, index: int) -> Value:
        """One of the results of an operation that returns several."""
        parts = holder.attrs.get("parts")
        if parts is not None and index < len(parts):
            return parts[index]  # type: ignore[no-any-return]
        return machine.interned(
            ("part", holder, index), lambda: machine.node("part", (holder,), holder.site, index=index)
        )

    def arithmetic(self, machine: Machine, name: str, left: Value, right: Value, site: Location) -> Value:
        """``left <operator> right`` where one is a node."""
        return machine.node(name.lower(), contents((left, right)), site, operands=(left, right))
