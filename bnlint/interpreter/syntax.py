"""Questions about the text of a piece of code, answered once for each."""

from __future__ import annotations

import ast
import re

from bnlint.walk import walk


def mentions(node: ast.AST, words: re.Pattern[str]) -> bool:
    """Whether a name, an attribute or a keyword in a piece of code matches a pattern."""
    names: frozenset[str] | None = getattr(node, "_bnlint_mentioned", None)
    if names is None:
        found = set()
        for part in walk(node):
            if isinstance(part, ast.Attribute):
                found.add(part.attr)
            elif isinstance(part, ast.Name):
                found.add(part.id)
            elif isinstance(part, ast.keyword) and part.arg:
                found.add(part.arg)
        names = frozenset(found)
        node._bnlint_mentioned = names  # type: ignore[attr-defined]
    return any(map(words.search, names))
