"""The oracle: what batch normalisation must compute, how far a float may be off, and the twelve checks' verdicts.

With B the statistics of the batch and r the moving statistics (Ioffe and Szegedy 2015, algorithms 1 and 2):

- training:  y = gamma (x - mean_B) / sqrt(var_B + epsilon) + beta, and r <- m r + (1 - m) B
- inference: y = gamma (x - mean_r) / sqrt(var_r + epsilon) + beta

NumPy is imported where it is used; no framework is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field


class Verdict(enum.Enum):
    """The outcome of a check. SKIP is never success."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


TITLES = {
    1: "training normalises with the statistics of the batch",
    2: "inference normalises with the moving statistics",
    3: "a training step moves the statistics, by the declared momentum",
    4: "inference moves nothing",
    5: "the statistics converge to those of the data",
    6: "then training and inference agree",
    7: "on shifted data they differ",
    8: "inference treats each sample alone",
    9: "the same layers run in training and in inference",
    10: "a checkpoint keeps what inference needs",
    11: "a frozen layer does not move",
    12: "the statistics are finite, and belong to the channels",
}
"""What each of the twelve checks asks."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check of one layer (or of the whole model: ``layer`` is empty)."""

    check: int
    layer: str
    verdict: Verdict
    cause: str
    """One sentence."""
    rule: str = ""
    """The code that it confirms, if it fails."""
    measured: float | None = None
    tolerance: float | None = None


@dataclass(slots=True)
class Verification:
    """The twelve checks of a model. ``layers`` has the figures of each layer for the reports."""

    outcomes: list[Outcome] = field(default_factory=list)
    layers: list[object] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and something passed."""
        verdicts = {outcome.verdict for outcome in self.outcomes}
        return Verdict.FAIL not in verdicts and Verdict.PASS in verdicts

    def failures(self) -> Iterator[Outcome]:
        """The checks that failed."""
        return (outcome for outcome in self.outcomes if outcome.verdict is Verdict.FAIL)

    def assert_ok(self) -> None:
        """Raise AssertionError, with one line for each failed check, unless all is well."""
        if not self.ok:
            lines = [
                f"{outcome.layer}: {TITLES[outcome.check]}: {outcome.cause}" for outcome in self.failures()
            ]
            raise AssertionError("\n".join(lines) or "No check could be made.")
