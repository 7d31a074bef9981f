"""Finds the imports of a file in its bytes, without parsing it."""

from __future__ import annotations

import re
from typing import NamedTuple

_KEYWORD = re.compile(rb"import\b")
_SPACE = rb"(?:[ \t\f]|\\\r?\n)"
# A statement begins on a line, after a semicolon or a colon, and in the text of a notebook after a quote
# or an escaped line end.
_BEGIN = rb"(?:\A|[\n\r;:\"]|\\n)[ \t\f]*"
_IMPORT = re.compile(_BEGIN + rb"\Z")
_FROM = re.compile(
    _BEGIN
    + rb"from"
    + _SPACE
    + rb"*(?P<dots>(?:\."
    + _SPACE
    + rb"*)*)(?P<module>[\w.\x80-\xff]*)"
    + _SPACE
    + rb"*\Z"
)
_NAMES = re.compile(_SPACE + rb"*(?:\((?P<inside>(?:[^)#]|#[^\n\r]*)*)|(?P<line>(?:[^\n\r;#\\]|\\\r?\n)*))")
_NAME = re.compile(rb"\s*([\w.\x80-\xff]+|\*)")
_NOISE = re.compile(rb"#[^\n\r]*|\\\r?\n|\\n|[\"\r\n]")
_FARTHEST = 300
"""How far before ``import`` its ``from`` may begin."""


class Import(NamedTuple):
    """One module that is imported.

    ``names`` are what a ``from`` import takes out of it, none for ``import a.b`` and for ``*``; ``level``
    counts the leading dots.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0
    star: bool = False


def imports(data: bytes) -> list[Import]:
    """The imports in a file, in order.

    Text in strings that looks like an import counts as well: a link too many does no harm.
    """
    found = []
    for keyword in _KEYWORD.finditer(data):
        before = data[max(0, keyword.start() - _FARTHEST) : keyword.start()]
        source = _FROM.search(before)
        if source is None and not _IMPORT.search(before):
            continue
        names = _names(data, keyword.end())
        if source is None:
            found += [Import(name) for name in names if name != "*"]
            continue
        module = source["module"]
        level = source["dots"].count(b".")
        bare = module.lstrip(b".")
        star = "*" in names
        found.append(Import(bare.decode(errors="replace"), () if star else tuple(names), level, star))
    return found


_DYNAMIC = re.compile(rb"\b(?:import_module|__import__)\s*\(")
_TEXT = re.compile(rb"""[\'"]([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)[\'"]""")


def imports_by_text(data: bytes) -> bool:
    """Whether a file imports modules whose names it is told (``importlib.import_module(name)``)."""
    return _DYNAMIC.search(data) is not None


def texts(data: bytes) -> set[str]:
    """The texts in a file that may be names of modules, or of something in one."""
    return {match.decode() for match in _TEXT.findall(data)}


def _names(data: bytes, position: int) -> list[str]:
    listed = _NAMES.match(data, position)
    if listed is None:
        return []
    text = _NOISE.sub(b" ", listed["inside"] or listed["line"] or b"")
    parts = (_NAME.match(part) for part in text.split(b","))
    return [part[1].decode(errors="replace") for part in parts if part]
