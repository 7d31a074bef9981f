"""Writes comments that suppress findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnlint.findings import Finding
from bnlint.fixes import Change
from bnlint.source.files import Files


def suppressing(findings: Sequence[Finding], reason: str, files: Files) -> dict[Path, Change]:
    """The files with a comment ``# bnlint: ignore[CODES] reason`` for each of the findings."""
    raise NotImplementedError
