"""What a program picks by a text: modules, names and classes, also by the default of an option.

A program that is told by its command line which network to build is read as it runs when it is told nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from bnlint.dataflow import Unknown, Value
from bnlint.interpreter.builtins import HANDLERS, handles
from bnlint.interpreter.values import ApiObject, Call, Function, Tuple

__all__ = ["HANDLERS"]

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
