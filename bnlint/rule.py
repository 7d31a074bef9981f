"""What every rule is: a code, a name, a promise, a page, and a question asked of a trace."""

from __future__ import annotations

import abc
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from bnlint.findings import Applicability, Finding, Fix, Group, Location, RuleInfo, Step

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed
    from bnlint.trace import Trace

HEADINGS = (
    "What it does",
    "Why it is bad",
    "When it is not a bug",
    "Example",
    "Use instead",
    "Fix safety",
    "Confirmed by",
    "Known limits",
    "References",
)
"""The sections of a rule's page, in this order."""

PROMISES = {
    Group.ERROR: "no known false positive",
    Group.WARNING: "at most one in twenty is wrong",
    Group.INFO: "a judgement call, off by default",
    Group.PREVIEW: "new, off by default",
}
"""What each group promises, in words for the user."""

_SECTION = re.compile(r"^## (.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```\s*?$", re.MULTILINE | re.DOTALL)


class Rule(abc.ABC):
    """One bug. The docstring of the file that defines the rule is the rule's page."""

    code: ClassVar[str]
    """Such as ``BN101``; never used again for another bug."""
    name: ClassVar[str]
    """Names the bad pattern, in words joined by hyphens."""
    group: ClassVar[Group]
    frameworks: ClassVar[tuple[str, ...]] = ()
    """The packages in ``bnlint.frameworks`` whose code can have the bug; empty if any can."""
    fixable: ClassVar[tuple[Applicability, ...]] = ()
    """What its fixes may be, from the safest on; empty if it never has one."""

    @abc.abstractmethod
    def check(self, trace: Trace) -> Iterator[Finding]:
        """Find the bug in what a program does, once for each root cause."""

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Find the bug in what a running program did; rules that nothing can be seen of at run time find nothing."""
        return iter(())

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """What a running program did that shows a finding of this rule to be wrong, as a clause; empty if nothing."""
        return ""

    def finding(
        self, location: Location, message: str, steps: Sequence[Step] = (), fix: Fix | None = None
    ) -> Finding:
        """A finding of this rule."""
        return Finding(self.code, self.name, self.group, location, message, tuple(steps), fix)


def page(rule: Rule) -> str:
    """The rule's page, in Markdown."""
    title = f"# {rule.code} {rule.name}\n\nGroup `{rule.group.value}`: {PROMISES[rule.group]}.\n"
    text = _docstring(rule)
    return f"{title}\n{text}\n" if text else title


def summary(rule: Rule) -> str:
    """The first paragraph of the rule's page, on one line."""
    return " ".join(_docstring(rule).partition("\n\n")[0].split())


def describe(rule: Rule) -> RuleInfo:
    """What a report or a table may say about the rule."""
    return RuleInfo(rule.code, rule.name, rule.group, summary(rule), page(rule), rule.fixable)


def mistakes(rule: Rule) -> list[str]:
    """What is wrong with how the rule describes itself, in sentences; an empty list if nothing is."""
    found = []
    if not re.fullmatch(r"[A-Z]+[0-9]{3,}", rule.code):
        found.append(f"The code {rule.code!r} must be capital letters and at least three digits.")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name):
        found.append(f"The name {rule.name!r} must be lower-case words joined by hyphens.")
    text = _FENCE.sub("```", _docstring(rule))
    first, *sections = _SECTION.split(text)
    headings = tuple(sections[::2])
    if not first.strip():
        found.append("The page must begin with a sentence that says what the bug is.")
    if headings != HEADINGS:
        found.append(f"The page must have the headings {', '.join(HEADINGS)}; it has {', '.join(headings)}.")
    for heading, body in zip(headings, sections[1::2], strict=True):
        if not body.strip():
            found.append(f"The section {heading!r} is empty.")
    return found


def _docstring(rule: Rule) -> str:
    return (sys.modules[type(rule).__module__].__doc__ or "").strip()
