"""How PyTorch calls modules: each has a mode of its own, and a call tells it nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.frameworks.pytorch.containers import ModuleDict, ModuleList
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    ApiObject,
    Call,
    Dict,
    Function,
    Instance,
    List,
    Method,
    Scope,
    Tuple,
    contents,
)
from bnlint.trace import Forward, Run
from bnlint.words import is_phase_name

Module = ApiObject | Instance
MADE = "torch calls made"
"""Where the calls are kept that were made, by what must be the same for one to be the same again."""
_KINDS = ("torch.nn.", "torchvision.models.", "torch.optim.swa_utils.AveragedModel", "timm.utils.ModelEma")
"""Beginnings of the names of libraries' modules."""


def active(machine: Machine) -> Forward | None:
    """The outermost call that is going on."""
    found: tuple[Forward, ...] = machine.state.get("torch calls", ())
    return found[0] if found else None


@contextmanager
def calling(machine: Machine, target: Value, call: Call) -> Iterator[Forward]:
    """While a module is called."""
    outer: tuple[Forward, ...] = machine.state.get("torch calls", ())
    forward = outer[0] if outer else Forward(
        machine.context(call.site), machine.tick(), target, contents(call.values())
    )  # fmt: skip
    machine.state["torch calls"] = (*outer, forward)
    built = machine.built
    try:
        yield forward
    finally:
        machine.state["torch calls"] = outer
        # A loop that calls a model builds nothing anew in its later rounds.
        machine.built = built


def finished(machine: Machine, forward: Forward, output: Value) -> Value:
    """Note a call that has come to its end."""
    from bnlint.frameworks.pytorch.registration import note

    if active(machine) is None and forward.norms:
        plain = isinstance(output, Node | Unknown | Choice | Tuple | List)
        forward.output = output if plain else Tuple(contents((output,)))
        machine.emit(forward)
        note(machine, forward)
        fetches = contents((output,))
        run = Run(
            forward.context, machine.tick(), "torch call", fetches, target=forward.target, forward=forward
        )
        run.said = _said(machine)
        machine.emit(run)
    return output


def _said(machine: Machine) -> tuple[str, str] | None:
    """The variable that says the phase where a call stands (``for phase in ("train", "val")``), and what it says."""
    scope: Scope | None = machine.activation.scope
    while scope is not None:
        for name, value in scope.slots.items():
            if isinstance(value, Const) and isinstance(value.value, str) and is_phase_name(name):
                return name, value.value
        scope = scope.parent
    return None


def own_forward(instance: Instance) -> Function | None:
    """The ``forward`` of a project's own module."""
    found = instance.cls.find("forward")
    return found if isinstance(found, Function) else None


def call_own(machine: Machine, call: Call) -> Value:
    """A call of a project's own module."""
    from bnlint.interpreter.calls import call as make

    holder = call.receiver
    method = own_forward(holder) if isinstance(holder, Instance) else None
    if holder is None or method is None:
        return machine.unknown("forward", *call.values())
    key = _way(machine, holder, call)
    known: dict[object, Forward] = machine.state.setdefault(MADE, {})
    if key in known:
        return _again(machine, known[key], call)
    with calling(machine, holder, call) as forward:
        inner = Call(
            list(call.args), dict(call.kwargs), call.site, sites=call.sites, open=call.open, rest=call.rest
        )
        output = make(machine, Method(holder, method), inner)
    finished(machine, forward, output)
    if key is not None and forward.norms and isinstance(output, Node):
        known[key] = forward
    return output


def by_name(machine: Machine, module: Instance, call: Call) -> Value | None:
    """``model.forward(x)``, outside of any call of a model, is a call of the model."""
    # A function that is interpreted on its own is called by nobody.
    alone = not machine.trace.driven and machine.frame.node is None
    if alone or active(machine) is not None or not is_module(module):
        return None
    call.receiver = module
    return call_own(machine, call)


def _way(machine: Machine, target: Value, call: Call) -> object:
    """What must be the same for a call to be the same again; None for one that cannot be."""
    if active(machine) is not None:
        return None
    modes = tuple(part.slots.get("training") for part in parts_of(target))
    return (target, call.site, machine.frame.node, machine.guards, modes, len(call.values()))


def _again(machine: Machine, first: Forward, call: Call) -> Value:
    inputs = contents(call.values())
    output = machine.node(
        "torch call", (*inputs, *contents((first.output,) if first.output else ())), call.site
    )
    forward = Forward(
        machine.context(call.site), machine.tick(), first.target, inputs, output=output, norms=first.norms
    )
    return finished(machine, forward, output)


def is_module(value: Value) -> bool:
    """Whether a value is a module, of the library or of the project."""
    if isinstance(value, Instance):
        base = value.cls.api()
        if base is None or base.name.startswith(("torch.nn.", "builtins.")):
            return base is not None and base.name.startswith("torch.nn.")
        # Classes of other libraries are modules if they are called like one (``LightningModule``).
        return not base.name.startswith(("tf.", "keras.")) and own_forward(value) is not None
    return isinstance(value, ApiObject) and value.kind.startswith(_KINDS)


def is_named(name: object, value: object) -> bool:
    """Whether a slot of a module holds a module inside it, under a name that the program knows, too."""
    return isinstance(name, str) and isinstance(value, Value) and is_module(value)


def children(module: Value) -> Iterator[Module]:
    """The modules directly inside one: a project's own module has none of those in its plain lists."""
    pending: list[object] = list(module.slots.values()) if isinstance(module, ApiObject | Instance) else []
    plain = isinstance(module, ApiObject)
    while pending:
        value = pending.pop(0)
        if isinstance(value, ApiObject | Instance):
            if is_module(value):
                yield value
        elif isinstance(value, ModuleList) or (plain and isinstance(value, List | Tuple)):
            pending.extend(value.items)
        elif isinstance(value, ModuleDict) or (plain and isinstance(value, Dict)):
            pending.extend(entry for _, entry, _ in value.entries())
        elif isinstance(value, Choice):
            pending.extend(option for _, option in value.options)


def parts_of(module: Value, most: int = 600) -> list[Module]:
    """A module and all modules inside, each once."""
    pending = [module]
    found: dict[Module, None] = {}
    while pending and len(found) < most:
        current = pending.pop(0)
        if isinstance(current, ApiObject | Instance) and current not in found:
            found[current] = None
            pending.extend(children(current))
    return list(found)


class Mode(Const):
    """The mode of a module: known now, but not a constant of the program."""

    __slots__ = ()


def as_mode(value: Value) -> Value:
    """A phase that becomes the mode of a module, which remains told from a constant."""
    if isinstance(value, Choice):
        return Choice(tuple((guards, as_mode(option)) for guards, option in value.options))
    return Mode(value.value) if isinstance(value, Const) else value


def is_mode(phase: Value) -> bool:
    """Whether a phase is the mode of a module."""
    if isinstance(phase, Choice):
        return all(is_mode(option) for _, option in phase.options)
    return isinstance(phase, Mode)


def mode_of(module: Value) -> Value:
    """The mode of a module: training, unless it was switched."""
    found = module.slots.get("training") if isinstance(module, ApiObject | Instance) else None
    return found if isinstance(found, Value) else Mode(True)
