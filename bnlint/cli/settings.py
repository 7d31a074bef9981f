"""The options that say what to look for and which configuration applies: the same for every command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnlint.cli.arguments import folder
from bnlint.errors import UserError

if TYPE_CHECKING:
    from bnlint.settings.lookup import Options

_CODES = "rule codes or beginnings of codes, separated by commas; may be repeated"


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which rules are asked."""
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--select",
        metavar="CODES",
        action="append",
        help=f"check only these rules, also those that are off by default: {_CODES}; ALL selects every rule",
    )
    rules.add_argument(
        "--extend-select", metavar="CODES", action="append", help=f"check these rules, too: {_CODES}"
    )
    rules.add_argument(
        "--ignore", metavar="CODES", action="append", help=f"do not check these rules: {_CODES}"
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which configuration applies."""
    settings = parser.add_argument_group("settings")
    settings.add_argument(
        "--config", metavar="FILE", help="use this configuration file for all files, instead of the nearest"
    )
    settings.add_argument("--isolated", action="store_true", help="use no configuration file")
    settings.add_argument(
        "--project-root",
        metavar="DIR",
        type=folder,
        help="where the project begins (default: the nearest folder above that looks like it)",
    )


def options(arguments: argparse.Namespace) -> Options:
    """What the options say; those that a command does not have say nothing.

    Raises UserError if they make no sense.
    """
    if arguments.config and arguments.isolated:
        raise UserError(
            "--config names a configuration file and --isolated forbids it. Leave one of them out."
        )
    select, extend, ignore = (
        codes(getattr(arguments, name, None), f"--{name.replace('_', '-')}")
        for name in ("select", "extend_select", "ignore")
    )

    from pathlib import Path

    from bnlint.settings.lookup import Options

    return Options(
        select=select,
        extend_select=extend,
        ignore=ignore,
        config=Path(arguments.config) if arguments.config else None,
        isolated=arguments.isolated,
        project_root=Path(arguments.project_root) if arguments.project_root else None,
    )


def codes(values: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """The codes that an option gives, each of which is the beginning of a rule's code.

    Raises UserError if no rule has such a code.
    """
    if values is None:
        return ()
    codes = dict.fromkeys(
        code.strip().upper() for value in values for code in value.split(",") if code.strip()
    )
    if not codes:
        raise UserError(f"{option} needs the code of a rule, such as BN101; `bnlint rules` lists them.")
    from bnlint.registry import no_such_rule, rules

    for code in codes:
        if code == "ALL" and option != "--ignore":
            continue
        if not any(rule.code.startswith(code) for rule in rules()):
            raise UserError(no_such_rule(code))
    return tuple(codes)
