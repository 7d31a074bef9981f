"""What happens at certain lines while programs are interpreted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from bnlint.dataflow import Choice, Value
from bnlint.explain.describe import described, place
from bnlint.findings import Finding, Location
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, ApiRef, Call, ClassValue, Instance, Method, Partial
from bnlint.registry import rules
from bnlint.trace import Trace

_MOST_CALLERS = 3


@dataclass(frozen=True, slots=True)
class Called:
    """One call at the line, in words; calls that look the same are one."""

    location: Location
    what: str
    unknown: str
    """The dotted name of the library's function that no framework describes, or empty."""
    arguments: tuple[tuple[str, str], ...]
    result: str
    conditions: tuple[str, ...]
    callers: tuple[str, ...]


@dataclass(slots=True)
class Seen:
    """What one program did at the line."""

    trace: Trace
    calls: dict[Called, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    """What all rules would say of the program, also those that are off."""


class LineObserver:
    """Takes note of the calls that begin on certain lines of a file, program by program."""

    def __init__(self, path: str, lines: range, cell: int | None) -> None:
        """``path`` is the display path of the file."""
        self._path = path
        self._lines = lines
        self._cell = cell
        self.programs: list[Seen] = []
        self._calls: dict[Called, int] = {}

    def covers(self, location: Location) -> bool:
        """Whether a location begins on one of the lines."""
        return location.path == self._path and location.cell == self._cell and location.line in self._lines

    def call(self, machine: Machine, function: Value, made: Call, make: Callable[[], Value]) -> Value:
        """Make a call; keep it if it begins on one of the lines."""
        if not self.covers(made.site):
            return make()
        function = machine.settle(function)
        arguments = _arguments(made, machine)
        conditions = tuple(
            f"{described(condition)} is {'true' if outcome else 'false'}"
            for condition, outcome in machine.guards
        )
        callers = tuple(
            f"`{frame.function}` called at {place(frame.site)}"
            for frame in machine.frame.outwards()
            if frame.site is not None and frame.node is not None
        )[:_MOST_CALLERS]
        result = make()
        called = Called(
            made.site,
            described(function),
            _not_described(function, machine),
            arguments,
            described(result),
            conditions,
            callers,
        )
        self._calls[called] = self._calls.get(called, 0) + 1
        return result

    def interpreted(self, trace: Trace) -> None:
        """Take note of what was seen of a program."""
        findings: list[Finding] = []
        for rule in rules():
            # The run itself has already reported the rule that crashes.
            with contextlib.suppress(Exception):
                findings.extend(rule.check(trace))
        self.programs.append(Seen(trace, self._calls, findings))
        self._calls = {}


def _arguments(made: Call, machine: Machine) -> tuple[tuple[str, str], ...]:
    positional = [
        (f"{number}.", described(machine.settle(value))) for number, value in enumerate(made.args, 1)
    ]
    named = [(f"{name} =", described(machine.settle(value))) for name, value in made.kwargs.items()]
    return (*positional, *named, *([("...", "more that is not known")] if made.open else []))


def _not_described(function: Value, machine: Machine) -> str:
    """The name of a library's function that no framework describes."""
    while isinstance(function, Partial):
        function = function.function
    if isinstance(function, Choice):
        names = (_not_described(option, machine) for _, option in function.options)
        return next((name for name in names if name), "")
    name = ""
    if isinstance(function, ApiRef):
        name = function.name
    elif isinstance(function, Method) and isinstance(function.function, str):
        receiver = function.receiver
        if isinstance(receiver, ApiObject):
            name = f"{receiver.kind}.{function.function}"
        elif isinstance(receiver, Instance | ClassValue):
            name = function.function
    if not name or name.startswith("builtins.") or machine.libraries.knows(name):
        return ""
    framework = machine.libraries.framework_of(name)
    return "" if framework is not None and framework.fallback is not None else name
