"""`bnlint rule`, `bnlint rules`, `--version` and wrong usage."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import bnlint
from bnlint import table
from bnlint.cli import main
from bnlint.findings import Applicability, Group, RuleInfo
from bnlint.registry import rules


@pytest.mark.parametrize("wanted", ["BN101", "bn101", "update-ops-never-run"])
def test_page_of_a_rule(capsys: Any, wanted: str) -> None:
    assert main(["rule", wanted]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# BN101 update-ops-never-run\n\nGroup `error`: no known false positive.\n\n")
    assert "\n## Use instead\n" in page


def test_unknown_rule(capsys: Any) -> None:
    assert main(["rule", "BN1O1"]) == 2
    assert capsys.readouterr().err == (
        "bnlint: There is no rule 'BN1O1'. Did you mean BN101? `bnlint rules` lists the rules.\n"
    )
    assert main(["rule", "xyz"]) == 2
    assert capsys.readouterr().err == "bnlint: There is no rule 'xyz'. `bnlint rules` lists the rules.\n"


def test_table_of_rules(capsys: Any) -> None:
    assert main(["rules"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["code", "name", "group", "fixable", "summary"]
    assert lines == sorted(lines)
    assert len(lines) == len(rules())
    columns = [header.index(word) for word in header.split()]
    for line in (header, *lines):
        assert all(line[start - 2 : start] == "  " and line[start] != " " for start in columns[1:])
    assert [line[columns[0] : columns[2]].split() for line in lines] == [
        [rule.code, rule.name] for rule in rules()
    ]


def test_what_is_fixable(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = rules()
    monkeypatch.setattr(type(first), "fixable", (Applicability.SAFE, Applicability.DISPLAY), raising=False)
    monkeypatch.setattr(type(second), "fixable", (), raising=False)
    assert main(["rules"]) == 0
    _, one, two, *_ = capsys.readouterr().out.splitlines()
    assert re.search(rf"^{first.code} .*  safe, shown  ", one)
    assert re.search(rf"^{second.code} .*  no  ", two)


def test_table_as_json(capsys: Any) -> None:
    assert main(["rules", "--output-format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["code"] for entry in entries] == [rule.code for rule in rules()]
    for entry, rule in zip(entries, rules(), strict=True):
        assert list(entry) == ["code", "name", "group", "fixable", "summary"]
        assert entry["group"] == rule.group.value
        assert entry["fixable"] == [kind.value for kind in rule.fixable]


def test_bars_in_a_summary_do_not_break_the_markdown_table() -> None:
    rule = RuleInfo("EX100", "some-example", Group.ERROR, "Either a | b.", "")
    last = table.markdown([rule]).splitlines()[-1]
    assert last == r"| [EX100](rules/EX100.md) | `some-example` | error | no | Either a \| b. |"


def test_version(capsys: Any) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bnlint {bnlint.__version__}\n"


@pytest.mark.parametrize("command", [[], ["check"], ["rule"], ["rules"]])
def test_help(capsys: Any, command: list[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: bnlint")


def test_help_names_the_formats(capsys: Any) -> None:
    main(["check", "--help"])
    names = re.search(r"--output-format \{([a-z,]+)\}", capsys.readouterr().out)
    assert names
    assert {"full", "concise", "json"} <= set(names[1].split(","))


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check", "--frobnicate"], ["rule"]])
def test_wrong_usage_is_2(capsys: Any, arguments: list[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: bnlint" in captured.err
