"""A program that is larger than what one analysis may cost.

## What it does

Reports that a budget ran out while a program was interpreted, and at which entry.

## Why it is bad

Bugs behind the point where the analysis stopped are not reported. The program is partly analysed, not clean.

## When it is not a bug

Always a limit of the analysis, never a fault of the program.

## Example

A search that calls itself with every possible move of a game is interpreted move by move.

## Use instead

Check the file that builds and trains the network by itself, or exclude the entry.

## Fix safety

There is no fix.

## Confirmed by

Nothing to confirm.

## Known limits

What was not analysed cannot be listed; the files that were read are shown by `--show-files`.

## References

- Cousot and Cousot 1977, *Abstract interpretation: a unified lattice model*.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Finding, Group, Location
from bnlint.rule import Rule
from bnlint.trace import Trace


class AnalysisIncomplete(Rule):
    """A budget ran out."""

    code = "BN002"
    name = "analysis-incomplete"
    group = Group.INFO

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report at the program's entry."""
        if trace.incomplete:
            place = Location(trace.entry, 1, 1, 1, 1)
            yield self.finding(place, f"the analysis stopped early: {trace.incomplete}")
