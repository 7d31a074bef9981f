"""Graphs and their collections."""

from __future__ import annotations

import re

from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.frameworks.tensorflow1.state import (
    Graph,
    VariableScope,
    add_to_collection,
    collection,
    graph,
    state,
)
from bnlint.frameworks.tensorflow1.table import HANDLERS, PROPERTIES, handles, text
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    Call,
    List,
    Tuple,
    contents,
)
from bnlint.trace import CollectUpdates

# -- graphs ------------------------------------------------------------------------------------------


@handles("tf.Graph")
def _graph(machine: Machine, call: Call) -> Value:
    state(machine)
    made = ApiObject("tf.Graph", call.site)
    made.slots["graph"] = Graph()
    return made


def graph_of(machine: Machine, value: Value | None) -> Graph | None:
    """The graph behind a ``tf.Graph`` object."""
    found = value.slots.get("graph") if isinstance(value, ApiObject) else None
    return found if isinstance(found, Graph) else None


@handles("tf.get_default_graph")
def default_graph(machine: Machine, call: Call) -> Value:
    """The graph that is being built, as an object."""
    made = ApiObject("tf.Graph", call.site)
    made.slots["graph"] = graph(machine)
    return made


@handles("tf.Graph.as_default")
def _as_default(machine: Machine, call: Call) -> Value:
    wanted = graph_of(machine, call.receiver)
    outer: list[object] = []

    def enter() -> Value:
        state(machine)
        outer.append(machine.graph)
        machine.graph = wanted if wanted is not None else machine.graph
        state(machine).scopes.append(VariableScope(""))
        state(machine).names.append("")
        return call.receiver or Unknown()

    def leave() -> None:
        machine.graph = outer.pop()
        state(machine).scopes.pop()
        state(machine).names.pop()

    return ApiObject("tf.Graph.as_default", call.site, enter, leave)


@handles("tf.reset_default_graph")
def _reset(machine: Machine, call: Call) -> Value:
    current = state(machine)
    fresh = Graph()
    if machine.graph is current.default:
        machine.graph = fresh
    current.default = fresh
    return NONE


# -- collections -------------------------------------------------------------------------------------


def collection_key(machine: Machine, value: Value | None) -> object:
    """What identifies a collection: its text, or the value itself when it is not known."""
    known = text(machine, value)
    return known if known is not None else value


@handles("tf.add_to_collection", "tf.add_to_collections", "tf.Graph.add_to_collection")
def _add(machine: Machine, call: Call) -> Value:
    value = call.get(1, "value")
    keys = machine.settle(call.get(0, "name") or call.get(0, "names") or Unknown())
    for key in keys.items if isinstance(keys, List | Tuple) else (keys,):
        if value is not None:
            add_to_collection(machine, collection_key(machine, key), value, graph_of(machine, call.receiver))
    return NONE


@handles(
    "tf.get_collection", "tf.get_collection_ref", "tf.Graph.get_collection", "tf.Graph.get_collection_ref",
    "slim.get_variables_by_suffix",
)  # fmt: skip
def _get_collection(machine: Machine, call: Call) -> Value:
    key = collection_key(machine, call.get(0, "key"))
    return read_collection(machine, call, key, live=call.name.endswith("_ref"))


def read_collection(machine: Machine, call: Call, key: object, live: bool = False) -> Value:
    """Read a collection; the read is an event."""
    of = graph_of(machine, call.receiver)
    held = collection(machine, key, of)
    pattern_value = call.get(1, "scope")
    pattern = text(machine, pattern_value)
    items = held.items
    if pattern:
        items = tuple(item for item in items if _matches(pattern, item) is not False)
    result: Value = held if live else List(items, held.open)
    nodes = tuple(item for item in contents(items) if isinstance(item, Node))
    if isinstance(key, str):
        machine.emit(
            CollectUpdates(
                machine.context(call.site),
                machine.tick(),
                key,
                pattern_value if machine.truth(pattern_value or NONE) is not False else None,
                result,
                nodes,
                graph=of if of is not None else graph(machine),
                live=live,
            )
        )
    return result


def _matches(pattern: str, item: Value) -> bool | None:
    """Whether a collection's scope filter keeps an item; None when its name is not known."""
    if isinstance(item, Choice):
        outcomes = {_matches(pattern, option) for _, option in item.options}
        return outcomes.pop() if len(outcomes) == 1 else None
    name = item.attrs.get("name") if isinstance(item, Node) else None
    if not isinstance(name, str):
        return None
    try:
        return re.match(pattern, name) is not None
    except re.error:
        return None


_COLLECTIONS = {
    "tf.trainable_variables": "trainable_variables",
    "tf.global_variables": "variables",
    "tf.all_variables": "variables",
    "slim.get_variables": "variables",
    "slim.get_model_variables": "model_variables",
    "tf.model_variables": "model_variables",
    "slim.get_trainable_variables": "trainable_variables",
    "slim.get_variables_to_restore": "variables",
    "tf.moving_average_variables": "moving_average_variables",
}


def _variables(machine: Machine, call: Call) -> Value:
    key = _COLLECTIONS[call.name]
    pattern = text(machine, call.get(0, "scope"))
    held = collection(machine, "variables" if key == "model_variables" else key)
    items = held.items
    if pattern is not None:
        items = tuple(item for item in items if _matches(pattern, item) is not False)
    made = List(items, held.open)
    made.slots["collection"] = key
    return made


for _name in _COLLECTIONS:
    HANDLERS[_name] = _variables

_KEYS = {
    "UPDATE_OPS": "update_ops",
    "TRAINABLE_VARIABLES": "trainable_variables",
    "GLOBAL_VARIABLES": "variables",
    "VARIABLES": "variables",
    "MODEL_VARIABLES": "model_variables",
    "MOVING_AVERAGE_VARIABLES": "moving_average_variables",
    "LOSSES": "losses",
    "REGULARIZATION_LOSSES": "regularization_losses",
    "SUMMARIES": "summaries",
    "LOCAL_VARIABLES": "local_variables",
}


def _key(machine: Machine, call: Call) -> Value:
    return Const(_KEYS[call.name.rpartition(".")[2]])


for _name in _KEYS:
    PROPERTIES[f"tf.GraphKeys.{_name}"] = _key
