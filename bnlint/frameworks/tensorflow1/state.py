"""Graphs, scopes and collections: what TensorFlow 1 keeps behind the program's back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Const, Node, Value
from bnlint.findings import Location
from bnlint.interpreter.store import MISSING
from bnlint.interpreter.values import TRUE, List, Mutable, Place

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

UPDATE_OPS = "update_ops"


class Graph(Mutable):
    """A ``tf.Graph``: collections, variables and layers by name, and how often names were used.

    Slots: ``("collection", key)``, ``("variable", name)``, ``("layer", name)``, ``("scopes", scope)``,
    ``("name", name scope)``.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class VariableScope:
    """A variable scope; the name is None when it is not known."""

    name: str | None
    reuse: bool | None = False
    """True also for AUTO_REUSE; None when not known."""
    auto: bool = False


ScopedArguments = dict[object, dict[str, tuple[Value, Place | None]]]
"""What argument scopes add to the calls of each function."""


@dataclass(slots=True)
class State:
    """Everything that nests while a graph is built."""

    default: Graph = field(default_factory=Graph)
    scopes: list[VariableScope] = field(default_factory=lambda: [VariableScope("")])
    names: list[str | None] = field(default_factory=lambda: [""])
    """Name scopes: the prefixes of the names of operations."""
    arguments: list[ScopedArguments] = field(default_factory=lambda: [{}])
    arguments_open: int = 0
    """How many argument scopes are entered whose content is not known."""


def state(machine: Machine) -> State:
    """TensorFlow's state in a program."""
    found: State | None = machine.state.get("tf")
    if found is None:
        found = machine.state["tf"] = State()
        if machine.graph is None:
            machine.graph = found.default
    return found


def graph(machine: Machine) -> Graph:
    """The graph that is being built."""
    default = state(machine).default
    return machine.graph if isinstance(machine.graph, Graph) else default


def scope(machine: Machine) -> VariableScope:
    """The variable scope that is open."""
    return state(machine).scopes[-1]


def joined(prefix: str | None, name: str | None) -> str | None:
    """A name below a scope; None when either is not known."""
    if prefix is None or name is None:
        return None
    return f"{prefix}/{name}" if prefix else name


# -- collections -------------------------------------------------------------------------------------


def collection(machine: Machine, key: object, of: Graph | None = None) -> List:
    """The live list of a collection."""
    holder = of if of is not None else graph(machine)
    found = holder.slots.get(("collection", key))
    if not isinstance(found, List):
        found = List()
        _always_there(holder, ("collection", key), found)
    return found


def add_to_collection(machine: Machine, key: object, value: Value, of: Graph | None = None) -> None:
    """Add to a collection."""
    held = collection(machine, key, of)
    machine.spend(len(held.items) // 256)
    machine.store.write(held, "items", (*held.items, value))


def _always_there(holder: Graph, key: object, made: Mutable) -> None:
    """Keep something that exists, empty, from the graph's beginning, although it is only asked for now.

    A branch that is taken back must undo what it wrote into it, not that it exists.
    """
    made.born = holder.born
    holder.slots[key] = made


# -- names -------------------------------------------------------------------------------------------


def _names(machine: Machine, prefix: str) -> Mutable:
    """How often each variable scope directly below a scope was entered."""
    found = graph(machine).slots.get(("scopes", prefix))
    if not isinstance(found, Mutable):
        found = Mutable()
        _always_there(graph(machine), ("scopes", prefix), found)
    return found


def unique_scope(machine: Machine, name: str) -> str:
    """A default name that no variable scope beside the present one uses, as ``default_name`` does."""
    prefix = scope(machine).name
    if prefix is None:
        return name
    holder = _names(machine, prefix)
    used = holder.slots
    index = first = used.get((name,), 0)
    candidate = f"{name}_{index}" if index else name
    while candidate in used:
        index += 1
        candidate = f"{name}_{index}"
    if index != first:
        # All smaller numbers are taken: without this, many layers of one name would take quadratic time.
        machine.store.write(holder, (name,), index)
    return candidate


def open_scope(machine: Machine, full: str | None) -> None:
    """Note an entered variable scope."""
    if full:
        prefix, _, name = full.rpartition("/")
        machine.store.write(_names(machine, prefix), name, TRUE)


def close_scope(machine: Machine, full: str | None) -> None:
    """Forget which names below a scope were used: entering it again starts anew."""
    if full is not None:
        found = graph(machine).slots.get(("scopes", full))
        if isinstance(found, Mutable):
            for name in list(found.slots):
                machine.store.write(found, name, MISSING)


def unique_name(machine: Machine, name: str | None) -> str | None:
    """The name scope that ``tf.name_scope(name)`` opens: made unique in its graph."""
    full = joined(state(machine).names[-1], name)
    if full is None:
        return None
    holder = graph(machine)
    used = holder.slots.get(("name", full))
    count = used.value if isinstance(used, Const) else 0
    machine.store.write(holder, ("name", full), Const(count + 1))
    return full if not count else f"{full}_{count}"


def kept(machine: Machine, key: tuple[str, object]) -> Value | None:
    """What the graph keeps under a key; a thing that only some branches made counts as made."""
    found = graph(machine).slots.get(key)
    if isinstance(found, Choice):
        found = machine.settle(found)
        if isinstance(found, Choice):
            found = found.options[0][1]
    return found if isinstance(found, Value) else None


# -- variables ---------------------------------------------------------------------------------------


def make_variable(
    machine: Machine,
    name: str | None,
    site: Location,
    *,
    initial: Value | None = None,
    trainable: Value = TRUE,
    shared: bool = True,
    moving: bool = False,
    inputs: Iterable[Value] = (),
) -> Node:
    """A variable; with ``shared``, the one of that full name if there is one already."""
    holder = graph(machine)
    key = ("variable", name)
    if shared and name is not None:
        found = kept(machine, key)
        if isinstance(found, Node):
            return found
    control, machine.control = machine.control, ()
    made = machine.node(
        "variable", inputs, site, name=name, trainable=trainable, initial=initial, moving=moving
    )
    machine.control = control
    if shared and name is not None:
        machine.store.write(holder, key, made)
    add_to_collection(machine, "variables", made)
    if machine.truth(trainable) is not False:
        add_to_collection(machine, "trainable_variables", made)
    return made


# -- argument scopes ---------------------------------------------------------------------------------


def push_arguments(machine: Machine, scoped: ScopedArguments, *, open: bool = False) -> None:
    """Enter an argument scope that replaces the present one."""
    state(machine).arguments.append(scoped)
    state(machine).arguments_open += open


def pop_arguments(machine: Machine, *, open: bool = False) -> None:
    """Leave an argument scope."""
    state(machine).arguments.pop()
    state(machine).arguments_open -= open
