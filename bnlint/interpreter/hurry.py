"""Modules of which only the definitions are wanted, because importing has cost too much.

What is not executed is not known: a name becomes unknown, and containers that it may have filled may hold more.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.dataflow import Unknown, Value
from bnlint.interpreter.calls import call_decorated, class_of, function_of
from bnlint.interpreter.values import (
    ApiObject,
    ApiRef,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    Scope,
)
from bnlint.walk import walk

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

_Definition = ast.FunctionDef | ast.AsyncFunctionDef


def define(machine: Machine, statement: ast.stmt, scope: Scope) -> None:
    """Only what a statement of a module defines."""
    if isinstance(statement, _Definition | ast.ClassDef):
        made: Value = (
            class_of(machine, statement, scope)
            if isinstance(statement, ast.ClassDef)
            else function_of(machine, statement, scope)
        )
        for decorator in reversed(statement.decorator_list):
            made = _decorated(machine, decorator, made, scope)
        machine.store.write(scope, statement.name, made)
        return
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    calls = [part for part in walk(statement) if isinstance(part, ast.Call)] if targets else []
    if not calls or not all(isinstance(target, ast.Name) for target in targets):
        machine.execute([statement], scope)
        return
    for call in calls:
        if isinstance(call.func, ast.Name | ast.Attribute):
            _may_fill(machine, machine.evaluate(call.func, scope))
    for target in targets:
        if isinstance(target, ast.Name):
            machine.store.write(scope, target.id, Unknown(target.id))


def _decorated(machine: Machine, decorator: ast.expr, value: Value, scope: Scope) -> Value:
    """What a decorator makes of a function or class: the same again, if the project's own code only registers it."""
    made_by = isinstance(decorator, ast.Call)
    called = machine.evaluate(decorator.func if isinstance(decorator, ast.Call) else decorator, scope)
    if isinstance(called, ApiRef | ApiObject):
        if isinstance(value, ClassValue):
            return value
        return call_decorated(machine, machine.evaluate(decorator, scope), value, decorator, scope)
    _may_fill(machine, called)
    function = called.function if isinstance(called, Method) else called
    if isinstance(function, Function) and isinstance(function.node, _Definition):
        if _gives_back(function.node, made_by):
            return value
    return Unknown("decorated")


def _gives_back(node: _Definition, by_another: bool) -> bool:
    """Whether a decorator only returns what it is given; ``by_another`` if it makes the function that does."""
    known = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args)}
    if by_another:
        inner = {part.name: part for part in node.body if isinstance(part, _Definition)}
        known |= {name for name, part in inner.items() if _gives_back(part, False)}
    known -= {
        part.id for part in walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    returned = list(_returns(node))
    return bool(returned) and all(isinstance(value, ast.Name) and value.id in known for value in returned)


def _returns(node: ast.AST) -> Iterator[ast.expr | None]:
    """What a function returns itself, without those inside it."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Return):
            yield part.value
        elif not isinstance(part, _Definition | ast.Lambda | ast.ClassDef):
            yield from _returns(part)


def _may_fill(machine: Machine, called: Value) -> None:
    """The containers of the project that a call may fill, for all that is known, may hold more."""
    holders: list[object] = []
    if isinstance(called, Method):
        holders.append(called.receiver)
        called = called.function if isinstance(called.function, Function) else called
    if isinstance(called, Function | ClassValue):
        holders.extend(called.scope.module.scope.slots.values())
    for holder in holders:
        for container in (holder, *holder.slots.values()) if isinstance(holder, Instance) else (holder,):
            if isinstance(container, Dict | List):
                machine.store.write(container, Dict.OPEN if isinstance(container, Dict) else "open", True)
