"""What expressions are worth."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.interpreter.activation import BudgetExceeded
from bnlint.interpreter.attributes import attribute
from bnlint.interpreter.calls import call, function_of
from bnlint.interpreter.containers import CONCRETE, assign, item, iterate, merge, put, some_of
from bnlint.interpreter.operators import MOST, binary, compare, format_string
from bnlint.interpreter.store import choice
from bnlint.interpreter.values import (
    FALSE,
    NONE,
    TRUE,
    ApiRef,
    Call,
    Dict,
    List,
    Scope,
    Tuple,
)

if TYPE_CHECKING:
    from bnlint.interpreter.machine import Machine

NESTING = 300
"""Expressions nested deeper than this are not looked into."""


def evaluate(machine: Machine, node: ast.expr, scope: Scope) -> Value:
    """The value of an expression."""
    machine.steps += 1
    if machine.steps > machine.limit:
        raise BudgetExceeded
    handler = _HANDLERS.get(type(node))
    if handler is None or machine.nesting > NESTING:
        return Unknown()
    machine.nesting += 1
    value = handler(machine, node, scope)
    machine.nesting -= 1
    return value


def _constant(machine: Machine, node: ast.Constant, scope: Scope) -> Value:
    known: Value | None = getattr(node, "_bnlint_value", None)
    if known is None:
        known = Const(node.value, scope.module.source.location(node))
        node._bnlint_value = known  # type: ignore[attr-defined]
    return known


def _name(machine: Machine, node: ast.Name, scope: Scope) -> Value:
    name = node.id
    declared = scope.declared.get(name)
    found = declared.slots.get(name) if declared is not None else scope.find(name)
    if found is None:
        found = machine.modules.builtin(name)
        if found is None:
            found = machine.modules.starred(machine, scope.module, name)
        if found is None:
            return machine.interned(("name", scope.module, name), lambda: Unknown(name))
    if isinstance(found, Choice):
        return machine.settle(found)
    return found if isinstance(found, Value) else Unknown(name)


def _attribute(machine: Machine, node: ast.Attribute, scope: Scope) -> Value:
    holder = evaluate(machine, node.value, scope)
    return attribute(machine, holder, node.attr, lambda: scope.module.source.location(node))


def _tuple(machine: Machine, node: ast.Tuple, scope: Scope) -> Value:
    items, more = _elements(machine, node.elts, scope)
    return List(items, more) if more else Tuple(items)


def _list(machine: Machine, node: ast.List | ast.Set, scope: Scope) -> Value:
    items, more = _elements(machine, node.elts, scope)
    return List(items, more)


LONG = 2000
"""Literals with more elements than this are data, not program."""


def _elements(machine: Machine, nodes: Sequence[ast.expr], scope: Scope) -> tuple[list[Value], bool]:
    items: list[Value] = []
    more = len(nodes) > LONG
    for node in nodes[:LONG]:
        if isinstance(node, ast.Starred):
            spread = iterate(machine, evaluate(machine, node.value, scope), node.value, scope)
            items.extend(spread.known)
            more = more or spread.more
        else:
            items.append(evaluate(machine, node, scope))
        if len(items) > MOST:
            return items[:MOST], True
    return items, more


def _dict(machine: Machine, node: ast.Dict, scope: Scope) -> Value:
    made = Dict(open=len(node.keys) > LONG)
    for key, entry in zip(node.keys[:LONG], node.values, strict=False):
        if key is None:
            merge(machine, made, evaluate(machine, entry, scope))
        else:
            key_value = evaluate(machine, key, scope)
            put(machine, made, key_value, evaluate(machine, entry, scope), (scope.module.source, entry))
    return made


def _boolean(machine: Machine, node: ast.BoolOp, scope: Scope) -> Value:
    site = scope.module.source.location(node)
    decisive = isinstance(node.op, ast.Or)

    def rest(index: int) -> Value:
        value = evaluate(machine, node.values[index], scope)
        if index == len(node.values) - 1:
            return value
        outcome = machine.truth(value)
        if outcome is not None:
            return value if outcome == decisive else rest(index + 1)
        base = machine.guards
        machine.store.open()
        added = machine.assume(value, not decisive)
        other = rest(index + 1)
        written = machine.store.take_back()
        machine.guards = base
        machine.store.join([(added, written), ((), {})])
        if _logical(value) and _logical(other):
            return machine.logic(Op.OR if decisive else Op.AND, (value, other), site)
        taken: Value = value
        if not decisive:
            return choice([(((value, False),), FALSE), (added, other)])
        return choice([(((value, True),), taken), (added, other)])

    return rest(0)


def _logical(value: Value) -> bool:
    return isinstance(value, Unknown | Node) or (isinstance(value, Const) and isinstance(value.value, bool))


def _unary(machine: Machine, node: ast.UnaryOp, scope: Scope) -> Value:
    operand = evaluate(machine, node.operand, scope)
    if isinstance(node.op, ast.Not):
        outcome = machine.truth(operand)
        if outcome is not None:
            return FALSE if outcome else TRUE
        if isinstance(operand, Choice):
            return choice(
                [(guards, _negated(machine, option, node, scope)) for guards, option in operand.options]
            )
        return machine.logic(Op.NOT, (operand,), scope.module.source.location(node))
    known = machine.constant(operand)
    if isinstance(known, int | float) and not isinstance(operand, Node):
        if isinstance(node.op, ast.USub):
            return Const(-known, operand.site if isinstance(operand, Const) else None)
        if isinstance(node.op, ast.UAdd):
            return operand
        if isinstance(node.op, ast.Invert) and isinstance(known, int):
            return Const(~int(known))
    if isinstance(operand, Node):
        return machine.node(
            Op.NOT if isinstance(node.op, ast.Invert) else "negative",
            (operand,),
            scope.module.source.location(node),
        )
    return machine.unknown("", operand)


def _negated(machine: Machine, option: Value, node: ast.UnaryOp, scope: Scope) -> Value:
    outcome = machine.truth(option)
    if outcome is not None:
        return FALSE if outcome else TRUE
    return machine.logic(Op.NOT, (option,), scope.module.source.location(node))


def _binary(machine: Machine, node: ast.BinOp, scope: Scope) -> Value:
    left = evaluate(machine, node.left, scope)
    right = evaluate(machine, node.right, scope)
    return binary(machine, type(node.op).__name__, left, right, lambda: scope.module.source.location(node))


def _compare(machine: Machine, node: ast.Compare, scope: Scope) -> Value:
    left = evaluate(machine, node.left, scope)
    results: list[Value] = []
    for operator, right_node in zip(node.ops, node.comparators, strict=True):
        right = evaluate(machine, right_node, scope)
        results.append(
            compare(machine, type(operator).__name__, left, right, lambda: scope.module.source.location(node))
        )
        left = right
    if len(results) == 1:
        return results[0]
    outcomes = [machine.truth(result) for result in results]
    if False in outcomes:
        return FALSE
    return TRUE if None not in outcomes else machine.unknown("", *results)


def _call(machine: Machine, node: ast.Call, scope: Scope) -> Value:
    function = evaluate(machine, node.func, scope)
    if isinstance(function, ApiRef) and function.name == "builtins.super":
        return machine.modules.super_of(machine, node, scope)
    args: list[Value] = []
    kwargs: dict[str, Value] = {}
    sites: dict[int | str, Any] = {}
    module = scope.module.source
    rest: list[Value] = []
    open_ = False
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            value = evaluate(machine, argument.value, scope)
            spread = iterate(machine, value, argument.value, scope)
            args.extend(spread.known[:MOST])
            if spread.more or len(spread.known) > MOST:
                open_ = True
                rest.append(value)
        else:
            sites[len(args)] = (module, argument)
            args.append(evaluate(machine, argument, scope))
    for keyword in node.keywords:
        value = evaluate(machine, keyword.value, scope)
        if keyword.arg is not None:
            kwargs[keyword.arg] = value
            sites[keyword.arg] = (module, keyword.value)
            continue
        value = machine.settle(value)
        if isinstance(value, Dict):
            for key, entry, site in value.entries():
                name = machine.constant(key)
                if isinstance(name, str):
                    kwargs[name] = entry
                    if site is not None:
                        sites[name] = site
            open_ = open_ or value.open
        else:
            open_ = True
    made = Call(args, kwargs, module.location(node), sites=sites, open=open_, rest=tuple(rest))
    if machine.observe is None:
        return call(machine, function, made)
    return machine.observe(machine, function, made, lambda: call(machine, function, made))


def _conditional(machine: Machine, node: ast.IfExp, scope: Scope) -> Value:
    condition = evaluate(machine, node.test, scope)
    outcome = machine.truth(condition)
    if outcome is not None:
        return evaluate(machine, node.body if outcome else node.orelse, scope)
    options = []
    base = machine.guards
    branches = []
    for wanted, branch in ((True, node.body), (False, node.orelse)):
        machine.store.open()
        added = machine.assume(condition, wanted)
        options.append((added, evaluate(machine, branch, scope)))
        branches.append((added, machine.store.take_back()))
        machine.guards = base
    machine.store.join(branches)
    return choice(options)


def _subscript(machine: Machine, node: ast.Subscript, scope: Scope) -> Value:
    holder = machine.settle(evaluate(machine, node.value, scope))
    if isinstance(node.slice, ast.Slice):
        return _slice(machine, holder, node.slice, node, scope)
    key = evaluate(machine, node.slice, scope)
    return item(machine, holder, key, lambda: scope.module.source.location(node))


def _slice(machine: Machine, holder: Value, node: ast.Slice, whole: ast.expr, scope: Scope) -> Value:
    bounds: list[int | None] = []
    known = True
    for bound in (node.lower, node.upper, node.step):
        value = None if bound is None else machine.constant(evaluate(machine, bound, scope))
        known = known and (bound is None or isinstance(value, int))
        bounds.append(value if isinstance(value, int) else None)
    where = slice(*bounds)
    if isinstance(holder, List) and not holder.ordered:
        return some_of(holder)
    if known and bounds[2] != 0:
        if isinstance(holder, Tuple):
            return Tuple(holder.items[where])
        if isinstance(holder, List):
            return type(holder)(holder.items[where], holder.open)
        if isinstance(holder, Const) and isinstance(holder.value, str):
            return Const(holder.value[where])
    elif isinstance(holder, List | Tuple):
        return (type(holder) if isinstance(holder, List) else List)(holder.items, True)
    if isinstance(holder, Node):
        return machine.node("slice", (holder,), scope.module.source.location(whole))
    return machine.unknown(getattr(holder, "hint", ""), holder)


def _comprehension(
    machine: Machine, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope
) -> Value:
    inner = Scope(scope.module, scope.frame, scope, scope.owner)
    inner.declared = scope.declared
    made: list[Value] = []
    more = _generate(
        machine, node.generators, 0, inner, lambda: made.append(evaluate(machine, node.elt, inner))
    )
    return List(made, more)


def _dict_comprehension(machine: Machine, node: ast.DictComp, scope: Scope) -> Value:
    inner = Scope(scope.module, scope.frame, scope, scope.owner)
    made = Dict()

    def add() -> None:
        key = evaluate(machine, node.key, inner)
        put(
            machine, made, key, evaluate(machine, node.value, inner), scope.module.source.location(node.value)
        )

    if _generate(machine, node.generators, 0, inner, add):
        machine.store.write(made, Dict.OPEN, True)
    return made


def _generate(
    machine: Machine,
    generators: list[ast.comprehension],
    index: int,
    scope: Scope,
    add: Callable[[], None],
) -> bool:
    """Run a comprehension; returns whether it may make more than what was added."""
    if index == len(generators):
        add()
        return False
    generator = generators[index]
    items = iterate(machine, evaluate(machine, generator.iter, scope), generator.iter, scope)
    more = items.more or len(items.known) > CONCRETE
    elements = items.known[:CONCRETE] or ([items.other()] if items.more else [])
    base = machine.guards
    for element in elements:
        assign(machine, generator.target, element, scope)
        wanted = True
        for test in generator.ifs:
            condition = evaluate(machine, test, scope)
            outcome = machine.truth(condition)
            if outcome is False:
                wanted = False
                break
            if outcome is None:
                more = True
                machine.assume(condition, True)
        if wanted:
            more = _generate(machine, generators, index + 1, scope, add) or more
        machine.guards = base
    return more


def _lambda(machine: Machine, node: ast.Lambda, scope: Scope) -> Value:
    return function_of(machine, node, scope)


def _joined(machine: Machine, node: ast.JoinedStr, scope: Scope) -> Value:
    parts: list[Value] = []
    for piece in node.values:
        if isinstance(piece, ast.FormattedValue):
            value = evaluate(machine, piece.value, scope)
            plain = piece.format_spec is None and piece.conversion == -1
            parts.append(value if plain else machine.unknown("", value))
        else:
            parts.append(evaluate(machine, piece, scope))
    return format_string(machine, parts)


def _starred(machine: Machine, node: ast.Starred, scope: Scope) -> Value:
    return evaluate(machine, node.value, scope)


def _named(machine: Machine, node: ast.NamedExpr, scope: Scope) -> Value:
    value = evaluate(machine, node.value, scope)
    assign(machine, node.target, value, scope)
    return value


def _yield(machine: Machine, node: ast.Yield, scope: Scope) -> Value:
    value = NONE if node.value is None else evaluate(machine, node.value, scope)
    activation = machine.activation
    if activation.on_yield is not None:
        activation.on_yield(value)
    else:
        activation.yielded.append(value)
    return Unknown()


def _yield_from(machine: Machine, node: ast.YieldFrom, scope: Scope) -> Value:
    items = iterate(machine, evaluate(machine, node.value, scope), node.value, scope)
    machine.activation.yielded.extend(items.known)
    return Unknown()


def _await(machine: Machine, node: ast.Await, scope: Scope) -> Value:
    return evaluate(machine, node.value, scope)


_HANDLERS: dict[type[ast.expr], Callable[[Machine, Any, Scope], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Tuple: _tuple,
    ast.List: _list,
    ast.Set: _list,
    ast.Dict: _dict,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.Call: _call,
    ast.IfExp: _conditional,
    ast.Subscript: _subscript,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _dict_comprehension,
    ast.Lambda: _lambda,
    ast.JoinedStr: _joined,
    ast.Starred: _starred,
    ast.NamedExpr: _named,
    ast.Yield: _yield,
    ast.YieldFrom: _yield_from,
    ast.Await: _await,
}
