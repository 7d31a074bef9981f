"""What bnlint says: locations, steps, findings, fixes and the problems that kept it from looking.

Everything here is plain immutable data. The reports know these classes and nothing else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A span of source text, as the user counts: lines and columns from 1, columns in characters.

    ``path`` is relative to the current folder and uses ``/``. In a notebook ``cell`` counts the cells of
    the file from 1 and ``line`` is the line in that cell; elsewhere ``cell`` is None. The end column is
    the first column after the span.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    cell: int | None = field(default=None, compare=False)


class Group(enum.Enum):
    """The promise that a rule makes."""

    ERROR = "error"
    """No known false positive."""
    WARNING = "warning"
    """At most one in twenty is wrong."""
    INFO = "info"
    """A judgement call, off by default."""
    PREVIEW = "preview"
    """New, off by default."""


@dataclass(frozen=True, slots=True)
class Step:
    """One of the places that together make a bug, with a clause that says what happens there."""

    location: Location
    message: str


class Applicability(enum.Enum):
    """What may be done with a fix."""

    SAFE = "safe"
    """Does what the author evidently meant and cannot break."""
    UNSAFE = "unsafe"
    """Changes how the model trains or infers."""
    DISPLAY = "display"
    """Shown, never applied."""


@dataclass(frozen=True, slots=True)
class WrapStatement:
    """Put the statement at ``location`` under ``with <header>:``; ``{tf}`` in the header is the user's
    name for the TensorFlow module."""

    location: Location
    header: str


@dataclass(frozen=True, slots=True)
class MoveStatement:
    """Move the statement at ``location`` to just before the statement at ``before``."""

    location: Location
    before: Location


@dataclass(frozen=True, slots=True)
class SetKeyword:
    """Give the call at ``location`` the keyword argument ``name=value``, replacing one of that name."""

    location: Location
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class NameArgument:
    """Turn the positional argument at ``location`` into the keyword argument ``name=…``."""

    location: Location
    name: str


@dataclass(frozen=True, slots=True)
class RemoveArgument:
    """Take the argument whose value is at ``location`` out of its call."""

    location: Location


@dataclass(frozen=True, slots=True)
class ReplaceExpression:
    """Put ``text`` in the place of the expression at ``location``."""

    location: Location
    text: str


Edit = WrapStatement | MoveStatement | SetKeyword | NameArgument | RemoveArgument | ReplaceExpression


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair: every edit or none. ``message`` says what it does, or why it is only shown."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One bug: where it is, what it is, and the places that prove it."""

    code: str
    name: str
    group: Group
    location: Location
    message: str
    steps: tuple[Step, ...] = ()
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept bnlint from doing its whole job; makes the exit code 2."""

    path: str
    line: int
    message: str


@dataclass(slots=True)
class Summary:
    """Figures of one run.

    ``seconds`` is wall time, ``analysed`` are the paths of the files that were parsed, ``incomplete`` those of
    the entries whose programs are larger than what one analysis may cost.
    """

    files: int = 0
    parsed: int = 0
    programs: int = 0
    seconds: float = 0.0
    analysed: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """All that one run of ``bnlint check`` has to say."""

    findings: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
