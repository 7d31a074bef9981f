"""The page about the proof is complete; this needs no framework."""

from __future__ import annotations

from bnlint.registry import rules

from .cases import CASES, UNSEEN
from .page import PAGE, key, page, rows


def test_every_rule_has_a_row_or_a_reason() -> None:
    assert {*CASES, *UNSEEN} == {rule.code for rule in rules()}
    assert not set(CASES) & set(UNSEEN)
    wanted = {key(code, case) for code, cases in CASES.items() for case in cases} | set(UNSEEN)
    assert set(rows(PAGE.read_text(encoding="utf-8"))) == wanted, "run `make proof`"


def test_the_words_around_the_table_are_those_of_the_tests() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(rows(text)), "run `make proof`"
