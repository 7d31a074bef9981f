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
    partners: frozenset[Path] = frozenset()
    """Files that must be written as well, or this one not either: a fix edits both."""


@dataclass(slots=True)
class Outcome:
    """What fixing comes to: the report after it, and what is to be written."""

    report: Report
    changes: dict[Path, Change] = field(default_factory=dict)


def repair(report: Report, look: Look, *, unsafe: bool = False, files: Files | None = None) -> Outcome:
    """Try the fixes of a report's findings in memory; nothing is written.

    ``files`` gives the bytes that the report is about, by default those on the disk; ``look`` is called with the
    bytes that differ from them.
    """
    from bnlint.fixes.rounds import Repair

    return Repair(report, look, files or Files(), unsafe=unsafe).outcome()


def unified_diff(changes: Mapping[Path, Change]) -> str:
    """The changes as a unified diff that ``git apply`` takes."""
    from bnlint.fixes.diff import unified_diff

    return unified_diff(changes)


def write(changes: Mapping[Path, Change]) -> list[Problem]:
    """Write each file whole or not at all; returns what could not be written, and why."""
    from bnlint.fixes.writing import write

    return write(changes)


def resolve(report: Report, files: Files) -> None:
    """Work out the replacements of all fixes in a report."""
    from bnlint.fixes.replacements import resolve

    resolve(report, files)
