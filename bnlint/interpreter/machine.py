"""The abstract machine: state, branches, budgets, and the services that frameworks use.

It runs a program on abstract values. Expressions, statements and calls are interpreted in the sibling
modules; what a library's function means is told by the frameworks.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bnlint.dataflow import Choice, Const, Context, Frame, Guard, Guards, Node, Op, Unknown, Value, World
from bnlint.findings import Location
from bnlint.interpreter import attributes, calls, expressions, hurry, statements
from bnlint.interpreter.activation import STEPS, Activation, BudgetExceeded, Exit, Signal
from bnlint.interpreter.store import MISSING, Store, Written, choice, merged
from bnlint.interpreter.values import (
    ApiRef,
    Call,
    Dict,
    Function,
    Instance,
    List,
    Method,
    Partial,
    Scope,
    Tuple,
    contents,
)
from bnlint.trace import Event, Trace

if TYPE_CHECKING:
    from bnlint.frameworks.library import Library
    from bnlint.interpreter.modules import Modules


Observe = Callable[["Machine", Value, Call, Callable[[], Value]], Value]
"""Given the machine, what is called and the call; makes the call by the last argument, and returns its value."""


class Machine:
    """One program being interpreted."""

    def __init__(
        self, modules: Modules, libraries: Library, trace: Trace, observe: Observe | None = None
    ) -> None:
        """``observe`` is asked to make each call that is written in the program."""
        self.modules = modules
        self.observe = observe
        self.libraries = libraries
        self.trace = trace
        self.store = Store()
        self.guards: Guards = ()
        self.loops: tuple[Location, ...] = ()
        self.frame: Frame
        self.activation: Activation
        self.depth = 0
        self.nesting = 0
        self.built = 0
        """Variables and layers made so far."""
        self._order = 0
        self.steps = 0
        self.limit = STEPS
        self.running: dict[ast.AST, int] = {}
        self.entered: set[ast.AST] = set()
        """Function definitions that were interpreted."""
        self.control: tuple[Value, ...] = ()
        """What every operation made now depends on."""
        self.branch: Guards = ()
        """The graph-level conditionals in whose branch operations are made now."""
        self.graph: object = None
        """The graph in which operations are made now."""
        self.state: dict[str, Any] = {}
        """What each framework keeps between calls."""
        self._world: tuple[Guards, World] = ((), World())
        self._interned: dict[tuple[object, ...], Value] = {}

    # -- budget ------------------------------------------------------------------------------------

    def spend(self, steps: int = 1) -> None:
        """Count work; raises BudgetExceeded when the program has had its share."""
        self.steps += steps
        if self.steps > self.limit:
            raise BudgetExceeded

    # -- making values and events ------------------------------------------------------------------

    def tick(self) -> int:
        """A number that grows with every node and event."""
        self._order += 1
        return self._order

    def context(self, site: Location) -> Context:
        """Where the program is now."""
        return Context(site, self.frame, self.guards, self.loops)

    def node(self, op: str, inputs: Iterable[Value], site: Location, **attrs: Any) -> Node:
        """A new node of the dataflow graph, with what surrounds it now."""
        node = Node(
            op,
            tuple(inputs),
            self.context(site),
            self.tick(),
            control=self.control,
            branch=self.branch,
            graph=self.graph,
            attrs=attrs,
        )
        self.trace.nodes.append(node)
        if op == Op.VARIABLE or op == Op.NORM:
            self.built += 1
        return node

    def emit(self, event: Event) -> None:
        """Add an event to the trace."""
        self.trace.events.append(event)

    def unknown(self, hint: str = "", *values: Value) -> Unknown:
        """A value that is not known, with what it may have been computed from."""
        return Unknown(hint, contents(values))

    def picked(self, value: Value | None) -> str | None:
        """The text by which a program picks something: a constant, or the default of an option."""
        known = self.constant(value) if value is not None else None
        if known is None and isinstance(value, Unknown) and value.sources:
            known = self.state.get("defaults of options", {}).get(value.hint.rpartition(".")[2])
        return known if isinstance(known, str) else None

    def interned(self, key: tuple[object, ...], make: Callable[[], Value]) -> Value:
        """The same value for the same key, so that equal questions have one answer."""
        found = self._interned.get(key)
        if found is None:
            found = self._interned[key] = make()
        return found

    def remember(self, key: tuple[object, ...], value: Value) -> None:
        """What :meth:`interned` answers from now on."""
        self._interned[key] = value

    def logic(self, op: str, operands: tuple[Value, ...], site: Location) -> Value:
        """``not``, ``and``, ``or``, ``==`` or ``!=`` of values that are not all known."""
        key = (op, *(Dict.key(operand) for operand in operands))
        node = self.interned(
            key, lambda: Node(op, operands, self.context(site), self.tick(), graph=self.graph)
        )
        known = self.world.constant(node)
        return node if known is None else known

    def escape(self, values: Iterable[Value]) -> None:
        """Note that code which is not known has these values, and may change what they are."""
        given = tuple(values)
        self.trace.escaped.update(contents(given))
        self.libraries.escaped(self, given)

    @property
    def here(self) -> Location:
        """Some place in the code that is running, where none better is known."""
        return self.frame.site or Location(self.frame.module, 1, 1, 1, 1)

    # -- running code ------------------------------------------------------------------------------

    def evaluate(self, node: ast.expr, scope: Scope) -> Value:
        """The value of an expression."""
        return expressions.evaluate(self, node, scope)

    def execute(self, body: Sequence[ast.stmt], scope: Scope) -> Signal | None:
        """Run statements."""
        return statements.execute(self, body, scope)

    # -- what is known -----------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The guards that hold now."""
        if self._world[0] is not self.guards:
            self._world = (self.guards, World(self.guards))
        return self._world[1]

    def define(self, statement: ast.stmt, scope: Scope) -> None:
        """Only what a statement of a module defines."""
        self.spend()
        hurry.define(self, statement, scope)

    def settle(self, value: Value) -> Value:
        """A choice narrowed to what the present guards allow."""
        if isinstance(value, Choice):
            world = self.world
            allowed = [(guards, option) for guards, option in value.options if world.allows(guards)]
            if not allowed:
                return value
            if len(allowed) == 1:
                return allowed[0][1]
            if len(allowed) < len(value.options):
                return Choice(tuple(allowed))
        return value

    def truth(self, value: Value) -> bool | None:
        """Whether Python takes a value for true; None when that is not known."""
        if isinstance(value, Tuple):
            return bool(value.items)
        if isinstance(value, List):
            return True if value.items else (None if value.open else False)
        if isinstance(value, Dict):
            return True if value.keys else (None if value.open else False)
        if isinstance(value, Const | Unknown | Node):
            return self.world.truth(value)
        if isinstance(value, Choice):
            outcomes = {self.truth(option) for option in self.world.alternatives(value)}
            return outcomes.pop() if len(outcomes) == 1 else None
        if isinstance(value, ApiRef):
            return self.world.assumed.get(value)
        if isinstance(value, Instance):
            special = ("__bool__", "__nonzero__", "__len__")
            return None if any(value.cls.find(name) for name in special) else True
        return True

    def constant(self, value: Value | None) -> Any:
        """The Python constant that a value is, or None; use where None is not a meaningful constant."""
        if value is None:
            return None
        known = self.world.constant(value)
        return None if known is None else known.value

    # -- branches ----------------------------------------------------------------------------------

    def assume(self, condition: Value, outcome: bool) -> Guards:
        """Take an outcome for granted from now on; returns what that adds to the guards."""
        added = _guards(condition, outcome)
        self.guards = (*self.guards, *added)
        return added

    def fork(
        self, condition: Value, then: Callable[[], Signal | None], otherwise: Callable[[], Signal | None]
    ) -> Signal | None:
        """Run one side if the condition is known, else both, and join what they did."""
        outcome = self.truth(condition)
        if outcome is not None:
            return then() if outcome else otherwise()
        base = self.guards
        normal: list[tuple[Guards, Written]] = []
        left: list[tuple[Signal, Guards, Value | None, Written]] = []
        for side, run in ((True, then), (False, otherwise)):
            self.store.open()
            added = self.assume(condition, side)
            try:
                signal = run()
            finally:
                written = self.store.take_back()
                self.guards = base
            self.spend(len(written))
            if signal is None:
                normal.append((added, written))
            elif signal is not Signal.RAISE:
                left.append((signal, added, self.activation.value, written))
        if not normal and not left:
            return Signal.RAISE
        if not normal:
            return self._all_left(base, left)
        for signal, added, value, written in left:
            self._leave(signal, base + added, value, written)
        self.store.join(normal)
        if len(normal) == 1:
            self.guards = base + normal[0][0]
        return None

    def _all_left(self, base: Guards, left: list[tuple[Signal, Guards, Value | None, Written]]) -> Signal:
        *others, (signal, added, value, written) = left
        if len(left) == 2 and others[0][0] is signal:
            self.store.join([(guards, changes) for _, guards, _, changes in left])
            if signal is Signal.RETURN:
                values = [(guards, result) for _, guards, result, _ in left if result is not None]
                value = choice(values) if values else None
        else:
            for other_signal, other_added, other_value, other_written in others:
                self._leave(other_signal, base + other_added, other_value, other_written)
            self.store.apply(written)
            self.guards = base + added
        self.activation.value = value
        return signal

    def _leave(self, signal: Signal, guards: Guards, value: Value | None, written: Written) -> None:
        activation = self.activation
        if signal is Signal.RETURN:
            activation.exits.append(Exit(guards[len(activation.base) :], value, written, self.store.watch()))
        elif activation.loop_exits:
            start = len(activation.loop_bases[-1])
            activation.loop_exits[-1].append(Exit(guards[start:], None, written, self.store.watch()))

    def rejoin(self, exits: list[Exit], base: Guards, ended: bool) -> None:
        """Merge the state of branches that left early into the present one; ``ended`` if it is dead."""
        here = self.guards[len(base) :]
        self.guards = base
        for left in exits:
            self.store.unwatch(left.watch)
        if ended and exits:
            last = exits.pop()
            self.store.apply(last.watch.before)
            self.store.apply(last.written)
            here = last.guards
        for left in exits:
            for (holder, key), content in {**left.watch.before, **left.written}.items():
                present = holder.slots.get(key, MISSING)
                if present is not content:
                    self.store.write(holder, key, merged([(left.guards, content), (here, present)]))

    # -- services for frameworks -------------------------------------------------------------------

    def call(self, function: Value, args: Iterable[Value], kwargs: dict[str, Value], site: Location) -> Value:
        """Call a value."""
        return calls.call(self, function, Call(list(args), dict(kwargs), site))

    def attribute(self, value: Value, name: str, site: Location) -> Value:
        """Read an attribute."""
        return attributes.attribute(self, value, name, site)

    def callbacks(self, values: Iterable[Value], site: Location) -> None:
        """Run the project's functions among values once with unknown arguments: a library will call them.

        What an imported module hands to a library while it is imported (decorators, registries) is only
        called if the program comes to it.
        """
        if self.modules.importing:
            return
        for value in values:
            inner = value
            while isinstance(inner, Partial):
                inner = inner.function
            function = inner.function if isinstance(inner, Method) else inner
            if isinstance(function, Function) and function.node not in self.entered:
                calls.call_with_unknowns(self, value, site)


def _guards(condition: Value, outcome: bool) -> tuple[Guard, ...]:
    if isinstance(condition, Node):
        if condition.op == Op.NOT:
            return _guards(condition.inputs[0], not outcome)
        if (condition.op == Op.AND and outcome) or (condition.op == Op.OR and not outcome):
            return tuple(guard for operand in condition.inputs for guard in _guards(operand, outcome))
    if isinstance(condition, Choice) and all(isinstance(option, Const) for _, option in condition.options):
        # That a choice of outcomes is this one says which alternative was taken, if only one gives it.
        ways = [
            guards
            for guards, option in condition.options
            if isinstance(option, Const) and bool(option.value) == outcome
        ]
        if len(ways) == 1:
            return ways[0]
    return ((condition, outcome),)
