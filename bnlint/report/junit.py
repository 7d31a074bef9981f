"""JUnit XML, which nearly every CI service shows as test results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

from bnlint.findings import Finding, Problem, Report
from bnlint.report._style import Style
from bnlint.report._text import details, place, plain, silencer, trouble

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""By the attribute of a suite, the element that it counts."""


class _Case(NamedTuple):
    """A test case: the file, the name, and the element in it that says how it went."""

    path: str
    name: str
    outcome: str
    kind: str
    message: str
    text: str


def render(report: Report, style: Style) -> str:
    """A suite for each file, with a failed case for each finding; a case that passes if there is none."""
    root = ElementTree.Element("testsuites", {"name": "bnlint", "time": f"{report.summary.seconds:.3f}"})
    cases: dict[str, list[_Case]] = {}
    for case in _cases(report):
        cases.setdefault(case.path, []).append(case)
    for path, listed in sorted(cases.items()):
        suite = ElementTree.SubElement(root, "testsuite", {"name": _legal(path), "tests": str(len(listed))})
        for attribute, outcome in _COUNTED.items():
            suite.set(attribute, str(sum(case.outcome == outcome for case in listed)))
        for case in listed:
            _add(suite, case)
    if not cases:
        suite = ElementTree.SubElement(root, "testsuite", {"name": "bnlint", "tests": "1"})
        for attribute in _COUNTED:
            suite.set(attribute, "0")
        ElementTree.SubElement(suite, "testcase", {"classname": "bnlint", "name": "no findings"})
    if report.notes:
        output = ElementTree.SubElement(root[0], "system-out")
        output.text = _legal("".join(f"{plain(note)}\n" for note in report.notes))
    for attribute, outcome in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        root.set(attribute, str(sum(1 for _ in root.iter(outcome))))
    ElementTree.indent(root)
    # In ASCII the file is right whatever encoding it is written in.
    text: bytes = ElementTree.tostring(root, "us-ascii", xml_declaration=True)
    return text.decode() + "\n"


def _cases(report: Report) -> Iterator[_Case]:
    for finding in report.findings:
        text = "\n".join(details(finding))
        yield _case(finding, "failure", finding.group.value, finding.message, text)
    for problem in report.problems:
        yield _problem(problem)
    for entry in report.suppressed:
        why = f"suppressed {silencer(entry.suppression)}"
        yield _case(entry.finding, "skipped", entry.suppression.silencer.value, why, "")


def _case(finding: Finding, outcome: str, kind: str, message: str, text: str) -> _Case:
    name = f"{finding.code} {finding.name} at {place(finding.location)}"
    return _Case(finding.location.path, name, outcome, kind, message, text)


def _problem(problem: Problem) -> _Case:
    message = trouble(problem)
    return _Case(problem.path, f"bnlint at line {problem.line}", "error", "problem", message, message)


def _add(suite: ElementTree.Element, case: _Case) -> None:
    names = {"classname": _legal(case.path), "name": _legal(case.name)}
    element = ElementTree.SubElement(suite, "testcase", names)
    said = {"type": case.kind, "message": _legal(case.message)}
    outcome = ElementTree.SubElement(element, case.outcome, said)
    outcome.text = _legal(case.text) or None


def _legal(text: str) -> str:
    """The text with ``?`` for what XML cannot hold, such as control characters."""
    return _NOT_XML.sub("?", text)
