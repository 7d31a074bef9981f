"""What statements do."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bnlint.dataflow import Const, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.activation import Exit, Signal
from bnlint.interpreter.calls import call_decorated, class_of, function_of, run_generator_manager
from bnlint.interpreter.containers import CONCRETE, Items, assign, iterate, remove_item
from bnlint.interpreter.expressions import evaluate
from bnlint.interpreter.operators import MOST, binary
from bnlint.interpreter.store import MISSING
from bnlint.interpreter.syntax import mentions
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    ApiRef,
    Dict,
    Function,
    Instance,
    List,
    Method,
    ModuleValue,
    Partial,
    Range,
    Scope,
)

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

FEW = 10
"""A counted loop that builds layers runs in full up to this number of rounds."""
ALIKE = 3
"""A longer one runs this often: its rounds are alike."""


def execute(machine: Machine, body: Sequence[ast.stmt], scope: Scope) -> Signal | None:
    """Run statements; returns how they ended early, None if they did not."""
    for statement in body:
        machine.spend()
        handler = _HANDLERS.get(type(statement))
        if handler is not None:
            signal = handler(machine, statement, scope)
            if signal is not None:
                return signal
    return None


def _expression(machine: Machine, statement: ast.Expr, scope: Scope) -> None:
    if not isinstance(statement.value, ast.Constant):
        value = evaluate(machine, statement.value, scope)
        if isinstance(value, Method) and not isinstance(statement.value, ast.Call):
            machine.libraries.named(machine, value, scope.module.source.location(statement.value))


def _assign(machine: Machine, statement: ast.Assign, scope: Scope) -> None:
    value = evaluate(machine, statement.value, scope)
    for target in statement.targets:
        assign(machine, target, value, scope, statement.value)


def _annotated(machine: Machine, statement: ast.AnnAssign, scope: Scope) -> None:
    if statement.value is not None:
        assign(machine, statement.target, evaluate(machine, statement.value, scope), scope)


def _augmented(machine: Machine, statement: ast.AugAssign, scope: Scope) -> None:
    target = statement.target
    before = evaluate(machine, _as_load(target), scope)
    operand = evaluate(machine, statement.value, scope)
    if isinstance(before, List) and isinstance(statement.op, ast.Add):
        added = operand.items if hasattr(operand, "items") and not isinstance(operand, Dict) else None
        if added is None:
            machine.store.write(before, "open", True)
            added = (machine.unknown("", operand),)
        if len(before.items) + len(added) > MOST:
            machine.store.write(before, "open", True)
            return
        machine.store.write(before, "items", (*before.items, *added))
        return
    site = scope.module.source.location(statement)
    assign(machine, target, binary(machine, type(statement.op).__name__, before, operand, site), scope)


def _as_load(target: ast.expr) -> ast.expr:
    loaded = copy.copy(target)
    if isinstance(loaded, ast.Name | ast.Attribute | ast.Subscript):
        loaded.ctx = ast.Load()
    return loaded


def _delete(machine: Machine, statement: ast.Delete, scope: Scope) -> None:
    for target in statement.targets:
        if isinstance(target, ast.Name):
            machine.store.write(scope.declared.get(target.id, scope), target.id, MISSING)
        elif isinstance(target, ast.Subscript):
            holder = machine.settle(evaluate(machine, target.value, scope))
            remove_item(machine, holder, evaluate(machine, target.slice, scope))


def _if(machine: Machine, statement: ast.If, scope: Scope) -> Signal | None:
    condition = evaluate(machine, statement.test, scope)
    return machine.fork(
        condition,
        lambda: execute(machine, statement.body, scope),
        lambda: execute(machine, statement.orelse, scope),
    )


def _loop_pass(machine: Machine, body: Sequence[ast.stmt], scope: Scope) -> Signal | None:
    """One run through a loop's body; tells only whether the loop must end."""
    activation = machine.activation
    base = machine.guards
    activation.loop_exits.append([])
    activation.loop_bases.append(base)
    signal = execute(machine, body, scope)
    exits: list[Exit] = activation.loop_exits.pop()
    activation.loop_bases.pop()
    machine.rejoin(exits, base, ended=signal is Signal.RAISE)
    return signal


def _for(machine: Machine, statement: ast.For | ast.AsyncFor, scope: Scope) -> Signal | None:
    iterable = evaluate(machine, statement.iter, scope)
    items = iterate(machine, iterable, statement.iter, scope)
    site = scope.module.source.location(statement)
    outer = machine.loops
    machine.loops = (*outer, site)
    _note_rounds(machine, site, items)
    signal: Signal | None = None
    built = 0
    try:
        for index, item in enumerate(items.known[: _most(items, statement)]):
            if index == 1 and items.counted and not built:
                break
            if index == ALIKE and items.counted and len(items.known) > FEW:
                _forget_counters(machine, statement, scope)
                return _finish_loop(machine, statement.orelse, scope, signal)
            before = machine.built
            assign(machine, statement.target, item, scope)
            signal = _loop_pass(machine, statement.body, scope)
            built = machine.built - before
            if signal is Signal.BREAK or signal is Signal.RETURN:
                break
        else:
            if items.known and not items.more:
                return _finish_loop(machine, statement.orelse, scope, signal)
        if signal not in (Signal.BREAK, Signal.RETURN):
            rounds = 1 if items.known else 2
            if not items.more and not items.counted:
                rounds = 0
            for index in range(rounds):
                before = machine.built
                if (index or items.known) and not built:
                    _forget_counters(machine, statement, scope)
                assign(machine, statement.target, items.other(), scope)
                signal = _loop_pass(machine, statement.body, scope)
                built = machine.built - before
                if signal is Signal.BREAK or signal is Signal.RETURN:
                    break
    finally:
        machine.loops = outer
    return _finish_loop(machine, statement.orelse, scope, signal)


def _most(items: Items, loop: ast.For | ast.AsyncFor) -> int:
    """How many of the known items a loop runs over: all, if it speaks of what a framework said matters for each."""
    wanted: re.Pattern[str] | None = items.of.slots.get("in full") if isinstance(items.of, List) else None
    whole = wanted is not None and len(items.known) > CONCRETE and mentions(loop, wanted)
    return len(items.known) if whole else CONCRETE


def _forget_counters(machine: Machine, loop: ast.For | ast.AsyncFor | ast.While, scope: Scope) -> None:
    """What counts the rounds (``step += 1``) has a value that is not known in a later round."""
    names: set[str] | None = getattr(loop, "_bnlint_counters", None)
    if names is None:
        names = {
            part.target.id
            for statement in loop.body
            for part in ast.walk(statement)
            if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name)
        }
        loop._bnlint_counters = names  # type: ignore[union-attr]
    for name in names:
        holder = scope.declared.get(name, scope)
        known = holder.slots.get(name)
        if isinstance(known, Const) and isinstance(known.value, int | float):
            machine.store.write(holder, name, Unknown(name))


def _note_rounds(machine: Machine, site: Location, items: Items) -> None:
    count = items.of.length if isinstance(items.of, Range) else None if items.more else len(items.known)
    rounds = machine.trace.rounds
    before = rounds.get(site, 0)
    rounds[site] = None if count is None or before is None else max(count, before)


def _finish_loop(
    machine: Machine, orelse: Sequence[ast.stmt], scope: Scope, signal: Signal | None
) -> Signal | None:
    if signal is Signal.RETURN:
        return signal
    if signal is not Signal.BREAK and orelse:
        return execute(machine, orelse, scope)
    return None


def _while(machine: Machine, statement: ast.While, scope: Scope) -> Signal | None:
    site = scope.module.source.location(statement)
    outer = machine.loops
    machine.loops = (*outer, site)
    signal: Signal | None = None
    try:
        built = machine.built
        for index in range(2):
            if index and machine.built == built:
                _forget_counters(machine, statement, scope)
            if machine.truth(evaluate(machine, statement.test, scope)) is False:
                break
            signal = _loop_pass(machine, statement.body, scope)
            if signal is Signal.BREAK or signal is Signal.RETURN:
                break
    finally:
        machine.loops = outer
    return _finish_loop(machine, statement.orelse, scope, signal)


def _with(machine: Machine, statement: ast.With | ast.AsyncWith, scope: Scope) -> Signal | None:
    return _with_items(machine, statement, 0, scope)


def _with_items(
    machine: Machine, statement: ast.With | ast.AsyncWith, index: int, scope: Scope
) -> Signal | None:
    if index == len(statement.items):
        return execute(machine, statement.body, scope)
    item = statement.items[index]
    manager = machine.settle(evaluate(machine, item.context_expr, scope))
    site = scope.module.source.location(item.context_expr)

    def body(value: Value) -> Signal | None:
        if item.optional_vars is not None:
            assign(machine, item.optional_vars, value, scope)
        return _with_items(machine, statement, index + 1, scope)

    if isinstance(manager, ApiObject) and manager.enter is not None:
        entered = manager.enter()
        try:
            return body(entered)
        finally:
            if manager.leave is not None:
                manager.leave()
    if isinstance(manager, ApiObject) and manager.kind == "contextlib.generator":
        return run_generator_manager(machine, manager, body)
    if isinstance(manager, Instance):
        entered = machine.call(machine.attribute(manager, "__enter__", site), [], {}, site)
        signal = body(entered)
        machine.call(machine.attribute(manager, "__exit__", site), [NONE, NONE, NONE], {}, site)
        return signal
    return body(manager if isinstance(manager, ApiObject) else machine.unknown("", manager))


_LOOKUP_ERRORS = {"ImportError", "ModuleNotFoundError", "NameError", "AttributeError"}


def _try(machine: Machine, statement: ast.Try, scope: Scope) -> Signal | None:
    signal = execute(machine, statement.body, scope)
    for handler in statement.handlers:
        names = (
            {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
            if handler.type
            else set()
        )
        if names and names <= _LOOKUP_ERRORS:
            continue

        def handle(handler: ast.ExceptHandler = handler) -> Signal | None:
            if handler.name:
                machine.store.write(scope, handler.name, Unknown(handler.name))
            return execute(machine, handler.body, scope)

        if signal is Signal.RAISE:
            signal = handle()
        else:
            ended, value = signal, machine.activation.value

            def stay(ended: Signal | None = ended, value: Value | None = value) -> Signal | None:
                machine.activation.value = value
                return ended

            signal = machine.fork(Unknown("an exception"), handle, stay)
    if signal is None and statement.orelse:
        signal = execute(machine, statement.orelse, scope)
    final = execute(machine, statement.finalbody, scope)
    return final if final is not None else signal


def _return(machine: Machine, statement: ast.Return, scope: Scope) -> Signal:
    machine.activation.value = NONE if statement.value is None else evaluate(machine, statement.value, scope)
    return Signal.RETURN


def _raise(machine: Machine, statement: ast.Raise, scope: Scope) -> Signal:
    return Signal.RAISE


def _assert(machine: Machine, statement: ast.Assert, scope: Scope) -> None:
    condition = evaluate(machine, statement.test, scope)
    if machine.truth(condition) is None:
        machine.assume(condition, True)


def _function(machine: Machine, statement: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
    value: Value = function_of(machine, statement, scope)
    for decorator in reversed(statement.decorator_list):
        value = call_decorated(machine, evaluate(machine, decorator, scope), value, decorator, scope)
    machine.store.write(scope.declared.get(statement.name, scope), statement.name, value)


def _class(machine: Machine, statement: ast.ClassDef, scope: Scope) -> None:
    made: Value = class_of(machine, statement, scope)
    for decorator in reversed(statement.decorator_list):
        decorate = evaluate(machine, decorator, scope)
        if isinstance(decorate, Function | Partial):
            made = machine.call(decorate, [made], {}, scope.module.source.location(decorator))
    machine.store.write(scope.declared.get(statement.name, scope), statement.name, made)


def _global(machine: Machine, statement: ast.Global, scope: Scope) -> None:
    for name in statement.names:
        scope.declared[name] = scope.module.scope


def _nonlocal(machine: Machine, statement: ast.Nonlocal, scope: Scope) -> None:
    for name in statement.names:
        outer = scope.parent
        while outer is not None and name not in outer.slots:
            outer = outer.parent
        if outer is not None:
            scope.declared[name] = outer


def _import(machine: Machine, statement: ast.Import, scope: Scope) -> None:
    for alias in statement.names:
        found = machine.modules.load(machine, scope.module, alias.name, 0)
        if alias.asname:
            value = found
            bound = alias.asname
        else:
            bound = alias.name.partition(".")[0]
            value = machine.modules.load(machine, scope.module, bound, 0) if "." in alias.name else found
        machine.store.write(scope.declared.get(bound, scope), bound, value)


def _import_from(machine: Machine, statement: ast.ImportFrom, scope: Scope) -> None:
    needs = machine.modules.needs_now()
    source = machine.modules.load(machine, scope.module, statement.module or "", statement.level)
    site = scope.module.source.location(statement)
    values: list[Value] = []
    for alias in statement.names:
        if alias.name == "*":
            _import_star(machine, source, scope)
            values.append(source)
            continue
        value = machine.modules.member(machine, source, alias.name, site)
        bound = alias.asname or alias.name
        machine.store.write(scope.declared.get(bound, scope), bound, value)
        values.append(value)
    if all(isinstance(value, Const) for value in values):
        # A constant is the same wherever it came from.
        machine.modules.needs_only(needs)


def _import_star(machine: Machine, source: Value, scope: Scope) -> None:
    if isinstance(source, ModuleValue):
        for name, value in list(source.scope.slots.items()):
            if isinstance(name, str) and not name.startswith("_"):
                machine.store.write(scope, name, value)
        for library in source.stars:
            machine.modules.star(scope, library)
    elif isinstance(source, ApiRef):
        machine.modules.star(scope, source)


def _match(machine: Machine, statement: ast.Match, scope: Scope) -> Signal | None:
    subject = evaluate(machine, statement.subject, scope)

    def case(index: int) -> Signal | None:
        if index == len(statement.cases):
            return None
        current = statement.cases[index]
        for node in ast.walk(current.pattern):
            if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
                machine.store.write(scope, node.name, machine.unknown(node.name, subject))
        if (
            isinstance(current.pattern, ast.MatchAs)
            and current.pattern.pattern is None
            and current.guard is None
        ):
            return execute(machine, current.body, scope)
        condition: Value = Unknown("the case")
        if isinstance(current.pattern, ast.MatchSingleton) and current.guard is None:
            wanted: Value = Const(current.pattern.value)
            condition = binary(machine, "Eq", subject, wanted, scope.module.source.location(current.body[0]))
        elif isinstance(current.pattern, ast.MatchValue) and current.guard is None:
            wanted = evaluate(machine, current.pattern.value, scope)
            condition = binary(
                machine, "Eq", subject, wanted, scope.module.source.location(current.pattern.value)
            )
        return machine.fork(condition, lambda: execute(machine, current.body, scope), lambda: case(index + 1))

    return case(0)


def _break(machine: Machine, statement: ast.Break, scope: Scope) -> Signal:
    return Signal.BREAK


def _continue(machine: Machine, statement: ast.Continue, scope: Scope) -> Signal:
    return Signal.CONTINUE


_HANDLERS: dict[type[ast.stmt], Callable[[Machine, Any, Scope], Signal | None]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.Global: _global,
    ast.Nonlocal: _nonlocal,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Match: _match,
    ast.Break: _break,
    ast.Continue: _continue,
}
if hasattr(ast, "TryStar"):
    _HANDLERS[ast.TryStar] = _try
