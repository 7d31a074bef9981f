"""`bnlint rule`, `bnlint rules`, `--version` and wrong usage."""

from __future__ import annotations

from typing import Any

import pytest

import bnlint
from bnlint.cli import main


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
    lines = capsys.readouterr().out.splitlines()
    assert lines == sorted(lines)
    code, name, group, *words = next(line for line in lines if line.startswith("BN101")).split()
    assert (code, name, group) == ("BN101", "update-ops-never-run", "error")
    assert words


def test_version(capsys: Any) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bnlint {bnlint.__version__}\n"


@pytest.mark.parametrize("command", [[], ["check"], ["rule"], ["rules"]])
def test_help(capsys: Any, command: list[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: bnlint")


def test_help_names_the_formats(capsys: Any) -> None:
    main(["check", "--help"])
    assert "{concise,full,json}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check", "--frobnicate"], ["rule"]])
def test_wrong_usage_is_2(capsys: Any, arguments: list[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: bnlint" in captured.err
