"""The baseline: findings that were there before bnlint was, and that are not reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnlint.errors import UserError
from bnlint.findings import Finding, Report


class BaselineError(UserError):
    """The baseline file cannot be used."""


class Baseline:
    """What a baseline file holds."""

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a baseline file.

        Raises BaselineError.
        """
        raise NotImplementedError

    def apply(self, report: Report) -> None:
        """Take the findings that the baseline knows out of a report, and note the entries that are stale."""
        raise NotImplementedError

    def prune(self) -> int:
        """Take the entries that were stale in the last report out of the file; returns how many they were.

        Raises BaselineError.
        """
        raise NotImplementedError


def write(path: Path, findings: Sequence[Finding]) -> None:
    """Write a baseline file that holds these findings.

    Raises BaselineError.
    """
    raise NotImplementedError
