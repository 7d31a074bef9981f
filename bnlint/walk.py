"""Walking syntax trees: most of what reading a large project costs after parsing it."""

from __future__ import annotations

import ast

_NO_CODE = frozenset(
    {
        "ctx",
        "id",
        "attr",
        "arg",
        "asname",
        "conversion",
        "is_async",
        "kind",
        "level",
        "lineno",
        "module",
        "name",
    }
    | {"op", "ops", "rest", "simple", "tag", "type_comment", "type_ignores"}
)
"""Fields of nodes that hold no code."""


def walk(node: ast.AST) -> list[ast.AST]:
    """A node and all nodes of code in it, in the order of :func:`ast.walk`.

    Does in half of the time what that does, and leaves out ``ast.Load`` and the operators.
    """
    found = [node]
    for outer in found:
        kind = type(outer)
        fields = _FIELDS.get(kind)
        if fields is None:
            fields = _FIELDS[kind] = tuple(name for name in kind._fields if name not in _NO_CODE)
        for name in fields:
            child = getattr(outer, name, None)
            if isinstance(child, ast.AST):
                found.append(child)
            elif child.__class__ is list:
                found += [item for item in child if isinstance(item, ast.AST)]
    return found


_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {ast.Constant: ()}
