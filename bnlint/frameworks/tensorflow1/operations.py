"""Losses, metrics, summaries, exports and plain operations."""

from __future__ import annotations

from bnlint.dataflow import Const, Node, Op, Unknown, Value
from bnlint.frameworks.tensorflow1.graph import collection_key, default_graph
from bnlint.frameworks.tensorflow1.state import (
    Graph,
    add_to_collection,
    collection,
    graph,
)
from bnlint.frameworks.tensorflow1.table import HANDLERS, PROPERTIES, handles
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    Call,
    Dict,
    Function,
    List,
    Method,
    Partial,
    Tuple,
    contents,
)
from bnlint.trace import Argument, Arguments, Export, Made

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
            arguments = Arguments(
                {name: Argument(value, None) for name, value in call.kwargs.items()}, open=call.open
            )
            how = Made(call.site, arguments, call.kwargs.get("data_format"))
            return machine.node(Op.WEIGHTED, inputs, call.site, weights=weights, api=call.name, made=how)
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
PROPERTIES["Tensor.graph"] = lambda machine, call: default_graph(machine, call)


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
