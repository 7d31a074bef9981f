"""Optimizers, train operations and checkpoints."""

from __future__ import annotations

from dataclasses import replace

from bnlint.dataflow import Const, Context, Node, Op, Unknown, Value
from bnlint.frameworks.library import Handler
from bnlint.frameworks.tensorflow1.state import UPDATE_OPS, collection, graph
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, Dict, Instance, List, Tuple, contents
from bnlint.trace import Argument, Arguments, Save, Saved, TrainStep

HANDLERS: dict[str, Handler] = {}

OPTIMIZERS = (
    "GradientDescent", "Adam", "Momentum", "RMSProp", "Adagrad", "AdagradDA", "Adadelta", "Ftrl",
    "ProximalGradientDescent",
    "ProximalAdagrad", "SyncReplicas",
)  # fmt: skip


def optimizer(machine: Machine, call: Call) -> Value:
    """Any optimizer."""
    made = ApiObject("tf.Optimizer", call.site)
    made.slots["api"] = Const(call.name)
    return made


def _train(
    machine: Machine,
    call: Call,
    inputs: tuple[Value, ...],
    loss: Value | None,
    variables: Value | None,
    runs_updates: bool = False,
) -> Node:
    node = machine.node(Op.TRAIN, inputs, call.site, variables=variables)
    step = TrainStep(
        _stepping(machine, call), machine.tick(), node, call.name, loss, variables, runs_updates,
        listed_variables(machine, variables),
    )  # fmt: skip
    node.attrs["step"] = step
    machine.emit(step)
    return node


def _given(value: Value | None) -> Value | None:
    return None if value is None or (isinstance(value, Const) and value.value is None) else value


def listed_variables(machine: Machine, value: Value | None) -> tuple[Node, ...] | None:
    """The variables of a list; None when there is none or not all of it is known."""
    value = machine.settle(value) if value is not None else None
    if isinstance(value, List | Dict) and value.open:
        return None
    if isinstance(value, Dict):
        items = [item for _, item, _ in value.entries()]
    else:
        items = list(value.items) if isinstance(value, List | Tuple) else [] if value is None else [value]
    nodes = [item for item in map(machine.settle, items) if isinstance(item, Node) and item.op == Op.VARIABLE]
    return tuple(nodes) if nodes and len(nodes) == len(items) else None


def _minimize(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, Instance):
        return _minimize_by_hand(machine, call, call.receiver)
    loss = machine.settle(call.get(0, "loss") or Unknown("loss"))
    if machine.truth(loss) is True and not isinstance(loss, Node):
        machine.callbacks((loss,), call.site)
    variables = _given(call.get(2, "var_list"))
    gradients = machine.node("gradients", contents((loss,)), call.site, loss=loss, variables=variables)
    return _train(machine, call, (gradients,), loss, variables)


def _minimize_by_hand(machine: Machine, call: Call, optimizer: Instance) -> Value:
    """``minimize`` of a project's own optimizer: its ``compute_gradients``, then its ``apply_gradients``."""
    given = {"loss": call.get(0, "loss"), "var_list": call.get(2, "var_list")}
    outer = machine.state.get("own minimize")
    if outer is None:
        machine.state["own minimize"] = machine.context(call.site)
    gradients = machine.call(
        machine.attribute(optimizer, "compute_gradients", call.site),
        [],
        {name: value for name, value in given.items() if value is not None},
        call.site,
    )
    made = machine.call(
        machine.attribute(optimizer, "apply_gradients", call.site), [gradients], {}, call.site
    )
    machine.state["own minimize"] = outer
    return made


def _stepping(machine: Machine, call: Call) -> Context:
    """Where the program takes a step: the call of its own optimizer, not what that does inside."""
    outer: Context | None = machine.state.get("own minimize")
    return machine.context(call.site) if outer is None else replace(outer, guards=machine.guards)


def _compute_gradients(machine: Machine, call: Call) -> Value:
    loss = machine.settle(call.get(0, "loss") or Unknown("loss"))
    variables = _given(call.get(1, "var_list"))
    return machine.node("gradients", contents((loss,)), call.site, loss=loss, variables=variables)


def _gradients(machine: Machine, call: Call) -> Value:
    loss = machine.settle(call.get(0, "ys") or Unknown("loss"))
    variables = call.get(1, "xs")
    return machine.node("gradients", contents((loss,)), call.site, loss=loss, variables=variables)


def _apply_gradients(machine: Machine, call: Call) -> Value:
    given = contents(call.values())
    gradients = _find_gradients(given)
    if gradients is not None and gradients.attrs.get("tape"):
        from bnlint.frameworks.keras.tapes import step

        return step(machine, call, gradients.attrs["loss"], gradients.attrs["variables"])
    loss = gradients.attrs.get("loss") if gradients is not None else None
    variables = gradients.attrs.get("variables") if gradients is not None else None
    return _train(machine, call, given, loss, variables)


def _find_gradients(values: tuple[Value, ...]) -> Node | None:
    from bnlint.dataflow import sources

    found = [value for value in sources(values) if isinstance(value, Node) and value.op == "gradients"]
    return min(found, key=lambda node: node.order) if found else None


def _create_train_op(machine: Machine, call: Call) -> Value:
    loss = machine.settle(call.get(0, "total_loss") or call.get(0, "loss") or Unknown("loss"))
    given = machine.settle(call.kwargs.get("update_ops") or NONE)
    runs = isinstance(given, Const) and given.value is None
    held = collection(machine, UPDATE_OPS).items if runs else (given,)
    outer = machine.control
    machine.control = (*outer, *contents(held))
    variables = _given(call.kwargs.get("variables_to_train") or call.kwargs.get("variables"))
    node = _train(machine, call, contents((loss,)), loss, variables, runs)
    machine.control = outer
    return node


# -- checkpoints -------------------------------------------------------------------------------------


def _saver(machine: Machine, call: Call) -> Value:
    given = _given(machine.settle(call.get(0, "var_list") or NONE))
    scope = Saved.ALL
    if given is not None:
        scope = Saved.UNKNOWN
        if isinstance(given, List | Tuple | Dict):
            scope = Saved.LISTED
        if isinstance(given, List) and given.slots.get("collection") == "trainable_variables":
            scope = Saved.TRAINABLE
    made = ApiObject("tf.train.Saver", call.site)
    listed = listed_variables(machine, given)
    arguments = Arguments(open=call.open)
    if given is not None:
        arguments.named["var_list"] = Argument(given, call.site_of(0, "var_list"))
    save = Save(
        machine.context(call.site), machine.tick(), scope, given, graph=graph(machine), arguments=arguments,
        listed=listed,
    )  # fmt: skip
    machine.emit(save)
    made.slots["event"] = save
    return made


def _save(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    event = holder.slots.get("event") if isinstance(holder, ApiObject) else None
    if isinstance(event, Save):
        (event.saves if call.name.endswith("save") else event.restores).append(machine.context(call.site))
    return Unknown("path")


def _assign_from_checkpoint(machine: Machine, call: Call) -> Value:
    given = _given(machine.settle(call.get(1, "var_list") or NONE))
    save = Save(machine.context(call.site), machine.tick(), Saved.UNKNOWN, given, graph=graph(machine))
    save.restores.append(machine.context(call.site))
    machine.emit(save)
    return Unknown("init_fn")


for _name in OPTIMIZERS:
    HANDLERS[f"tf.train.{_name}Optimizer"] = optimizer
for _full in (
    "tf.contrib.opt.AdamWOptimizer",
    "tf.contrib.opt.NadamOptimizer",
    "tf.contrib.opt.MomentumWOptimizer",
    "tf.contrib.opt.LazyAdamOptimizer",
    "tf.contrib.opt.MultitaskOptimizerWrapper",
    "tf.contrib.opt.LARSOptimizer",
    "tf.contrib.tpu.CrossShardOptimizer",
    "tf.tpu.CrossShardOptimizer",
    "horovod.tensorflow.DistributedOptimizer",
    "tf.train.experimental.enable_mixed_precision_graph_rewrite",
    "tf.contrib.estimator.clip_gradients_by_norm",
    "tf.contrib.opt.MovingAverageOptimizer",
    "tf.train.experimental.MixedPrecisionLossScaleOptimizer",
):
    HANDLERS[_full] = optimizer
HANDLERS.update(
    {
        "tf.Optimizer.minimize": _minimize,
        "tf.Optimizer.compute_gradients": _compute_gradients,
        "tf.Optimizer.apply_gradients": _apply_gradients,
        "tf.gradients": _gradients,
        "slim.learning.create_train_op": _create_train_op,
        "tf.contrib.training.create_train_op": _create_train_op,
        "tf.contrib.layers.optimize_loss": _create_train_op,
        "tf.train.Saver": _saver,
        "tf.train.Saver.save": _save,
        "tf.train.Saver.restore": _save,
        "slim.assign_from_checkpoint_fn": _assign_from_checkpoint,
        "tf.contrib.framework.assign_from_checkpoint_fn": _assign_from_checkpoint,
        "tf.train.init_from_checkpoint": _assign_from_checkpoint,
    }
)
