"""How a report may look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """How a text format may look."""

    colour: bool = False
    width: int = 100
    """Columns of the terminal."""
    summary: bool = True
    """Whether to end with a line that sums up."""
    statistics: bool = False
    """Whether to count the findings of each rule."""
    suppressed: bool = False
    """Whether to list the findings that are suppressed."""
