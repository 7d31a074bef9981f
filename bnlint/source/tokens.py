"""Cuts text of any Python, old, new or broken, into tokens and logical lines.

The standard tokenizer refuses what is not Python 3. This one refuses nothing: what it does not
know is a token of one character, and a bracket that is never closed ends where the next line can
only be a new statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<space> (?: [ \t\f] | \\\n )+ )
    | (?P<newline> \n )
    | (?P<string> [bBfFrRtTuU]{0,2} (?:
          \"\"\" [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* \"\"\"
        | ''' [^'\\]* (?: (?: \\. | '(?!'') ) [^'\\]* )* '''
        | " [^"\\\n]* (?: \\. [^"\\\n]* )* "
        | ' [^'\\\n]* (?: \\. [^'\\\n]* )* ' ) )
    | (?P<broken> ["'] [^\n]* )
    | (?P<comment> \# [^\n]* )
    | (?P<number> 0 [xXoObB] [0-9a-fA-F_]+ [lL]?
        | [0-9][0-9_]* [lL] (?! \w )
        | (?: [0-9][0-9_]* (?: \. [0-9_]* )? | \. [0-9][0-9_]* ) (?: [eE] [-+]? [0-9_]+ )? [jJ]? )
    | (?P<name> \w+ )
    | (?P<op> <> | \*\* | // | >> | << | -> | := | [-+*/%&|^=<>!@]= | . )
    """,
    re.VERBOSE | re.DOTALL,
)

_NEVER_INSIDE_BRACKETS = frozenset(
    "assert break class continue def del except exec finally global import nonlocal pass raise return "
    "try while with".split()
)

TAB = 8
"""The width of a tab stop in Python 2."""


class Token(NamedTuple):
    """A piece of text that is neither white space nor a comment."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset just after the token."""
        return self.start + len(self.text)


class Line(NamedTuple):
    """A logical line: what stands between two line ends that count.

    ``first`` and ``last`` are its physical lines, counted from 1; ``start`` is the offset of the first
    of them; ``indent`` is the column of its first token.
    """

    tokens: list[Token]
    start: int
    first: int
    last: int
    indent: int

    @property
    def keyword(self) -> str:
        """The first word."""
        return self.tokens[0].text

    @property
    def is_header(self) -> bool:
        """Does a suite on lines of its own follow?"""
        return self.tokens[-1].text == ":"


def logical_lines(text: str) -> list[Line]:
    """All logical lines of a text whose line ends are ``\\n``; blank ones and comments are left out."""
    found = []
    position, number = 0, 1
    while position < len(text):
        line, position, number = logical_line(text, position, number)
        if line.tokens:
            found.append(line)
    return found


def logical_line(text: str, position: int, number: int) -> tuple[Line, int, int]:
    """The logical line that starts at an offset, perhaps an empty one, with the offset and the number of
    the physical line that follow it."""
    tokens: list[Token] = []
    depth = 0
    last, current = number, number
    start = position
    for kind, word, begin in _scan(text, position):
        position = begin + len(word)
        if kind == "newline":
            current += 1
            if depth == 0 or _starts_statement(text, position):
                break
            continue
        if kind not in ("space", "comment"):
            tokens.append(Token(kind, word, begin))
            if kind == "op":
                depth = max(0, depth + (word in "([{") - (word in ")]}"))
            last = current + word.count("\n")
        if "\n" in word:
            current += word.count("\n")
    indent = len(text[start : tokens[0].start].expandtabs(TAB)) if tokens else 0
    return Line(tokens, start, number, last, indent), position, current


def pieces(text: str) -> Iterator[Token]:
    """Everything in a text, also white space, comments and the line ends that count and those that do not."""
    return (Token(*piece) for piece in _scan(text, 0))


def _scan(text: str, position: int) -> Iterator[tuple[str, str, int]]:
    for match in _TOKEN.finditer(text, position):
        yield match.lastgroup or "op", match.group(), match.start()


_WORD = re.compile(r"[ \t]*(\w+)")


def _starts_statement(text: str, position: int) -> bool:
    word = _WORD.match(text, position)
    return word is not None and word[1] in _NEVER_INSIDE_BRACKETS
