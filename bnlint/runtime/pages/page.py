"""The report as one HTML page that needs nothing else: no network, no script.

Jinja2 escapes all that comes from the program; only the pictures and the rules' pages are put in as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bnlint.findings import Finding, Location, Report
from bnlint.report._sources import Sources
from bnlint.report._text import advice, place
from bnlint.runtime.observed import Observed
from bnlint.runtime.oracle import TITLES, Verdict, Verification
from bnlint.runtime.pages import pictures
from bnlint.runtime.pages.account import WORST_FIRST, Account, Cell, Row, account_for
from bnlint.runtime.pages.words import average, built_at, count, listed, number, plain, sentence

_MOST_PICTURES = 12
"""Layers with large pictures, the broken ones first; they make up most of the page, and of the time."""
_AROUND = 2
"""Lines of source around a place."""
_NEAR = 0.5
"""A divergence that the differences between batches explain, in standard deviations."""
_MOST_LINES = 12
_MOST_COLUMNS = 240
_WORDS = {
    Verdict.FAIL: "broken",
    Verdict.WARN: "doubtful",
    Verdict.SKIP: "not checked",
    Verdict.PASS: "healthy",
}


class SourceLines(Protocol):
    """Where source text comes from."""

    def lines(self, location: Location) -> Sequence[str]:
        """The lines of the file, or of the notebook's cell; none if there are none."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of source with its marked span."""

    number: int
    before: str
    marked: str
    after: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the source, and what happens there."""

    where: str
    message: str
    lines: list[_Line]


def render(
    subject: Observed | Verification,
    report: Report,
    sources: SourceLines | None = None,
    *,
    title: str = "",
    date: str = "",
) -> str:
    """The page about a run or a verification; the same for the same arguments."""
    import jinja2

    account = account_for(subject, report, title)
    rules = _rules(account, report)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bnlint.runtime.pages", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text: str = environment.get_template("template.html").render(
        account=account,
        verdict=account.verdict.value,
        words={verdict.value: word for verdict, word in _WORDS.items()},
        tally=_tally(account),
        layers=_layers(account, subject),
        findings=_findings(report, sources or Sources()),
        rules=rules,
        codes={finding.code for finding in report.findings} | {each["code"] for each in rules},
        checks=_checks(subject),
        date=plain(date),
    )
    # A file name may hold what no encoding has.
    return text.encode("utf-8", "replace").decode("utf-8")


def _tally(account: Account) -> list[tuple[str, str]]:
    """How many layers are what."""
    found = ((verdict, len(account.of(verdict))) for verdict in _WORDS)
    tally = [(verdict.value, f"{many:,} {_WORDS[verdict]}") for verdict, many in found if many]
    return tally if len(tally) > 1 else []


def _layers(account: Account, subject: Observed | Verification) -> dict[str, Any]:
    """The rows with their pictures, apart for those that need a look and those that do not."""
    order = _order(subject)
    executed = isinstance(subject, Observed)
    with pictures.drawing():
        large = _large(account.rows)
        shown = [_layer(row, n, row.layer.key in large, executed) for n, row in enumerate(account.rows)]
        in_order = sorted(account.rows, key=lambda row: order[row.layer.key])
        divergences = pictures.divergences(in_order) if len(account.rows) > 1 else ""
    bad = [layer for layer in shown if layer["verdict"] != Verdict.PASS.value]
    return {
        "bad": bad,
        "well": [layer for layer in shown if layer["verdict"] == Verdict.PASS.value],
        "divergences": divergences,
        "executed": executed,
        "causes": _together(account),
    }


def _large(rows: Sequence[Row]) -> set[str]:
    """The layers with large pictures: all if they are few, else the broken ones and a healthy one to compare."""
    if len(rows) <= _MOST_PICTURES:
        return {row.layer.key for row in rows}
    bad = [row.layer.key for row in rows if row.verdict in (Verdict.FAIL, Verdict.WARN)]
    well = [row.layer.key for row in rows if row.verdict is Verdict.PASS]
    return {*bad[:_MOST_PICTURES], *well[:1]}


def _order(subject: Observed | Verification) -> dict[str, int]:
    if isinstance(subject, Observed):
        return {layer.key: n for n, layer in enumerate(subject.layers)}
    return {figures.layer.key: n for n, figures in enumerate(subject.layers)}


def _layer(row: Row, number_of: int, large: bool, executed: bool) -> dict[str, Any]:
    layer = row.layer
    cells = {
        "Training normalises with": _spelt(row.training),
        "Inference normalises with": _spelt(row.inference),
        "Training moved the statistics": row.moved,
        "Momentum, declared / measured": row.momentum,
        "Divergence": Cell(
            f"{number(row.divergence)} standard deviations" if row.divergence is not None else "–"
        ),
        "Inference treats samples alone": row.independence,
    }
    about = [plain(layer.api)]
    if layer.channels:
        about.append(count(layer.channels, "channel"))
    about.append(f"epsilon {number(layer.epsilon)}")
    return {
        "id": f"layer-{number_of + 1}",
        "name": plain(layer.name or layer.key),
        "built_at": built_at(layer.site),
        "callers": [built_at(site) for site in layer.callers],
        "verdict": row.verdict.value,
        "headline": row.headline,
        "causes": row.causes,
        "row": row,
        "divergence": number(row.divergence, 2),
        "cells": cells,
        "about": ", ".join(filter(None, about)),
        "statistics": pictures.statistics(row) if large else "",
        "outputs": pictures.outputs(row) if large else "",
        "caption": _caption(row),
        "reading": _reading(row, executed),
        "spark": pictures.spark(row),
    }


def _spelt(cell: Cell) -> Cell:
    texts = {
        "batch": "the statistics of the batch",
        "moving": "the moving statistics",
        "left out": "nothing: left out",
    }
    return Cell(texts.get(cell.text, cell.text), cell.bad)


def _caption(row: Row) -> str:
    """What is drawn in the picture of the statistics."""
    if row.layer.track:
        return "Thick line: the moving statistics. Dotted: those of the batches. Of one channel."
    if row.layer.last_mean and row.layer.batch_mean:
        return "Crosses: the moving statistics. Circles: those of the batch."
    return ""


def _reading(row: Row, executed: bool) -> str:
    """What the pictures of a layer show, in a sentence; ``executed`` if a training was seen and not only one step."""
    layer = row.layer
    if layer.last_mean is None or layer.batch_mean is None:
        return ""
    if row.moved.bad and row.moved.text == "no":
        return (
            "The moving statistics should run to those of the batches and stay there. They stay where they began, so "
            "the same input gives another output in inference than in training."
        )
    if row.verdict is not Verdict.PASS:
        return "The moving statistics should run to those of the batches, and then both outputs agree."
    if row.divergence is None or row.divergence <= _NEAR:
        return "The moving statistics are near those of the batches, and both outputs agree."
    if executed:
        return (
            "The moving statistics have not arrived at those of the last batch, so both outputs still differ."
        )
    return (
        "The model came with moving statistics that are not those of this batch, so both outputs differ now. That is "
        "no mistake: training steps move them as they should."
    )


def _together(account: Account) -> list[dict[str, Any]]:
    """What is wrong, each thing once, with the layers that it holds for."""
    groups: dict[tuple[Verdict, str, str, str], list[str]] = {}
    for row in account.rows:
        for cause in row.causes:
            if row.verdict is not Verdict.PASS and cause.verdict is not Verdict.SKIP:
                key = cause.verdict, cause.what, cause.rule, cause.so
                groups.setdefault(key, []).append(plain(row.layer.name or row.layer.key))
    return [
        {
            "verdict": verdict.value,
            "what": what if len(names) == 1 else account.many.get(what, what),
            "rule": rule,
            "so": so,
            "who": listed(names),
        }
        for (verdict, what, rule, so), names in sorted(
            groups.items(), key=lambda g: WORST_FIRST.index(g[0][0])
        )
    ]


def _findings(report: Report, sources: SourceLines) -> list[dict[str, Any]]:
    pages = {rule.code: rule for rule in report.rules}
    found: list[dict[str, Any]] = []
    for finding in report.findings:
        rule = pages.get(finding.code)
        found.append(
            {
                "code": finding.code,
                "first": all(other["code"] != finding.code for other in found),
                "name": finding.name,
                "group": finding.group.value,
                "message": sentence(plain(finding.message)),
                "places": list(_places(finding, sources)),
                "advice": sentence(plain(advice(finding))),
                "rule": _markdown(rule.page) if rule else "",
            }
        )
    return found


def _rules(account: Account, report: Report) -> list[dict[str, Any]]:
    """The pages of the rules that causes name and no finding shows."""
    causes = [*account.causes, *(cause for row in account.rows for cause in row.causes)]
    named = {cause.rule for cause in causes} - {finding.code for finding in report.findings}
    return [
        {"code": rule.code, "name": rule.name, "page": _markdown(rule.page)}
        for rule in report.rules
        if rule.code in named
    ]


def _places(finding: Finding, sources: SourceLines) -> Iterator[_Place]:
    """The place of the finding, and then its steps."""
    yield _Place(place(finding.location), "", _excerpt(finding.location, sources))
    for step in finding.steps:
        same = step.location == finding.location and step.location.cell == finding.location.cell
        lines = [] if same else _excerpt(step.location, sources)
        yield _Place(place(step.location), sentence(plain(step.message)), lines)


def _excerpt(where: Location, sources: SourceLines) -> list[_Line]:
    text = sources.lines(where)
    first, last = where.line, min(max(where.line, where.end_line), where.line + _MOST_LINES)
    shown = []
    for line in range(max(1, first - _AROUND), min(len(text), last + _AROUND) + 1):
        code = text[line - 1][:_MOST_COLUMNS]
        start = where.column - 1 if line == first else len(code) - len(code.lstrip())
        end = where.end_column - 1 if line == where.end_line else len(code)
        if not first <= line <= last:
            start = end = len(code)
        shown.append(_Line(line, *map(_code, (code[:start], code[start:end], code[end:]))))
    while shown and not (shown[-1].before + shown[-1].marked).strip() and shown[-1].number > last:
        shown.pop()
    return shown if 0 < first <= len(text) else []


def _code(text: str) -> str:
    """Source text without control characters, and with its spaces."""
    return "".join(char if char.isprintable() else "    " if char == "\t" else "\ufffd" for char in text)


def _markdown(text: str) -> Any:
    """A rule's page as HTML. What looks like HTML in it is text, and pictures are left out: they need a network."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    # The page has headings of its own above.
    lowered = [f"##{line}" if line.startswith("#") else line for line in _clean(text).split("\n")]
    made = reader.render(_outside_fences(lowered, _clean(text).split("\n")))
    return Markup(re.sub(r"<th(?=[ >])", '<th scope="col"', made))


def _outside_fences(lowered: Sequence[str], original: Sequence[str]) -> str:
    """In code a number sign begins a comment and no heading."""
    inside = False
    lines = []
    for low, line in zip(lowered, original, strict=True):
        if line.lstrip().startswith("```"):
            inside = not inside
        lines.append(line if inside else low)
    return "\n".join(lines)


def _clean(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def _checks(subject: Observed | Verification) -> list[dict[str, Any]]:
    """The twelve checks of a verification."""
    if isinstance(subject, Observed):
        return []
    return [
        {
            "number": check,
            "title": title,
            "verdict": subject.verdict(check).value,
            "told": [
                {
                    "who": plain(subject.name(outcome)),
                    "cause": sentence(plain(outcome.cause)),
                    "verdict": outcome.verdict.value,
                    "rule": outcome.rule,
                    "measured": average(outcome.measured) if outcome.measured is not None else "",
                }
                for outcome in subject.of(check)
                if outcome.verdict in (Verdict.FAIL, Verdict.WARN)
            ],
            "skipped": next((o.cause for o in subject.of(check) if o.verdict is Verdict.SKIP), ""),
        }
        for check, title in TITLES.items()
    ]
