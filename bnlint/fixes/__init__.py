"""Repairs: edits become text, are tried out on the whole program, and are written as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bnlint.findings import Problem, Report
from bnlint.source.files import Files, Overlay

Look = Callable[[Overlay], Report]
"""Checks again, with other bytes in the place of those on the disk."""


@dataclass(frozen=True, slots=True)
class Change:
    """The bytes of a file as they were analysed, and as they are to be."""

    before: bytes
    after: bytes


@dataclass(slots=True)
class Outcome:
    """What fixing comes to: the report after it, and what is to be written."""

    report: Report
    changes: dict[Path, Change] = field(default_factory=dict)


def repair(report: Report, look: Look, *, unsafe: bool = False) -> Outcome:
    """Try the fixes of a report's findings in memory; nothing is written."""
    raise NotImplementedError


def unified_diff(changes: Mapping[Path, Change]) -> str:
    """The changes as a unified diff that ``git apply`` takes."""
    raise NotImplementedError


def write(changes: Mapping[Path, Change]) -> list[Problem]:
    """Write each file whole or not at all; returns what could not be written, and why."""
    raise NotImplementedError


def resolve(report: Report, files: Files) -> None:
    """Work out the replacements of all fixes in a report."""
    raise NotImplementedError
