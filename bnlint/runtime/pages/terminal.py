"""The report for the terminal: a table of the layers, the causes as sentences, then the findings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from bnlint.findings import Report
from bnlint.report import full
from bnlint.report._style import Style
from bnlint.runtime.observed import Observed
from bnlint.runtime.oracle import Verdict, Verification
from bnlint.runtime.pages.account import WORST_FIRST, Account, Cell, Row, account_for
from bnlint.runtime.pages.words import built_at, count, listed, number, plain

if TYPE_CHECKING:
    from rich.console import Console

_MOST_BAD = 30
"""Broken layers in the table."""
_MOST_WELL = 12
"""Healthy layers in the table, if there are not more of them; otherwise they are summed up."""
_NARROW = 100
"""With fewer columns, each layer gets a paragraph instead of a row."""
_LEAST_WIDTH = 40
_MOST_EVIDENCE = 5
_INDENT = "     "
_COLOURS = {Verdict.FAIL: "bold red", Verdict.WARN: "yellow", Verdict.SKIP: "dim", Verdict.PASS: "green"}
_HEADERS = (
    "layer",
    "built at",
    "training",
    "inference",
    "moved",
    "momentum",
    "divergence",
    "alone",
    "verdict",
)
_LEGEND = (
    "training, inference: with which statistics the output is normalised. moved: whether training moved the moving "
    "statistics. momentum: declared / measured. divergence: the largest difference between the output in training and "
    "in inference for the same input, in standard deviations. alone: whether inference treats each sample alone."
)


def render_run(observed: Observed, report: Report, *, colour: bool = False, width: int = 100) -> str:
    """What was seen of a script: layers, causes and findings."""
    account = account_for(observed, report)
    return _render(account, report, colour, width)


def render_verification(
    verification: Verification,
    report: Report | None = None,
    *,
    title: str = "",
    colour: bool = False,
    width: int = 100,
) -> str:
    """The verdicts of the twelve checks: layers, causes, and findings if there are any."""
    report = report or Report()
    return _render(account_for(verification, report, title), report, colour, width)


def _render(account: Account, report: Report, colour: bool, width: int) -> str:
    width = max(width, _LEAST_WIDTH)
    blocks = [
        _heading(account, colour, width),
        _layers(account, colour, width),
        _causes(account, colour, width),
    ]
    blocks.append(full.render(report, Style(colour=colour, width=width, summary=False)))
    blocks.append(
        "\n".join(line for note in account.notes for line in _wrapped(f"note: {note}", width, "      "))
    )
    return "\n\n".join(block.strip("\n") for block in blocks if block.strip()) + "\n"


def _heading(account: Account, colour: bool, width: int) -> str:
    from rich.text import Text

    console, out = _console(colour, width)
    lines = _wrapped(f"{account.verdict.value}: {account.sentence}", width)
    head = Text("\n".join(lines))
    head.stylize(_COLOURS[account.verdict], 0, len(account.verdict.value))
    console.print(head)
    for sentence in account.more:
        console.print(Text("\n".join(_wrapped(sentence, width))))
    facts = ", ".join(f"{name}: {value}" for name, value in account.facts)
    console.print(Text("\n".join(_wrapped(f"{account.title} ({facts})", width)), style="dim"))
    return out.getvalue()


def _layers(account: Account, colour: bool, width: int) -> str:
    """The table, or a paragraph for each layer where there is no room for it."""
    from rich.text import Text

    if not account.rows:
        return ""
    bad = [row for row in account.rows if row.verdict is not Verdict.PASS]
    well = account.of(Verdict.PASS)
    shown = bad[:_MOST_BAD] + (well if len(well) <= _MOST_WELL else [])
    console, out = _console(colour, width)
    if width >= _NARROW:
        console.print(_table(shown))
    else:
        for row in shown:
            console.print(_paragraph(row, width))
    for line in _left_out(bad[_MOST_BAD:], well if len(well) > _MOST_WELL else []):
        console.print(Text("\n".join(_wrapped(line, width, "  "))))
    console.print(Text("\n".join(_wrapped(_LEGEND, width)), style="dim"))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _left_out(bad: Sequence[Row], well: Sequence[Row]) -> Iterator[str]:
    if bad:
        yield f"and {count(len(bad), 'layer')} more that {'is' if len(bad) == 1 else 'are'} not well."
    if well:
        known = sorted(row.divergence for row in well if row.divergence is not None)
        far = f", divergence {number(known[0], 2)} to {number(known[-1], 2)}" if known else ""
        yield f"PASS: {count(len(well), 'other layer')}, from {_name(well[0])} to {_name(well[-1])}{far}."


def _table(rows: Iterable[Row]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), expand=False, show_edge=False)
    for header in _HEADERS:
        growing = header in ("layer", "built at")
        table.add_column(
            header,
            overflow="fold",
            justify="right" if header == "divergence" else "left",
            ratio=None,
            no_wrap=header in ("divergence", "verdict"),
            min_width=12 if growing else None,
        )
    for row in rows:
        table.add_row(_text(_name(row)), _text(built_at(row.site)), *map(_cell, _cells(row)), _verdict(row))
    return table


def _cells(row: Row) -> list[Cell]:
    far = Cell(number(row.divergence, 2))
    return [row.training, row.inference, row.moved, row.momentum, far, row.independence]


def _paragraph(row: Row, width: int) -> Any:
    from rich.text import Text

    text = Text()
    text.append_text(_verdict(row))
    text.append(f" {_name(row)}  {built_at(row.site)}\n")
    pairs = [
        f"{name} {cell.text}{'!' * cell.bad}" for name, cell in zip(_HEADERS[2:-1], _cells(row), strict=True)
    ]
    text.append("\n".join(_wrapped(", ".join(pairs), width, "  ", "  ")))
    return text


def _cell(cell: Cell) -> Any:
    from rich.text import Text

    # Not by the colour alone: there may be none.
    return Text(f"{cell.text}!", style="bold red") if cell.bad else Text(cell.text)


def _verdict(row: Row) -> Any:
    from rich.text import Text

    return Text(row.verdict.value, style=_COLOURS[row.verdict])


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _name(row: Row) -> str:
    return plain(row.layer.name or row.layer.key)


def _causes(account: Account, colour: bool, width: int) -> str:
    """What is wrong, each thing once, with the evidence of the layers that it holds for."""
    from rich.text import Text

    told = [
        (_name(row), cause) for row in account.rows if row.verdict is not Verdict.PASS for cause in row.causes
    ]
    told += [("the model", cause) for cause in account.causes]
    groups: dict[tuple[Verdict, str, str, str], list[tuple[str, str]]] = {}
    for who, cause in sorted(told, key=lambda pair: WORST_FIRST.index(pair[1].verdict)):
        groups.setdefault((cause.verdict, cause.what, cause.rule, cause.so), []).append((who, cause.text))
    console, out = _console(colour, width)
    for (verdict, what, rule, so), evidence in groups.items():
        code = f" [{rule}]" if rule else ""
        said = account.many.get(what, what) if len(evidence) > 1 else what
        text = Text("\n".join(_wrapped(f"{verdict.value} {said}{code}", width, _INDENT)))
        text.stylize(_COLOURS[verdict], 0, len(verdict.value))
        console.print(text)
        for line in _evidence(evidence, width):
            console.print(Text(line))
        if so:
            console.print(Text("\n".join(_wrapped(so, width, _INDENT, _INDENT))))
    return out.getvalue()


def _evidence(evidence: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Layers with the same evidence are named together; of many only the first are."""
    same: dict[str, list[str]] = {}
    for who, text in evidence:
        same.setdefault(text, []).append(who)
    for text, names in list(same.items())[:_MOST_EVIDENCE]:
        yield from _wrapped(f"{listed(names)}: {plain(text)}", width, f"{_INDENT}  ", _INDENT)
    more = sum(map(len, list(same.values())[_MOST_EVIDENCE:]))
    if more:
        yield f"{_INDENT}and {count(more, 'more layer')}"


def _wrapped(text: str, width: int, following: str = "", first: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=following, break_on_hyphens=False
    ) or [""]


def _console(colour: bool, width: int) -> tuple[Console, StringIO]:
    """A console that writes into a string, and obeys nothing but its arguments."""
    from rich.console import Console

    out = StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    return console, out
