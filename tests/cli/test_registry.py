"""Finding rules, here and in other distributions, and what a rule must say about itself."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bnlint.frameworks
from bnlint import registry
from bnlint.cli import main
from bnlint.findings import Applicability, Fix, Group, Location, Step
from bnlint.registry import RegistryError, load, rules
from bnlint.rule import HEADINGS, Rule, mistakes, page, summary

RULE = '''"""A bug of the third kind."""
from bnlint.findings import Group
from bnlint.rule import Rule

class Third(Rule):
    code = "{code}"
    name = "third-kind"
    group = Group.PREVIEW

    def check(self, trace):
        yield from ()
'''

Offer = Callable[..., None]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """Puts a distribution on sys.path that offers rules."""

    def install(source: str, target: str = "third_party_rules") -> None:
        (tmp_path / "third_party_rules.py").write_text(source)
        info = tmp_path / "third_party-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[bnlint.rules]\nthird = {target}\n")

    monkeypatch.syspath_prepend(tmp_path)
    rules.cache_clear()
    yield install
    rules.cache_clear()
    sys.modules.pop("third_party_rules", None)


def test_own_rules_describe_themselves() -> None:
    assert {rule.code: mistakes(rule) for rule in rules()} == {rule.code: [] for rule in rules()}


def test_own_rules_are_one_in_a_file_that_is_named_for_it() -> None:
    files = [Path(str(sys.modules[type(rule).__module__].__file__)).stem for rule in rules()]
    assert files == [f"{rule.code.lower()}_{rule.name.replace('-', '_')}" for rule in rules()]


def test_what_the_text_of_a_rule_says_is_what_it_is() -> None:
    told: set[tuple[str, Group, tuple[str, ...]]] = set()

    def refuse(*declared: Any) -> bool:
        told.add(declared)
        return False

    assert load(refuse) == ()
    assert told >= {(rule.code, rule.group, rule.frameworks) for rule in rules()}
    frameworks = {info.name for info in pkgutil.iter_modules(bnlint.frameworks.__path__)}
    assert {name for _, _, names in told for name in names} <= frameworks


def test_rules_that_are_not_wanted_are_not_imported() -> None:
    code = (
        "import sys; from bnlint.registry import load\n"
        "print([rule.code for rule in load(lambda code, group, frameworks: code == 'BN204')])\n"
        "print([name for name in sys.modules if name.startswith('bnlint.rules.')])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "['BN204']\n['bnlint.rules.bn204_phase_passed_positionally']\n"


def test_rules_of_another_distribution(offer: Offer, capsys: Any) -> None:
    offer(RULE.format(code="XY900"))
    assert main(["rule", "xy900"]) == 0
    assert capsys.readouterr().out == (
        "# XY900 third-kind\n\nGroup `preview`: new, off by default.\n\nA bug of the third kind.\n"
    )


def test_a_code_that_is_used_twice(offer: Offer, capsys: Any) -> None:
    offer(RULE.format(code="BN101"))
    assert main(["rules"]) == 2
    error = capsys.readouterr().err
    assert "The code BN101 is used by two rules" in error
    assert "bn101_update_ops_never_run.py" in error
    assert "third_party_rules.py" in error


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("1 / 0", "third_party_rules", "cannot be imported (ZeroDivisionError: division by zero)"),
        (RULE.format(code="X100"), "third_party_rules:Third", "which is not a module"),
        (RULE.replace("    code =", "    other ="), "third_party_rules", "lacks code"),
        (RULE.replace("def check", "def other"), "third_party_rules", "lacks check"),
    ],
)
def test_broken_rules_of_another_distribution(
    offer: Offer, capsys: Any, source: str, target: str, sentence: str
) -> None:
    offer(source, target)
    assert main(["rules"]) == 2
    assert sentence in capsys.readouterr().err


def test_missing_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(registry, "import_module", missing)
    rules.cache_clear()
    with pytest.raises(RegistryError, match="Install bnlint with pip"):
        rules()


class _Example(Rule):
    code = "EX100"
    name = "some-example"
    group = Group.WARNING

    def check(self, trace: Any) -> Iterator[Any]:
        yield from ()


def _page(**bodies: str) -> str:
    sections = "".join(f"## {heading}\n\n{bodies.get(heading, 'Words.')}\n\n" for heading in HEADINGS)
    return f"The bug\nin a sentence.\n\nMore.\n\n{sections}"


def test_page_and_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "__doc__", _page())
    rule = _Example()
    assert mistakes(rule) == []
    assert summary(rule) == "The bug in a sentence."
    assert page(rule).startswith(
        "# EX100 some-example\n\nGroup `warning`: at most one in twenty is wrong.\n\nThe bug"
    )


def test_headings_in_example_code_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _page(Example="```python\n## not a heading\n```")
    monkeypatch.setattr(sys.modules[__name__], "__doc__", text)
    assert mistakes(_Example()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (_page(References=""), "The section 'References' is empty."),
        (_page().replace("## Example", "## Examples"), "The page must have the headings"),
        (_page().partition("\n\n")[2].partition("\n\n")[2], "The page must begin with a sentence"),
        (None, "The page must have the headings"),
    ],
)
def test_mistakes_of_a_page(monkeypatch: pytest.MonkeyPatch, text: str | None, sentence: str) -> None:
    monkeypatch.setattr(sys.modules[__name__], "__doc__", text)
    assert any(mistake.startswith(sentence) for mistake in mistakes(_Example()))


def test_mistakes_of_code_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "__doc__", _page())
    monkeypatch.setattr(_Example, "code", "ex1")
    monkeypatch.setattr(_Example, "name", "Some Example")
    code, name = mistakes(_Example())
    assert "'ex1'" in code
    assert "'Some Example'" in name


def test_finding() -> None:
    where = Location("a.py", 1, 1, 1, 2)
    fix = Fix(Applicability.SAFE, "do it")
    finding = _Example().finding(where, "wrong", [Step(where, "here")], fix)
    assert (finding.code, finding.name, finding.group) == ("EX100", "some-example", Group.WARNING)
    assert finding.steps == (Step(where, "here"),)
    assert finding.fix is fix
