"""Calling functions, classes and everything else that can be called."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Const, Frame, Node, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.activation import DEPTH, RECURSIONS, TREE, Activation, Signal
from bnlint.interpreter.names import names_in
from bnlint.interpreter.store import choice
from bnlint.interpreter.values import (
    NONE,
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
    Place,
    Property,
    Scope,
    Static,
    Tuple,
    contents,
)
from bnlint.walk import walk

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

    Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def call(machine: Machine, function: Value, made: Call) -> Value:
    """The result of a call."""
    function = machine.settle(function)
    if isinstance(function, Function | ClassValue):
        wrapper = machine.libraries.wrappers.stand_in(machine, function)
        if wrapper is not None:
            return wrapper(machine, made)
    if isinstance(function, Function):
        return _run(machine, function, made)
    if isinstance(function, Method):
        return _call_method(machine, function, made)
    if isinstance(function, ApiRef):
        return machine.libraries.call(machine, function.name, made)
    if isinstance(function, ClassValue):
        return _instantiate(machine, function, made)
    if isinstance(function, Partial):
        return call(machine, function.function, _with_partial(function, made))
    if isinstance(function, Builtin):
        return function.function(machine, made)
    if isinstance(function, ApiObject):
        made.receiver = function
        return machine.libraries.call(machine, f"{function.kind}.__call__", made)
    if isinstance(function, Instance):
        return _call_instance(machine, function, made)
    if isinstance(function, Choice):
        return _call_each(machine, function, made)
    return call_unknown(machine, function, made)


def call_unknown(machine: Machine, function: Value, made: Call) -> Value:
    """A call of something that is not known: it may do anything with what it is given."""
    known = machine.libraries.call_unknown(machine, function, made) if isinstance(function, Unknown) else None
    if known is not None:
        return known
    machine.escape((*made.values(), function))
    machine.callbacks(made.values(), made.site)
    hint = function.hint if isinstance(function, Unknown) else ""
    sources = contents((*made.values(), function))
    if sources and any(isinstance(source, Node) for source in sources):
        return Unknown(hint, sources)
    return Unknown(hint, sources)


def _with_partial(function: Partial, made: Call) -> Call:
    shift = len(function.args)
    sites: dict[int | str, Place] = {
        (key + shift if isinstance(key, int) else key): site for key, site in made.sites.items()
    }
    merged = Call(
        [*function.args, *made.args],
        {**function.kwargs, **made.kwargs},
        made.site,
        sites=sites,
        open=made.open,
        rest=made.rest,
    )
    return merged


def _call_each(machine: Machine, function: Choice, made: Call) -> Value:
    """Call every alternative under its own guards."""
    base = machine.guards
    results = []
    branches = []
    for guards, option in function.options:
        machine.store.open()
        machine.guards = base + tuple(guard for guard in guards if guard not in base)
        copied = Call(
            list(made.args), dict(made.kwargs), made.site, sites=made.sites, open=made.open, rest=made.rest
        )
        results.append((guards, call(machine, option, copied)))
        branches.append((guards, machine.store.take_back()))
        machine.guards = base
    machine.store.join(branches)
    return choice(results)


def _call_method(machine: Machine, method: Method, made: Call) -> Value:
    if isinstance(method.function, Function):
        wrapper = machine.libraries.wrappers.stand_in(machine, method.function)
        if wrapper is not None:
            return wrapper(machine, made)
        if isinstance(method.receiver, Instance):
            special = machine.libraries.hook(machine, method.receiver, method.function.name, made)
            if special is not None:
                return special
        shifted: dict[int | str, Place] = {
            (key + 1 if isinstance(key, int) else key): site for key, site in made.sites.items()
        }
        inner = Call(
            [method.receiver, *made.args],
            made.kwargs,
            made.site,
            sites=shifted,
            open=made.open,
            rest=made.rest,
        )
        return _run(machine, method.function, inner)
    made.receiver = method.receiver
    return machine.libraries.call_method(machine, method.receiver, method.function, made)


def _call_instance(machine: Machine, instance: Instance, made: Call) -> Value:
    found = instance.cls.find("__call__")
    if isinstance(found, Function):
        return _call_method(machine, Method(instance, found), made)
    base = instance.cls.api()
    if base is not None:
        made.receiver = instance
        return machine.libraries.call_instance(machine, instance, base, made)
    return call_unknown(machine, instance, made)


def _instantiate(machine: Machine, cls: ClassValue, made: Call) -> Value:
    base = cls.api()
    if base is not None:
        special = machine.libraries.construct(machine, cls, base, made)
        if special is not None:
            return special
    instance = Instance(cls, made.site)
    initialiser = cls.find("__init__")
    if isinstance(initialiser, Function):
        _call_method(machine, Method(instance, initialiser), made)
    elif cls.node is not None and _is_dataclass(cls):
        _fill_fields(machine, instance, cls, made)
    elif base is not None:
        machine.libraries.special(machine, instance, "__init__", made)
    return instance


def _is_dataclass(cls: ClassValue) -> bool:
    if cls.node is None:
        return False
    return any("dataclass" in ast.unparse(decorator) for decorator in cls.node.decorator_list)


def _fill_fields(machine: Machine, instance: Instance, cls: ClassValue, made: Call) -> None:
    assert cls.node is not None
    names = [
        item.target.id
        for item in cls.node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]
    for name, value in (*zip(names, made.args, strict=False), *made.kwargs.items()):
        machine.store.write(instance, name, value)


def _run(machine: Machine, function: Function, made: Call) -> Value:
    node = function.node
    running = machine.running.get(node, 0)
    deeper = _goes_down(machine, node, made)
    most = TREE if deeper else RECURSIONS
    if running and (running >= most or not (deeper or _counts_down(made))):
        return call_unknown(machine, Unknown(function.name), made)
    if machine.depth >= DEPTH or _computes_data(machine, function, made):
        return call_unknown(machine, Unknown(function.name), made)
    machine.entered.add(node)
    if function.decorators:
        made = machine.libraries.decorated(machine, function, made)
    source = function.scope.module.source
    frame = Frame(function.qualname, source.display, node, made.site, machine.frame, source.location)
    scope = Scope(function.scope.module, frame, _enclosing(function), function.owner)
    frame.names = partial(names_in, machine, scope)
    _bind(machine, function, made, scope)
    saved = (machine.frame, machine.activation, machine.guards, machine.depth)
    machine.frame = frame
    machine.depth += 1
    machine.running[node] = running + 1
    machine.activation = Activation(scope, machine.guards, on_yield=made.on_yield)
    try:
        if isinstance(node, ast.Lambda):
            return machine.evaluate(node.body, scope)
        if "contextlib.contextmanager" in function.decorators and made.on_yield is None:
            return _generator_manager(machine, function, made)
        return _finish(machine, function, machine.execute(node.body, scope), saved[2])
    finally:
        for left in machine.activation.exits:
            machine.store.unwatch(left.watch)
        machine.frame, machine.activation, machine.guards, machine.depth = saved
        machine.running[node] = running


def _counts_down(made: Call) -> bool:
    """Whether a recursive call has an argument that can end the recursion: a number or a sequence."""
    return any(
        (isinstance(value, Const) and isinstance(value.value, int))
        or isinstance(value, Tuple)
        or (isinstance(value, List) and not value.open)
        for value in made.values()
    )


def _goes_down(machine: Machine, node: ast.AST, made: Call) -> bool:
    """Whether a function calls itself with another object than the one that it was given: a part of it, perhaps."""
    scope = machine.activation.scope
    if scope.frame.node is not node or not made.args or not isinstance(node, ast.FunctionDef):
        return False
    first, given = made.args[0], node.args.args[:1]
    return isinstance(first, Instance | ApiObject) and any(
        scope.slots.get(parameter.arg) is not first for parameter in given
    )


def _computes_data(machine: Machine, function: Function, made: Call) -> bool:
    """Whether a call can be left out: a loop in code that neither normalises nor drives a model, or that knows no
    framework at all, and that is given nothing of one."""
    module = function.scope.module
    if not _loops(function.node) or (
        machine.modules.matters(machine, module) and machine.modules.builds(machine, module)
    ):
        return False
    return not any(machine.modules.belongs(machine, value) for value in made.values())


def _loops(node: ast.AST) -> bool:
    found = getattr(node, "_bnlint_loops", None)
    if found is None:
        inner = walk(node)
        found = any(isinstance(part, ast.For | ast.While) for part in inner) and not any(
            isinstance(part, ast.Yield | ast.YieldFrom) for part in inner
        )
        node._bnlint_loops = found  # type: ignore[attr-defined]
    return bool(found)


def _finish(machine: Machine, function: Function, signal: Signal | None, base: tuple[object, ...]) -> Value:
    activation = machine.activation
    options = [(left.guards, left.value or NONE) for left in activation.exits]
    if signal is not Signal.RAISE:
        here = machine.guards[len(base) :]
        ended = activation.value if signal is Signal.RETURN and activation.value is not None else NONE
        options.append((here, ended))
    elif not options:
        return Unknown(function.name)
    machine.rejoin(activation.exits, activation.base, ended=signal is Signal.RAISE)
    if _is_generator(function):
        return List(activation.yielded, True)
    return choice(options) if len(options) > 1 else options[0][1]


def _enclosing(function: Function) -> Scope | None:
    """The scope of the enclosing function; class bodies and modules are not searched that way."""
    scope: Scope | None = function.scope
    while scope is not None and (scope is scope.module.scope or scope.class_body):
        scope = scope.parent
    return scope


def _bind(machine: Machine, function: Function, made: Call, scope: Scope) -> None:
    spec = function.node.args
    names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
    slots = scope.slots
    for name, value in zip(names, made.args, strict=False):
        slots[name] = value
    extra = made.args[len(names) :]
    if spec.vararg is not None:
        slots[spec.vararg.arg] = List(extra, True) if made.open else Tuple(extra)
    keyword_names = {*names, *(arg.arg for arg in spec.kwonlyargs)}
    rest: Dict | None = None
    if spec.kwarg is not None:
        rest = Dict(open=made.open)
        slots[spec.kwarg.arg] = rest
    for name, value in made.kwargs.items():
        if name in keyword_names:
            slots[name] = value
        elif rest is not None:
            key = Const(name)
            rest.keys[Dict.key(key)] = key
            rest.slots[Dict.key(key)] = value
            place = made.sites.get(name)
            if place is not None:
                rest.sites[Dict.key(key)] = place
    defaults = dict(zip(names[len(names) - len(function.defaults) :], function.defaults, strict=True))
    defaults.update(
        (arg.arg, value)
        for arg, value in zip(spec.kwonlyargs, function.kw_defaults, strict=True)
        if value is not None
    )
    for name in (*names, *(arg.arg for arg in spec.kwonlyargs)):
        if name not in slots:
            default = defaults.get(name)
            if default is None or made.open:
                slots[name] = Unknown(name)
            else:
                slots[name] = default


def _is_generator(function: Function) -> bool:
    found: bool | None = getattr(function.node, "_bnlint_yields", None)
    if found is None:
        found = _has_yield(function.node)
        function.node._bnlint_yields = found  # type: ignore[union-attr]
    return found


def _has_yield(node: ast.AST) -> bool:
    pending = list(ast.iter_child_nodes(node))
    while pending:
        child = pending.pop()
        if isinstance(child, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(child))
    return False


def _generator_manager(machine: Machine, function: Function, made: Call) -> Value:
    manager = ApiObject("contextlib.generator", made.site)
    manager.slots["resume"] = (function, made)
    return manager


def run_generator_manager(
    machine: Machine, manager: ApiObject, body: Callable[[Value], Signal | None]
) -> Signal | None:
    """Run the body of a ``with`` where a generator context manager yields."""
    function, made = manager.slots["resume"]
    outcome: list[Signal | None] = []
    outer = (machine.frame, machine.activation, machine.depth)

    def resume(value: Value) -> None:
        inner = (machine.frame, machine.activation, machine.depth)
        machine.frame, machine.activation, machine.depth = outer
        try:
            outcome.append(body(value))
        finally:
            machine.frame, machine.activation, machine.depth = inner

    again = Call(made.args, made.kwargs, made.site, sites=made.sites, open=made.open, rest=made.rest)
    again.on_yield = resume
    _run(machine, function, again)
    return outcome[-1] if outcome else body(Unknown())


def call_with_unknowns(machine: Machine, function: Value, site: Location) -> Value:
    """Call a project's function as somebody unknown would."""
    return call(machine, function, Call([], {}, site, open=True))


def function_of(machine: Machine, node: Definition, scope: Scope) -> Function:
    """The function that a definition or a lambda makes."""
    outer = scope.frame.function if scope.frame.node is not None or scope.class_body else ""
    if scope.class_body and scope.owner is not None:
        outer = scope.owner.name
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    return Function(
        node,
        scope,
        f"{outer}.{name}" if outer else name,
        tuple(machine.evaluate(default, scope) for default in node.args.defaults),
        tuple(
            None if default is None else machine.evaluate(default, scope) for default in node.args.kw_defaults
        ),
        scope.owner,
    )


def class_of(machine: Machine, node: ast.ClassDef, scope: Scope) -> ClassValue:
    """The class that a definition makes; runs its body."""
    bases = tuple(machine.evaluate(base, scope) for base in node.bases)
    made = ClassValue(node, node.name, bases, scope)
    inner = Scope(scope.module, scope.frame, scope, made)
    inner.class_body = True
    machine.execute(node.body, inner)
    for name, value in inner.slots.items():
        made.slots[name] = value
    return made


_TRANSPARENT = {
    "functools.lru_cache",
    "functools.cache",
    "functools.wraps",
    "tf.function",
    "builtins.staticmethod",
}


def call_decorated(
    machine: Machine, decorator: Value, function: Value, node: ast.expr, scope: Scope
) -> Value:
    """What a decorator makes of a function."""
    site = scope.module.source.location(node)
    if isinstance(decorator, ApiRef):
        name = decorator.name
        if name in ("builtins.property", "abc.abstractproperty", "functools.cached_property"):
            return Property(function) if isinstance(function, Function) else function
        if name == "builtins.staticmethod":
            return Static(function, bound=False)
        if name == "builtins.classmethod":
            return Static(function, bound=True)
        if isinstance(function, Function):
            function.decorators = (*function.decorators, name)
        return function
    if isinstance(decorator, Method) and decorator.function in ("setter", "getter", "deleter"):
        computed = decorator.receiver
        if decorator.function == "setter" and isinstance(computed, Property):
            if isinstance(function, Function):
                return Property(computed.function, function)
        return computed
    if isinstance(decorator, Function | Partial | Choice | ClassValue) or (
        isinstance(decorator, Method) and isinstance(decorator.function, Function)
    ):
        made = call(machine, decorator, Call([function], {}, site))
        return function if isinstance(made, Unknown) else made
    if isinstance(decorator, ApiObject) and isinstance(function, Function):
        function.decorators = (*function.decorators, decorator.kind)
    return function
