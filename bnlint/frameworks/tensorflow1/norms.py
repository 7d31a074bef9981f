"""Batch normalisation in TensorFlow 1: the layers, the bare formulas, and what hand-written ones are made of."""

from __future__ import annotations

from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.library import Handler
from bnlint.frameworks.tensorflow1 import signatures
from bnlint.frameworks.tensorflow1.scopes import layer_scope, reuse_of, scoped_arguments
from bnlint.frameworks.tensorflow1.signatures import Signature
from bnlint.frameworks.tensorflow1.state import (
    UPDATE_OPS,
    add_to_collection,
    close_scope,
    graph,
    joined,
    kept,
    make_variable,
    open_scope,
    state,
    unique_name,
)
from bnlint.frameworks.tensorflow1.table import text
from bnlint.frameworks.tensorflow1.variables import make_assign
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.store import choice
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiObject,
    Call,
    Instance,
    List,
    Range,
    Tuple,
    contents,
)
from bnlint.trace import Arguments, NormCall, NormLayer, Origin, Updates

HANDLERS: dict[str, Handler] = {}


def layer_at(
    machine: Machine,
    api: str,
    full: str | None,
    reuse: bool | None,
    arguments: Arguments,
    site: Location,
    trainable: Value,
) -> NormLayer:
    """The layer whose variables live in a scope: the one that is there, or a new one."""
    open_scope(machine, full)
    close_scope(machine, full)
    holder = graph(machine)
    key = ("layer", full)
    found = kept(machine, key)
    if full is not None and isinstance(found, ApiObject):
        return found.slots["layer"]  # type: ignore[no-any-return]
    layer = NormLayer(
        machine.context(site), machine.tick(), api, "tensorflow", full, holder, arguments, trainable
    )
    machine.emit(layer)
    for name, learned in (
        ("beta", True),
        ("gamma", True),
        ("moving_mean", False),
        ("moving_variance", False),
    ):
        make_variable(
            machine, joined(full, name), site, trainable=trainable if learned else FALSE, moving=not learned
        )
    if full is not None:
        made = ApiObject("layer", site)
        made.slots["layer"] = layer
        machine.store.write(holder, key, made)
    return layer


def apply_norm(
    machine: Machine,
    layer: NormLayer,
    value: Value,
    phase: Value,
    origin: Origin,
    updates: Updates,
    arguments: Arguments,
    site: Location,
    *,
    collection: str | None = None,
    via: str = "",
) -> Node:
    """Apply a layer: the output, its update operations, and the event."""
    phase = machine.settle(phase)
    output = machine.node(Op.NORM, (value, *contents((phase,))), site)
    call = NormCall(
        machine.context(site),
        machine.tick(),
        layer,
        value,
        output,
        phase,
        origin,
        updates,
        collection=collection,
        arguments=arguments,
        via=via,
    )
    output.attrs["call"] = call
    switchable = isinstance(phase, Node) or machine.truth(phase) is not False
    if updates in (Updates.COLLECTED, Updates.ATTRIBUTE) and switchable:
        name = unique_name(machine, (layer.name or "").rpartition("/")[2] or None) if layer.name else None
        outer, machine.control = machine.control, ()
        nodes = []
        for which in ("mean", "variance"):
            node = machine.node(Op.UPDATE, (value,), site, call=call, which=which)
            node.attrs["name"] = joined(name, f"AssignMovingAvg_{which}")
            nodes.append(node)
            if updates is Updates.COLLECTED and collection is not None:
                add_to_collection(machine, collection, node)
        call.update_nodes = tuple(nodes)
        machine.control = outer
    machine.emit(call)
    return output


def _phase_of(bound: Arguments, signature: Signature, name: str, given: bool) -> tuple[Value, Origin]:
    if name in bound.named:
        return bound.named[name].value, Origin.ARGUMENT if given else Origin.SCOPE
    if bound.open:
        return Unknown(name), Origin.ARGUMENT
    return signature.default(name) or Unknown(name), Origin.DEFAULT


# -- tf.layers ---------------------------------------------------------------------------------------


def _layers_function(machine: Machine, call: Call) -> Value:
    signature = signatures.LAYERS_FUNCTION
    bound = signature.bind(call)
    trainable = signature.value(bound, "trainable")
    full = layer_scope(machine, bound.value("name"), "batch_normalization")
    reuse, _ = reuse_of(machine, bound.value("reuse"))
    layer = layer_at(machine, call.name, full, reuse, bound, call.site, trainable)
    return _apply_layers(machine, layer, bound, signature, call.site)


def _apply_layers(
    machine: Machine, layer: NormLayer, bound: Arguments, signature: Signature, site: Location
) -> Node:
    phase, origin = _phase_of(bound, signature, "training", True)
    frozen = layer.trainable is not None and machine.truth(layer.trainable) is False
    return apply_norm(
        machine,
        layer,
        signature.value(bound, "inputs"),
        phase,
        origin,
        Updates.NONE if frozen else Updates.COLLECTED,
        bound,
        site,
        collection=UPDATE_OPS,
    )


def _layers_class(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.layers.BatchNormalization", call.site)
    made.slots["norm arguments"] = signatures.LAYERS_CLASS.bind(call)
    return made


def _layers_call(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    assert isinstance(holder, ApiObject | Instance)
    signature = signatures.LAYERS_CALL
    bound = signature.bind(call)
    layer = holder.slots.get("norm layer")
    if not isinstance(layer, NormLayer):
        built: Arguments = holder.slots.get("norm arguments") or Arguments(open=True)
        trainable = signatures.LAYERS_CLASS.value(built, "trainable")
        full = layer_scope(machine, built.value("name"), "batch_normalization")
        api = "tf.layers.BatchNormalization"
        layer = layer_at(machine, api, full, None, built, holder.site, trainable)
        holder.slots["norm layer"] = layer
    return _apply_layers(machine, layer, bound, signature, call.site)


# -- tf.contrib.layers and slim ----------------------------------------------------------------------


def contrib_norm(machine: Machine, call: Call, via: str = "", extra: frozenset[str] = frozenset()) -> Value:
    """``tf.contrib.layers.batch_norm``; ``via`` names the layer that calls it as its normaliser."""
    signature = signatures.CONTRIB
    scoped = scoped_arguments(machine, "tf.contrib.layers.batch_norm")
    bound = signature.bind(call, scoped)
    bound.open = bound.open or state(machine).arguments_open > 0
    given = "is_training" in call.kwargs and "is_training" not in extra
    phase, origin = _phase_of(bound, signature, "is_training", given or len(call.args) > 9)
    trainable = signature.value(bound, "trainable")
    key = machine.settle(signature.value(bound, "updates_collections"))
    frozen = machine.truth(trainable) is False and _is_map(signature.value(bound, "inputs"))
    updates, collection = (Updates.NONE, None) if frozen else _contrib_updates(machine, key)
    full = layer_scope(machine, bound.value("scope"), "BatchNorm")
    reuse, _ = reuse_of(machine, bound.value("reuse"))
    layer = layer_at(machine, "tf.contrib.layers.batch_norm", full, reuse, bound, call.site, trainable)
    output: Value = apply_norm(
        machine,
        layer,
        signature.value(bound, "inputs"),
        phase,
        origin,
        updates,
        bound,
        call.site,
        collection=collection,
        via=via,
    )
    activation = bound.value("activation_fn")
    if activation is not None and machine.truth(activation) is not False:
        output = machine.call(activation, [output], {}, call.site)
    return output


def _is_map(value: Value) -> bool:
    """Whether a value certainly comes from a convolution: on a matrix also a frozen layer makes updates."""
    for _ in range(20):
        if not isinstance(value, Node) or value.attrs.get("api") == "tf.reshape" or "flatten" in value.op:
            return False
        if value.op == Op.WEIGHTED:
            return "conv" in value.attrs["api"]
        if not value.inputs:
            return False
        value = value.inputs[0]
    return False


def _contrib_updates(machine: Machine, key: Value) -> tuple[Updates, str | None]:
    if isinstance(key, Const) and key.value is None:
        return Updates.IN_PLACE, None
    name = text(machine, key)
    return Updates.COLLECTED, name


# -- bare formulas -----------------------------------------------------------------------------------


def _plain(machine: Machine, call: Call) -> Value:
    signature = signatures.GLOBAL if call.name.endswith("global_normalization") else signatures.PLAIN
    names = ("t", "m", "v") if signature is signatures.GLOBAL else ("x", "mean", "variance")
    bound = signature.bind(call)
    value, mean, variance = (signature.value(bound, name) for name in names)
    return _bare(machine, call, bound, value, mean, variance, phase=None)


def _fused(machine: Machine, call: Call) -> Value:
    signature = signatures.FUSED
    bound = signature.bind(call)
    phase, _ = _phase_of(bound, signature, "is_training", True)
    mean, variance = signature.value(bound, "mean"), signature.value(bound, "variance")
    source = bound.value("x") or Unknown()
    parts = [
        machine.node(
            Op.MOMENTS, contents((source,)), call.site, which=which, axes=None, batch=True, of=source
        )
        for which in ("mean", "variance")
    ]
    if machine.truth(phase) is True:
        mean, variance = parts
    output = _bare(machine, call, bound, signature.value(bound, "x"), mean, variance, phase=phase)
    return Tuple([output, *parts])


def _statistics_phase(machine: Machine, statistic: Value, site: Location) -> Value | None:
    """The phase that choosing a hand-written layer's statistic amounts to.

    True when it is computed from the batch, False when it is kept state, the condition that chooses
    between the two, None when that cannot be told.
    """
    answers: dict[Value, Value | None] = {}

    def phase_of(value: Value) -> Value | None:
        value = machine.settle(value)
        if value not in answers:
            answers[value] = None
            answers[value] = chosen(value)
        return answers[value]

    def chosen(value: Value) -> Value | None:
        if isinstance(value, Choice):
            phases = [(guards, phase_of(option)) for guards, option in value.options]
            known = [(guards, phase) for guards, phase in phases if phase is not None]
            return choice(known) if len(known) == len(phases) else None
        if not isinstance(value, Node) or value.op in (Op.NORM, Op.WEIGHTED):
            return None
        if value.op == Op.MOMENTS:
            return None if value.attrs["batch"] is False else TRUE
        if value.op in (Op.AVERAGE, Op.VARIABLE):
            return FALSE
        if value.op == Op.COND:
            sides = [phase_of(side) for side in value.inputs[1:3]]
            if sides[0] is TRUE and sides[1] is FALSE:
                return value.inputs[0]
            if sides[0] is FALSE and sides[1] is TRUE:
                return machine.logic(Op.NOT, (value.inputs[0],), site)
            return sides[0] if sides[0] is sides[1] else None
        found = {phase_of(source) for source in value.inputs} - {None}
        return found.pop() if len(found) == 1 else None

    return phase_of(statistic)


def _bare(
    machine: Machine,
    call: Call,
    bound: Arguments,
    value: Value,
    mean: Value,
    variance: Value,
    phase: Value | None,
) -> Node:
    layer = NormLayer(
        machine.context(call.site), machine.tick(), call.name, "tensorflow", None, graph(machine), bound, TRUE
    )
    machine.emit(layer)
    output = machine.node(Op.NORM, (value, *contents((mean, variance, *call.values()[3:]))), call.site)
    origin = Origin.ARGUMENT if "is_training" in bound.named else Origin.DEFAULT
    if phase is None:
        origin = Origin.NONE
        phase = _statistics_phase(machine, mean, call.site)
    made = NormCall(
        machine.context(call.site),
        machine.tick(),
        layer,
        value,
        output,
        phase,
        origin,
        Updates.BY_HAND,
        arguments=bound,
        mean=mean,
        variance=variance,
    )
    output.attrs["call"] = made
    machine.emit(made)
    return output


def _reduce(machine: Machine, call: Call) -> Value:
    """A mean or a variance over given axes is half of the moments; over all axes it is a number."""
    source = call.get(0, "input_tensor") or Unknown()
    axes = machine.settle(call.get(1, "axis") or call.kwargs.get("reduction_indices") or NONE)
    if isinstance(axes, Const) and axes.value is None:
        return machine.node(call.name, contents((source,)), call.site)
    which = call.name.rpartition("_")[2]
    return machine.node(
        Op.MOMENTS, contents((source,)), call.site, which=which, of=machine.settle(source), **_axes(axes)
    )


def _axes(value: Value) -> dict[str, object]:
    """The axes of moments, and whether that of the batch is among them; None for what is not known."""
    items = value.items if isinstance(value, List | Tuple) else (value,)
    known = [item.value for item in items if isinstance(item, Const)]
    if len(known) == len(items) and not (isinstance(value, List) and value.open):
        uncertain = any(not isinstance(axis, int) or axis < 0 for axis in known)
        return {"axes": tuple(known), "batch": True if 0 in known else None if uncertain else False}
    from_zero = isinstance(value, Range) and value.start == 0
    return {"axes": None, "batch": True if 0 in known or from_zero else None}


def _moments(machine: Machine, call: Call) -> Value:
    bound = signatures.MOMENTS.bind(call)
    source = machine.settle(bound.value("x") or Unknown())
    known = _axes(machine.settle(bound.value("axes") or Unknown()))
    made = [
        machine.node(Op.MOMENTS, contents((source,)), call.site, which=which, of=source, **known)
        for which in ("mean", "variance")
    ]
    return Tuple(made)


# -- moving averages ---------------------------------------------------------------------------------


def _average(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.train.ExponentialMovingAverage", call.site)
    made.slots["decay"] = machine.settle(call.get(0, "decay") or Unknown())
    made.slots["num_updates"] = machine.settle(call.get(1, "num_updates") or NONE)
    return made


def _average_apply(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "var_list") or NONE)
    of = given.items if isinstance(given, List | Tuple) else contents((given,))
    return machine.node(
        Op.AVERAGE_APPLY,
        contents(of),
        call.site,
        of=tuple(machine.settle(item) for item in of),
        owner=call.receiver,
        decay=_slot(call.receiver, "decay"),
        num_updates=_slot(call.receiver, "num_updates"),
    )


def _slot(value: Value | None, name: str) -> Value:
    found = value.slots.get(name) if isinstance(value, ApiObject) else None
    return found if isinstance(found, Value) else Unknown()


def _average_read(machine: Machine, call: Call) -> Value:
    of = machine.settle(call.get(0, "var") or Unknown())
    return machine.node(Op.AVERAGE, (), call.site, of=of, owner=call.receiver)


def _assign_moving_average(machine: Machine, call: Call) -> Value:
    target = machine.settle(call.get(0, "variable") or Unknown())
    made = make_assign(machine, target, call.get(1, "value") or Unknown(), call)
    made.attrs["decay"] = machine.settle(call.get(2, "decay") or Unknown())
    made.attrs["zero_debias"] = machine.settle(call.get(3, "zero_debias") or TRUE)
    return made


# -- other libraries' layers ---------------------------------------------------------------------------


def _tflearn(machine: Machine, call: Call) -> Value:
    bound = signatures.TFLEARN.bind(call)
    full = layer_scope(machine, bound.value("scope") or bound.value("name"), "BatchNormalization")
    layer = layer_at(
        machine, call.name, full, None, bound, call.site, signatures.TFLEARN.value(bound, "trainable")
    )
    phase = machine.interned(("tflearn",), lambda: Unknown("tflearn.get_training_mode()"))
    value = signatures.TFLEARN.value(bound, "incoming")
    return apply_norm(machine, layer, value, phase, Origin.CONTEXT, Updates.IN_PLACE, bound, call.site)


def _tensorlayer(machine: Machine, call: Call) -> Value:
    signature = signatures.TENSORLAYER
    bound = signature.bind(call)
    phase, origin = _phase_of(bound, signature, "is_train", True)
    full = layer_scope(machine, bound.value("name"), "batchnorm_layer")
    layer = layer_at(machine, call.name, full, None, bound, call.site, TRUE)
    value = signature.value(bound, "prev_layer")
    output = apply_norm(machine, layer, value, phase, origin, Updates.IN_PLACE, bound, call.site)
    made = ApiObject("tensorlayer.layers.Layer", call.site)
    made.slots["outputs"] = output
    return made


HANDLERS.update(
    {
        "tf.layers.batch_normalization": _layers_function,
        "tf.layers.BatchNormalization": _layers_class,
        "tf.layers.BatchNormalization.__call__": _layers_call,
        "tf.layers.BatchNormalization.apply": _layers_call,
        "tf.layers.BatchNormalization.call": _layers_call,
        "tf.contrib.layers.batch_norm": contrib_norm,
        "tf.nn.batch_normalization": _plain,
        "tf.nn.batch_norm_with_global_normalization": _plain,
        "tf.nn.fused_batch_norm": _fused,
        "tf.nn.moments": _moments,
        "tf.reduce_mean": _reduce,
        "tf.reduce_variance": _reduce,
        "tf.nn.weighted_moments": _moments,
        "tf.train.ExponentialMovingAverage": _average,
        "tf.train.ExponentialMovingAverage.apply": _average_apply,
        "tf.train.ExponentialMovingAverage.average": _average_read,
        "tf.python.training.moving_averages.assign_moving_average": _assign_moving_average,
        "tflearn.batch_normalization": _tflearn,
        "tflearn.layers.normalization.batch_normalization": _tflearn,
        "tensorlayer.layers.BatchNormLayer": _tensorlayer,
    }
)
