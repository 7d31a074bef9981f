"""``bnlint rule CODE``: the page of a rule."""

from __future__ import annotations

import argparse

from bnlint.cli.terminal import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument("code", metavar="CODE", help="code or name of the rule")


def run(arguments: argparse.Namespace) -> int:
    """Print the page."""
    from bnlint.errors import UserError
    from bnlint.registry import no_such_rule, rules
    from bnlint.rule import page

    wanted = arguments.code
    for rule in rules():
        if wanted.upper() == rule.code or wanted.lower() == rule.name:
            write(page(rule))
            return 0
    raise UserError(no_such_rule(wanted))
