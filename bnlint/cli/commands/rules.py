"""``bnlint rules``: the table of rules."""

from __future__ import annotations

import argparse

from bnlint.cli.terminal import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes: none."""


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from bnlint.registry import rules
    from bnlint.rule import summary

    rows = [(rule.code, rule.name, rule.group.value, summary(rule)) for rule in rules()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, text in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        write("  ".join((*padded, text)).rstrip() + "\n")
    return 0
