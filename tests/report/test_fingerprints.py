"""Fingerprints survive moved lines, and no two findings share one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnlint.findings import Anchor, Finding, Group, Location, Report, Silencer, Suppressed, Suppression
from bnlint.report._fingerprints import Fingerprints

ANCHOR = Anchor("Net.build", "x = bn(x)")


def _at(line: int, anchor: Anchor | None = ANCHOR, path: str = "a.py", cell: int | None = None) -> Finding:
    return Finding("BN101", "x", Group.ERROR, Location(path, line, 1, line, 5, cell), "m", anchor=anchor)


def _marks(*findings: Finding) -> list[str]:
    fingerprints = Fingerprints(Report(list(findings)))
    return [fingerprints.of(finding) for finding in findings]


def test_moved_lines_and_cells_change_nothing() -> None:
    assert _marks(_at(3), _at(7)) == _marks(_at(30), _at(90))
    assert _marks(_at(3, cell=2)) == _marks(_at(1, cell=4))


def test_equal_statements_are_told_apart_by_their_order() -> None:
    first, second = _marks(_at(3), _at(7))
    assert first != second
    assert _marks(_at(7), _at(3)) == [second, first]
    assert len(set(_marks(_at(3, cell=1), _at(3, cell=2)))) == 2
    # Cells come before their lines.
    assert _marks(_at(3, cell=1), _at(1, cell=2)) == _marks(_at(3, cell=1), _at(9, cell=2))


@pytest.mark.parametrize(
    "other",
    [
        replace(_at(3), code="BN102"),
        _at(3, path="b.py"),
        _at(3, Anchor("Net.other", ANCHOR.statement)),
        _at(3, Anchor(ANCHOR.definition, "y = bn(x)")),
    ],
)
def test_what_a_fingerprint_is_made_of(other: Finding) -> None:
    assert _marks(_at(3)) != _marks(other)


def test_it_does_not_matter_what_else_is_reported() -> None:
    first, second = _at(3), _at(7)
    both = _marks(first, second)
    why = Suppression(Silencer.COMMENT, None, "known")
    suppressed = Report([second], suppressed=[Suppressed(first, why)])
    assert Fingerprints(suppressed).of(second) == both[1]
    assert Fingerprints(suppressed).of(first) == both[0]
    assert Fingerprints(Report([second], everything=[first, second])).of(second) == both[1]


def test_without_an_anchor_the_message_stands_for_it() -> None:
    finding = _at(3, None)
    assert _marks(finding) == _marks(_at(9, None))
    assert _marks(finding) != _marks(replace(finding, message="n"))
