"""Branches, loops, contexts and exceptions: what the program may do, and under which conditions."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Phases = Callable[..., list[Any]]
Program = Callable[..., Any]

BRANCHES = {
    "known condition": ("if True: norm(1)\nelse: norm(2)", [1]),
    "unknown condition": ("if unknown: a = 1\nelse: a = 2\nnorm(a)", [{1, 2}]),
    "the same on both sides": ("if unknown: a = 1\nelse: a = 1\nnorm(a)", [1]),
    "both sides are run": ("if unknown: norm(1)\nelse: norm(2)", [1, 2]),
    "elif": ("if unknown.a: a = 1\nelif unknown.b: a = 2\nelse: a = 3\nnorm(a)", [{1, 2, 3}]),
    "no else": ("a = 1\nif unknown: a = 2\nnorm(a)", [{1, 2}]),
    "known in the branch": ("if unknown.a == 3: norm(unknown.a == 3)", [True]),
    "correlated": ("if c.train: a = 1\nelse: a = 2\nif c.train: norm(a)\nelse: norm(a)", [1, 2]),
    "correlated and negated": ("if c.train: a = 1\nelse: a = 2\nif not c.train: norm(a)", [2]),
    "correlated inside a function": ("def f(a): return 1 if a else 2\nb = f(c.train)\nif c.train: norm(b)", [1]),
    "correlated through a name": ("p = c.train\nif p: a = 1\nelse: a = 2\nif c.train: norm(a)", [1]),
    "correlated comparison": ("if c.mode == 'train': a = 1\nelse: a = 2\nif c.mode == 'train': norm(a)", [1]),
    "contradicting comparison": ("if c.mode == 'train':\n    if c.mode == 'test': norm(1)\n    else: norm(2)", [2]),
    "both of an and": ("if c.a and c.b:\n    norm(True if c.a else False)\n    norm(True if c.b else False)", [True, True]),
    "neither of an or": ("if c.a or c.b: pass\nelse: norm(True if c.b else False)", [False]),
    "correlated truth of the flag": ("if c.train: norm(bool(c.train))", [True]),
    "nothing is correlated": ("if c.a: a = 1\nelse: a = 2\nif c.b: norm(a)", [{1, 2}]),
    "changed in one branch": ("a = [1]\nif unknown: a.append(2)\nnorm(a[0]); norm(len(a) == 1)", [1, "<equal>"]),
    "attribute set in one branch": ("class A: p = 1\na = A()\nif unknown: a.p = 2\nnorm(a.p)", [{1, 2}]),
    "dictionary filled in one branch": ("d = {}\nif c.train: d['p'] = True\nelse: d['p'] = False\nif c.train: norm(d['p'])", [True]),
    "entry of one branch only": ("d = {}\nif c.train: d['p'] = True\nnorm(d.get('p', False))", [{True, False}]),
    "name of one branch only": ("if c.train: a = True\nnorm(a)", [True]),
    "function chosen": ("def f(): return 1\ndef g(): return 2\nh = f if c.a else g\nnorm(h())", [{1, 2}]),
    "module chosen": ("if c.a: import math as m\nelse: import cmath as m\nnorm(m.pi is None)", [{"<equal>"}]),
    "assert": ("assert c.train\nnorm(1 if c.train else 2)", [1]),
    "nothing after a return in both": ("def f():\n    if c.a: return 1\n    else: return 2\n    norm(3)\nnorm(f())", [{1, 2}]),
    "early return": ("def f():\n    if c.a: return 1\n    return 2\nnorm(f())", [{1, 2}]),
    "early return, correlated": ("def f():\n    if c.a: return 1\n    return 2\na = f()\nif c.a: norm(a)\nelse: norm(a)", [1, 2]),
    "early return of None": ("def f():\n    if c.a: return\n    norm(1 if c.a else 2)\nf()", [2]),
    "nested early returns": (
        "def f():\n    if c.a:\n        if c.b: return 1\n        return 2\n    return 3\nnorm(f())", [{1, 2, 3}],
    ),
    "state set before an early return": (
        "class A: p = 0\na = A()\ndef f():\n    if c.a:\n        a.p = 1\n        return\n    a.p = 2\nf()\nnorm(a.p)", [{1, 2}],
    ),
    "raise leaves one side": ("def f(m):\n    if m == 'a': return 1\n    raise ValueError(m)\nnorm(f(c.m))", [1]),
    "raise in the branch": ("if c.a: raise ValueError\nnorm(1 if c.a else 2)", [2]),
    "unknown mode word": (
        "def f(m):\n    if m == 'train': return True\n    elif m == 'test': return False\n    else: raise ValueError\n"
        "norm(f('train')); norm(f('test')); norm(f(c.m))", [True, False, {True, False}],
    ),
    "while False": ("while False: norm(1)\nnorm(2)", [2]),
    "conditional expression and call": ("norm((1 if c.a else 2) + 1)", [{2, 3}]),
    "side effect behind or": ("a = [1]\nc.a or a.append(2)\nnorm(len(a) == 1)", ["<equal>"]),
    "side effect behind a known or": ("a = [1]\nTrue or a.append(2)\nnorm(a)", [[1]]),
    "down a tree of objects": (
        "class A:\n    def __init__(self, *parts): self.parts = parts\n"
        "def f(a):\n    a.seen = 1\n    for part in a.parts: f(part)\n"
        "leaf = A()\nf(A(A(leaf)))\nnorm(leaf.seen)", [1],
    ),
    "round and round one object": ("class A: p = 0\na = A()\ndef f(a):\n    a.p = 1\n    f(a)\nf(a)\nnorm(a.p)", [1]),
    "is None of what is known": ("def f(t=None): norm(t is not None)\nf(); f(1); f(x)", [False, True, True]),
}  # fmt: skip

LOOPS = {
    "over a list": ("for a in [1, 2, 3]: norm(a)", [1, 2, 3]),
    "break": ("for a in [1, 2, 3]:\n    if a == 2: break\n    norm(a)\nnorm(a)", [1, 2]),
    "continue": ("for a in [1, 2, 3]:\n    if a == 2: continue\n    norm(a)", [1, 3]),
    "else": ("for a in [1]: pass\nelse: norm(1)", [1]),
    "else after break": ("for a in [1]: break\nelse: norm(1)\nnorm(2)", [2]),
    "return from a loop": ("def f():\n    for a in [1, 2]:\n        if a == 2: return a\n    return 9\nnorm(f())", [2]),
    "range that builds": ("for i in range(3): norm(True, 'bn%d' % i)", [True] * 3),
    "range of something unknown": ("for i in range(c.n): norm(True)", [True] * 2),
    "nothing to do": ("for a in []: norm(1)", []),
    "the second round sees the first": ("a = 1\nfor b in c.data:\n    norm(a)\n    a = 2", [1, 2]),
    "while, second round": ("a = 1\nwhile c.more:\n    norm(a)\n    a = 2", [1, 2]),
    "while True with break": ("while True:\n    norm(1)\n    break\nnorm(2)", [1, 2]),
    "tuples": ("for name, phase in (('a', True), ('b', False)): norm(phase, name)", [True, False]),
    "dictionary": ("for k in {'a': 1, 'b': 2}: norm(k)", ["a", "b"]),
    "over a text": ("for k in 'ab': norm(k)", ["a", "b"]),
    "counter of a loop": ("n = 0\nfor b in c.data: n += 1\nnorm(n == 2)", ["<equal>"]),
    "counter of a while": ("n = 0\nwhile n < 100: n += 1\nnorm(n == 2)", ["<equal>"]),
    "every hundredth round": ("n = 0\nfor b in c.data:\n    n += 1\n    if n % 100 == 0: norm(False)", [False]),
    "every hundredth round of a while": ("n = 0\nwhile n < 1000:\n    if n % 100 == 50: norm(False)\n    n += 1", [False]),
    "every tenth of a range": ("for i in range(1000):\n    if i % 10 == 9: norm(False)", [False, False]),
    "index decides": ("for i in range(2): norm(i == 0)", [True, False]),
    "accumulated list": ("a = []\nfor i in range(3):\n    a.append(i)\n    norm(True)\nnorm(a)", [True] * 3 + [[0, 1, 2]]),
    "loop variable afterwards": ("for a in [1, 2]: norm(True)\nnorm(a)", [True, True, 2]),
    "range in reverse": ("for i in range(2, 0, -1): norm(i)", [2, 1]),
}  # fmt: skip

CONTEXTS = {
    "context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f(a):\n    norm(1)\n    yield a\n    norm(3)\nwith f(2) as b: norm(b)", [1, 2, 3],
    ),
    "return inside a context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f():\n    yield 1\ndef g():\n    with f() as a: return a\nnorm(g())", [1],
    ),
    "with around two": (
        "from contextlib import contextmanager\n@contextmanager\ndef f(a): yield a\nwith f(1) as a, f(2) as b: norm((a, b))", [(1, 2)],
    ),
    "class with enter and exit": (
        "class A:\n    def __enter__(self): norm(1); return self\n    def __exit__(self, *e): norm(3)\n    p = 2\nwith A() as a: norm(a.p)", [1, 2, 3],
    ),
    "try": ("try: a = 1\nexcept Exception: a = 2\nnorm(a)", [{1, 2}]),
    "try for an import": ("try: import cPickle as p; a = 1\nexcept ImportError: a = 2\nnorm(a)", [1]),
    "return inside try": ("def f():\n    try: return 1\n    except Exception: return 2\nnorm(f())", [{1, 2}]),
    "return inside try only": ("def f():\n    try: return 1\n    except Exception: pass\n    return 2\nnorm(f())", [{1, 2}]),
    "finally": ("def f():\n    try: return 1\n    finally: norm(0)\nnorm(f())", [0, 1]),
    "try else": ("try: pass\nexcept Exception: norm(1)\nelse: norm(2)", [1, 2]),
    "raise is caught": ("try: raise ValueError\nexcept ValueError: norm(1)\nnorm(2)", [1, 2]),
    "name of the exception": ("try: f()\nexcept Exception as e: norm(e is None)", ["<equal>"]),
    "exception in a loop": ("for a in [1, 2]:\n    try: norm(a)\n    except Exception: continue", [1, 2]),
    "match value": ("match 'b':\n    case 'a': norm(1)\n    case 'b': norm(2)\n    case _: norm(3)", [2]),
    "match unknown": ("match c.m:\n    case 'a': p = 1\n    case 'b': p = 2\n    case _: p = 3\nnorm(p)", [{1, 2, 3}]),
    "match alternatives": ("match c.m:\n    case 'a' | 'b': p = 1\n    case _: p = 2\nnorm(p)", [{1, 2}]),
    "match constant": ("match True:\n    case True: norm(1)\n    case _: norm(2)", [1]),
    "match capture": ("match c.m:\n    case [a, b]: norm(a)\n    case other: norm(other is None)", ["?a", "<equal>"]),
    "match with guard": ("match 1:\n    case a if a == 2: norm(1)\n    case _: norm(2)", [1, 2]),
    "match, mode decides later": ("match c.m:\n    case 'a': p = 1\n    case _: p = 2\nif c.m == 'a': norm(p)", [1]),
}  # fmt: skip


EARLY = {
    "early return before a change": (
        "class A: p = 1\na = A()\na.p = 1\ndef f():\n    if c.a: return\n    a.p = 2\nf()\nnorm(a.p)", [{1, 2}],
    ),
    "unknown break": ("a = 1\nfor b in [1, 2]:\n    if c.a: break\n    a = 2\nnorm(a)", [{1, 2}]),
    "unknown continue": ("a = 1\nfor b in [1]:\n    if c.a: continue\n    a = 2\nnorm(a)", [{1, 2}]),
}  # fmt: skip


def _table(*tables: dict[str, tuple[str, list[Any]]]) -> list[Any]:
    return [pytest.param(*case, id=name) for table in tables for name, case in table.items()]


@pytest.mark.parametrize(("source", "expected"), _table(BRANCHES, LOOPS, CONTEXTS))
def test_flow(phases: Phases, source: str, expected: list[Any]) -> None:
    assert phases(source) == expected


@pytest.mark.parametrize(("source", "expected"), _table(EARLY))
def test_early_exit(phases: Phases, source: str, expected: list[Any]) -> None:
    assert phases(source) == expected


def test_main_guard(phases: Phases) -> None:
    assert phases("if __name__ == '__main__': norm(1)\nelse: norm(2)") == [1]


def test_what_happens_in_a_branch_knows_its_condition(program: Program) -> None:
    first, second = program("if c.train: norm(True)\nelse: norm(False)").calls
    (condition, outcome), *rest = first.guards
    assert (condition.hint, outcome, rest) == ("c.train", True, [])
    assert second.guards == ((condition, False),)


def test_what_happens_in_a_loop_knows_the_loop(program: Program) -> None:
    (call,) = program("for a in [1]:\n    while True:\n        norm(True)\n        break").calls
    assert [loop.line for loop in call.context.loops] == [5, 6]


def test_rounds_of_loops(program: Program) -> None:
    seen = program("for a in range(100): pass\nfor b in c.data: pass\nfor d in [1, 2]: pass")
    assert {site.line: count for site, count in seen.trace.rounds.items()} == {5: 100, 6: None, 7: 2}


def test_frames_name_the_callers(program: Program) -> None:
    (call,) = program("class A:\n    def f(self): norm(True)\ndef g(): A().f()\ng()").calls
    frames = [
        (frame.function, frame.site.line if frame.site else None) for frame in call.context.frame.outwards()
    ]
    assert frames == [("norm", 6), ("A.f", 7), ("g", 8), ("__main__", None)]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("\n".join(f"def f{i}(a):\n    f{i + 1}(a.l)\n    f{i + 1}(a.r)" for i in range(40)) + "\ndef f40(a): norm(a)\nf0(c)", "steps"),
        ("while True:\n" + "".join(f"{' ' * i}while True:\n" for i in range(1, 30)) + " " * 30 + "norm(1)", "steps"),
    ],
    ids=["forty functions, two calls each", "thirty loops"],
)  # fmt: skip
def test_budget_ends_exponential_programs(program: Program, source: str, reason: str) -> None:
    assert reason in program(source).trace.incomplete


def test_a_function_alone_is_called_with_unknown_arguments(workshop: Any) -> None:
    seen = workshop.alone(
        "def f(a, b=True):\n    norm(a); norm(b)\n"
        "class A:\n    def __init__(self, p): self.p = p\n    def g(self): norm(self.p)\n"
        "def used(): norm(1)\nused()"
    )
    assert [one.phases for one in seen] == [["?a", "?b"], ["?p"]]
    assert not any(one.trace.driven for one in seen)
