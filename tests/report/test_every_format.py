"""Whatever a report holds, every format makes something of it that its readers take."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnlint.report
from bnlint.findings import (
    Anchor,
    Applicability,
    Finding,
    Fix,
    Group,
    Location,
    Problem,
    Refused,
    RemoveStatement,
    Replacement,
    Report,
    RuleInfo,
    Silencer,
    Step,
    Summary,
    Suppressed,
    Suppression,
)
from bnlint.report._style import Style

Valid = Callable[[str, str], None]

FORMATS = sorted(
    name.removesuffix(".py")
    for name in os.listdir(Path(bnlint.report.__file__).parent)
    if name.endswith(".py") and not name.startswith("_")
)
EVERYTHING = Style(statistics=True, suppressed=True)


def test_the_formats() -> None:
    assert FORMATS == ["concise", "full", "github", "gitlab", "json", "junit", "rdjson", "sarif"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_with_something_of_everything(everything: Report, name: str, valid: Valid) -> None:
    valid(name, _render(name, everything))


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_with_nothing(name: str, valid: Valid) -> None:
    valid(name, _render(name, Report()))


@pytest.mark.parametrize("name", sorted({*FORMATS} - {"full", "concise"}))
def test_every_step_and_problem_is_told(report: Report, name: str) -> None:
    text = _render(name, report)
    assert "normalised here in training mode" in text
    assert "trained here without the updates" in text
    assert "This statement is not Python and was left out." in text


@pytest.mark.parametrize("name", FORMATS)
def test_notebook_positions_are_cell_and_line(everything: Report, name: str) -> None:
    assert "cell 2" in _render(name, everything) or '"cell": 2' in _render(name, everything)


# Codes and names are those of rules, which are checked, and messages are not blank; the rest may be anything.
_nasty = st.text(st.characters(codec=None), min_size=1, max_size=12)
_messages = _nasty.filter(str.strip)
_paths = st.sampled_from(["wide.py", "book.ipynb", "gone.py", "../up.py", "/abs olute.py"]) | _nasty
_numbers = st.integers(1, 4) | st.integers(1, 2**31 - 1)
_cells = st.none() | st.integers(1, 99)
_codes = st.from_regex(r"\A[A-Z]+[0-9]{3}\Z")
_locations = st.builds(Location, _paths, _numbers, _numbers, _numbers, _numbers, _cells)
_fixes = st.builds(
    Fix,
    st.sampled_from(Applicability),
    _nasty,
    st.just(()) | st.just((RemoveStatement(Location("wide.py", 1, 1, 1, 2)),)),
    st.lists(st.builds(Replacement, _locations, st.text(max_size=5)), max_size=3).map(tuple),
)
_findings = st.builds(
    Finding,
    _codes,
    st.just("some-name"),
    st.sampled_from(Group),
    _locations,
    _messages,
    st.lists(st.builds(Step, _locations, _messages), max_size=3).map(tuple),
    st.none() | _fixes,
    st.none() | st.builds(Anchor, st.text(max_size=3), st.text(max_size=3)),
)
_different = st.lists(_findings, max_size=3, unique_by=lambda finding: (finding.location, finding.code))
_reports = st.builds(
    Report,
    findings=_different,
    problems=st.lists(st.builds(Problem, _paths, _numbers, _messages), max_size=2),
    summary=st.builds(
        Summary,
        st.integers(0),
        st.integers(0),
        st.integers(0),
        st.floats(0, 1e6),
        incomplete=st.lists(_paths, max_size=4),
    ),
    suppressed=st.lists(
        st.builds(
            Suppressed,
            _findings,
            st.builds(Suppression, st.sampled_from(Silencer), st.none() | _locations, st.just("") | _nasty),
        ),
        max_size=2,
    ),
    fixed=st.lists(_findings, max_size=2),
    refused=st.lists(st.builds(Refused, _findings, _nasty), max_size=2),
    everything=st.lists(_findings, max_size=2),
    notes=st.lists(_nasty, max_size=2),
    rules=st.lists(
        st.builds(RuleInfo, _codes, st.just("some-name"), st.sampled_from(Group), _nasty, _nasty),
        max_size=2,
        unique_by=lambda rule: rule.code,
    ).map(tuple),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The current folder has a file with wide characters and a notebook."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reports"))
        Path("wide.py").write_text("é = '漢字𝄞'\n\tx = bn(é)\n\n", encoding="utf-8")
        cell = {"cell_type": "code", "source": ["x = 1\n", "y = '漢'"]}
        Path("book.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}}), encoding="utf-8")
        yield


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(report=_reports)
def test_any_report(name: str, report: Report, folder: None, valid: Valid) -> None:
    text = _render(name, report)
    text.encode("utf-8")
    assert not text or text.endswith("\n")
    valid(name, text)


def _render(name: str, report: Report) -> str:
    return str(import_module(f"bnlint.report.{name}").render(report, EVERYTHING))
