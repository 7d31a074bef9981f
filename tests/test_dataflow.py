"""The questions that rules ask of a dataflow graph, on graphs built by hand."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from typing import Any

import pytest

from bnlint.dataflow import (
    DEEPEST,
    Choice,
    Const,
    Context,
    Frame,
    Guards,
    Node,
    Op,
    Unknown,
    Value,
    World,
    execution,
    sources,
)
from bnlint.findings import Location

SITE = Location("a.py", 1, 1, 1, 2)
FRAME = Frame("f", "a.py", None, None, None, lambda node: SITE)
TRUE, FALSE = Const(True), Const(False)
P, Q = Unknown("p"), Unknown("q")


def node(op: str, *inputs: Value, guards: Guards = (), **options: Any) -> Node:
    """A node; ``control`` and ``branch`` are its own, everything else are attributes."""
    control, branch = options.pop("control", ()), options.pop("branch", ())
    return Node(op, inputs, Context(SITE, FRAME, guards), 0, control=control, branch=branch, attrs=options)


def either(condition: Value, yes: Value, no: Value) -> Choice:
    return Choice(((((condition, True),), yes), (((condition, False),), no)))


FED = node(Op.PLACEHOLDER)
TRUTHS: dict[str, tuple[Value, World, bool | None]] = {
    "constant": (Const(3), World(), True),
    "empty": (Const(""), World(), False),
    "none": (Const(None), World(), False),
    "unknown": (P, World(), None),
    "assumed": (P, World([(P, True)]), True),
    "assumed the other way": (P, World([(P, False)]), False),
    "choice": (either(P, TRUE, FALSE), World(), None),
    "choice of the same": (either(P, TRUE, Const(True)), World(), True),
    "choice, decided": (either(P, TRUE, FALSE), World([(P, False)]), False),
    "choice in a choice": (either(P, either(Q, TRUE, FALSE), FALSE), World([(P, True), (Q, True)]), True),
    "inner choice knows the outer condition": (either(P, either(P, TRUE, FALSE), TRUE), World(), True),
    "choice with an unknown": (either(P, TRUE, Q), World(), None),
    "placeholder": (FED, World(), None),
    "placeholder, fed": (FED, World(fed={FED: TRUE}), True),
    "placeholder, fed with something unknown": (FED, World(fed={FED: P}), None),
    "placeholder, fed with itself": (FED, World(fed={FED: FED}), None),
    "placeholder with default": (node(Op.PLACEHOLDER, default=FALSE), World(), False),
    "variable": (node(Op.VARIABLE, initial=TRUE), World(), True),
    "variable that is assigned": (node(Op.VARIABLE, P, initial=TRUE), World(), None),
    "variable without start": (node(Op.VARIABLE), World(), None),
    "identity": (node(Op.IDENTITY, TRUE), World(), True),
    "identity of nothing": (node(Op.IDENTITY), World(), None),
    "not": (node(Op.NOT, TRUE), World(), False),
    "not unknown": (node(Op.NOT, P), World(), None),
    "and": (node(Op.AND, TRUE, TRUE), World(), True),
    "and, one false": (node(Op.AND, P, FALSE), World(), False),
    "and, one unknown": (node(Op.AND, P, TRUE), World(), None),
    "or": (node(Op.OR, FALSE, FALSE), World(), False),
    "or, one true": (node(Op.OR, P, TRUE), World(), True),
    "or, one unknown": (node(Op.OR, P, FALSE), World(), None),
    "equal": (node(Op.EQUAL, Const("a"), Const("a")), World(), True),
    "not equal": (node(Op.NOT_EQUAL, Const("a"), Const("a")), World(), False),
    "equal, unknown": (node(Op.EQUAL, P, Const("a")), World(), None),
    "conditional": (node(Op.COND, TRUE, FALSE, TRUE), World(), False),
    "conditional, unknown": (node(Op.COND, P, FALSE, TRUE), World(), None),
    "conditional, fed": (node(Op.COND, FED, FALSE, TRUE), World(fed={FED: FALSE}), True),
    "conditional without sides": (node(Op.COND, TRUE), World(), None),
    "another operation": (node("tf.abs", TRUE), World(), None),
}


@pytest.mark.parametrize(("value", "world", "expected"), TRUTHS.values(), ids=TRUTHS)
def test_truth(value: Value, world: World, expected: bool | None) -> None:
    assert world.truth(value) is expected
    assert world.truth(value) is expected, "asked again"


@pytest.mark.parametrize(("op", "outcome"), [(Op.EQUAL, True), (Op.NOT_EQUAL, False)])
def test_that_something_equals_a_constant_makes_it_the_constant(op: str, outcome: bool) -> None:
    world = World([(node(op, P, Const("train")), outcome)])
    assert world.truth(node(Op.EQUAL, P, Const("train"))) is True
    assert world.truth(node(Op.EQUAL, P, Const("test"))) is False


def test_that_something_differs_from_a_constant_says_little() -> None:
    world = World([(node(Op.EQUAL, P, Const("train")), False)])
    assert world.truth(node(Op.EQUAL, P, Const("test"))) is None


def test_deep_logic_is_not_followed() -> None:
    value: Value = TRUE
    for _ in range(DEEPEST * 3):
        value = node(Op.NOT, value)
    assert World().truth(value) is None


def test_guards_that_a_world_allows() -> None:
    world = World([(P, True)])
    assert world.allows(())
    assert world.allows(((P, True),))
    assert world.allows(((Q, False),))
    assert not world.allows(((Q, True), (P, False)))
    assert not world.narrowed(((Q, False),)).allows(((Q, True),))


A, B, C = node("a"), node("b"), node("c")
UPDATE, VARIABLE = node(Op.UPDATE), node(Op.VARIABLE, node(Op.ASSIGN))
GUARDED = node("guarded", guards=((P, True),))
ON_TRUE = node("on true", A, branch=((P, True),))
CONDITIONAL = node(Op.COND, P, ON_TRUE, B)
COND_OF_NODE = node(Op.COND, C, node("inner", A, branch=((C, True),)), B)
RUNS: dict[str, tuple[list[Value], World, set[str], set[str]]] = {
    "input": ([node("x", A)], World(), {"x", "a"}, {"x", "a"}),
    "dependency": ([node("x", control=(UPDATE,))], World(), {"x", "update"}, {"x", "update"}),
    "a variable is read, not assigned": ([VARIABLE], World(), {"variable"}, {"variable"}),
    "a fed value is not computed": ([node("x", A, B)], World(fed={A: TRUE}), {"x", "b"}, {"x", "b"}),
    "undecided choice": ([either(P, A, B)], World(), {"a", "b"}, set()),
    "decided choice": ([either(P, A, B)], World([(P, True)]), {"a"}, {"a"}),
    "behind something unknown": ([Unknown("", (A,))], World(), {"a"}, set()),
    "both ways": ([Unknown("", (A,)), A], World(), {"a"}, {"a"}),
    "made under a condition": ([GUARDED], World([(P, False)]), set(), set()),
    "made under a condition that holds": ([GUARDED], World([(P, True)]), {"guarded"}, {"guarded"}),
    "conditional": ([CONDITIONAL], World(), {"cond", "on true", "a", "b"}, {"cond", "a", "b"}),
    "conditional, true": ([CONDITIONAL], World([(P, True)]), {"cond", "on true", "a", "b"}, {"cond", "on true", "a", "b"}),
    "conditional, false": ([CONDITIONAL], World([(P, False)]), {"cond", "a", "b"}, {"cond", "a", "b"}),
    "predicate of a conditional": ([COND_OF_NODE], World(), {"cond", "c", "inner", "a", "b"}, {"cond", "c", "a", "b"}),
    "inside of a branch": ([ON_TRUE], World(), {"on true", "a"}, set()),
    "inside of a branch that is not taken": ([ON_TRUE], World([(P, False)]), set(), set()),
    "gradients skip identities": ([node(Op.GRADIENTS, node(Op.IDENTITY, A, control=(UPDATE,)))], World(), {"gradients", "a"}, {"gradients", "a"}),
    "group": ([node(Op.GROUP, A, UPDATE)], World(), {"group", "a", "update"}, {"group", "a", "update"}),
    "constants are nothing": ([TRUE], World(), set(), set()),
}  # fmt: skip


@pytest.mark.parametrize(("fetches", "world", "all_", "certain"), RUNS.values(), ids=RUNS)
def test_execution(fetches: list[Value], world: World, all_: set[str], certain: set[str]) -> None:
    found = execution(fetches, world)
    assert {one.op for one in found.nodes} == all_
    assert {one.op for one in found.certain} == certain
    assert all(one in found for one in found.nodes)


def test_execution_of_a_shared_graph_visits_each_node_once() -> None:
    shared: Value = A
    for index in range(2_000):
        shared = node(f"n{index}", shared, shared)
    assert len(execution([shared], World()).certain) == 2_001


def test_sources() -> None:
    value = node("x", either(P, A, Unknown("", (B,))), VARIABLE, control=(C,))
    names = {one.op for one in sources([value]) if isinstance(one, Node)}
    assert names == {"x", "a", "b", "variable"}
    names = {one.op for one in sources([value], through_state=True) if isinstance(one, Node)}
    assert names == {"x", "a", "b", "variable", "assign"}


def test_how_values_are_shown() -> None:
    assert repr(either(P, TRUE, A)) == "Choice(Const(True), Node(a@1))"
    assert repr(P) == "Unknown(p)"


def test_frames_outwards() -> None:
    inner = Frame("g", "a.py", None, SITE, FRAME, lambda node: SITE)
    assert [frame.function for frame in inner.outwards()] == ["g", "f"]
