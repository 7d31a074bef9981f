"""Models that are written to be used elsewhere, and the mode that is fixed in them.

What `torch.jit.trace` and `torch.export.export` give computes for ever in the mode in which the model was then;
`torch.jit.script` keeps the switch, and `torch.onnx.export` asks for evaluation, unless its older exporter is told
otherwise. Executed with torch 2.13.
"""

from __future__ import annotations

import re

from bnlint.dataflow import Const, Value
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, TRUE, ApiObject, ApiRef, Call, Dict, List, Tuple
from bnlint.trace import Export

_EXPORT = "export"
"""The slot of what was traced: the event that it is, once somebody keeps it for use elsewhere."""
_DYNAMO_IS_DEFAULT = (2, 9)
"""The first torch whose `torch.onnx.export` exports for evaluation whatever it is told."""


def _trace(machine: Machine, call: Call) -> Value:
    given = call.get(1, "example_inputs") or call.get(None, "example_kwarg_inputs")
    return _traced(machine, call, call.get(0, "func"), given)


def _trace_module(machine: Machine, call: Call) -> Value:
    """The inputs are those of each method by its name."""
    given = machine.settle(call.get(1, "inputs") or NONE)
    first = next((value for _, value, _ in given.entries()), None) if isinstance(given, Dict) else None
    return _traced(machine, call, call.get(0, "mod"), first)


def _exported_program(machine: Machine, call: Call) -> Value:
    return _traced(machine, call, call.get(0, "mod"), call.get(1, "args"), "torch.export.ExportedProgram")


def _traced(
    machine: Machine,
    call: Call,
    model: Value | None,
    given: Value | None,
    kind: str = "torch.jit.ScriptModule",
) -> Value:
    made = ApiObject(kind, call.site)
    norms = _norms(machine, call, model, given)
    made.slots[_EXPORT] = Export(machine.context(call.site), machine.tick(), call.name, norms)
    return made


def _norms(machine: Machine, call: Call, model: Value | None, given: Value | None) -> tuple[Value, ...]:
    """What the normalisations of a model give in its present mode, in a call of which the program has no result."""
    given = machine.settle(given or NONE)
    if model is None:
        return ()
    outer = calling.active(machine)
    before = len(outer.norms) if outer is not None else 0
    with calling.calling(machine, model, call) as forward:
        if isinstance(given, Dict):
            named = {key.value: value for key, value, _ in given.entries() if isinstance(key, Const)}
            machine.call(model, [], named, call.site)
        else:
            inputs = given.items if isinstance(given, Tuple | List) else (given,)
            machine.call(model, inputs, {}, call.site)
    return tuple(norm.output for norm in forward.norms[before:])


def _kept(machine: Machine, call: Call) -> Value:
    """What was traced is saved, or made ready for another machine."""
    traced = machine.settle(call.receiver or (call.args[0] if call.args else NONE))
    export = traced.slots.pop(_EXPORT, None) if isinstance(traced, ApiObject) else None
    if export is not None and export.outputs:
        machine.emit(export)
    return NONE


def _frozen(machine: Machine, call: Call) -> Value:
    """Freezing replaces a convolution and its normalisation by one convolution, with the learned statistics."""
    return machine.unknown("frozen", *call.values())


def _onnx(machine: Machine, call: Call) -> Value:
    model = machine.settle(call.get(0, "model") or NONE)
    mode = machine.settle(call.get(None, "training") or NONE)
    if not _is_older_exporter(machine, call):
        return machine.unknown("program", *call.values())
    if isinstance(model, ApiObject) and _EXPORT in model.slots:
        return _kept(machine, call)
    asked = mode.name.rpartition(".")[2] if isinstance(mode, ApiRef) else ""
    if asked not in ("TRAINING", "PRESERVE"):
        return NONE
    modes = {part: part.slots.get("training") for part in calling.parts_of(model)}
    if asked == "TRAINING":
        for part in modes:
            machine.store.write(part, "training", TRUE)
    norms = _norms(machine, call, model, call.get(1, "args"))
    for part, before in modes.items():
        if before is not None:
            machine.store.write(part, "training", before)
    if norms:
        machine.emit(Export(machine.context(call.site), machine.tick(), call.name, norms))
    return NONE


def _is_older_exporter(machine: Machine, call: Call) -> bool:
    """Whether the exporter certainly is the one that heeds a mode."""
    dynamo = call.get(None, "dynamo")
    if dynamo is not None or call.open:
        return dynamo is not None and machine.truth(dynamo) is False
    ceiling = machine.trace.ceilings.get("torch")
    return ceiling is not None and tuple(map(int, re.findall(r"\d+", ceiling)[:2])) < _DYNAMO_IS_DEFAULT


HANDLERS.update(
    {
        "torch.jit.trace": _trace,
        "torch.jit.trace_module": _trace_module,
        "torch.jit.freeze": _frozen,
        "torch.export.export": _exported_program,
        "torch.onnx.export": _onnx,
        "torch.jit.save": _kept,
        "torch.jit.ScriptModule.save": _kept,
        "torch.export.save": _kept,
        "torch._inductor.aoti_compile_and_package": _kept,
        "coremltools.convert": _kept,
    }
)
