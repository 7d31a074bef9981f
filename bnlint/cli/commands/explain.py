"""``bnlint explain FILE:LINE``: why there is a finding at a line, or why there is none."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.cli.settings import add_settings, options
from bnlint.cli.terminal import colours, columns, write
from bnlint.errors import UserError

if TYPE_CHECKING:
    from bnlint.explain.line import About, Explanation
    from bnlint.explain.observe import Called

_PLACE = re.compile(r"(?P<path>.+?):(?:cell[ ]?(?P<cell>\d+):)?(?P<line>\d+)(?::\d+)?")
_WIDEST = 100
_MOST_CALLS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument(
        "place", metavar="FILE:LINE", help="a line of a file; in a notebook 'FILE:cell N:LINE'"
    )
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of the line."""
    import os
    from pathlib import Path

    found = _PLACE.fullmatch(arguments.place)
    if found is None:
        raise UserError(
            f"{arguments.place!r} names no line. Write FILE:LINE as in train.py:12, in a notebook "
            "'FILE:cell N:LINE'."
        )
    from bnlint.explain.line import explain

    cell = found["cell"]
    explanation = explain(
        Path(os.path.abspath(found["path"])),
        int(found["line"]),
        int(cell) if cell else None,
        options(arguments),
    )
    write("\n".join(_lines(explanation)) + "\n")
    return 0


def _lines(made: Explanation) -> Iterator[str]:
    from bnlint.report import full
    from bnlint.report._style import Style

    width = max(60, min(columns(sys.stdout, _WIDEST), _WIDEST))
    cell = "" if made.cell is None else f"cell {made.cell}:"
    yield f"{made.path}:{cell}{made.line}  {made.text}"
    yield ""
    if made.here.findings:
        yield full.render(made.here, Style(colour=colours(sys.stdout), width=width, summary=False)).rstrip(
            "\n"
        )
    else:
        yield "No finding is reported at this line."
    for finding in made.part_of:
        where = finding.location
        text = f"It is a step of {finding.code} at {where.path}:{where.line}: {finding.message}."
        yield from _wrapped(text, "", width)
    for remark in made.remarks:
        yield from _wrapped(remark, "", width)
    for about in made.abouts:
        yield ""
        yield from _about(about, width)


def _about(about: About, width: int) -> Iterator[str]:
    if about.alone:
        yield f"In {about.program}, interpreted on its own with unknown arguments, since no program calls it:"
    else:
        yield f"In the program {about.program}:"
    if about.incomplete:
        yield from _wrapped(f"The analysis is not complete: {about.incomplete}.", "  ", width)
    for called, times in about.calls[:_MOST_CALLS]:
        yield from _called(called, times, width, way=not about.alone)
    if len(about.calls) > _MOST_CALLS:
        yield f"  {len(about.calls) - _MOST_CALLS} more calls, with other values."
    for said in about.events:
        first, *rest = said
        yield from _wrapped(first, "  * ", width)
        for sentence in rest:
            yield from _wrapped(sentence, "    ", width)


def _called(called: Called, times: int, width: int, *, way: bool) -> Iterator[str]:
    often = "" if times == 1 else f", {times} times"
    yield from _wrapped(f"Column {called.location.column} calls {called.what}{often}.", "  ", width)
    for name, value in called.arguments:
        yield from _wrapped(f"{name} {value}", "      ", width)
    yield from _wrapped(f"It gives {called.result}.", "    ", width)
    for condition in called.conditions:
        yield from _wrapped(f"This happens if {condition}.", "    ", width)
    if way and called.callers:
        yield from _wrapped(f"On the way: {', '.join(called.callers)}.", "    ", width)
    if called.unknown:
        yield from _wrapped(
            f"bnlint does not know what `{called.unknown}` does, so nothing inside it is seen. If it is a "
            "normalisation, say so in the configuration, for example:",
            "    ",
            width,
        )
        yield "      [tool.bnlint.known-norm-layers]"
        yield f'      "{called.unknown}" = "tf.layers.batch_normalization"'


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=" " * len(indent) + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
