"""Any file becomes a module or a sentence."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnlint.findings import Location, Problem
from bnlint.source.module import Module
from bnlint.source.read import LARGEST, read


def module(source: str | bytes, name: str = "a.py") -> Module:
    data = source if isinstance(source, bytes) else source.encode()
    found = read(Path(name), name, data)
    assert isinstance(found, Module), found
    return found


def problem(data: bytes, name: str = "a.py") -> Problem:
    found = read(Path(name), name, data)
    assert isinstance(found, Problem)
    return found


def where(found: Module, name: str) -> Location:
    """The location of the only name of that spelling."""
    (node,) = (node for node in ast.walk(found.tree) if isinstance(node, ast.Name) and node.id == name)
    return found.location(node)


def test_a_plain_file_has_its_tree_and_no_problems() -> None:
    found = module("x = 1\n")
    assert (found.display, found.text, found.python2, found.problems) == ("a.py", "x = 1\n", False, [])
    assert isinstance(found.tree.body[0], ast.Assign)


def test_columns_are_characters_and_count_from_one() -> None:
    found = module("a = 'é漢😀' + name\n")
    assert where(found, "name") == Location("a.py", 1, 13, 1, 17)
    assert found.source_line(where(found, "name")) == "a = 'é漢😀' + name"


def test_a_node_without_a_place_is_at_the_beginning() -> None:
    found = module("x = 1\n")
    assert found.location(found.tree) == Location("a.py", 1, 1, 1, 1)


def test_only_python_line_ends_count() -> None:
    assert where(module("a = '\x0c\u2028\x1c'\r\nb = 1\rname\n"), "name").line == 3


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ('print "x", name\n', 1, 12),
        ("x = 1\nprint `y`, name\n", 2, 12),
        ("try: x\nexcept E, e: name\n", 2, 14),
        ("if x:\n\ty = 1\n        name\n", 3, 9),
        ("if x:\n        y = 1\n\tname\n", 3, 2),
        ("def f(a, (b, c)):\n    name\n", 2, 5),
        ("x(async=name)\n", 1, 9),
        ("print x\nz = 0777; name", 2, 11),
    ],
)
def test_python_2_keeps_lines_and_columns(source: str, line: int, column: int) -> None:
    found = module(source)
    assert found.python2
    assert found.problems == []
    place = where(found, "name")
    assert (place.line, place.column, place.end_column) == (line, column, column + 4)
    assert found.source_line(place) == source.split("\n")[line - 1]


@pytest.mark.parametrize(
    ("source", "left_out", "kept"),
    [
        ("a = 1\nx y\nb = 2\n", [2], {"a", "b"}),
        ("if c:\n\tx y\n\tb = 2\n", [2], {"c", "b"}),
        ("a = (1,\n  x y,\n  2)\nb = 2\n", [1], {"b"}),
        ("a = f(1,\ndef g():\n    b\n", [1], {"b"}),
        ("@d\ndef f(x y):\n    a\nb\n", [2], {"b"}),
        ("if a b:\n  c\nelif d:\n  e\nelse:\n  f\ng\n", [1], {"g"}),
        ("if a:\n  b\nelif d e:\n  f\nelse:\n  g\n", [3], {"a", "b", "g"}),
        ("try:\n  a\nexcept B C:\n  d\ne\n", [3], {"a", "e"}),
        ("try:\n  a\nb\n", [1], {"a", "b"}),
        ("if a:\n\nb = 1\n", [1], {"a", "b"}),
        ("def f(a):  # nothing\nb\n", [1], {"b"}),
        ("a\n    b\n    c\nd\n", [2], {"a", "d"}),
        ("if a:\n        b\n    c\nd\n", [3], {"a", "b", "d"}),
        ("a\ns = '''\nb\n", [2], {"a", "b"}),
        ("a\ns = 'x\nb\n", [2], {"a", "b"}),
        ("a\nx y\nb\nz w\nc\n", [2, 4], {"a", "b", "c"}),
        ("print a\nx y\nprint b\n", [2], {"a", "b", "print"}),
    ],
)
def test_a_broken_statement_is_left_out_and_the_rest_is_kept(
    source: str, left_out: list[int], kept: set[str]
) -> None:
    found = module(source)
    assert found.left_out == left_out
    assert [each.line for each in found.problems] == left_out
    assert {node.id for node in ast.walk(found.tree) if isinstance(node, ast.Name)} == kept
    assert found.text.count("\n") == source.count("\n")


def test_the_problem_says_what_happened_and_what_to_do() -> None:
    (said,) = module("x y\n").problems
    assert said == Problem(
        "a.py",
        1,
        "This statement cannot be read (invalid syntax) and was left out; the rest of the file was checked. "
        "Correct it to have it checked too.",
    )


@pytest.mark.parametrize(
    "data",
    [
        b"# coding: latin-1\nx = '\xe9'\n",
        b"#!/x\n# -*- coding: cp1252 -*-\nx = '\xe9'\n",
        b"\xef\xbb\xbfx = '\xc3\xa9'\n",
    ],
)
def test_encodings_that_are_declared(data: bytes) -> None:
    found = module(data)
    assert "x = 'é'" in found.text
    assert not found.text.startswith("\ufeff")
    assert found.problems == []


@pytest.mark.parametrize("name", [b"ascii", b"utf-8-unix"])
def test_a_wrong_declaration_of_utf_8_text_does_no_harm(name: bytes) -> None:
    found = module(b"# coding: " + name + b"\nx = '\xc3\xa9'\n")
    assert "é" in found.text
    assert found.problems == []


@pytest.mark.parametrize("name", ["no-such-codec", "rot13"])
def test_a_declared_encoding_that_does_not_exist_is_reported(name: str) -> None:
    found = module(b"# coding: " + name.encode() + b"\nx = '\xc3\xa9'\n")
    assert "é" in found.text
    message = f"The file declares the encoding {name!r}, which does not exist. Declare the right one."
    assert found.problems == [Problem("a.py", 1, message)]


def test_text_in_no_declared_encoding_is_read_and_reported() -> None:
    found = module(b"a = 1\nx = '\xe9'\n")
    assert found.problems == [
        Problem("a.py", 2, "The text is not valid UTF-8, so it was read as Latin-1. Save it as UTF-8.")
    ]
    assert "é" in found.text


def test_binary_and_large_files_are_problems() -> None:
    assert "NUL" in problem(b"x = 1\0").message
    assert "NUL" in problem("x = 1".encode("utf-16")).message
    assert "1,000,001 bytes" in problem(b"#" * (LARGEST + 1)).message


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        found = read(path, "shown.py")
        assert isinstance(found, Problem)
        assert found.path == "shown.py"
        assert "cannot be read (" in found.message


def test_reads_from_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    assert isinstance(read(tmp_path / "a.py", "a.py"), Module)


@pytest.mark.parametrize(
    "statement",
    [
        "x = " + "(" * 5000 + "1" + ")" * 5000,
        "x = a" + ".b(1)" * 2000,
        "x = a" + ".b" * 100_000,
        "x = 1" + " + 1" * 5000,
        "x = " + "-" * 100_000 + "1",
        "x = " + "not " * 3000 + "1",
        "x = " + "lambda: " * 3000 + "1",
        "x = " + "1 if a else " * 3000 + "2",
        "x = " + "9" * 5000,
    ],
    ids=["parentheses", "calls", "attributes", "sum", "signs", "not", "lambdas", "conditions", "digits"],
)
def test_a_monstrous_statement_is_left_out(statement: str) -> None:
    found = module(f"a = 1\n{statement}\nb = 2\n")
    assert found.left_out == [2]
    assert [line for line in found.text.split("\n") if line] == ["a = 1", "pass", "b = 2"]


def test_a_long_literal_is_read() -> None:
    assert module("x = [" + "0.1, " * 100_000 + "]\n").problems == []


@pytest.mark.parametrize("clause", ["elif b: pass\n" * 3000, ".c(1)\n" * 3000])
def test_deep_nesting_over_many_lines_ends(clause: str) -> None:
    opening = "if a: pass\n" if clause.startswith("elif") else "x = (a\n"
    assert read(Path("a.py"), "a.py", (opening + clause).encode()) is not None


def test_a_file_full_of_errors_is_one_problem() -> None:
    found = problem(b"a b c\n" * 5000)
    assert "40 statements or more are not Python" in found.message


def test_nothing_is_printed_about_the_code(recwarn: pytest.WarningsRecorder) -> None:
    module("x = '\\d'\nassert (1, 'a')\n1 is 1\n")
    assert not recwarn.list


def test_reading_imports_nothing_heavy() -> None:
    code = (
        "import sys, pathlib, bnlint.source.read as r, bnlint.source.discover, bnlint.source.gate\n"
        "r.read(pathlib.Path('a.py'), 'a.py', b'print 1')\n"
        "print([m for m in ('fissix', 'libcst', 'pathspec', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


FRAGMENTS = st.sampled_from(
    "a b|x = 1|if a:|  y|    z|\tw|else:|try:|except A, e:|finally:|def f(|)|'''|\"|print x|@d|class C:"
    "|  pass|\\|`|elif b:|for|import a|[|}|# c|lambda (a, b): c|async = 1|0777|\x0c|é，".split("|")
)


@given(st.lists(FRAGMENTS, max_size=12).map("\n".join))
def test_whatever_is_broken_a_module_keeps_its_lines(source: str) -> None:
    found = read(Path("a.py"), "a.py", source.encode())
    if isinstance(found, Problem):
        assert found.message.endswith(".")
        return
    assert found.text.count("\n") == source.count("\n")
    for node in ast.walk(found.tree):
        place = found.location(node)
        assert 1 <= place.line <= place.end_line <= source.count("\n") + 1
        assert place.column >= 1
        line = found.source_line(place)
        assert line is not None
        assert place.column <= len(line) + 1


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data: bytes) -> None:
    assert isinstance(read(Path("a.py"), "a.py", data), Module | Problem)
