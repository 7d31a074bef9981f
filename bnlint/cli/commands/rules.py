"""``bnlint rules``: the table of rules."""

from __future__ import annotations

import argparse

from bnlint.cli.terminal import write

_FORMATS = ("text", "markdown", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument("--output-format", choices=_FORMATS, default="text", help="default: text")


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from bnlint import table
    from bnlint.registry import rules
    from bnlint.rule import describe

    render = {"text": table.text, "markdown": table.markdown, "json": table.json}[arguments.output_format]
    write(render(map(describe, rules())))
    return 0
