"""Imports are found without parsing."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnlint.source.imports import Import, imports


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a", [Import("a")]),
        ("import a.b as c, d\n", [Import("a.b"), Import("d")]),
        ("import a, \\\n  b.c", [Import("a"), Import("b.c")]),
        ("from a import b", [Import("a", ("b",))]),
        ("from a.b import c as d, e  # f, g", [Import("a.b", ("c", "e"))]),
        ("from .x import (a,\n   b as c,  # d)\n)\n", [Import("x", ("a", "b"), 1)]),
        ("from . import a", [Import("", ("a",), 1)]),
        ("from .. import(a)", [Import("", ("a",), 2)]),
        ("from...a.b import c", [Import("a.b", ("c",), 3)]),
        ("from . a import c", [Import("a", ("c",), 1)]),
        ("from a import *", [Import("a", (), 0, True)]),
        ("from .a import*", [Import("a", (), 1, True)]),
        ("from a \\\n  import \\\n  b, \\\n  c", [Import("a", ("b", "c"))]),
        ("try:\n\timport a\nexcept ImportError: import b", [Import("a"), Import("b")]),
        ("import a; import b\r\nfrom c import d\r\n", [Import("a"), Import("b"), Import("c", ("d",))]),
        ("import été", [Import("été")]),
        ("# import a\nimportant = reimport(a)\nx.import_module('b')", []),
        ("", []),
    ],
)
def test_finds_the_ordinary_spellings(source: str, expected: list[Import]) -> None:
    assert imports(source.encode()) == expected


@pytest.mark.parametrize(
    "source", [["import a\n", "from .b import c, d"], "x = 1\nimport a\nfrom .b import c, d\ny"]
)
def test_finds_those_of_notebooks(source: object) -> None:
    data = json.dumps({"cells": [{"source": source}]}, indent=1)
    assert imports(data.encode()) == [Import("a"), Import("b", ("c", "d"), 1)]


NAMES = st.sampled_from(["a", "b_1", "importer", "fromage", "c"])
DOTTED = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
ALIASED = st.builds("{}{}".format, NAMES, st.sampled_from(["", " as z", " as import_"]))
LISTED = st.lists(ALIASED, min_size=1, max_size=3).map(", ".join)
SPREAD = st.lists(ALIASED, min_size=1, max_size=3).map(
    lambda names: "(\n  " + ",  # x, import y\n  ".join(names) + ",\n)"
)
STATEMENTS = st.one_of(
    st.builds("import {}".format, st.lists(DOTTED, min_size=1, max_size=3).map(", ".join)),
    st.builds("from {} import {}".format, DOTTED, LISTED | SPREAD | st.just("*")),
    st.builds("from {}{} import {}".format, st.sampled_from([".", "..", ". "]), DOTTED, LISTED | SPREAD),
    st.builds("from .. import {}".format, LISTED | SPREAD),
    st.just("x = 1"),
)


@given(st.lists(STATEMENTS, max_size=6).map("\n".join))
def test_agrees_with_the_parser(source: str) -> None:
    expected = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            expected += [Import(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            star = names == ("*",)
            expected.append(Import(node.module or "", () if star else names, node.level, star))
    assert imports(source.encode()) == expected


@given(st.text(alphabet='import from.\n\\(),*;:"#a'))
def test_any_text_ends(source: str) -> None:
    assert isinstance(imports(source.encode()), list)
