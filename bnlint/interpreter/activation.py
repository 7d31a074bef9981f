"""Running functions: how blocks end, and what is kept for each call."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from bnlint.dataflow import Guards, Value
from bnlint.interpreter.store import Watch, Written
from bnlint.interpreter.values import Scope

STEPS = 200_000
"""Statements and expressions that one program may cost."""
GENEROUS = 600_000
"""When the programs of a project have cost so many steps together, the others get an eighth each."""
ALONE = 20_000
"""Steps that one function may cost when it is interpreted on its own."""
GENEROUS_ALONE = 300_000
"""The same as for programs: functions on their own are what most of a library consists of."""
GENEROUS_SILENT = 100_000
"""After so many steps, those functions are left out that speak neither of normalisation nor of driving a model: a
library of models has hundreds that only call the others with other sizes."""
DEPTH = 60
"""Calls inside calls."""
RECURSIONS = 5
"""Calls of one function inside itself, when it counts down; otherwise what it does the second time is not known."""
TREE = 12
"""The same for a function that goes down a tree of objects."""


def allowance(most: int, spent: int, generous: int = GENEROUS) -> int:
    """The steps of the next of many analyses, after others of the kind have cost so many: less and less."""
    if spent <= generous:
        return most
    return most // 8 if spent <= 2 * generous else most // 40 if spent <= 4 * generous else most // 200


class BudgetExceeded(Exception):
    """The program is larger than what one analysis may cost."""


class Signal(enum.Enum):
    """How a block of statements ended early."""

    RETURN = "return"
    BREAK = "break"
    CONTINUE = "continue"
    RAISE = "raise"


@dataclass(slots=True)
class Exit:
    """A branch that left early: under which guards, with what value, having written what.

    ``watch`` notes what the others write afterwards, which the branch has not seen.
    """

    guards: Guards
    value: Value | None
    written: Written
    watch: Watch


@dataclass(slots=True)
class Activation:
    """One running function (or module body)."""

    scope: Scope
    base: Guards
    """The guards when it was entered."""
    value: Value | None = None
    exits: list[Exit] = field(default_factory=list)
    loop_exits: list[list[Exit]] = field(default_factory=list)
    loop_bases: list[Guards] = field(default_factory=list)
    yielded: list[Value] = field(default_factory=list)
    on_yield: Callable[[Value], None] | None = None
    """What to do at ``yield``: the body of a ``with`` over a generator context manager."""
