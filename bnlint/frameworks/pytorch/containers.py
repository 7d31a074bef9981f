"""Lists and dictionaries of modules. A module in a plain list is no part of the module that has the list."""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.containers import put
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, Call, Dict, List, Tuple


class ModuleList(List):
    """``nn.ModuleList``, or the modules of a sequence."""

    __slots__ = ()


class ModuleDict(Dict):
    """``nn.ModuleDict``."""

    __slots__ = ()


def _module_list(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "modules") or NONE)
    if isinstance(given, List | Tuple):
        made = ModuleList(given.items, isinstance(given, List) and given.open)
        if isinstance(given, List) and not given.ordered:
            made.slots["unordered"] = True
        return made
    return ModuleList((), open=bool(call.values()))


def _module_dict(machine: Machine, call: Call) -> Value:
    given = machine.settle(call.get(0, "modules") or NONE)
    if isinstance(given, Dict):
        made = ModuleDict(given.open)
        entries = given.entries()
    else:
        pairs = given.items if isinstance(given, List | Tuple) else ()
        known = [pair for pair in pairs if isinstance(pair, Tuple | List) and len(pair.items) == 2]
        made = ModuleDict(bool(call.values()) and (not pairs or len(known) < len(pairs)))
        entries = [(pair.items[0], pair.items[1], None) for pair in known]
    for key, value, site in entries:
        put(machine, made, key, value, site)
    return made


def _add_to_dict(machine: Machine, call: Call) -> Value:
    if isinstance(call.receiver, Dict) and len(call.args) == 2:
        put(machine, call.receiver, call.args[0], call.args[1], None)
    return NONE


HANDLERS["torch.nn.ModuleList"] = _module_list
HANDLERS["torch.nn.ModuleDict"] = _module_dict
HANDLERS["builtins.dict.add_module"] = _add_to_dict
