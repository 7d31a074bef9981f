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


# What an edit's text may hold: ``{tf}`` stands for the user's name of TensorFlow's module with the graph-mode
# API (``tf``, ``tf.compat.v1``, …); if the file has none, the fix imports it.


@dataclass(frozen=True, slots=True)
class WrapStatement:
    """Put the statement around ``location`` under ``with <header>:``."""

    location: Location
    header: str


@dataclass(frozen=True, slots=True)
class MoveStatement:
    """Move the statement around ``location`` to just before the statement around ``before``."""

    location: Location
    before: Location


@dataclass(frozen=True, slots=True)
class InsertStatement:
    """Put the statements ``text``, without indentation of their own, right before or after the statement around
    ``location``, at its depth."""

    location: Location
    text: str
    after: bool = False


@dataclass(frozen=True, slots=True)
class RemoveStatement:
    """Take out the statement around ``location``; ``pass`` stays where a block would become empty."""

    location: Location


@dataclass(frozen=True, slots=True)
class SetKeyword:
    """Give the call at ``location`` the keyword argument ``name=value``, replacing one of that name."""

    location: Location
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RenameKeyword:
    """Call the keyword argument ``old=…`` of the call at ``location`` ``new`` instead."""

    location: Location
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class NameArgument:
    """Turn the positional argument at ``location`` into the keyword argument ``name=…``, and the positional ones
    after it, which must be none."""

    location: Location
    name: str


@dataclass(frozen=True, slots=True)
class RemoveArgument:
    """Take the argument whose value is at ``location`` out of its call."""

    location: Location


@dataclass(frozen=True, slots=True)
class AddParameter:
    """Give the function that is defined around ``location``, which is in its head, the parameter ``name=default``: the
    last that can be given by position, or a keyword where more may be given so."""

    location: Location
    name: str
    default: str


@dataclass(frozen=True, slots=True)
class AddItem:
    """Put the item ``key: value`` at the end of the dictionary display ``{…}`` at ``location``."""

    location: Location
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ReplaceExpression:
    """Put ``text`` in the place of the expression at ``location``; ``{old}`` in it is what stood there."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class ReplaceComment:
    """Put ``text`` in the place of the comment at ``location``; without text the comment goes, and with it its
    line if there is nothing else on it."""

    location: Location
    text: str


Edit = (
    WrapStatement
    | MoveStatement
    | InsertStatement
    | RemoveStatement
    | SetKeyword
    | RenameKeyword
    | NameArgument
    | RemoveArgument
    | AddParameter
    | AddItem
    | ReplaceExpression
    | ReplaceComment
)


@dataclass(frozen=True, slots=True)
class Replacement:
    """The text that takes the place of a span of the file: an edit as every editor understands it."""

    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair: every edit or none.

    ``message`` says what it does, or why it is only shown. ``replacements`` are the edits in terms of text; they
    are worked out on demand, in ``bnlint.fixes``, because this takes a parser that keeps the layout.
    """

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...] = ()
    replacements: tuple[Replacement, ...] = ()


@dataclass(frozen=True, slots=True)
class Anchor:
    """By what a finding is recognised when lines have moved.

    ``definition`` is the qualified name of the function or class around it, empty at the top of a module;
    ``statement`` is the statement without its layout and comments, of a compound statement only the head.
    """

    definition: str
    statement: str


class Verdict(enum.Enum):
    """What a run says about a finding."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of a finding when the program was run, as a sentence."""

    verdict: Verdict
    message: str


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
    anchor: Anchor | None = None
    """Set once the finding is known to be reported."""
    evidence: Evidence | None = None
    """From a run of the program, if it says anything about the finding."""


class Silencer(enum.Enum):
    """What keeps a finding from being reported."""

    COMMENT = "comment"
    BASELINE = "baseline"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why a finding is not reported: by a comment, whose place this is, by an entry of the baseline file, or because a
    run of the program contradicts it."""

    silencer: Silencer
    location: Location | None
    reason: str


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that is not reported."""

    finding: Finding
    suppression: Suppression


@dataclass(frozen=True, slots=True)
class UnusedSuppression:
    """A comment that suppresses nothing, or of whose codes some suppress nothing.

    ``location`` is that of the comment, ``codes`` are those in vain (none if the comment names no code), and
    ``rest`` is what the comment should say instead, empty if it should go. ``mistake`` says in sentences what is
    not understood in it.
    """

    location: Location
    codes: tuple[str, ...]
    rest: str
    mistake: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A finding that was to be fixed and was not."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What a report may say about a rule; ``page`` is Markdown."""

    code: str
    name: str
    group: Group
    summary: str
    page: str
    fixable: tuple[Applicability, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept bnlint from doing its whole job; makes the exit code 2."""

    path: str
    line: int
    message: str
    unwritten: bool = False
    """Whether the file was checked, and could not be written."""


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
    """What is reported: neither suppressed nor in the baseline, and in the files that were asked for."""
    problems: list[Problem] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    suppressed: list[Suppressed] = field(default_factory=list)
    fixed: list[Finding] = field(default_factory=list)
    """What was found and is gone, because it was fixed."""
    refused: list[Refused] = field(default_factory=list)
    everything: list[Finding] = field(default_factory=list)
    """All that the rules found, whoever asked for it: in other files of the programs, suppressed or not."""
    notes: list[str] = field(default_factory=list)
    """Sentences that the user should read and that do not change the exit code."""
    rules: tuple[RuleInfo, ...] = ()
    """The rules that were asked; none if no file has anything to do with normalisation."""
    asked: list[str] = field(default_factory=list)
    """The paths of the files whose findings were asked for."""
