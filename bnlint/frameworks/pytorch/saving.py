"""``torch.save``: which layers a checkpoint has the learned weights of, and which it may have the statistics of."""

from __future__ import annotations

from bnlint.dataflow import Choice, Const, Node, Unknown, Value
from bnlint.frameworks.pytorch import calling, states
from bnlint.frameworks.pytorch.norms import layers_of
from bnlint.frameworks.pytorch.parameters import BUFFERS, KIND, OF, module_of
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, Dict, Instance, List, Tuple
from bnlint.trace import NormLayer, Save, Saved


def _save(machine: Machine, call: Call) -> Value:
    """Look through what is saved; ``variables`` of the event are the parameters of a module, if they are in it."""
    weights: dict[NormLayer, None] = {}
    statistics: dict[NormLayer, None] = {}
    known = True
    parameters: Value | None = None
    pending = [machine.settle(call.get(0, "obj") or Unknown())]
    seen: set[Value] = set()
    while pending and len(seen) < 500:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, List | Tuple):
            pending.extend(value.items)
        elif isinstance(value, Dict):
            pending.extend(_entries(value))
        elif isinstance(value, Node) and states.LEAF in value.attrs:
            held = weights if value.attrs[states.LEAF] in states.WEIGHTS else statistics
            if value.attrs[states.LEAF] != states.COUNTER:
                held.update(dict.fromkeys(layers_of(value.attrs[OF])))
        elif isinstance(value, ApiObject) and module_of(value) is not None:
            held = statistics if value.kind == BUFFERS else weights
            parameters = value if value.kind == KIND else parameters
            held.update(dict.fromkeys(layers_of(module_of(value) or Unknown())))
        elif isinstance(value, ApiObject | Instance):
            statistics.update(dict.fromkeys(layers_of(value)))
            known = known and bool(calling.is_module(value))
        elif isinstance(value, Choice) or (isinstance(value, Unknown) and value.sources):
            known = False
    save = Save(
        machine.context(call.site), machine.tick(), Saved.LISTED if known else Saved.UNKNOWN, parameters
    )
    save.weights_of, save.statistics_of = tuple(weights), tuple(statistics)
    save.saves.append(save.context)
    machine.emit(save)
    return NONE


def _entries(saved: Dict) -> list[Value]:
    """The values of a dictionary; the rest of a state, under names that are not known, is like what is known of it."""
    entries = saved.entries()
    of_state = any(
        isinstance(key, Const) and isinstance(value, Node) and states.LEAF in value.attrs
        for key, value, _ in entries
    )
    return [value for key, value, _ in entries if not (of_state and isinstance(key, Unknown))]


HANDLERS["torch.save"] = _save
