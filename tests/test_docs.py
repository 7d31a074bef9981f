"""The pages in `docs/`: those that are generated are up to date, and what they say of the command line is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bnlint.cli import main
from bnlint.registry import rules

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
CI = (DOCS / "ci.md").read_text(encoding="utf-8")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def _printed(capsys: Any, *arguments: str) -> str:
    assert main(arguments) == 0
    return str(capsys.readouterr().out)


def test_the_table_of_rules_is_what_the_command_prints(capsys: Any) -> None:
    committed = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert committed == _printed(capsys, "rules", "--output-format", "markdown"), "run `make docs`"


def test_the_pages_of_rules_are_what_the_command_prints(capsys: Any) -> None:
    assert {page.stem for page in (DOCS / "rules").iterdir()} == {rule.code for rule in rules()}, (
        "run `make docs`"
    )
    for rule in rules():
        committed = (DOCS / "rules" / f"{rule.code}.md").read_text(encoding="utf-8")
        assert committed == _printed(capsys, "rule", rule.code), "run `make docs`"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_the_action_is_documented(kind: str) -> None:
    section = CI.partition("## GitHub Actions")[2].partition("\n## ")[0]
    header = {"inputs": "| Input |", "outputs": "| Output |"}[kind]
    lines = section.partition(header)[2].partition("\n\n")[0].splitlines()[2:]
    rows = {cells[1].strip(" `"): cells for cells in (line.split("|") for line in lines)}
    assert set(rows) == set(ACTION[kind])
    if kind == "inputs":
        defaults = {name: cells[2].strip(" `") for name, cells in rows.items()}
        assert defaults == {name: entry["default"] for name, entry in ACTION["inputs"].items()}


def test_examples_of_the_action_use_inputs_that_it_has() -> None:
    workflow = next(
        yaml.safe_load(text)
        for kind, text in _FENCE.findall(CI)
        if kind == "yaml" and "OWNER/bnlint@REV\n" in text
    )
    used = [step for step in workflow["jobs"]["bnlint"]["steps"] if step["uses"] == "OWNER/bnlint@REV"]
    assert used
    assert set(used[0]["with"]) <= set(ACTION["inputs"])


def test_options_and_formats_in_examples_exist(capsys: Any) -> None:
    text = _printed(capsys, "check", "--help")
    known = set(re.findall(r"--[a-z-]+", text))
    formats = set(re.search(r"--output-format \{([a-z,]+)\}", text)[1].split(","))  # type: ignore[index]
    for source in (CI, (DOCS / "gitlab-ci.yml").read_text(encoding="utf-8")):
        commands = re.findall(r"bnlint check[^|`'\n]*", source)
        assert commands
        for command in commands:
            assert set(re.findall(r"--[a-z-]+", command)) <= known, command
            assert set(re.findall(r"--output-format (\w+)", command)) <= formats, command


def test_the_demo_shows_one_finding_and_its_repair(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    commands = re.findall(r"@\$\(BIN\)/bnlint ([^;]*); test \$\$\? -eq 1", recipe)
    assert [f"@echo '$$ bnlint {command}'" in recipe for command in commands] == [True, True]
    found, repaired = ((main(command.split()), capsys.readouterr().out) for command in commands)
    assert (found[0], found[1].count("error: BN")) == (1, 1)
    assert (repaired[0], "\n+    with tf.control_dependencies(" in repaired[1]) == (1, True)
    # What the README shows is what the command prints.
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("$ bnlint check fixtures/demo\n")[2]
    assert found[1].startswith(shown.partition("...\n```")[0])
