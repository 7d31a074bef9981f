"""Under which name a file knows the TensorFlow API of graphs and sessions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from bnlint.fixes.errors import EditError

_V1 = "tensorflow.compat.v1"
_APIS = ("tensorflow", "tensorflow.compat", _V1)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFAULT = "tf"


class TensorFlow(NamedTuple):
    """What to write for TensorFlow, and the import that this takes, if any."""

    name: str
    statement: str = ""


class _Binding(NamedTuple):
    line: int
    api: str
    """The module that the name stands for; empty if it is anything else."""


class Names:
    """The names of one file."""

    def __init__(self, tree: ast.Module, text: str) -> None:
        self._tree = tree
        self._text = text

    def tensorflow(self, line: int) -> TensorFlow:
        """How a statement at a line says TensorFlow.

        Raises EditError if it cannot.
        """
        scopes = [_bindings(scope) for scope in _scopes(self._tree, line)]
        found: list[tuple[bool, int, str]] = []
        hidden = False
        for name in dict.fromkeys(name for scope in scopes for name in scope):
            depth = next(index for index, scope in enumerate(scopes) if name in scope)
            bindings = scopes[depth][name]
            everywhere = [binding for scope in scopes[depth:] for binding in scope.get(name, ())]
            written = {self._written(name, binding.api) for binding in bindings}
            # In the statement's own scope, the import must come first.
            if len(written) == 1 and (depth > 0 or any(binding.line < line for binding in bindings)):
                if expression := written.pop():
                    plain = all(binding.api != _V1 for binding in bindings)
                    found.append((plain, bindings[0].line, expression))
                    continue
            hidden = hidden or any(binding.api for binding in everywhere)
        if found:
            return TensorFlow(min(found)[2])
        if hidden or any(_DEFAULT in scope for scope in scopes):
            raise EditError("TensorFlow's name means something else there")
        return TensorFlow(_DEFAULT, f"import {self._imported()} as {_DEFAULT}")

    def _written(self, name: str, api: str) -> str:
        if api in ("", _V1):
            return name if api else ""
        if api == "tensorflow.compat":
            return f"{name}.v1"
        return f"{name}.compat.v1" if f"{name}.compat.v1." in self._text else name

    def _imported(self) -> str:
        """The module that the file takes other names out of."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{_V1}."):
                return _V1
        return "tensorflow"


def _scopes(tree: ast.Module, line: int) -> list[ast.AST]:
    """The functions around a line, from the innermost on, and the module."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body[0].lineno <= line <= (node.end_lineno or 0)
    ]
    return [*sorted(around, key=lambda node: node.lineno, reverse=True), tree]


def _bindings(scope: ast.AST) -> dict[str, list[_Binding]]:
    """What the names of a scope stand for."""
    found: dict[str, list[_Binding]] = {}

    def bind(name: str, line: int, api: str = "") -> None:
        found.setdefault(name, []).append(_Binding(line, api if api in _APIS else ""))

    for node in _nodes(scope):
        match node:
            case ast.Import(names):
                for alias in names:
                    if alias.asname:
                        bind(alias.asname, node.lineno, alias.name)
                    else:
                        top = alias.name.partition(".")[0]
                        bind(top, node.lineno, top)
            case ast.ImportFrom(module, names, 0):
                for alias in names:
                    bind(alias.asname or alias.name, node.lineno, f"{module}.{alias.name}")
            case ast.ImportFrom(_, names):
                for alias in names:
                    bind(alias.asname or alias.name, node.lineno)
            case ast.Name(name, ast.Store() | ast.Del()):
                bind(name, node.lineno)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bind(node.name, node.lineno)
            case ast.arg():
                bind(node.arg, node.lineno)
            case ast.ExceptHandler() if node.name:
                bind(node.name, node.lineno)
    return found


def _nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes that belong to a scope and not to one inside it."""
    pending = list(ast.iter_child_nodes(scope))
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, _FUNCTIONS):
            continue
        if not isinstance(node, (ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            pending.extend(ast.iter_child_nodes(node))
