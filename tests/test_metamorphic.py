"""Changes of a program that mean nothing must not change what is found in it.

Renaming and aliasing keep the lines, so there the findings are compared with their lines; the other
transformations are compared by how often each code is reported.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bnlint.check import Options, check
from bnlint.findings import Group
from bnlint.registry import rules

FIXTURES = Path(__file__).parent.parent / "fixtures"
Found = Counter[tuple[str, int]]
Files = dict[str, str]

_COMMENTS_COUNT = ("bn001", "bn003")
"""Here what is found depends on comments and layout, which the transformations do not keep."""

EXCLUDED: dict[tuple[str, str], str] = {}
"""Transformation and fixture, with the reason why its findings may differ."""


def _single_files() -> list[Path]:
    return [
        path
        for folder in sorted(FIXTURES.iterdir())
        if folder.name.startswith("bn") and folder.name not in _COMMENTS_COUNT
        for path in sorted(folder.glob("*.py"))
        if path.name.startswith(("bad_", "good_"))
    ]


def _python3(path: Path) -> bool:
    """Whether ``ast`` reads the file; Python 2 and broken sources cannot be transformed."""
    try:
        ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return False
    return True


CASES = [path for path in _single_files() if _python3(path)]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _found(folder: Path, code: str, *, lines: bool) -> Found:
    default = [rule.code for rule in rules() if rule.group in (Group.ERROR, Group.WARNING)]
    report = check([folder], Options(select=(*default, code), project_root=folder))
    assert not report.problems, report.problems
    return Counter((finding.code, finding.location.line if lines else 0) for finding in report.findings)


# -- transformations: each gives the files of the new program, or None where there is nothing to change --------


def _replaced(text: str, places: Iterable[tuple[ast.AST, str]]) -> str:
    """The text with the identifiers at the beginning of some nodes replaced."""
    lines = text.split("\n")
    marks = {
        (node.lineno, node.col_offset, len((node.id if isinstance(node, ast.Name) else "").encode())): new  # type: ignore[attr-defined]
        for node, new in places
    }
    for (line, column, length), new in sorted(marks.items(), reverse=True):
        raw = lines[line - 1].encode()
        lines[line - 1] = (raw[:column] + new.encode() + raw[column + length :]).decode()
    return "\n".join(lines)


def _in_f_strings(tree: ast.AST) -> set[str]:
    """Names in formatted texts: before Python 3.12 their positions are wrong."""
    return {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for name in ast.walk(node)
        if isinstance(name, ast.Name)
    }


def _taken(tree: ast.AST) -> set[str]:
    """Names that are more than variables: parameters, keywords, functions, imports, attributes, declarations."""
    taken: set[str] = set(dir(builtins)) | {"FLAGS", "main"}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) or (isinstance(node, ast.keyword) and node.arg):
            taken.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            taken.add(node.name)
            if isinstance(node, ast.ClassDef):
                taken |= {name.id for name in _stores(node.body)}
        elif isinstance(node, ast.alias):
            taken.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Global | ast.Nonlocal):
            taken |= set(node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            taken.add(node.name)
    return taken | _in_f_strings(tree)


def _stores(body: Iterable[ast.AST]) -> Iterator[ast.Name]:
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node


def rename_variables(text: str) -> Files | None:
    """Every variable gets another name, made of the same words: names are evidence, the last resort."""
    tree = ast.parse(text)
    names = {node.id for node in _stores(tree.body)} - _taken(tree)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = {name for name in names if f"{name}_" not in used and not name.startswith("__")}
    if not names:
        return None
    places = [
        (node, f"{node.id}_") for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names
    ]
    return {"main.py": _replaced(text, places)}


def alias_tensorflow(text: str) -> Files | None:
    """``import tensorflow as tf`` becomes ``import tensorflow as flow``."""
    tree = ast.parse(text)
    imports = [
        line
        for line in text.split("\n")
        if line.strip() in ("import tensorflow as tf", "import tensorflow.compat.v1 as tf")
    ]
    if not imports or "tf" in _in_f_strings(tree):
        return None
    places = [(node, "flow") for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "tf"]
    changed = _replaced(text, places)
    for line in set(imports):
        changed = changed.replace(line, line.removesuffix("tf") + "flow")
    return {"main.py": changed}


class _Reversed(ast.NodeTransformer):
    changed = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        calls = sum(
            any(isinstance(part, ast.Call) for part in ast.walk(word.value)) for word in node.keywords
        )
        if len(node.keywords) > 1 and all(word.arg for word in node.keywords) and calls <= 1:
            node.keywords.reverse()
            self.changed = True
        return node


def reorder_keywords(text: str) -> Files | None:
    """Keyword arguments in reverse, unless their order of evaluation could matter."""
    tree = ast.parse(text)
    transformer = _Reversed()
    tree = transformer.visit(tree)
    return {"main.py": ast.unparse(tree)} if transformer.changed else None


def _leading_imports(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    kinds = (ast.Import, ast.ImportFrom, ast.Try)
    count = 0
    for statement in tree.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not isinstance(statement, kinds) and not is_text:
            break
        count += 1
    return tree.body[:count], tree.body[count:]


def _bound(body: Iterable[ast.stmt]) -> set[str]:
    """The names that statements bind where they stand."""
    found: set[str] = set()
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        pending.extend(ast.iter_child_nodes(node))
    return found


def wrap_in_main(text: str) -> Files | None:
    """Everything after the imports goes into a function that is called under a main guard."""
    head, body = _leading_imports(ast.parse(text))
    stars = any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        for statement in body
        for node in ast.walk(statement)
    )
    if not body or stars:
        return None
    names = sorted(_bound(body))
    declared: list[ast.stmt] = [ast.Global(names)] if names else []
    function = ast.parse("def whole_program():\n    pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = [*declared, *body]
    guard = ast.parse('if __name__ == "__main__":\n    whole_program()').body
    return {"main.py": ast.unparse(ast.Module([*head, function, *guard], []))}


def split_helpers(text: str) -> Files | None:
    """Functions and classes that use nothing but imports and one another move to another module."""
    tree = ast.parse(text)
    head, body = _leading_imports(tree)
    definitions = {
        statement.name: statement
        for statement in body
        if isinstance(statement, ast.FunctionDef | ast.ClassDef)
    }
    rest = [statement for statement in body if statement not in definitions.values()]
    module_names = _bound(rest) | {"__name__", "__file__"}
    moved = dict(definitions)
    while True:
        stay = {
            name
            for name, definition in moved.items()
            if any(
                (
                    isinstance(node, ast.Name)
                    and (node.id in module_names or node.id in definitions.keys() - moved.keys())
                )
                or isinstance(node, ast.Global)
                for node in ast.walk(definition)
            )
        }
        if not stay:
            break
        for name in stay:
            del moved[name]
    moved.pop("main", None)
    for name in list(moved):
        uses = {node.id for node in ast.walk(moved[name]) if isinstance(node, ast.Name)}
        if "main" in uses:
            del moved[name]
    if not moved or len(moved) == len(tree.body):
        return None
    future = [part for part in head if isinstance(part, ast.ImportFrom) and part.module == "__future__"]
    main = [
        *head,
        *ast.parse(f"from parts import {', '.join(moved)}").body,
        *(statement for statement in body if statement not in moved.values()),
    ]
    parts = [*future, *(part for part in head if part not in future), *moved.values()]
    return {
        "main.py": ast.unparse(ast.Module(main, [])),
        "parts.py": ast.unparse(ast.Module(parts, [])),
    }


TRANSFORMATIONS: dict[str, tuple[Callable[[str], Files | None], bool]] = {
    "rename variables": (rename_variables, True),
    "alias tensorflow": (alias_tensorflow, True),
    "reorder keywords": (reorder_keywords, False),
    "wrap in a function": (wrap_in_main, False),
    "split into modules": (split_helpers, False),
}
"""Each with whether it keeps the lines."""


def _differences(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[Found, Found]]:
    text = case.read_text(encoding="utf-8")
    code = case.parent.name.upper()
    expected: dict[bool, Found] = {}
    found: dict[str, tuple[Found, Found]] = {}
    programs: list[tuple[str, Files, bool]] = [("", {"main.py": text}, True), ("", {"main.py": text}, False)]
    for name, (transform, lines) in TRANSFORMATIONS.items():
        files = transform(text)
        if files is not None:
            programs.append((name, files, lines))
    for index, (name, files, lines) in enumerate(programs):
        folder = tmp_path / str(index)
        folder.mkdir()
        for path, content in files.items():
            (folder / path).write_text(content, encoding="utf-8")
        monkeypatch.chdir(folder)
        reported = _found(folder, code, lines=lines)
        if not name:
            expected[lines] = reported
        elif reported != expected[lines]:
            found[name] = (expected[lines], reported)
    return found


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_findings_do_not_change(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _differences(case, tmp_path, monkeypatch)
    excluded = {name for name, fixture in EXCLUDED if fixture == _name(case)}
    assert {name: pair for name, pair in found.items() if name not in excluded} == {}
    assert excluded <= found.keys(), "an exclusion is no longer needed"


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_transformations_have_something_to_change(name: str) -> None:
    transform, _ = TRANSFORMATIONS[name]
    changed = sum(transform(case.read_text(encoding="utf-8")) is not None for case in CASES)
    assert changed >= len(CASES) // 3


def test_transformed_programs_are_what_they_should_be() -> None:
    text = (
        "import tensorflow as tf\n\ndef f(x, *, a=1, b=2):\n    y = tf.abs(x)\n    return y\n"
        "z = f(1, a=3, b=4)\n"
    )  # fmt: skip
    assert _made(rename_variables, text) == {"main.py": text.replace("y", "y_").replace("z =", "z_ =")}
    assert _made(alias_tensorflow, text) == {"main.py": text.replace("tf", "flow")}
    assert _made(reorder_keywords, text)["main.py"].endswith("z = f(1, b=4, a=3)")
    assert "global f, z" in _made(wrap_in_main, text)["main.py"]
    assert _made(split_helpers, text)["main.py"].splitlines()[1:] == [
        "from parts import f",
        "z = f(1, a=3, b=4)",
    ]


def _made(transform: Callable[[str], Files | None], text: str) -> Any:
    return transform(text)
