"""Workflow commands of GitHub Actions, which become annotations of a commit or a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Finding, Group, Report
from bnlint.report._style import Style
from bnlint.report._text import details, plain, trouble
from bnlint.report._unicode import whole

_COMMANDS = {Group.ERROR: "error", Group.WARNING: "warning", Group.INFO: "notice", Group.PREVIEW: "notice"}


def render(report: Report, style: Style) -> str:
    """A command for each finding, with its steps in the message, for each problem and for each note."""
    return "".join(f"{line}\n" for line in _commands(report))


def _commands(report: Report) -> Iterator[str]:
    for finding in report.findings:
        title = f"{finding.code} {finding.name}"
        yield _command(_COMMANDS[finding.group], {**_span(finding), "title": title}, details(finding))
    for problem in report.problems:
        place: dict[str, object] = {"file": problem.path, "line": problem.line}
        yield _command("error", {**place, "title": "bnlint"}, [trouble(problem)])
    for note in report.notes:
        yield _command("notice", {"title": "bnlint"}, [plain(note)])


def _span(finding: Finding) -> dict[str, object]:
    where = finding.location
    span: dict[str, object] = {"file": where.path, "line": where.line, "endLine": where.end_line}
    if where.line == where.end_line:
        # GitHub refuses an annotation with columns that spans several lines.
        span |= {"col": where.column, "endColumn": where.end_column}
    return span


def _command(name: str, properties: dict[str, object], lines: list[str]) -> str:
    given = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{name} {given}::{_data(chr(10).join(lines))}"


def _data(text: str) -> str:
    return whole(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
