from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnlint.findings import Anchor, Location
from bnlint.source.anchors import Anchors
from bnlint.source.module import Module
from bnlint.source.read import read

SOURCE = '''"""Text."""
import a; b = 1; c = (2,
    3); d = 4
@dec(1)
@dec2
class A(B, metaclass=M):
    """Text."""
    def f(self, x=1,
          y=2):
        if x: y = 1; z = 2
        elif y:
            try:
                g()
            except (E, F) as e:
                pass
            finally:
                with a as b, \\
                     c as d:
                    t(
  'x',
                      "y"  # why
                    )
        else:
            q = lambda: 1

        # between
    async def g():
        match x:
            case 1: p()
            case Foo(a=1):
                r()
'''


def _module(text: str | bytes, name: str = "a.py") -> Module:
    data = text.encode() if isinstance(text, str) else text
    found = read(Path(name), name, data)
    assert isinstance(found, Module)
    return found


def _at(line: int, column: int, cell: int | None = None) -> Location:
    return Location("a.py", line, column, line, column + 1, cell)


@pytest.mark.parametrize(
    ("line", "column", "definition", "statement", "lines"),
    [
        (1, 1, "", "'Text.'", (1, 1)),
        (2, 1, "", "import a", (2, 2)),
        (2, 11, "", "b = 1", (2, 2)),
        (2, 23, "", "c = (2, 3)", (2, 3)),
        (3, 5, "", "c = (2, 3)", (2, 3)),
        (3, 9, "", "d = 4", (3, 3)),
        (4, 2, "", "class A(B, metaclass=M):", (4, 6)),
        (6, 9, "", "class A(B, metaclass=M):", (4, 6)),
        (8, 9, "A", "def f(self, x=1, y=2):", (8, 9)),
        (9, 13, "A", "def f(self, x=1, y=2):", (8, 9)),
        (10, 12, "A.f", "if x:", (10, 10)),
        (10, 15, "A.f", "y = 1", (10, 10)),
        (10, 22, "A.f", "z = 2", (10, 10)),
        (11, 14, "A.f", "if y:", (11, 11)),
        (12, 13, "A.f", "try:", (12, 12)),
        (14, 22, "A.f", "except (E, F) as e:", (14, 14)),
        (16, 13, "A.f", "", (16, 16)),
        (18, 22, "A.f", "with a as b, c as d:", (17, 18)),
        (21, 23, "A.f", "t('x', 'y')", (19, 22)),
        (24, 13, "A.f", "q = lambda: 1", (24, 24)),
        (26, 9, "A", "", (26, 26)),
        (29, 21, "A.g", "p()", (29, 29)),
        (99, 1, "", "", (99, 99)),
    ],
)
def test_every_place(line: int, column: int, definition: str, statement: str, lines: tuple[int, int]) -> None:
    anchors = Anchors(_module(SOURCE))
    assert anchors.anchor(_at(line, column)) == Anchor(definition, statement)
    assert anchors.statement_lines(_at(line, column)) == lines
    assert anchors.statement_line(_at(line, column)) == lines[0]


@pytest.mark.parametrize(
    "text",
    [
        "op = minimize( loss,\n   name='x' )",
        'op = minimize(\n    loss,\n    name="x",  # the name\n)',
        "op = (\\\n  minimize(loss, name='x'))",
        "import before\n\n\nop = minimize(loss, name='x'); after()",
    ],
)
def test_layout_means_nothing(text: str) -> None:
    module = _module(text)
    line = text[: text.index("minimize")].count("\n") + 1
    column = text.split("\n")[line - 1].index("minimize") + 1
    assert Anchors(module).anchor(_at(line, column)) == Anchor("", "op = minimize(loss, name='x')")


def test_decorators_and_bodies_mean_nothing() -> None:
    one = _module("def f(x):\n    return 1\n")
    other = _module("@cached\ndef f(x):\n    return 2\n")
    assert Anchors(one).anchor(_at(1, 1)) == Anchors(other).anchor(_at(2, 1))


def test_python2_is_as_python3() -> None:
    old = _module("def f():\n    print minimize(loss)\n")
    new = _module("def f():\n    print(minimize(loss))\n")
    assert old.python2
    assert (
        Anchors(old).anchor(_at(2, 11))
        == Anchors(new).anchor(_at(2, 11))
        == Anchor("f", "print(minimize(loss))")
    )


def test_long_statements_are_cut_and_still_differ() -> None:
    first, second = (
        Anchors(_module(f"x = [{', '.join(['1'] * 500)}, {last}]")).anchor(_at(1, 1)) for last in (2, 3)
    )
    assert len(first.statement) == 200
    assert first.statement[:180] == second.statement[:180]
    assert first != second


def test_text_over_several_lines_is_one_line() -> None:
    assert Anchors(_module('x = f"""a\n{b}"""')).anchor(_at(2, 2)).statement.count("\n") == 0


def test_notebook_cells() -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "text"},
        {"cell_type": "code", "metadata": {}, "source": "%matplotlib inline\na = 1\n", "outputs": []},
        {
            "cell_type": "code",
            "metadata": {},
            "source": "def f():\n    %time b = (1,\n      2)",
            "outputs": [],
        },
    ]
    module = _module(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}), "a.ipynb")
    anchors = Anchors(module)
    assert anchors.anchor(_at(2, 1, 2)) == Anchor("", "a = 1")
    assert anchors.anchor(_at(3, 7, 3)) == Anchor("f", "b = (1, 2)")
    assert anchors.statement_lines(_at(3, 7, 3)) == (2, 3)
    assert anchors.anchor(_at(2, 1, 7)) == anchors.anchor(_at(2, 1)) == Anchor("", "")
