"""What a program picks by a text: modules, names and classes, also by the default of an option.

A program that is told by its command line which network to build is read as it runs when it is told nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from bnlint.dataflow import Unknown, Value
from bnlint.interpreter.builtins import HANDLERS, handles, has
from bnlint.interpreter.store import choice
from bnlint.interpreter.values import ApiObject, Call, Function, Instance, Tuple
from bnlint.walk import walk

__all__ = ["HANDLERS"]

_MOST_TASKS = 4

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine


@handles("argparse.ArgumentParser", "argparse.ArgumentParser.add_argument_group")
def _parser(machine: Machine, call: Call) -> Value:
    return ApiObject("argparse.ArgumentParser", call.site)


@handles("argparse.ArgumentParser.add_argument")
def _add_argument(machine: Machine, call: Call) -> Value:
    names = [name for name in map(machine.constant, call.args) if isinstance(name, str)]
    wanted = machine.constant(call.kwargs.get("dest")) or next(
        (name for name in names if name.startswith("--")), names[0] if names else ""
    )
    default = machine.constant(call.kwargs.get("default"))
    if isinstance(wanted, str) and isinstance(default, str):
        defaults: dict[str, str] = machine.state.setdefault("defaults of options", {})
        defaults[wanted.lstrip("-").replace("-", "_")] = default
    return Unknown("option")


@handles("argparse.ArgumentParser.parse_args", "argparse.ArgumentParser.parse_known_args")
def _arguments(machine: Machine, call: Call) -> Value:
    parsed = machine.interned(("parsed", call.receiver), lambda: Unknown("args"))
    return Tuple([parsed, Unknown()]) if call.name.endswith("known_args") else parsed


@handles("importlib.import_module", "builtins.__import__")
def _import(machine: Machine, call: Call) -> Value:
    name = machine.picked(call.get(0, "name"))
    if not name or name.startswith("."):
        return machine.unknown("module", *call.values())
    if call.name.endswith("__import__") and call.get(3, "fromlist") is None:
        name = name.partition(".")[0]
    return machine.modules.load(machine, machine.activation.scope.module, name, 0)


@handles("builtins.getattr")
def _getattr(machine: Machine, call: Call) -> Value:
    if len(call.args) < 2:
        return Unknown()
    holder, wanted = machine.settle(call.args[0]), machine.settle(call.args[1])
    name = machine.picked(wanted)
    if name is None:
        return machine.unknown("", call.args[0])
    if len(call.args) == 3 and has(machine, call.args[0], name) is False:
        return call.args[2]
    found = machine.attribute(call.args[0], name, call.site)
    if isinstance(holder, Instance) and machine.constant(wanted) is None:
        for other in _other_tasks(machine, holder, name):
            told = machine.interned(("told", wanted, other), lambda: Unknown("the option"))
            method = machine.attribute(holder, other, call.site)
            found = choice([(((told, True),), method), (((told, False),), found)])
    return found


def _other_tasks(machine: Machine, holder: Instance, name: str) -> list[str]:
    """The methods of an object, beside the default one, that an option may name: the program has their names as texts,
    and they need no arguments."""
    tree = machine.activation.scope.module.source.tree
    texts = {node.value for node in walk(tree) if isinstance(node, ast.Constant)}
    methods = [
        each for each, member in holder.cls.slots.items() if isinstance(member, Function) and each in texts
    ]
    return [each for each in methods if each != name and _needs_nothing(holder.cls.slots[each])][:_MOST_TASKS]


def _needs_nothing(method: object) -> bool:
    if not isinstance(method, Function) or not isinstance(method.node, ast.FunctionDef):
        return False
    spec = method.node.args
    return len(spec.posonlyargs) + len(spec.args) - len(spec.defaults) == 1 and all(spec.kw_defaults)


@handles("builtins.eval")
def _eval(machine: Machine, call: Call) -> Value:
    """The expression that a text is, if it only names or calls something."""
    text = machine.picked(call.get(0, "source"))
    try:
        node = ast.parse(text or "", mode="eval").body
    except SyntaxError:
        return machine.unknown("eval", *call.values())
    inner = node.func if isinstance(node, ast.Call) else node
    if len(call.args) > 1 or not isinstance(inner, ast.Name | ast.Attribute):
        return machine.unknown("eval", *call.values())
    scope = machine.activation.scope
    found = machine.evaluate(inner, scope)
    if isinstance(node, ast.Call):
        if not isinstance(found, Function) or node.args or node.keywords:
            return machine.unknown("eval", *call.values())
        return machine.call(found, [], {}, call.site)
    return found
