"""What the user's code around a line is called: the weakest evidence, and often all there is about what a run is for.

It is read from the source by the indentation of ``def`` and ``class``, which works for Python 2 as well.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator

from bnlint.findings import Location
from bnlint.words import EVALUATING, TRAINING, is_phase_name, words

_MAKES_UP = ("zeros", "ones", "full", "empty", "rand", "randn", "randint")
_DEFINITION = re.compile(r"(\s*)(?:async\s+)?(?:def|class)\s+(\w+)")


def names(place: Location) -> list[str]:
    """The functions and classes around a line, innermost first, and the module."""
    found = []
    lines = _lines(place.path) if place.cell is None else ()
    if 0 < place.line <= len(lines):
        depth = _depth(lines[place.line - 1])
        for line in reversed(lines[: place.line - 1]):
            if not line.strip() or line.lstrip().startswith(("#", ")", "]", "}")) or _depth(line) >= depth:
                continue
            # Whatever begins further left ends the blocks of before, a definition or not.
            depth = _depth(line)
            match = _DEFINITION.match(line)
            if match is not None:
                found.append(match.group(2))
    return [*found, place.path.rpartition("/")[2].partition(".")[0]]


def text(place: Location) -> str:
    """The whole lines of a place."""
    lines = _lines(place.path) if place.cell is None else ()
    return "\n".join(lines[place.line - 1 : place.end_line])


def call_at(place: Location) -> ast.Call | None:
    """The call that is written in a place; None if it is something else, or more than a call."""
    try:
        found = ast.parse(_part(place), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return found if isinstance(found, ast.Call) else None


def called(place: Location | None) -> str:
    """How what is called in a place is written (``self.netG``); empty if no call stands there."""
    call = call_at(place) if place is not None else None
    return ast.unparse(call.func) if call is not None else ""


def is_on_made_up_data(place: Location | None) -> bool:
    """Whether a call is given nothing but numbers that it makes up where it stands."""
    call = call_at(place) if place is not None else None
    given = [*call.args, *(each.value for each in call.keywords)] if call is not None else []
    return bool(given) and all(map(_is_made_up, given))


def sign_of_evaluation(places: Iterable[Location]) -> str:
    """What the lines that lead to a run say about it, if they say that it evaluates; innermost first."""
    for place in places:
        call, line = _said(_part(place)), _said(text(place))
        said = call & EVALUATING or (set() if call & TRAINING else line & EVALUATING)
        if said:
            return f"line {place.line} is about `{min(said)}`"
        if call & TRAINING:
            return ""
        for name in names(place):
            parts = set(words(name))
            if parts & TRAINING:
                return ""
            if parts & EVALUATING:
                return f"it runs in `{name}`"
    return ""


def all_names(places: Iterable[Location | None]) -> Iterator[str]:
    """Everything that is around some lines."""
    for place in places:
        if place is not None:
            yield from names(place)


def _is_made_up(node: ast.expr) -> bool:
    """``torch.zeros(1, 3)``, ``torch.randn(1, 3).cuda()``."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr in _MAKES_UP or _is_made_up(function.value)
    return isinstance(function, ast.Name) and function.id in _MAKES_UP


def _part(place: Location) -> str:
    """The text of a place, to the column."""
    lines = text(place).split("\n")
    lines[-1] = lines[-1][: place.end_column - 1]
    return (
        "\n".join([lines[0][place.column - 1 :], *lines[1:]])
        if len(lines) > 1
        else lines[0][place.column - 1 :]
    )


def _said(code: str) -> set[str]:
    """The words of the names in some code, without those of phases: a feed has one whatever the run is for."""
    return {word for name in re.findall(r"\w+", code) if not is_phase_name(name) for word in words(name)}


def _depth(line: str) -> int:
    expanded = line.expandtabs()
    return len(expanded) - len(expanded.lstrip())


@functools.lru_cache(maxsize=64)
def _lines(path: str) -> tuple[str, ...]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return tuple(file.read().splitlines())
    except (OSError, ValueError):
        # The source may be elsewhere by now; what is not known is no evidence.
        return ()
