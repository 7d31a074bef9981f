"""Classes of the project that have a ``train()`` or ``eval()`` of their own: what ``eval()`` does to their modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.dataflow import Const, Value
from bnlint.frameworks.pytorch import calling
from bnlint.interpreter import calls
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import FALSE, TRUE, ApiRef, Call, ClassValue, Function, Instance, Method
from bnlint.trace import Event, Forward, ModeSwitch, OwnSwitch, TrainStep


def construct(machine: Machine, cls: ClassValue, base: ApiRef, call: Call) -> Value | None:
    """Make a module as always, and try out the ``eval()`` that its class has."""
    own = _own(cls)
    if own is None or not base.name.startswith("torch.nn."):
        return None
    made = Instance(cls, call.site)
    initialiser = cls.find("__init__")
    if isinstance(initialiser, Function):
        calls.call(machine, Method(made, initialiser), call)
    tried: set[object] = machine.state.setdefault("torch overrides", set())
    if (cls, own.node) not in tried:
        tried.add((cls, own.node))
        _try_out(machine, made, own)
    return made


def _own(cls: ClassValue) -> Function | None:
    """The project's method that runs when ``eval()`` is called, if that can be one that switches the mode."""
    for name in ("eval", "train"):
        found = cls.find(name)
        if isinstance(found, Function) and isinstance(found.node, ast.FunctionDef):
            return found if _takes_mode(found) else None
    return None


def _takes_mode(function: Function) -> bool:
    """Whether a method takes what the one of PyTorch takes: nothing, or first a truth value that has a default."""
    spec = function.node.args
    taken = len(spec.posonlyargs) + len(spec.args) - 1
    if spec.vararg or spec.kwarg or any(default is None for default in function.kw_defaults):
        return False
    if function.name == "eval":
        return taken == 0
    first = function.defaults[0] if function.defaults else None
    return taken == len(function.defaults) and isinstance(first, Const) and isinstance(first.value, bool)


def _try_out(machine: Machine, made: Instance, own: Function) -> None:
    """Call ``eval()``, see what it did, and take that back."""
    before = {part for part in calling.parts_of(made) if _mode(part)}
    returns, done, after = _tried(machine, made, own, FALSE)
    both = [*done, *(_tried(machine, made, own, TRUE)[1] if own.name == "train" else ())]
    node, locate = own.node, own.scope.module.source.location
    trains = any(isinstance(event, Forward | TrainStep) for event in both)
    if trains or not isinstance(node, ast.FunctionDef) or not _understood(made, own, both):
        return
    switched = any(_follows(event, own) for event in done)
    context = machine.context(locate(node))
    event = OwnSwitch(context, machine.tick(), made, node, locate, returns, switched)
    event.reached.update(dict.fromkeys(part for part, mode in after.items() if mode is False))
    event.left.update(dict.fromkeys(part for part, mode in after.items() if mode and part in before))
    machine.emit(event)


def _tried(
    machine: Machine, made: Instance, own: Function, mode: Value
) -> tuple[Value, list[Event], dict[calling.Module, bool | None]]:
    """What a method gives, what it does, and the modes of all parts then."""
    trace, entered, state = machine.trace, set(machine.entered), machine.state
    events, nodes = len(trace.events), len(trace.nodes)
    machine.state = {**state, calling.MADE: dict(state.get(calling.MADE, {}))}
    machine.store.open()
    try:
        returns = machine.call(Method(made, own), [mode] if own.name == "train" else [], {}, made.site)
        return returns, trace.events[events:], {part: _mode(part) for part in calling.parts_of(made)}
    finally:
        machine.store.take_back()
        del trace.events[events:], trace.nodes[nodes:]
        machine.entered, machine.state = entered, state


def _mode(module: Value) -> bool | None:
    known = calling.mode_of(module)
    return bool(known.value) if isinstance(known, Const) else None


def _follows(event: Event, own: Function) -> bool:
    """Whether an event switches a mode, and not to training because the method says so literally."""
    if not isinstance(event, ModeSwitch):
        return False
    site = event.training.site if isinstance(event.training, Const) and event.training.value else None
    method = own.scope.module.source.location(own.node)
    default = getattr(own.defaults[0], "site", None) if own.defaults else None
    inside = site is not None and site.path == method.path and method.line <= site.line <= method.end_line
    return not inside or site == default


def _understood(made: Instance, own: Function, done: list[Event]) -> bool:
    """Whether all that the method calls to switch modes was seen to do so."""
    switches = [event for event in done if isinstance(event, ModeSwitch)]
    seen = {event.site for event in switches}
    seen.update(frame.site for event in switches for frame in event.context.frame.outwards() if frame.site)
    locate = own.scope.module.source.location
    for function in _with_helpers(made, own):
        for node in ast.walk(function.node):
            if isinstance(node, ast.Name | ast.Attribute) and _name(node) in _HIDDEN:
                return False
            if isinstance(node, ast.Call) and _name(node.func) in ("train", "eval", "train_mode"):
                if locate(node) not in seen:
                    return False
    return True


_HIDDEN = frozenset(("__dict__", "setattr", "getattr", "vars"))
"""Ways to modules that are not followed."""


def _with_helpers(made: Instance, own: Function) -> Iterator[Function]:
    """A method, and those of the same object that it calls."""
    yield own
    for node in ast.walk(own.node):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found = made.cls.find(node.func.attr)
            if isinstance(found, Function) and found is not own:
                yield found


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
