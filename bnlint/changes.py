"""Which lines have changed since a revision of git."""

from __future__ import annotations

from pathlib import Path

from bnlint.errors import UserError
from bnlint.findings import Report
from bnlint.source.files import Files


class ChangesError(UserError):
    """Git cannot say what has changed."""


class Changes:
    """What has changed since a revision."""

    @classmethod
    def since(cls, revision: str, folder: Path) -> Changes:
        """Ask git, in the repository that a folder is in.

        Raises ChangesError.
        """
        raise NotImplementedError

    def apply(self, report: Report, files: Files) -> None:
        """Take the findings that touch no changed line, neither themselves nor by a step, out of a report."""
        raise NotImplementedError
