"""The arguments of the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import bnlint
from bnlint.cli.terminal import columns, write, write_error

COMMANDS = {
    "check": "check files and folders, and repair them",
    "explain": "say why there is a finding at a line, or why there is none",
    "rule": "print the page of a rule",
    "rules": "print the table of rules",
    "config": "print which settings apply to a path, and where each comes from",
    "run": "run a script under observation, and report what its normalisation layers did",
    "verify": "run a model, and prove that its training and inference diverge as they must",
    "server": "serve editors (language server protocol over standard input and output)",
}
"""What there is to do; each is a module of ``bnlint.cli.commands``."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; ends the process with code 2 if they make no sense."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _Parser(
        "bnlint",
        description="Find batch-normalization misuse in deep-learning Python code, without running it.",
        epilog="Exit codes: 0 clean, 1 findings, 2 something could not be checked or done.",
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"bnlint {bnlint.__version__}")
    # Without `prog` argparse formats a usage line for nothing.
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, prog="bnlint")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=f"{purpose}.", formatter_class=_Formatter
        )
        if name in given:
            # The others are not used: to leave them out saves a third of the time that parsing takes.
            import_module(f"bnlint.cli.commands.{name}").add_arguments(command)
    return parser.parse_args(given)


def folder(text: str) -> str:
    """The type of an argument that names a folder."""
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
    return text


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: object = None) -> None:
        (write if file is sys.stdout else write_error)(message)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        # Given a width, argparse does not import shutil, which takes longer than all else that is done here.
        super().__init__(prog, width=min(columns(sys.stdout, 100), 100) - 2)
