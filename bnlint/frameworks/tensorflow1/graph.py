"""Building graphs: scopes, collections, dependencies, conditionals, variables and plain operations."""

from __future__ import annotations

import re
from collections.abc import Callable

from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.library import Handler
from bnlint.frameworks.tensorflow1.state import (
    Graph,
    ScopedArguments,
    VariableScope,
    add_to_collection,
    close_scope,
    collection,
    context,
    graph,
    joined,
    make_variable,
    open_scope,
    pop_arguments,
    push_arguments,
    scope,
    state,
    unique_name,
    unique_scope,
)
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiObject,
    ApiRef,
    Call,
    Dict,
    Function,
    List,
    Method,
    Partial,
    Tuple,
    contents,
)
from bnlint.trace import CollectUpdates, Export

HANDLERS: dict[str, Handler] = {}
PROPERTIES: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler for canonical names."""

    def add(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return add


def text(machine: Machine, value: Value | None) -> str | None:
    """A known text, or None."""
    known = machine.constant(value)
    return known if isinstance(known, str) else None


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
def _default_graph(machine: Machine, call: Call) -> Value:
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

    return context("tf.Graph.as_default", call.site, enter, leave)


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


# -- scopes ------------------------------------------------------------------------------------------


def reuse_of(machine: Machine, value: Value | None) -> tuple[bool | None, bool]:
    """Whether a ``reuse`` argument shares variables (None: not known), and whether it is AUTO_REUSE."""
    if value is None:
        return False, False
    value = machine.settle(value)
    if isinstance(value, ApiRef) and value.name.endswith("AUTO_REUSE"):
        return True, True
    return machine.truth(value), False


@handles("tf.variable_scope", "tf.variable_op_scope", "slim.variable_scope")
def _variable_scope(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "name_or_scope") or NONE)
    default = text(machine, call.get(1, "default_name"))
    reuse, auto = reuse_of(machine, call.kwargs.get("reuse"))
    return variable_scope(machine, given, default, reuse, auto, call.site)


def variable_scope(
    machine: Machine, given: Value, default: str | None, reuse: bool | None, auto: bool, site: Location
) -> ApiObject:
    """A variable scope to enter: by name, by scope object, or by default name."""
    entered: list[tuple[str | None, bool]] = []

    def enter() -> Value:
        current = state(machine)
        outer = current.scopes[-1]
        absolute = given.slots.get("scope") if isinstance(given, ApiObject) else None
        by_name = not isinstance(absolute, VariableScope)
        if isinstance(absolute, VariableScope):
            full: str | None = absolute.name
            inherited = absolute
            last = (absolute.name or "").rpartition("/")[2] or None
        else:
            inherited = outer
            last = text(machine, given)
            if last is None and machine.truth(given) is False and default is not None:
                last = unique_scope(machine, default)
            full = joined(outer.name, last)
            if machine.truth(given) is False and default is None:
                full = outer.name
        shares = True if inherited.reuse or outer.reuse else reuse
        if by_name:
            open_scope(machine, full)
        entered.append((full, by_name))
        current.scopes.append(VariableScope(full, shares, auto or (outer.auto and not reuse)))
        current.names.append(unique_name(machine, last) if last else current.names[-1])
        made = ApiObject("tf.VariableScope", site)
        made.slots["scope"] = current.scopes[-1]
        return made

    def leave() -> None:
        full, by_name = entered.pop()
        if by_name:
            close_scope(machine, full)
        state(machine).scopes.pop()
        state(machine).names.pop()

    made = context("tf.variable_scope", site, enter, leave)
    return made


@handles("tf.get_variable_scope")
def _get_scope(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.VariableScope", call.site)
    made.slots["scope"] = scope(machine)
    return made


def _scope_name(machine: Machine, call: Call) -> Value:
    of = call.receiver.slots.get("scope") if isinstance(call.receiver, ApiObject) else None
    name = of.name if isinstance(of, VariableScope) else None
    return Unknown("name") if name is None else Const(name)


PROPERTIES["tf.VariableScope.name"] = _scope_name


@handles("tf.VariableScope.reuse_variables")
def _reuse_variables(machine: Machine, call: Call) -> Value:
    current = state(machine)
    current.scopes[-1] = VariableScope(current.scopes[-1].name, True)
    return NONE


@handles("tf.name_scope", "tf.op_scope", "tf.Graph.name_scope")
def _name_scope(machine: Machine, call: Call) -> Value:
    name = text(machine, call.get(0, "name"))

    def enter() -> Value:
        current = state(machine)
        current.names.append(unique_name(machine, name))
        return Const(current.names[-1] + "/") if current.names[-1] else Unknown("scope")

    return context("tf.name_scope", call.site, enter, lambda: _pop_name(machine))


def _pop_name(machine: Machine) -> None:
    state(machine).names.pop()


@handles("tf.make_template")
def _template(machine: Machine, call: Call) -> Value:
    name = text(machine, call.get(0, "name_")) or "template"
    function = call.get(1, "func_") or Unknown()
    made = ApiObject("tf.Template", call.site)
    made.slots["function"] = function
    made.slots["given"] = dict(call.kwargs)
    made.slots["scope"] = VariableScope(joined(scope(machine).name, unique_scope(machine, name)), True, True)
    return made


@handles("tf.Template.__call__")
def _call_template(machine: Machine, call: Call) -> Value:
    template = call.receiver
    assert isinstance(template, ApiObject)
    manager = variable_scope(machine, template, None, True, True, call.site)
    assert manager.enter is not None and manager.leave is not None
    full = template.slots["scope"].name
    close_scope(machine, full)
    manager.enter()
    try:
        given = {**template.slots["given"], **call.kwargs}
        return machine.call(template.slots["function"], call.args, given, call.site)
    finally:
        manager.leave()
        close_scope(machine, full)


# -- argument scopes ---------------------------------------------------------------------------------


def scope_key(value: Value) -> object:
    """What identifies a function in an argument scope."""
    if isinstance(value, ApiRef):
        return value.name
    if isinstance(value, Function):
        return value.node
    if isinstance(value, Method) and isinstance(value.function, Function):
        return value.function.node
    return value


@handles("slim.arg_scope")
def _arg_scope(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "list_ops_or_scope") or Unknown())
    known = given.slots.get("arguments") if isinstance(given, ApiObject) else None
    unknown = known is None and not isinstance(given, List | Tuple)
    made = ApiObject("slim.arg_scope", call.site)

    def enter() -> Value:
        present = state(machine).arguments[-1]
        if isinstance(known, dict):
            scoped: ScopedArguments = known
        else:
            scoped = {key: dict(values) for key, values in present.items()}
            for function in given.items if isinstance(given, List | Tuple) else ():
                mine = scoped.setdefault(scope_key(machine.settle(function)), {})
                for name, value in call.kwargs.items():
                    mine[name] = (value, call.sites.get(name))
        push_arguments(machine, scoped, open=unknown or call.open)
        made.slots["arguments"] = scoped
        return made if not unknown else given

    made.enter = enter
    made.leave = lambda: pop_arguments(machine, open=unknown or call.open)
    return made


def scoped_arguments(machine: Machine, key: object) -> dict[str, tuple[Value, object]]:
    """What the open argument scopes add to a function."""
    return state(machine).arguments[-1].get(key, {})  # type: ignore[return-value]


def with_scoped(machine: Machine, function: Function, call: Call) -> Call:
    """A call of a project's function that takes part in argument scopes."""
    scoped = scoped_arguments(machine, function.node)
    names = [argument.arg for argument in function.node.args.args][: len(call.args)]
    added = {n: v for n, (v, _) in scoped.items() if n not in call.kwargs and n not in names}
    if not added and not state(machine).arguments_open:
        return call
    kwargs = {**added, **call.kwargs}
    return Call(
        call.args, kwargs, call.site, sites=call.sites, open=call.open or state(machine).arguments_open > 0
    )


# -- dependencies ------------------------------------------------------------------------------------


@handles("tf.control_dependencies", "tf.Graph.control_dependencies")
def _control(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "control_inputs") or NONE)
    outer: list[tuple[Value, ...]] = []

    def enter() -> Value:
        outer.append(machine.control)
        clears = isinstance(given, Const) and given.value is None
        machine.control = () if clears else (*machine.control, *contents((given,)))
        return NONE

    def leave() -> None:
        machine.control = outer.pop()

    return context("tf.control_dependencies", call.site, enter, leave)


@handles("tf.group")
def _group(machine: Machine, call: Call) -> Value:
    return machine.node(Op.GROUP, contents(call.args), call.site)


@handles("tf.tuple")
def _tuple(machine: Machine, call: Call) -> Value:
    tensors = machine.settle(call.get(0, "tensors") or Unknown())
    control = contents(value for value in (call.get(2, "control_inputs"),) if value is not None)
    outer = machine.control
    machine.control = (*outer, *control, *contents((tensors,)))
    items = tensors.items if isinstance(tensors, List | Tuple) else (tensors,)
    made = [machine.node(Op.IDENTITY, (item,), call.site) for item in items]
    machine.control = outer
    return List(made, isinstance(tensors, List) and tensors.open)


@handles("tf.with_dependencies")
def _with_dependencies(machine: Machine, call: Call) -> Value:
    outer = machine.control
    machine.control = (*outer, *contents(value for value in (call.get(0, "dependencies"),) if value))
    made = machine.node(Op.IDENTITY, (call.get(1, "output_tensor") or Unknown(),), call.site)
    machine.control = outer
    return made


@handles(
    "tf.identity", "tf.stop_gradient", "tf.cast", "tf.convert_to_tensor", "tf.to_float", "tf.reshape", "tf.squeeze",
    "tf.constant", "tf.expand_dims", "tf.Print", "tf.check_numerics", "tf.to_int32",
)  # fmt: skip
def _identity(machine: Machine, call: Call) -> Value:
    first = call.args[0] if call.args else next(iter(call.kwargs.values()), Unknown())
    return machine.node(Op.IDENTITY, (machine.settle(first),), call.site, api=call.name)


# -- conditionals ------------------------------------------------------------------------------------


@handles(
    "tf.cond", "tf.contrib.framework.smart_cond", "tf.contrib.layers.smart_cond", "slim.smart_cond", "tf.smart_cond",
    "slim.utils.smart_cond", "tf.contrib.layers.utils.smart_cond", "tf.python.layers.utils.smart_cond",
    "tf.python.framework.smart_cond.smart_cond",
)  # fmt: skip
def _cond(machine: Machine, call: Call) -> Value:
    predicate = machine.settle(call.get(0, "pred") or Unknown("pred"))
    on_true = call.get(1, "true_fn") or call.kwargs.get("fn1") or Unknown()
    on_false = call.get(2, "false_fn") or call.kwargs.get("fn2") or Unknown()
    outcome = machine.truth(predicate)
    if outcome is not None and not isinstance(predicate, Node):
        return machine.call(on_true if outcome else on_false, [], {}, call.site)
    outer = machine.branch
    results = []
    for side, function in ((True, on_true), (False, on_false)):
        machine.branch = (*outer, (predicate, side))
        results.append(machine.settle(machine.call(function, [], {}, call.site)))
    machine.branch = outer
    return _conditional(machine, predicate, results[0], results[1], call.site)


def _conditional(machine: Machine, predicate: Value, yes: Value, no: Value, site: Location) -> Value:
    if isinstance(yes, Tuple | List) and isinstance(no, Tuple | List) and len(yes.items) == len(no.items):
        pairs = zip(yes.items, no.items, strict=True)
        return Tuple(_conditional(machine, predicate, one, other, site) for one, other in pairs)
    return machine.node(Op.COND, (predicate, yes, no), site)


@handles("tf.where", "tf.select")
def _where(machine: Machine, call: Call) -> Value:
    return machine.node("tf.where", contents(call.values()), call.site)


@handles("tf.logical_not")
def _not(machine: Machine, call: Call) -> Value:
    return machine.node(Op.NOT, tuple(call.args[:1]) or (Unknown(),), call.site)


@handles("tf.logical_and", "tf.logical_or")
def _logical(machine: Machine, call: Call) -> Value:
    op = Op.AND if call.name.endswith("and") else Op.OR
    return machine.node(op, tuple(call.args[:2]), call.site)


@handles("tf.equal", "tf.not_equal")
def _equal(machine: Machine, call: Call) -> Value:
    op = Op.EQUAL if call.name == "tf.equal" else Op.NOT_EQUAL
    return machine.node(op, (*call.args[:2], Unknown(), Unknown())[:2], call.site)


@handles("tf.while_loop", "tf.map_fn", "tf.scan", "tf.foldl", "tf.foldr", "tf.vectorized_map")
def _loop(machine: Machine, call: Call) -> Value:
    if call.name == "tf.while_loop":
        function = call.get(1, "body")
        given = machine.settle(call.get(2, "loop_vars") or Unknown())
        arguments = list(given.items) if isinstance(given, List | Tuple) else [given]
    else:
        function = call.get(0, "fn")
        elements = call.get(1, "elems") or Unknown()
        element = machine.node("element", contents((elements,)), call.site)
        arguments = (
            [element] if call.name in ("tf.map_fn", "tf.vectorized_map") else [Unknown("state"), element]
        )
    result = machine.call(function or Unknown(), arguments, {}, call.site)
    return machine.node(call.name, contents((result, *call.values())), call.site)


@handles(
    "tf.nn.dynamic_rnn", "tf.nn.rnn", "tf.nn.static_rnn", "tf.contrib.rnn.static_rnn", "tf.python.ops.rnn.dynamic_rnn",
    "tf.python.ops.rnn.rnn", "tf.python.ops.rnn.static_rnn",
)  # fmt: skip
def _recurrent(machine: Machine, call: Call) -> Value:
    """A cell of the project is called once: every step of the recurrence builds or runs the same operations."""
    element = machine.node("element", contents((call.get(1, "inputs") or Unknown(),)), call.site)
    state_ = call.get(3 if "dynamic" in call.name else 2, "initial_state") or Unknown("state")
    result = machine.settle(machine.call(call.get(0, "cell") or Unknown(), [element, state_], {}, call.site))
    outputs = machine.node(call.name, contents((result, *call.values())), call.site)
    pair = isinstance(result, Tuple) and len(result.items) == 2
    last = result.items[1] if pair and isinstance(result, Tuple) else outputs
    return Tuple([outputs if "dynamic" in call.name else List([outputs], open=True), last])


# -- losses ------------------------------------------------------------------------------------------


def _loss(machine: Machine, call: Call) -> Value:
    made = machine.node(call.name, contents(call.values()), call.site)
    key = call.kwargs.get("loss_collection") or Const("losses")
    add_to_collection(machine, collection_key(machine, key), made)
    return made


for _name in (
    "absolute_difference",
    "cosine_distance",
    "hinge_loss",
    "huber_loss",
    "log_loss",
    "mean_pairwise_squared_error",
    "mean_squared_error",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
    "compute_weighted_loss",
):
    HANDLERS[f"tf.losses.{_name}"] = HANDLERS[f"slim.losses.{_name}"] = _loss


@handles("tf.losses.add_loss", "slim.losses.add_loss")
def _add_loss(machine: Machine, call: Call) -> Value:
    add_to_collection(machine, "losses", call.get(0, "loss") or Unknown("loss"))
    return NONE


@handles("tf.losses.get_losses", "slim.losses.get_losses")
def _get_losses(machine: Machine, call: Call) -> Value:
    held = collection(machine, "losses")
    return List(held.items, held.open)


@handles("tf.losses.get_total_loss", "slim.losses.get_total_loss")
def _total_loss(machine: Machine, call: Call) -> Value:
    return machine.node(call.name, contents(collection(machine, "losses").items), call.site)


# -- metrics -----------------------------------------------------------------------------------------


def _metric(machine: Machine, call: Call) -> Value:
    """What a metric has counted so far, which needs none of the data, and the operation that counts more."""
    counted = machine.node("metric", (), call.site)
    return Tuple([counted, machine.node(call.name, contents(call.values()), call.site)])


for _name in (
    "accuracy", "auc", "mean", "mean_absolute_error", "mean_iou", "mean_per_class_accuracy", "mean_relative_error",
    "mean_squared_error", "precision", "recall", "root_mean_squared_error",
):  # fmt: skip
    HANDLERS[f"tf.metrics.{_name}"] = _metric
    for _home in ("tf.contrib.metrics", "slim.metrics"):
        HANDLERS[f"{_home}.streaming_{_name}"] = _metric


@handles("slim.metrics.aggregate_metric_map", "tf.contrib.metrics.aggregate_metric_map")
def _metric_map(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "names_to_tuples") or Unknown())
    known = given if isinstance(given, Dict) else Dict(open=True)
    halves = Dict(known.open), Dict(known.open)
    for name, value, _ in known.entries():
        value = machine.settle(value)
        for index, half in enumerate(halves):
            half.keys[Dict.key(name)] = name
            half.slots[Dict.key(name)] = (
                value.items[index] if isinstance(value, Tuple) else Unknown("", (value,))
            )
    return Tuple(halves)


@handles("slim.metrics.aggregate_metrics", "tf.contrib.metrics.aggregate_metrics")
def _metric_lists(machine: Machine, call: Call) -> Value:
    pairs = [machine.settle(value) for value in call.args]
    return Tuple(
        List(
            [pair.items[index] if isinstance(pair, Tuple) else Unknown("", (pair,)) for pair in pairs],
            call.open,
        )
        for index in range(2)
    )


# -- summaries ---------------------------------------------------------------------------------------


@handles(
    "tf.summary.scalar", "tf.summary.histogram", "tf.summary.image", "tf.summary.audio", "tf.summary.text",
    "tf.scalar_summary", "tf.histogram_summary", "tf.image_summary", "tf.audio_summary",
)  # fmt: skip
def _summary(machine: Machine, call: Call) -> Value:
    made = machine.node("tf.summary", contents(call.values()), call.site)
    keys = machine.settle(call.kwargs.get("collections") or NONE)
    given = keys.items if isinstance(keys, List | Tuple) else (Const("summaries"),)
    for key in given:
        add_to_collection(machine, collection_key(machine, key), made)
    return made


@handles("tf.summary.merge_all", "tf.merge_all_summaries")
def _merge_all(machine: Machine, call: Call) -> Value:
    key = collection_key(machine, call.get(0, "key") or Const("summaries"))
    return machine.node("tf.summary", contents(collection(machine, key).items), call.site)


# -- variables and placeholders ----------------------------------------------------------------------


@handles("tf.Variable")
def _variable(machine: Machine, call: Call) -> Value:
    initial = call.get(0, "initial_value")
    trainable = call.get(1, "trainable") or TRUE
    name = unique_name(machine, text(machine, call.kwargs.get("name")))
    made = make_variable(machine, name, call.site, initial=initial, trainable=trainable, shared=False)
    made.attrs["start"] = _fill(machine.settle(initial) if initial is not None else None)
    return made


@handles(
    "tf.get_variable",
    "slim.model_variable",
    "slim.variable",
    "tf.VariableScope.get_variable",
    "tf.get_local_variable",
)
def _get_variable(machine: Machine, call: Call) -> Value:
    if call.name.startswith("tf.VariableScope") and isinstance(call.receiver, ApiObject):
        prefix = call.receiver.slots["scope"].name
    else:
        prefix = scope(machine).name
    name = joined(prefix, text(machine, call.get(0, "name")))
    start = initial = call.get(3, "initializer")
    if isinstance(initial, ApiObject):
        initial = initial.slots.get("value")
    trainable = call.kwargs.get("trainable") or TRUE
    made = make_variable(machine, name, call.site, initial=initial, trainable=trainable)
    made.attrs.setdefault("start", _fill(start))
    return made


_FILLS = {"tf.zeros_initializer": 0, "tf.ones_initializer": 1, "tf.zeros": 0, "tf.ones": 1}


def _fill(value: Value | None) -> Const | None:
    """The number that a variable is filled with at the start; None when it is not one number."""
    if isinstance(value, ApiRef):
        value = Const(_FILLS.get(value.name))
    elif isinstance(value, ApiObject):
        value = value.slots.get("value") or Const(_FILLS.get(value.kind))
    elif isinstance(value, Node) and value.op in _FILLS:
        value = Const(_FILLS[value.op])
    elif isinstance(value, Node) and value.op == Op.IDENTITY and value.attrs.get("api") == "tf.constant":
        value = value.inputs[0]
    return value if isinstance(value, Const) and isinstance(value.value, int | float) else None


@handles("tf.train.get_or_create_global_step", "tf.train.create_global_step", "tf.train.get_global_step",
         "slim.get_or_create_global_step", "slim.create_global_step", "slim.get_global_step",
         "tf.contrib.framework.get_or_create_global_step", "tf.contrib.framework.get_global_step")  # fmt: skip
def _global_step(machine: Machine, call: Call) -> Value:
    return make_variable(machine, "global_step", call.site, trainable=FALSE)


@handles("tf.constant_initializer")
def _constant_initializer(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.constant_initializer", call.site)
    made.slots["value"] = call.get(0, "value") or Const(0)
    return made


@handles("tf.placeholder")
def _placeholder(machine: Machine, call: Call) -> Value:
    return machine.node(
        Op.PLACEHOLDER, (), call.site, default=None, dtype=_dtype(call.get(0, "dtype")),
        name=text(machine, call.get(2, "name")),
    )  # fmt: skip


@handles("tf.placeholder_with_default")
def _placeholder_with_default(machine: Machine, call: Call) -> Value:
    default = call.get(0, "input") or Unknown()
    return machine.node(
        Op.PLACEHOLDER, (), call.site, default=default, dtype="bool" if _is_bool(machine, default) else "",
        name=text(machine, call.get(2, "name")),
    )  # fmt: skip


def _dtype(value: Value | None) -> str:
    if isinstance(value, ApiRef):
        return value.name.rpartition(".")[2]
    return str(value.value) if isinstance(value, Const) else ""


def _is_bool(machine: Machine, value: Value) -> bool:
    return isinstance(machine.constant(value), bool)


@handles(
    "tf.assign", "tf.assign_add", "tf.assign_sub", "Tensor.assign", "Tensor.assign_add", "Tensor.assign_sub"
)
def _assign(machine: Machine, call: Call) -> Value:
    if call.name.startswith("Tensor"):
        target, value = call.receiver, call.get(0, "value")
    else:
        target, value = call.get(0, "ref"), call.get(1, "value")
    return make_assign(machine, machine.settle(target or Unknown()), value or Unknown(), call)


def make_assign(machine: Machine, target: Value, value: Value, call: Call) -> Node:
    """An operation that writes a variable."""
    node = machine.node(
        Op.ASSIGN, (*contents((value,)), target), call.site, variable=target, value=value, api=call.name
    )
    for written in contents((target,)):
        if isinstance(written, Node) and written.op == Op.VARIABLE:
            written.inputs = (*written.inputs, value)
    return node


@handles("Tensor.initialized_value", "Tensor.read_value", "Tensor.value")
def _read(machine: Machine, call: Call) -> Value:
    return call.receiver or Unknown()


# -- everything else ---------------------------------------------------------------------------------

_PRODUCTS = {
    "tf.matmul", "tf.nn.conv2d", "tf.nn.conv1d", "tf.nn.conv3d", "tf.nn.conv2d_transpose", "tf.nn.atrous_conv2d",
    "tf.nn.depthwise_conv2d", "tf.nn.separable_conv2d", "tf.nn.xw_plus_b", "tf.nn.embedding_lookup", "tf.tensordot",
    "tf.sparse_tensor_dense_matmul", "tf.nn.convolution", "tf.nn.conv3d_transpose", "tf.nn.depthwise_conv2d_native",
    "tf.batch_matmul", "tf.linalg.matmul", "tf.nn.deconv2d", "tf.sparse_matmul",
}  # fmt: skip


_NO_OPERATIONS = (
    "tf.app.", "tf.flags.", "tf.logging.", "tf.gfile.", "tf.io.gfile.", "tf.test.", "tf.errors.", "tf.compat.",
    "tf.data.", "absl.", "tf.python.platform.", "tf.sysconfig.", "tf.version.", "tf.python.util.",
)  # fmt: skip
"""Parts of the API that make no operations of the graph."""


def fallback(machine: Machine, call: Call) -> Value:
    """An operation that nothing more is known of than its inputs."""
    last = call.name.rpartition(".")[2]
    if call.name.startswith(_NO_OPERATIONS):
        return machine.unknown(last, *call.values())
    if last[:1].isupper() and not last.isupper():
        made = ApiObject(call.name, call.site)
        made.slots["given"] = Tuple(call.values())
        return made
    inputs = contents(call.values())
    if call.name in _PRODUCTS:
        weights = tuple(
            weight for value in call.values() if (weight := _weight(machine.settle(value))) is not None
        )
        if weights:
            return machine.node(Op.WEIGHTED, inputs, call.site, weights=weights, api=call.name)
    return machine.node(call.name, inputs, call.site)


def _weight(value: Value, depth: int = 3) -> Node | None:
    """The variable that a value is, perhaps reshaped or rescaled."""
    if not isinstance(value, Node):
        return None
    if value.op == Op.VARIABLE:
        return value
    if depth and len(value.inputs) == 1:
        return _weight(value.inputs[0], depth - 1)
    return None


@handles("tf.app.run", "absl.app.run", "tf.compat.v1.app.run")
def _app_run(machine: Machine, call: Call) -> Value:
    main = call.get(0, "main") or machine.modules.entry_member("main")
    if main is not None:
        machine.call(main, [Unknown("argv")], {}, call.site) if _takes_arguments(main) else machine.call(
            main, [], {}, call.site
        )
    return NONE


def _takes_arguments(function: Value) -> bool:
    while isinstance(function, Partial):
        function = function.function
    inner = function.function if isinstance(function, Method) else function
    if isinstance(inner, Function):
        spec = inner.node.args
        return bool(spec.args or spec.vararg)
    return True


def _flags(machine: Machine, call: Call) -> Value:
    return machine.interned(("flags",), lambda: Unknown("FLAGS"))


for _name in ("tf.app.flags.FLAGS", "tf.flags.FLAGS", "absl.flags.FLAGS", "gflags.FLAGS"):
    PROPERTIES[_name] = _flags

_MODES = {"TRAIN": "train", "EVAL": "eval", "PREDICT": "infer", "INFER": "infer"}


def _mode(machine: Machine, call: Call) -> Value:
    return Const(_MODES[call.name.rpartition(".")[2]])


for _name in _MODES:
    PROPERTIES[f"tf.estimator.ModeKeys.{_name}"] = _mode
    PROPERTIES[f"tf.contrib.learn.ModeKeys.{_name}"] = _mode


def _op(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, Node) and call.receiver.op == Op.VARIABLE:
        made = ApiObject("tf.Operation", call.site)
        made.slots["node"] = call.receiver
        return made
    return call.receiver or Unknown()


PROPERTIES["Tensor.op"] = _op
PROPERTIES["Tensor.outputs"] = lambda machine, call: List([call.receiver or Unknown()], False)


def _node_name(machine: Machine, call: Call) -> Value:
    node, suffix = call.receiver, ":0"
    if isinstance(node, ApiObject):
        node, suffix = node.slots.get("node"), ""
    named = isinstance(node, Node) and node.op in (Op.VARIABLE, Op.UPDATE)
    name = node.attrs.get("name") if isinstance(node, Node) and named else None
    if isinstance(node, Node) and node.op == Op.UPDATE:
        suffix = ""
    if isinstance(name, str):
        return Const(name + suffix)
    return machine.interned(("name of", call.receiver), lambda: Unknown("name"))


PROPERTIES["Tensor.name"] = PROPERTIES["tf.Operation.name"] = _node_name
PROPERTIES["Tensor.shape"] = lambda machine, call: machine.interned(
    ("shape", call.receiver), lambda: Unknown("shape")
)
PROPERTIES["Tensor.dtype"] = lambda machine, call: machine.interned(
    ("dtype", call.receiver), lambda: Unknown("dtype")
)
PROPERTIES["Tensor.graph"] = lambda machine, call: _default_graph(machine, call)


@handles("Tensor.get_shape")
def _get_shape(machine: Machine, call: Call) -> Value:
    return machine.interned(("shape", call.receiver), lambda: Unknown("shape"))


@handles("tf.shape", "tf.size", "tf.rank")
def _shape(machine: Machine, call: Call) -> Value:
    return Unknown("shape")


_EXPORTS: dict[str, tuple[str, int] | None] = {
    "tf.saved_model.simple_save": ("outputs", 3),
    "tf.saved_model.SavedModelBuilder.add_meta_graph_and_variables": ("signature_def_map", 2),
    "tf.saved_model.Builder.add_meta_graph_and_variables": ("signature_def_map", 2),
    "tf.lite.TFLiteConverter.from_session": ("output_tensors", 2),
    "tf.contrib.lite.TFLiteConverter.from_session": ("output_tensors", 2),
    "tf.contrib.lite.TocoConverter.from_session": ("output_tensors", 2),
    "tf.graph_util.convert_variables_to_constants": None,
    "tf.python.framework.graph_util.convert_variables_to_constants": None,
    "tf.python.tools.freeze_graph.freeze_graph": None,
}
"""What exports a graph, and where it is given the outputs; None where it is given names."""


@handles(*_EXPORTS)
def _export(machine: Machine, call: Call) -> Value:
    where = _EXPORTS[call.name]
    outputs = call.get(where[1], where[0]) if where is not None else None
    session = machine.settle(call.args[0]) if call.args else NONE
    of = session.slots.get("of") if isinstance(session, ApiObject) else None
    exported = of if isinstance(of, Graph) else graph(machine)
    nodes = () if outputs is None else contents((outputs,))
    machine.emit(Export(machine.context(call.site), machine.tick(), call.name, nodes, graph=exported))
    return Unknown("graph_def")
