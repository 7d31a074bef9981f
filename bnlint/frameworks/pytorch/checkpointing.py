"""Activation checkpoints: what is computed again for the gradients, instead of being kept."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.eager import Recomputed
from bnlint.frameworks.pytorch import calling
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call, List, Tuple

_OPTIONS = frozenset("use_reentrant preserve_rng_state context_fn determinism_check debug early_stop".split())
"""What is not handed on to the function."""


def _checkpoint(machine: Machine, call: Call) -> Value:
    """``checkpoint(function, *arguments)``."""
    function = call.get(0, "function") or Unknown("function")
    given = {name: value for name, value in call.kwargs.items() if name not in _OPTIONS | {"function"}}
    return _recomputed(machine, call, function, call.args[1:], given)


def _checkpoint_sequential(machine: Machine, call: Call) -> Value:
    """All segments but the last one are computed again."""
    modules = machine.settle(call.get(0, "functions") or Unknown("functions"))
    count, value = machine.constant(call.get(1, "segments")), call.get(2, "input") or Unknown("input")
    layers = modules.slots.get("layers") if isinstance(modules, ApiObject) else modules
    if not isinstance(layers, List | Tuple) or (isinstance(layers, List) and layers.open):
        return machine.unknown("sequential", modules, value)
    known = isinstance(count, int) and 0 < count <= len(layers.items)
    again = len(layers.items) // count * (count - 1) if known else 0
    for layer in layers.items[:again]:
        value = _recomputed(machine, call, layer, [value], {})
    for layer in layers.items[again:]:
        value = machine.call(layer, [value], {}, call.site)
    return value


def _recomputed(
    machine: Machine, call: Call, function: Value, args: list[Value], kwargs: dict[str, Value]
) -> Value:
    outer = calling.active(machine)
    if outer is None:
        with calling.calling(machine, function, call) as outer:
            output = machine.call(function, args, kwargs, call.site)
        first, output = 0, calling.finished(machine, outer, output)
    else:
        first = len(outer.norms)
        output = machine.call(function, args, kwargs, call.site)
    norms = tuple(outer.norms[first:])
    if norms:
        machine.emit(Recomputed(machine.context(call.site), machine.tick(), call.name, norms))
    return output


HANDLERS["torch.utils.checkpoint.checkpoint"] = _checkpoint
HANDLERS["torch.utils.checkpoint.checkpoint_sequential"] = _checkpoint_sequential
