"""Turns Python 2 into text that Python 3 parses, with every line where it was.

Only the syntax changes, so that the text can be analysed; nobody runs the result. Columns are kept
where that is possible: ``print x`` becomes ``print(x)`` and ``10L`` becomes ``10``, in place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

from bnlint.source.tokens import TAB, Line, Token, logical_lines

_COMPOUND = frozenset("if elif else for while try except finally with def class".split())
_NOT_AN_OPERAND = frozenset("in is and or if else for as".split())
_BAD_ESCAPE = re.compile(r"\\(?:([uUN])|.)", re.DOTALL)

Edit = tuple[int, int, str]
"""Replace the text from one offset up to another."""


def normalise(text: str) -> str | None:
    """The text with the syntax of Python 2 replaced by that of Python 3, or None if there is nothing to
    replace. The number of lines stays the same."""
    edits: list[Edit] = []
    lines = logical_lines(text)
    indentations = [text[line.start : line.tokens[0].start] for line in lines]
    # Python 3 refuses indentation whose meaning depends on the width of a tab.
    mixed = any("\t" in white for white in indentations) and any(" " in white for white in indentations)
    for line, following, white in zip_longest(lines, lines[1:], indentations):
        if mixed and "\n" not in white:
            edits.append((line.start, line.tokens[0].start, white.expandtabs(TAB)))
        edits += _tokens(line.tokens)
        edits += _lambdas(text, line.tokens)
        edits += _parameters(text, line, following)
        for statement in _statements(line.tokens):
            edits += _statement(text, statement)
    changed = _apply(text, edits)
    return changed if changed != text else None


def _apply(text: str, edits: list[Edit]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        pieces += (text[position:start], new)
        position = end
    return "".join((*pieces, text[position:]))


def _tokens(tokens: list[Token]) -> Iterator[Edit]:
    """What one token alone shows."""
    backtick_open = False
    for index, token in enumerate(tokens):
        following = tokens[index + 1].text if index + 1 < len(tokens) else "\n"
        new = token.text
        if new == "<>":
            new = "!="
        elif new == "`":
            backtick_open = not backtick_open
            new = "repr(" if backtick_open else ")"
        elif token.kind == "number":
            new = _number(new)
        elif token.kind == "string":
            new = _string(new)
        elif new == "async" and following not in ("def", "with", "for"):
            new = "async_"
        elif new == "await" and (following in ("\n", "in", "is") or following[0] in "=.,)]}:;<>!"):
            new = "await_"
        if new != token.text:
            yield token.start, token.end, new


def _number(text: str) -> str:
    if text[-1] in "lL":
        text = text[:-1] + " "
    if text[0] == "0" and text.strip().isdigit() and text.strip("0 "):
        text = "0o" + text[1:]
    return text


def _string(text: str) -> str:
    prefix = text[: len(text) - len(text.lstrip("bBfFrRtTuU"))]
    body = text[len(prefix) :]
    if prefix.lower() == "ur":
        return prefix[1] + body
    if prefix in ("b", "B") and not body.isascii():
        return body
    if not prefix and "\\" in body:
        # In a byte string of Python 2 these are two characters; in Python 3 they begin an escape.
        return _BAD_ESCAPE.sub(lambda match: "\\" + match[0] if match[1] else match[0], body)
    return text


def _statements(tokens: list[Token]) -> Iterator[list[Token]]:
    """The statements and headers of one logical line."""
    begin = 0
    depth = lambdas = 0
    for index, token in enumerate(tokens):
        depth += _bracket(token)
        if depth:
            continue
        if token.text == "lambda":
            lambdas += 1
        elif token.text == ":" and lambdas:
            lambdas -= 1
        elif token.text == ";" or (token.text == ":" and tokens[begin].text in _COMPOUND):
            yield tokens[begin:index]
            begin = index + 1
    yield tokens[begin:]


def _statement(text: str, tokens: list[Token]) -> Iterator[Edit]:
    if len(tokens) < 2:
        return
    keyword = tokens[0].text
    commas = [token for token in _outside_brackets(tokens) if token.text == ","]
    end = tokens[-1].end
    if keyword in ("print", "exec") and _starts_operand(tokens[1]):
        yield _open(text, tokens[0].end)
        if keyword == "exec":
            found = [token for token in _outside_brackets(tokens) if token.text == "in"]
            yield from ((token.start, token.end, " ,") for token in found[:1])
        yield end, end, ")"
    elif keyword == "raise" and commas:
        # The traceback becomes a second argument: it only has to be read, not to be right.
        yield commas[0].start, commas[0].end, "("
        yield end, end, ")"
    elif keyword == "except" and commas:
        target = tokens[tokens.index(commas[0]) + 1 :]
        if len(target) == 1:
            yield commas[0].start, commas[0].end, " as" if text[commas[0].end].isspace() else " as "
        else:
            yield commas[0].start, end, ""


def _starts_operand(token: Token) -> bool:
    if token.kind == "name":
        return token.text not in _NOT_AN_OPERAND
    return token.kind in ("string", "number") or token.text in "`[{~-"


def _open(text: str, position: int) -> Edit:
    """Opens a bracket after a keyword, over the space that follows if there is one."""
    return position, position + (text[position] in " \t"), "("


def _outside_brackets(tokens: list[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        if depth == 0:
            yield token
        depth += _bracket(token)


def _lambdas(text: str, tokens: list[Token]) -> Iterator[Edit]:
    """``lambda (k, v): v`` becomes ``lambda k_v: [v for (k,v), in [(k_v,)]][0]``."""
    # The innermost first, because where two end together its edit has to come first.
    for index in reversed(range(len(tokens))):
        if tokens[index].text != "lambda":
            continue
        colon = _find(tokens, index + 1, ":")
        groups = _tuples(tokens[index + 1 : colon])
        if not groups or colon + 1 >= len(tokens):
            continue
        yield from (_rename(text, group) for group in groups)
        end = tokens[_end_of_expression(tokens, colon + 1) - 1].end
        patterns = "".join(_pattern(group) + "," for group in groups)
        names = "".join(_joined(group) + "," for group in groups)
        yield tokens[colon + 1].start, tokens[colon + 1].start, "["
        yield end, end, f" for {patterns} in [({names})]][0]"


def _parameters(text: str, line: Line, following: Line | None) -> Iterator[Edit]:
    """``def f(a, (b, c)):`` becomes ``def f(a, b_c):``, and the first statement of the body is preceded by
    ``(b,c) = b_c;``."""
    tokens = line.tokens
    if line.keyword != "def" or len(tokens) < 4:
        return
    colon = _find(tokens, 0, ":")
    groups = _tuples(tokens[3:colon])
    if not groups:
        return
    yield from (_rename(text, group) for group in groups)
    first = tokens[colon + 1] if colon + 1 < len(tokens) else None
    if first is None and following is not None and following.keyword not in (*_COMPOUND, "@"):
        first = following.tokens[0]
    if first is not None:
        unpack = "".join(f"{_pattern(group)} = {_joined(group)}; " for group in groups)
        yield first.start, first.start, unpack


def _find(tokens: list[Token], begin: int, text: str) -> int:
    """The index of the first such token outside brackets, or the number of tokens."""
    depth = 0
    for index in range(begin, len(tokens)):
        if depth == 0 and tokens[index].text == text:
            return index
        depth += _bracket(tokens[index])
    return len(tokens)


def _end_of_expression(tokens: list[Token], begin: int) -> int:
    depth = lambdas = 0
    for index in range(begin, len(tokens)):
        token = tokens[index]
        depth += _bracket(token)
        if depth < 0:
            return index
        if depth:
            continue
        if token.text == "lambda":
            lambdas += 1
        elif token.text == ":" and lambdas:
            lambdas -= 1
        elif token.text in (",", ";", ":", "for", "="):
            return index
    return len(tokens)


def _bracket(token: Token) -> int:
    if token.kind != "op":
        return 0
    return (token.text in "([{") - (token.text in ")]}")


def _tuples(tokens: list[Token]) -> list[list[Token]]:
    """The parameters that are tuples."""
    found = []
    fresh = True
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.text in "([{" and token.kind == "op":
            close = _matching(tokens, index)
            if fresh and token.text == "(" and close < len(tokens):
                found.append(tokens[index : close + 1])
            index = close
        fresh = token.text == ","
        index += 1
    return found


def _matching(tokens: list[Token], begin: int) -> int:
    depth = 0
    for index in range(begin, len(tokens)):
        depth += _bracket(tokens[index])
        if depth == 0:
            return index
    return len(tokens)


def _rename(text: str, group: list[Token]) -> Edit:
    start, end = group[0].start, group[-1].end
    return start, end, _joined(group) + "\\\n" * text.count("\n", start, end)


def _joined(group: list[Token]) -> str:
    return "_".join(token.text for token in group if token.kind == "name")


def _pattern(group: list[Token]) -> str:
    return "".join(token.text for token in group)
