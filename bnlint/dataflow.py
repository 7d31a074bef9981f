"""The dataflow graph that programs build, and the questions that rules ask of it.

A graph-mode program builds exactly such a graph; for an eager program it is the graph of what was computed
from what. Nodes are created in execution order and never change, except that the producer may add inputs
to a variable (what was assigned to it).

Every node and every alternative remembers under which *guards* it exists: the outcomes of the undecided
conditions that led there. A *world* is a set of such outcomes together with the values that a run feeds;
asked under a world, many alternatives become single values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location


class Value:
    """An abstract value. Compared by identity."""

    __slots__ = ()


Guard = tuple[Value, bool]
"""An undecided condition and the outcome that was assumed."""
Guards = tuple[Guard, ...]


class Const(Value):
    """A known Python value: number, string, boolean, None, bytes or Ellipsis.

    ``site`` is where the literal stands, None when it was computed.
    """

    __slots__ = ("site", "value")

    def __init__(self, value: Any, site: Location | None = None) -> None:
        self.value = value
        self.site = site

    def __repr__(self) -> str:
        return f"Const({self.value!r})"


class Choice(Value):
    """A value that depends on undecided conditions: alternatives, each with its guards."""

    __slots__ = ("options",)

    def __init__(self, options: tuple[tuple[Guards, Value], ...]) -> None:
        self.options = options

    def __repr__(self) -> str:
        return f"Choice({', '.join(repr(value) for _, value in self.options)})"


@dataclass(frozen=True, slots=True)
class Named:
    """How a program writes a value: a name or an attribute, what it holds, and whether that is a list of values."""

    text: str
    holds: tuple[Value, ...]
    several: bool


class Frame:
    """One call on the way from the entry to a place: which function, and where it was called."""

    __slots__ = ("function", "locate", "module", "names", "node", "parent", "site")

    def __init__(
        self,
        function: str,
        module: str,
        node: Any,
        site: Location | None,
        parent: Frame | None,
        locate: Callable[[Any], Location],
    ) -> None:
        self.function = function
        """Qualified name of the function, or the module's name at top level."""
        self.module = module
        """Display path of the module that defines it."""
        self.node = node
        """The ``ast`` definition, None at top level."""
        self.site = site
        """The call, None for the entry."""
        self.parent = parent
        self.locate = locate
        """Where a part of the definition is written."""
        self.names: Callable[[], list[Named]] = list
        """What it had given a name to when it ended."""

    def outwards(self) -> Iterator[Frame]:
        """This frame and its callers, innermost first."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent


@dataclass(frozen=True, slots=True)
class Context:
    """Where in the program something happens."""

    site: Location
    frame: Frame
    guards: Guards = ()
    loops: tuple[Location, ...] = ()
    """The loops of this and the calling functions that are running, outermost first."""


class Node(Value):
    """A computed value: an operation, what it consumed, and what must run before it.

    ``op`` is one of the words of :class:`Op` or the canonical name of the API that made it. ``inputs`` are
    data dependencies; ``control`` must be executed first; ``branch`` are the predicates of the graph-level
    conditionals (``tf.cond``) in whose branch the node was created: it is executed only on that side.
    """

    __slots__ = ("attrs", "branch", "context", "control", "graph", "inputs", "op", "order")

    def __init__(
        self,
        op: str,
        inputs: tuple[Value, ...],
        context: Context,
        order: int,
        *,
        control: tuple[Value, ...] = (),
        branch: Guards = (),
        graph: object = None,
        attrs: dict[str, Any] | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.context = context
        self.order = order
        self.control = control
        self.branch = branch
        self.graph = graph
        self.attrs = attrs if attrs is not None else {}

    @property
    def site(self) -> Location:
        """Where it was created."""
        return self.context.site

    def __repr__(self) -> str:
        return f"Node({self.op}@{self.site.line})"


class Unknown(Value):
    """A value that the analysis does not know.

    ``hint`` is how the program names it (``FLAGS.is_training``); ``sources`` are the values that it may
    have been computed from.
    """

    __slots__ = ("hint", "sources")

    def __init__(self, hint: str = "", sources: tuple[Value, ...] = ()) -> None:
        self.hint = hint
        self.sources = sources

    def __repr__(self) -> str:
        return f"Unknown({self.hint})"


class Op:
    """The words for operations that rules may ask for; every other ``op`` is an API's canonical name."""

    NORM = "norm"
    """A normalisation; ``attrs["call"]`` is its :class:`~bnlint.trace.NormCall`."""
    MOMENTS = "moments"
    """Mean or variance over some axes; ``attrs``: ``which`` ("mean" or "variance"), ``of``, ``axes`` (a tuple,
    None when not all are known), ``batch`` (whether the batch's axis is among them, None when not known)."""
    PLACEHOLDER = "placeholder"
    """Fed by a run; ``attrs["default"]`` is its default value or None, ``attrs["dtype"]`` its type."""
    VARIABLE = "variable"
    """State; ``attrs``: ``name``, ``trainable`` (Value), ``initial`` (Value); inputs are what is assigned."""
    ASSIGN = "assign"
    """A state change; ``attrs["variable"]`` is what it writes."""
    AVERAGE_APPLY = "average-apply"
    """Update of moving averages; ``attrs["of"]``: the averaged values."""
    AVERAGE = "average"
    """A moving average read; ``attrs["of"]``: the averaged value, ``attrs["owner"]``: its keeper."""
    UPDATE = "update"
    """An update operation of a normalisation layer; ``attrs["call"]`` is its NormCall."""
    TRAIN = "train"
    """A train step; ``attrs["step"]`` is its :class:`~bnlint.trace.TrainStep`."""
    WEIGHTED = "weighted"
    """Matrix product, convolution or another operation with a variable; ``attrs["weights"]``: the variables."""
    COND = "cond"
    """Graph-level choice; inputs are (predicate, value if true, value if false)."""
    NOT = "not"
    AND = "and"
    OR = "or"
    EQUAL = "equal"
    NOT_EQUAL = "not-equal"
    IDENTITY = "identity"
    """Passes its first input on, also after a cast or reshape of a phase."""
    GRADIENTS = "gradients"
    """Derivatives of its inputs; an identity is differentiated without being executed."""
    GROUP = "group"
    """Runs its inputs and has no value."""


DEEPEST = 50
"""Logic nested deeper than this is not looked into."""


class World:
    """What is assumed: outcomes of undecided conditions, and the values that a run feeds.

    That ``x == c`` holds makes ``x`` the constant ``c``.
    """

    __slots__ = ("_allowed", "_known", "_narrowed", "assumed", "fed")

    def __init__(self, guards: Iterable[Guard] = (), fed: Mapping[Value, Value] | None = None) -> None:
        self.assumed: dict[Value, bool] = dict(guards)
        self.fed: dict[Value, Value] = dict(fed) if fed else {}
        self._known: dict[Value, Const | None] = {}
        self._allowed: dict[Guards, bool] = {}
        self._narrowed: dict[Guards, World] = {}
        for condition, outcome in self.assumed.items():
            if (
                isinstance(condition, Node)
                and condition.op in (Op.EQUAL, Op.NOT_EQUAL)
                and outcome == (condition.op == Op.EQUAL)
                and isinstance(condition.inputs[1], Const)
            ):
                self.fed.setdefault(condition.inputs[0], condition.inputs[1])

    def allows(self, guards: Guards) -> bool:
        """Whether nothing that is known contradicts the guards."""
        if not guards:
            return True
        allowed = self._allowed.get(guards)
        if allowed is None:
            allowed = all(self.truth(condition) in (None, outcome) for condition, outcome in guards)
            self._allowed[guards] = allowed
        return allowed

    def narrowed(self, guards: Guards) -> World:
        """This world with further outcomes assumed."""
        found = self._narrowed.get(guards)
        if found is None:
            found = self._narrowed[guards] = World((*self.assumed.items(), *guards), self.fed)
        return found

    def alternatives(self, value: Value) -> Iterator[Value]:
        """The values that are not choices into which a value falls in this world."""
        if isinstance(value, Choice):
            for guards, option in value.options:
                if self.allows(guards):
                    if isinstance(option, Choice):
                        yield from self.narrowed(guards).alternatives(option)
                    else:
                        yield option
        else:
            yield value

    def truth(self, value: Value) -> bool | None:
        """Whether a value is true in this world; None when that is not known.

        Follows graph-level logic (``not``, ``and``, ``or``, ``cond``), what is fed, the defaults of
        placeholders, and the initial value of variables that nothing assigns to.
        """
        known = self.constant(value)
        return None if known is None else bool(known.value)

    def constant(self, value: Value, depth: int = 0) -> Const | None:
        """The constant that a value is in this world; None when that is not known."""
        if isinstance(value, Const):
            return value
        if value in self._known:
            return self._known[value]
        if depth > DEEPEST:
            return None
        found = self._constant(value, depth + 1)
        if not isinstance(value, Node) or value.op != Op.VARIABLE:
            self._known[value] = found
        return found

    def _constant(self, value: Value, depth: int) -> Const | None:
        if value in self.assumed:
            return Const(self.assumed[value])
        fed = self.fed.get(value)
        if fed is not None and fed is not value:
            return self.constant(fed, depth)
        if isinstance(value, Choice):
            known = [self.constant(option, depth) for option in self.alternatives(value)]
            first = known[0] if known else None
            if first is None or any(other is None or other.value != first.value for other in known[1:]):
                return None
            return first
        return self._computed(value, depth) if isinstance(value, Node) else None

    def _computed(self, node: Node, depth: int) -> Const | None:
        inputs = node.inputs
        match node.op:
            case Op.PLACEHOLDER:
                default = node.attrs.get("default")
                return None if default is None else self.constant(default, depth)
            case Op.VARIABLE:
                initial = node.attrs.get("initial")
                return None if inputs or initial is None else self.constant(initial, depth)
            case Op.IDENTITY:
                return self.constant(inputs[0], depth) if inputs else None
            case Op.NOT:
                operand = self.constant(inputs[0], depth)
                return None if operand is None else Const(not operand.value)
            case Op.AND | Op.OR:
                operands = [self.constant(operand, depth) for operand in inputs]
                decisive = node.op == Op.OR
                if any(operand is not None and bool(operand.value) == decisive for operand in operands):
                    return Const(decisive)
                return None if None in operands else Const(not decisive)
            case Op.EQUAL | Op.NOT_EQUAL:
                left, right = (self.constant(operand, depth) for operand in inputs[:2])
                if left is None or right is None:
                    return None
                return Const((left.value == right.value) == (node.op == Op.EQUAL))
            case Op.COND:
                predicate = self.constant(inputs[0], depth)
                if predicate is None or len(inputs) < 3:
                    return None
                return self.constant(inputs[1 if predicate.value else 2], depth)
        return None


@dataclass(slots=True)
class Execution:
    """What a run executes: nodes, in no particular order.

    ``nodes`` holds everything that may run; ``certain`` what runs for sure: not behind an undecided
    choice or conditional, nor behind a value that is not known.
    """

    nodes: set[Node] = field(default_factory=set)
    certain: set[Node] = field(default_factory=set)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes


def execution(fetches: Iterable[Value], world: World) -> Execution:
    """Everything that fetching these values executes in a world."""
    result = Execution()
    pending: list[tuple[Value, bool]] = [(value, True) for value in fetches]
    seen: dict[Value, bool] = {}
    while pending:
        value, certain = pending.pop()
        known = seen.get(value)
        if known is not None and (known or not certain):
            continue
        seen[value] = certain
        if value in world.fed:
            continue
        if isinstance(value, Choice):
            options = list(world.alternatives(value))
            pending.extend((option, certain and len(options) == 1) for option in options)
        elif isinstance(value, Unknown):
            pending.extend((source, False) for source in value.sources)
        elif isinstance(value, Node):
            pending.extend(_executed_by(value, certain, world, result))
    return result


def _executed_by(node: Node, certain: bool, world: World, result: Execution) -> Iterator[tuple[Value, bool]]:
    if not world.allows(node.context.guards):
        return
    for predicate, side in node.branch:
        outcome = world.truth(predicate)
        if outcome is None:
            certain = False
        elif outcome != side:
            return
        yield predicate, certain
    result.nodes.add(node)
    if certain:
        result.certain.add(node)
    if node.op == Op.VARIABLE:
        return
    for value in node.control:
        yield value, certain
    if node.op == Op.COND:
        predicate, *branches = node.inputs
        yield predicate, certain
        outcome = world.truth(predicate)
        for side, value in zip((True, False), branches, strict=False):
            if outcome is None or outcome == side:
                yield value, certain and outcome is not None
            for outside, alone in _captured(value, (predicate, side), world):
                yield outside, certain and alone
    else:
        for value in node.inputs:
            while node.op == Op.GRADIENTS and isinstance(value, Node) and value.op == Op.IDENTITY:
                value = value.inputs[0]
            yield value, certain


def _captured(value: Value, guard: Guard, world: World) -> Iterator[tuple[Value, bool]]:
    """What a branch of a graph-level conditional takes from outside: it is computed whichever side is taken.

    With each value comes whether that is certain.
    """
    pending = [(value, True)]
    seen: set[Value] = set()
    while pending:
        inner, certain = pending.pop()
        if inner in seen:
            continue
        seen.add(inner)
        if isinstance(inner, Choice):
            options = list(world.alternatives(inner))
            pending.extend((option, certain and len(options) == 1) for option in options)
        elif isinstance(inner, Node):
            if guard not in inner.branch:
                yield inner, certain
            elif inner.op != Op.VARIABLE:
                pending.extend((needed, certain) for needed in (*inner.inputs, *inner.control))


def maker(value: Value) -> str:
    """The operation that computes a value, or what a value that is not known is called; empty for all others."""
    return value.op if isinstance(value, Node) else value.hint if isinstance(value, Unknown) else ""


def sources(values: Iterable[Value], *, through_state: bool = False) -> set[Value]:
    """All values that the given ones may depend on, in any world; control dependencies are left out.

    ``through_state`` follows what is assigned to variables too.
    """
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            pending.extend(value.sources)
        elif isinstance(value, Node) and (through_state or value.op != Op.VARIABLE):
            pending.extend(value.inputs)
    return seen
