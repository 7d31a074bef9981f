"""What the source says about the phase at a call: whether it stands there as a constant."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.findings import Location
from bnlint.runtime.script.frames import Frames


class Sources:
    """The user's files as syntax trees; each is read once."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._calls: dict[str, list[ast.Call]] = {}
        self._known: dict[Location, list[ast.expr]] = {}

    def is_constant(self, place: Location | None, value: bool) -> bool:
        """Whether the call at a place passes this phase as a constant."""
        said = self._said(place)
        return bool(said) and all(_constant(each) is value for each in said)

    def arguments(
        self, place: Location | None, function: str, name: str, position: int
    ) -> list[ast.expr | None]:
        """What the calls of a function at a place pass for a parameter; None for those that leave it out.

        Empty if there is no such call there, or if arguments are unpacked.
        """
        calls = [] if place is None else [call for call in self._at(place) if _calls(call, function)]
        if any(isinstance(each, ast.Starred) for call in calls for each in call.args):
            return []
        if any(keyword.arg is None for call in calls for keyword in call.keywords):
            return []
        return [_argument(call, name, position) for call in calls]

    def is_name(self, place: Location | None) -> bool:
        """Whether it passes what a parameter or another variable of the function holds."""
        said = self._said(place)
        return bool(said) and all(isinstance(each, ast.Name) for each in said)

    def _said(self, place: Location | None) -> list[ast.expr]:
        if place is None:
            return []
        if place not in self._known:
            # Where only the line is known, all calls there that pass a phase must agree.
            self._known[place] = [argument for call in self._at(place) for argument in _phases(call)]
        return self._known[place]

    def _at(self, place: Location) -> list[ast.Call]:
        if place.path not in self._calls:
            try:
                tree = ast.parse(self._frames.text(place))
            except (SyntaxError, ValueError):
                # A translated file, for example; what is not known is no constant.
                tree = ast.Module([], [])
            self._calls[place.path] = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        calls = self._calls[place.path]
        exact = [call for call in calls if _is_at(call, place)]
        return exact or [
            call for call in calls if call.lineno <= place.line and place.end_line <= (call.end_lineno or 0)
        ]


def _is_at(call: ast.Call, place: Location) -> bool:
    # Columns of the tree are bytes, those of the place came from the same count.
    return (call.lineno, call.col_offset + 1, call.end_lineno, (call.end_col_offset or 0) + 1) == (
        place.line,
        place.column,
        place.end_line,
        place.end_column,
    )


def _phases(call: ast.Call) -> Iterator[ast.expr]:
    for keyword in call.keywords:
        if keyword.arg == "training":
            yield keyword.value
    for argument in call.args[1:]:
        if _constant(argument) is not None:
            yield argument


def is_constant(argument: ast.expr | None, value: bool) -> bool:
    """Whether an argument is this phase, as a constant."""
    return argument is not None and _constant(argument) is value


def _calls(call: ast.Call, function: str) -> bool:
    called = call.func
    return function in (getattr(called, "attr", None), getattr(called, "id", None))


def _argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return call.args[position] if given is None and len(call.args) > position else given


def _constant(argument: ast.expr) -> bool | None:
    if isinstance(argument, ast.Constant) and argument.value in (True, False, 0, 1):
        return bool(argument.value)
    return None
