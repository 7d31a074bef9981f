"""Reads the user's source text, and translates Python 2 in memory, each line staying where it is."""

from __future__ import annotations

import ast
import importlib.machinery
import os
import re
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

from bnlint.errors import UserError
from bnlint.source.read import declared_encoding

_PRINTS_TO = re.compile(rb"^[ \t]*print[ \t]*>>", re.MULTILINE)


def compile_script(path: str, data: bytes) -> CodeType:
    """The code of a script; one in Python 2 is translated.

    Raises UserError if it is Python 2 that cannot be translated, and SyntaxError if it is neither.
    """
    try:
        tree = ast.parse(data, path)
    except SyntaxError:
        translated = _translated(path, data)
        if translated is None:
            raise
        tree = translated
    else:
        if _PRINTS_TO.search(data):
            # Python 3 reads `print >>file, text`, and fails when it gets there.
            tree = ast.fix_missing_locations(_Printing().visit(tree))
    return compile(tree, path, "exec", dont_inherit=True)


def is_python2(path: str, data: bytes) -> bool:
    """Whether a text is Python 2 and can be translated.

    Raises UserError if it is Python 2 that cannot be translated.
    """
    try:
        ast.parse(data, path)
    except (SyntaxError, ValueError):
        return _translated(path, data) is not None
    return False


def text_of(data: bytes) -> str:
    """The text of a file, as far as it can be decoded."""
    try:
        return data.decode(declared_encoding(data))
    except (LookupError, ValueError):
        return data.decode("latin-1")


def _translated(path: str, data: bytes) -> ast.Module | None:
    from bnlint.source.repair import UnreadableError, repair

    text = text_of(data).replace("\r\n", "\n").replace("\r", "\n")
    try:
        repaired = repair(text)
    except UnreadableError as error:
        raise UserError(
            f"{path}:{error.line}: the file cannot be read as Python ({error.reason}). Correct it."
        ) from None
    if not repaired.python2:
        return None
    if repaired.left_out:
        line, reason = repaired.left_out[0]
        raise UserError(
            f"{path}:{line}: the file is written in Python 2 and cannot be translated ({reason}). "
            "Convert it to Python 3, for example with 2to3."
        )
    tree = _Meaning("division" in text and "from __future__ import" in text).visit(repaired.tree)
    return ast.fix_missing_locations(tree)  # type: ignore[no-any-return]


class _Printing(ast.NodeTransformer):
    """``print >>file, text``, which to Python 3 is a tuple."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Make a call of it."""
        self.generic_visit(node)
        first, *rest = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        if (
            isinstance(first, ast.BinOp)
            and isinstance(first.op, ast.RShift)
            and isinstance(first.left, ast.Name)
            and first.left.id == "print"
        ):
            made = ast.Call(first.left, rest, [ast.keyword("file", first.right)])
            node.value = ast.copy_location(made, node.value)
        return node


class _Meaning(_Printing):
    """Gives expressions the meaning that they have in Python 2; ``compat.python2`` has the functions."""

    def __init__(self, true_division: bool) -> None:
        self._true_division = true_division

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """``/`` of two integers rounds down."""
        self.generic_visit(node)
        if self._true_division or not isinstance(node.op, ast.Div):
            return node
        return self._call("__bnlint_divide__", node, node.left, node.right)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Methods of dictionaries have other names; what was a list is not a list any more."""
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in (
            "iteritems",
            "itervalues",
            "iterkeys",
            "has_key",
        ):
            name = ast.Constant(function.attr)
            return self._call("__bnlint_method__", node, function.value, name, *node.args)
        if (
            isinstance(function, ast.Name)
            and function.id in ("map", "filter", "zip", "range")
            and not node.keywords
        ):
            return self._call("list", node, node)
        if (
            isinstance(function, ast.Attribute)
            and function.attr in ("keys", "values", "items")
            and not node.args
        ):
            return self._call("__bnlint_method__", node, function.value, ast.Constant(function.attr))
        return node

    def _call(self, function: str, place: ast.expr, *arguments: ast.expr) -> ast.Call:
        return ast.copy_location(ast.Call(ast.Name(function, ast.Load()), list(arguments), []), place)


class UserLoader(importlib.machinery.SourceFileLoader):
    """Loads the user's modules; what is in Python 2 is translated. It leaves no compiled files behind."""

    def path_stats(self, path: str) -> Any:
        """There are no compiled files: they would be of another translation."""
        raise OSError

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        """Compile, or translate and compile."""
        try:
            return compile_script(os.fspath(path), bytes(data))
        except UserError as error:
            raise ImportError(str(error)) from None


def load_users_modules_from(folders: Sequence[str]) -> None:
    """Let modules below these folders be loaded by UserLoader."""
    machinery = importlib.machinery
    kinds = (
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
        (UserLoader, machinery.SOURCE_SUFFIXES),
    )
    make = machinery.FileFinder.path_hook(*kinds)
    roots = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)

    def hook(path: str) -> Any:
        real = os.path.join(os.path.realpath(path or os.curdir), "")
        if not real.startswith(roots) or "site-packages" in real or "dist-packages" in real:
            raise ImportError
        return make(path)

    sys.path_hooks.insert(0, hook)
    for path in [
        path for path in sys.path_importer_cache if os.path.realpath(path or os.curdir).startswith(roots)
    ]:
        del sys.path_importer_cache[path]


def new_main(path: str, package: str | None = None) -> ModuleType:
    """A fresh ``__main__``, as Python has one when it starts a script."""
    main = ModuleType("__main__")
    main.__file__ = path
    main.__package__ = package
    main.__builtins__ = sys.modules["builtins"]  # type: ignore[attr-defined]
    sys.modules["__main__"] = main
    return main
