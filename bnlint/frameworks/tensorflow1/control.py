"""Dependencies, conditionals and loops of the graph."""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.tensorflow1.table import handles
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    Call,
    List,
    Tuple,
    contents,
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

    return ApiObject("tf.control_dependencies", call.site, enter, leave)


@handles("tf.group")
def _group(machine: Machine, call: Call) -> Value:
    return machine.node(Op.GROUP, contents((*call.args, *call.rest)), call.site)


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
