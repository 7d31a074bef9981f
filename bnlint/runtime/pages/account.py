"""What the reports show, worked out once: a verdict in plain words, a row for each layer, and the causes."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnlint.findings import Finding, Location, Report
from bnlint.runtime.observed import LayerSeen, Observed
from bnlint.runtime.oracle import Verdict, Verification

WORST_FIRST = (Verdict.FAIL, Verdict.WARN, Verdict.SKIP, Verdict.PASS)
"""The order in which layers are shown."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table; ``bad`` if it says what is wrong."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with a layer, or that could not be looked at."""

    verdict: Verdict
    text: str
    """The evidence, in sentences with figures."""
    rule: str = ""
    """The code of the rule that explains it; empty if none does."""
    what: str = ""
    """What is wrong, as a predicate: ``never learned its statistics``."""
    so: str = ""
    """What comes of it, in a sentence."""


@dataclass(slots=True)
class Row:
    """One layer."""

    layer: LayerSeen
    verdict: Verdict
    training: Cell
    """The formula that its output fits in training."""
    inference: Cell
    moved: Cell
    momentum: Cell
    """Declared and measured."""
    divergence: float | None
    independence: Cell
    """Whether inference treats each sample alone."""
    headline: str = ""
    """What is wrong, as a predicate: ``never learned its statistics``; empty if nothing is."""
    causes: list[Cause] = field(default_factory=list)
    train_sample: list[float] = field(default_factory=list)
    inference_sample: list[float] = field(default_factory=list)

    @property
    def site(self) -> Location | None:
        """Where it was built."""
        return self.layer.site


@dataclass(slots=True)
class Account:
    """All that a report shows."""

    title: str
    verdict: Verdict
    sentence: str
    """The verdict for someone who has read nothing else."""
    more: list[str]
    """Further sentences: other things that are wrong, and how the program ended."""
    rows: list[Row]
    """The broken ones first, otherwise in the order of the program."""
    causes: list[Cause] = field(default_factory=list)
    """About the whole model."""
    notes: list[str] = field(default_factory=list)
    many: dict[str, str] = field(default_factory=dict)
    """The predicates of causes, said of several layers."""
    facts: list[tuple[str, str]] = field(default_factory=list)
    """Name and value of what was executed."""
    findings: list[Finding] = field(default_factory=list)

    def of(self, *verdicts: Verdict) -> list[Row]:
        """The rows with one of these verdicts."""
        return [row for row in self.rows if row.verdict in verdicts]


def account_for(subject: Observed | Verification, report: Report, title: str = "") -> Account:
    """The account of a run or of a verification, with the findings of a report."""
    if isinstance(subject, Observed):
        from bnlint.runtime.pages.observation import account_of_run

        return account_of_run(subject, report, title)
    from bnlint.runtime.pages.checks import account_of_verification

    return account_of_verification(subject, report, title)


def whole(number: int, total: int) -> str:
    """``1 of 3 batch-norm layers``, ``Both batch-norm layers``."""
    if total == 1:
        return "The only batch-norm layer"
    if number == total:
        return "Both batch-norm layers" if total == 2 else f"All {total:,} batch-norm layers"
    return f"{number:,} of {total:,} batch-norm layers"


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of the verdicts. Nothing but skipped is skipped; passed and skipped is passed."""
    for verdict in (Verdict.FAIL, Verdict.WARN, Verdict.PASS):
        if verdict in verdicts:
            return verdict
    return Verdict.SKIP


def in_order(rows: list[Row]) -> list[Row]:
    """The rows with the broken ones first."""
    return sorted(rows, key=lambda row: WORST_FIRST.index(row.verdict))
