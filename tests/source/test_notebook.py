"""Notebooks: cells, magics, and what is broken in them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bnlint.findings import Location, Problem
from bnlint.source.module import Module
from bnlint.source.notebook import to_python
from bnlint.source.read import read


def code(source: str | list[str]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": []}


TEXT = {"cell_type": "markdown", "source": ["# not code ("]}


def opened(*cells: dict[str, Any], **more: Any) -> Module:
    found = read(Path("a.ipynb"), "a.ipynb", json.dumps({"cells": cells, "nbformat": 4, **more}).encode())
    assert isinstance(found, Module), found
    return found


def where(found: Module, name: str) -> Location:
    (node,) = (node for node in ast.walk(found.tree) if isinstance(node, ast.Name) and node.id == name)
    return found.location(node)


def test_places_are_cells_of_the_file_and_lines_in_them() -> None:
    found = opened(TEXT, code(["a = 1\n", "b = 2"]), TEXT, code("c = 3\nd = 'é' + e\n"))
    places = {name: where(found, name) for name in "abcde"}
    assert {name: (place.cell, place.line) for name, place in places.items()} == {
        "a": (2, 1),
        "b": (2, 2),
        "c": (4, 1),
        "d": (4, 2),
        "e": (4, 2),
    }
    assert places["e"] == Location("a.ipynb", 2, 11, 2, 12, 4)
    assert found.source_line(places["e"]) == "d = 'é' + e"
    assert found.source_line(Location("a.ipynb", 1, 1, 1, 1, 1)) is None


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("for a in b:\n    !ls 'it(\n    c", "for a in b:\n    pass\n    c"),
        ("!pip install \\\n  x \\\n  y\nz", "pass\n\n\nz"),
        ("pip install x", "pass"),
        ("x?\ny.z??  # help\n?w\nv", "pass\npass\npass\nv"),
        ("x = !ls\ny = %magic z", "x = get_ipython()\ny = get_ipython()"),
        ("%time x = f()\n    \n%timeit -n 1 g()", "x = f()\n    \npass"),
        ("%%time\nx = 1", "\nx = 1"),
        ("\n%%capture out\nx = 1", "\n\nx = 1"),
        ("%%bash\ncd x\nls (", "\n\n"),
        ("%%writefile a.py\nimport x", "\n"),
        ("x = (a\n  % b)\ny = '''\n!z\n'''", "x = (a\n  % b)\ny = '''\n!z\n'''"),
        ("x = a % b  # why?\ny != z", "x = a % b  # why?\ny != z"),
        ("  # pasted\n  if a:\n    b\n", "# pasted\nif a:\n  b\n"),
        ("", ""),
    ],
)
def test_ipython_becomes_python(source: str, python: str) -> None:
    assert to_python(source) == python


@given(st.text(alphabet="%!?=ax \n\\('\"#\t:"))
def test_ipython_keeps_its_lines(source: str) -> None:
    assert to_python(source).count("\n") == source.count("\n")


def test_the_line_shown_is_the_one_in_the_notebook() -> None:
    found = opened(code("%time  x = name"))
    place = where(found, "name")
    assert (place.line, place.column) == (1, 12)
    assert found.source_line(place) == "%time  x = name"


def test_a_cell_of_python_2_leaves_the_others_alone() -> None:
    found = opened(code("a = 0"), code('print "x", `y`\nprint name'), code("b = (1,\n  2)"))
    assert found.python2
    assert found.problems == []
    assert (where(found, "name").cell, where(found, "name").line, where(found, "name").column) == (2, 2, 7)
    assert (where(found, "b").cell, where(found, "b").line) == (3, 1)


def test_a_broken_cell_does_not_reach_into_the_next() -> None:
    found = opened(code("a\nf(1,"), TEXT, code("x = 1\n'''"), code("b"))
    assert [(each.line, each.message[:29]) for each in found.problems] == [
        (2, "Cell 1: This statement cannot"),
        (2, "Cell 3: This statement cannot"),
    ]
    assert [where(found, name).cell for name in "axb"] == [1, 3, 4]
    assert found.left_out == [2, 4]


def test_a_hopeless_cell_is_a_problem_and_the_others_are_read() -> None:
    found = opened(code("a b c\n" * 100), code("d"))
    (said,) = found.problems
    assert said.message.startswith("Cell 1 cannot be read as Python")
    assert where(found, "d").cell == 2


def test_the_old_format_is_read() -> None:
    cells = [TEXT, {"cell_type": "code", "input": ["print a"]}]
    data = json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]}).encode()
    found = read(Path("a.ipynb"), "a.ipynb", data)
    assert isinstance(found, Module)
    assert where(found, "a").cell == 2


def test_a_notebook_in_another_language_holds_no_python() -> None:
    found = opened(code("x <- 1"), metadata={"kernelspec": {"language": "R"}})
    assert (found.text, found.problems) == ("", [])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"cells": [\n', 2, "not valid JSON"),
        ("[]", 1, "not a JSON object"),
        ('{"cells": 1}', 1, "its cells are not a list"),
        ("[" * 100_000, 1, "The notebook cannot be read: "),
    ],
)
def test_what_is_no_notebook_is_a_problem(text: str, line: int, reason: str) -> None:
    found = read(Path("a.ipynb"), "a.ipynb", text.encode())
    assert isinstance(found, Problem)
    assert found.line == line
    assert reason in found.message
    assert found.message.endswith("Save it again with Jupyter or exclude it.")


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.just("code"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cells", "cell_type", "source", "input", "worksheets", "metadata", "kernelspec"]
            ),
            inner,
        )
    ),
)


@given(JSON)
@example({"worksheets": [{"cells": 1}]})
def test_any_json_is_read_or_refused(value: object) -> None:
    assert isinstance(read(Path("a.ipynb"), "a.ipynb", json.dumps(value).encode()), Module | Problem)
