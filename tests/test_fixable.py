"""Rules say the truth about their fixes, which the table of rules prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from bnlint.check import Options, check
from bnlint.findings import Applicability
from bnlint.registry import rules

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_the_fixes_of_the_fixtures_are_of_the_kinds_that_their_rules_declare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, set[Applicability]] = defaultdict(set)
    for case in sorted(FIXTURES.glob("*/bad_*")):
        root = case if case.is_dir() else case.parent
        monkeypatch.chdir(root)
        for finding in check([case], Options(select=("ALL",), project_root=root)).findings:
            if finding.fix is not None:
                seen[finding.code].add(finding.fix.applicability)
    untrue = {
        rule.code: {"declared": _words(rule.fixable), "seen": _words(seen[rule.code])}
        for rule in rules()
        if set(rule.fixable) != seen[rule.code]
    }
    assert untrue == {}


def _words(kinds: Iterable[Applicability]) -> list[str]:
    return sorted(kind.value for kind in kinds)


def test_kinds_are_declared_once_and_from_the_safest_on() -> None:
    order = list(Applicability)
    for rule in rules():
        assert list(rule.fixable) == sorted(set(rule.fixable), key=order.index), rule.code
