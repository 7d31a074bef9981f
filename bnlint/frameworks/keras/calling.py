"""How Keras calls models and layers: who hands the phase to whom, and what a call leaves behind.

A call without ``training`` takes it from the call that it is part of, then from the default of its own
``call``; the outermost call of an eager program is inference if nobody says otherwise. Keras 2.15 and 3.15 agree on
that. Calls on inputs that only stand for data are kept, so that the model which they describe can be called later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.keras.eagerness import eager
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    FALSE,
    ApiObject,
    Call,
    Function,
    Instance,
    List,
    Method,
    Place,
    Tuple,
    contents,
)
from bnlint.trace import Forward, Origin, Overruled, Run


@dataclass(eq=False, slots=True)
class Active:
    """A call of a model or layer that is going on."""

    forward: Forward
    training: Value | None
    """The phase that it hands down; None when it has none."""
    origin: Origin
    """How it got that."""


@dataclass(eq=False, slots=True)
class Described:
    """A call on inputs that stand for data: what is called with what, to be repeated with data."""

    target: Value
    args: list[Value]
    kwargs: dict[str, Value]
    site: Location
    sites: dict[int | str, Place]
    output: Value


def given(value: Value | None) -> Value | None:
    """An argument, where None means that there is none."""
    return None if value is None or (isinstance(value, Const) and value.value is None) else value


def active(machine: Machine) -> tuple[Active, ...]:
    """The calls that are going on, outermost first."""
    found: tuple[Active, ...] = machine.state.get("keras calls", ())
    return found


def phase(machine: Machine, training: Value | None, default: Value | None = None) -> tuple[Value, Origin]:
    """The phase of a call, and how it came by it; ``default`` is that of its own ``call``."""
    if given(training) is not None:
        assert training is not None
        return training, Origin.ARGUMENT
    outer = active(machine)
    if outer and outer[-1].training is not None:
        return outer[-1].training, Origin.CONTEXT
    if given(default) is not None:
        assert default is not None
        return default, Origin.ARGUMENT
    globally = machine.state.get("keras learning phase")
    if isinstance(globally, Value):
        return globally, Origin.CONTEXT
    return FALSE, Origin.DEFAULT


def again(machine: Machine, target: Value, call: Call, driver: Value | None) -> Value | None:
    """The output of a call that was made before in the same way, as in the next round of a loop; else None.

    Its normalisations are those of the first call.
    """
    key = _way(machine, target, call, driver)
    known: dict[object, Forward] = machine.state.setdefault("keras calls made", {})
    first = known.get(key) if key is not None else None
    if first is None or first.output is None:
        machine.state["keras way"] = key
        return None
    inputs = contents(call.values())
    old = first.output
    parts = old.items if isinstance(old, List | Tuple) else (old,)
    nodes = [machine.node("keras call", (*inputs, *contents((part,))), call.site) for part in parts]
    output: Value = (
        Tuple(nodes) if isinstance(old, Tuple) else List(nodes) if isinstance(old, List) else nodes[0]
    )
    forward = Forward(
        machine.context(call.site), machine.tick(), target, inputs, first.training, first.accepts, False, driver,
        output, first.norms,
    )  # fmt: skip
    machine.emit(forward)
    _emit_run(machine, forward)
    return output


def _way(machine: Machine, target: Value, call: Call, driver: Value | None) -> object:
    """What must be the same for a call to be the same again; None for one that cannot be."""
    if active(machine) or not isinstance(target, ApiObject | Instance):
        return None
    inputs = contents(call.values())
    if any(stands_for_data(machine, each) for each in inputs):
        return None
    flags = tuple(value.value for value in call.values() if isinstance(value, Const))
    try:
        hash(flags)
    except TypeError:
        return None
    state = tuple(id(slot) for slot in target.slots.values())
    changes = machine.state.get("keras changes", 0)
    where = (call.site, machine.frame.node, machine.guards)
    return (target, flags, tuple(call.kwargs), call.kwargs.get("training"), driver, state, changes, *where)


@contextmanager
def calling(
    machine: Machine, target: Value, call: Call, training: Value | None, accepts: bool | None = None,
    default: Value | None = None, driver: Value | None = None,
) -> Iterator[Active]:  # fmt: skip
    """While a model or layer is called; the phase is handed on to what it calls."""
    outer = active(machine)
    found, origin = phase(machine, training, default)
    handed = None if origin is Origin.DEFAULT else found
    if outer:
        forward = outer[0].forward
    else:
        inputs = contents(call.values())
        forward = Forward(
            machine.context(call.site), machine.tick(), target, inputs, given(training), accepts,
            any(stands_for_data(machine, each) for each in inputs), driver,
        )  # fmt: skip
    made = Active(forward, handed, origin)
    machine.state["keras calls"] = (*outer, made)
    try:
        yield made
    finally:
        machine.state["keras calls"] = outer


def finished(machine: Machine, made: Active, output: Value, call: Call) -> Value:
    """Note a call that has come to its end."""
    if active(machine):
        return output
    forward = made.forward
    forward.output = output
    key = machine.state.pop("keras way", None)
    if forward.symbolic:
        _describe(forward.target, call, output)
        if forward.norms:
            machine.emit(forward)
        return output
    if forward.norms:
        machine.emit(forward)
        _emit_run(machine, forward)
        if key is not None and eager(machine) and _is_plain(output):
            machine.state["keras calls made"][key] = forward
    return output


def _is_plain(output: Value) -> bool:
    parts = output.items if isinstance(output, List | Tuple) else (output,)
    return all(isinstance(part, Node) for part in parts)


def _emit_run(machine: Machine, forward: Forward) -> None:
    if forward.driver is None and eager(machine) and forward.output is not None:
        fetches = contents((forward.output,))
        machine.emit(
            Run(
                forward.context, machine.tick(), "keras call", fetches, target=forward.target, forward=forward
            )
        )


def _describe(target: Value, call: Call, output: Value) -> None:
    described = Described(target, list(call.args), dict(call.kwargs), call.site, dict(call.sites), output)
    for node in output.items if isinstance(output, List | Tuple) else (output,):
        if isinstance(node, Node):
            node.attrs["described"] = described


def stands_for_data(machine: Machine, value: Value) -> bool:
    """Whether a value is an input of a model that is being described, or computed from one."""
    known: dict[Value, bool] = machine.state.setdefault("keras stands for data", {})
    pending = [value]
    seen: set[Value] = set()
    found = False
    while pending and not found:
        current = pending.pop()
        if current in seen or known.get(current) is False:
            continue
        seen.add(current)
        if known.get(current):
            found = True
        elif isinstance(current, Node):
            found = current.op == Op.PLACEHOLDER or "described" in current.attrs
            if current.op != Op.VARIABLE:
                pending.extend(current.inputs)
        elif isinstance(current, Unknown):
            pending.extend(current.sources)
        elif isinstance(current, Choice):
            pending.extend(option for _, option in current.options)
        elif isinstance(current, Tuple | List):
            pending.extend(current.items)
    if found:
        known[value] = True
    else:
        known.update(dict.fromkeys((each for each in seen if not isinstance(each, List)), False))
    return found


def repeat(machine: Machine, outputs: Value, inputs: dict[Value, Value], over: Value | None) -> Value:
    """Compute the outputs of a model that was described, on other inputs.

    ``over`` is a phase that takes the place of those that were given in the description (Keras 3).
    """
    known: dict[Value, Value] = dict(inputs)

    def new(value: Value) -> Value:
        if value in known:
            return known[value]
        if isinstance(value, Tuple):
            return Tuple([new(item) for item in value.items], value.fields)
        if isinstance(value, List):
            return List([new(item) for item in value.items], value.open)
        if isinstance(value, Choice):
            return Choice(tuple((guards, new(option)) for guards, option in value.options))
        if isinstance(value, Unknown) and any(new(source) is not source for source in value.sources):
            known[value] = Unknown(value.hint, tuple(map(new, value.sources)))
            return known[value]
        return value

    for node in _in_order(contents((outputs,)), known):
        machine.spend()
        described = node.attrs.get("described")
        if isinstance(described, Described):
            if node not in known:
                _repeat_call(machine, described, new, known, over)
        else:
            arguments = [new(each) for each in node.inputs]
            if node.op in _EVENTS:
                known[node] = Unknown(node.op, tuple(arguments))
            elif any(one is not other for one, other in zip(arguments, node.inputs, strict=True)):
                known[node] = machine.node(node.op, arguments, node.site, **_plain(node))
    return new(outputs)


_EVENTS = frozenset((Op.NORM, Op.UPDATE, Op.TRAIN))
"""What happened once, outside all calls that are kept."""


def _plain(node: Node) -> dict[str, object]:
    return {name: value for name, value in node.attrs.items() if name != "call"}


def _repeat_call(
    machine: Machine, described: Described, new: Callable[[Value], Value], known: dict[Value, Value],
    over: Value | None,
) -> None:  # fmt: skip
    call = Call(
        [new(value) for value in described.args],
        {name: new(value) for name, value in described.kwargs.items()},
        described.site,
        sites=described.sites,
    )
    told = given(call.kwargs.get("training")) if over is not None else None
    if told is not None and over is not None:
        call.kwargs["training"] = over
    from bnlint.interpreter.calls import call as make

    forward = active(machine)[0].forward
    before = len(forward.norms)
    result = make(machine, described.target, call)
    if told is not None and over is not None:
        norms = tuple(forward.norms[before:])
        machine.emit(Overruled(machine.context(described.site), machine.tick(), told, over, norms, forward))
    olds = described.output.items if isinstance(described.output, List | Tuple) else (described.output,)
    news = result.items if isinstance(result, List | Tuple) and len(olds) > 1 else (result,) * len(olds)
    known.update(zip(olds, news, strict=False))


def _in_order(values: tuple[Value, ...], known: dict[Value, Value]) -> list[Node]:
    """The nodes of a description from its inputs to its outputs."""
    pending = list(values)
    seen: set[Value] = set()
    found = []
    while pending:
        value = pending.pop()
        if value in seen or value in known:
            continue
        seen.add(value)
        if isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            pending.extend(value.sources)
        elif isinstance(value, Node) and value.op != Op.VARIABLE:
            described = value.attrs.get("described")
            found.append(value)
            if isinstance(described, Described):
                pending.extend(contents((*described.args, *described.kwargs.values())))
            else:
                pending.extend(value.inputs)
    return sorted(found, key=lambda node: node.order)


def parts_of(value: Value, most: int = 500) -> list[ApiObject | Instance]:
    """A layer or model, and all layers and models that it has, each once."""
    pending: list[Value] = [value]
    seen: set[Value] = set()
    found: list[ApiObject | Instance] = []
    while pending and len(seen) < most:
        current = pending.pop(0)
        if current in seen:
            continue
        seen.add(current)
        if isinstance(current, ApiObject | Instance):
            if is_part(current):
                found.append(current)
            pending.extend(slot for slot in current.slots.values() if isinstance(slot, Value))
        elif isinstance(current, List | Tuple):
            pending.extend(current.items)
        elif isinstance(current, Choice):
            pending.extend(option for _, option in current.options)
        elif isinstance(current, Node):
            pending.extend(described.target for described in descriptions(current))
    return found


def is_part(value: ApiObject | Instance) -> bool:
    """Whether something is a layer or a model."""
    if isinstance(value, Instance):
        base = value.cls.api()
        return base is not None and base.name.startswith(("keras.", "tf.Module"))
    return value.kind.startswith(("keras.layers.", "keras.Model", "keras.Sequential"))


def descriptions(output: Node) -> list[Described]:
    """The calls that describe a model, from its output back to its inputs."""
    found = (node.attrs.get("described") for node in _in_order((output,), {}))
    return list(dict.fromkeys(each for each in found if isinstance(each, Described)))


def own_call(instance: Instance) -> Function | None:
    """The ``call`` of a project's own layer or model."""
    found = instance.cls.find("call")
    return found if isinstance(found, Function) else None


def call_method(machine: Machine, instance: Instance, method: Function, call: Call) -> Value:
    """Run a project's own ``call``, with the places of the arguments as they are written."""
    from bnlint.interpreter.calls import call as make

    return make(
        machine, Method(instance, method),
        Call(list(call.args), dict(call.kwargs), call.site, sites=call.sites, open=call.open, rest=call.rest),
    )  # fmt: skip


def takes_training(method: Function) -> bool:
    """Whether a ``call`` has a parameter for the phase; that it takes any keyword is not enough for Keras 3."""
    spec = method.node.args
    return "training" in {argument.arg for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)}
