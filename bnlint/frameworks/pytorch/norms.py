"""The normalisations of PyTorch, as modules and as a function."""

from __future__ import annotations

from bnlint.dataflow import Const, Unknown, Value
from bnlint.frameworks.pytorch import calling, precision, shapes
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.frameworks.tensorflow1.norms import apply_norm
from bnlint.frameworks.tensorflow1.signatures import REQUIRED, Signature
from bnlint.frameworks.tensorflow1.state import graph, make_variable
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, TRUE, ApiObject, Call, Instance
from bnlint.trace import Arguments, NormLayer, Origin, Reset, Updates

_MODULE = Signature(
    (
        ("num_features", REQUIRED),
        ("eps", 1e-5),
        ("momentum", 0.1),
        ("affine", True),
        ("track_running_stats", True),
        ("device", None),
        ("dtype", None),
    )
)
_LAZY = Signature(_MODULE.parameters[1:])
_SYNC = Signature((*_MODULE.parameters[:5], ("process_group", None), *_MODULE.parameters[5:]))
_FUNCTION = Signature(
    (
        ("input", REQUIRED),
        ("running_mean", REQUIRED),
        ("running_var", REQUIRED),
        ("weight", None),
        ("bias", None),
        ("training", False),
        ("momentum", 0.1),
        ("eps", 1e-5),
    )
)
_NATIVE = Signature(
    tuple(
        (name, REQUIRED)
        for name in "input weight bias running_mean running_var training momentum eps cudnn_enabled".split()
    )
)
"""Read off torch 2.13."""
SIGNATURES = {
    **{f"torch.nn.BatchNorm{rank}d": _MODULE for rank in (1, 2, 3)},
    **{f"torch.nn.LazyBatchNorm{rank}d": _LAZY for rank in (1, 2, 3)},
    "torch.nn.SyncBatchNorm": _SYNC,
}


def _make(machine: Machine, call: Call) -> Value:
    made = ApiObject(call.name, call.site)
    arguments = SIGNATURES[call.name].bind(call)
    made.slots["arguments"] = arguments
    made.slots["training"] = TRUE
    made.slots["norm layer"] = _layer(machine, made, arguments, call.name)
    return made


def _init(machine: Machine, call: Call) -> Value:
    """``super().__init__(features, …)`` in a project's own layer, or what stands for it if that has no ``__init__``."""
    holder = call.receiver
    if isinstance(holder, Instance):
        kind = call.name.removesuffix(".__init__")
        arguments = holder.slots["arguments"] = SIGNATURES[kind].bind(call)
        holder.slots["norm layer"] = _layer(machine, holder, arguments, kind)
    return NONE


def _layer(
    machine: Machine, holder: ApiObject | Instance, arguments: Arguments, kind: str = "torch.nn.BatchNorm2d"
) -> NormLayer:
    layer = NormLayer(
        machine.context(holder.site), machine.tick(), kind, "pytorch", None, graph(machine), arguments, TRUE,
        owner=holder,
    )  # fmt: skip
    machine.emit(layer)
    layer.weights = tuple(make_variable(machine, None, holder.site, shared=False) for _ in range(2))
    return layer


def _call(machine: Machine, call: Call) -> Value:
    holder = call.receiver
    if isinstance(holder, Instance) and not call.name.endswith(".forward") and calling.own_forward(holder):
        return calling.call_own(machine, call)
    assert isinstance(holder, ApiObject | Instance)
    arguments = holder.slots.get("arguments") or Arguments(open=True)
    layer = holder.slots.get("norm layer")
    if not isinstance(layer, NormLayer):
        layer = holder.slots["norm layer"] = _layer(machine, holder, arguments)
    tracks = machine.truth(_MODULE.value(arguments, "track_running_stats"))
    if isinstance(holder.slots.get("running_mean"), Const):
        # Set to None, which is all that is kept there: test-time adaptation takes the statistics of the batch so.
        tracks = False
    value = call.get(0, "input") or Unknown("input")
    with calling.calling(machine, holder, call) as forward:
        phase = machine.settle(holder.slots.get("training") or TRUE)
        updates = Updates.IN_PLACE if tracks else Updates.NONE
        if tracks is not True:
            phase = TRUE if tracks is False else Unknown("training")
        output = apply_norm(machine, layer, value, phase, Origin.MODE, updates, arguments, call.site)
        norm = output.attrs["call"]
        norm.forward = forward
        norm.dtype = precision.dtype_of(machine, holder)
        norm.single = shapes.is_single(value)
        forward.norms.append(norm)
    return calling.finished(machine, forward, output)


def _function(machine: Machine, call: Call) -> Value:
    """``F.batch_norm``: it infers unless it is told to train."""
    signature = _NATIVE if call.name == "torch.batch_norm" else _FUNCTION
    bound = signature.bind(call)
    given = "training" in bound.named
    phase = machine.settle(signature.value(bound, "training"))
    mean = machine.settle(bound.value("running_mean") or Unknown("running_mean"))
    keeps = not (isinstance(mean, Const) and mean.value is None)
    layer = NormLayer(
        machine.context(call.site), machine.tick(), call.name, "pytorch", None, graph(machine), bound, TRUE
    )
    machine.emit(layer)
    updates = Updates.IN_PLACE if keeps else Updates.NONE
    origin = Origin.MODE if calling.is_mode(phase) else Origin.ARGUMENT if given else Origin.DEFAULT
    value = signature.value(bound, "input")
    output = apply_norm(machine, layer, value, phase, origin, updates, bound, call.site)
    outer = calling.active(machine)
    if outer is not None:
        outer.norms.append(output.attrs["call"])
    return output


def _reset(machine: Machine, call: Call) -> Value:
    layers = layers_of(call.receiver or Unknown())
    machine.emit(Reset(machine.context(call.site), machine.tick(), layers, call.name))
    return NONE


def layers_of(module: Value) -> tuple[NormLayer, ...]:
    """The normalisations in a module."""
    found = (part.slots.get("norm layer") for part in calling.parts_of(module))
    return tuple(layer for layer in found if isinstance(layer, NormLayer))


for _name in SIGNATURES:
    HANDLERS[_name] = _make
    HANDLERS[f"{_name}.__init__"] = _init
    HANDLERS[f"{_name}.__call__"] = _call
    HANDLERS[f"{_name}.forward"] = _call
    HANDLERS[f"{_name}.reset_running_stats"] = HANDLERS[f"{_name}.reset_parameters"] = _reset
HANDLERS["torch.nn.functional.batch_norm"] = HANDLERS["torch.batch_norm"] = _function
