"""The arguments of the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import bnlint
import bnlint.report
from bnlint.cli.terminal import columns, write, write_error

_CODES = "rule codes or beginnings of codes, separated by commas; may be repeated"


def formats() -> list[str]:
    """The output formats: the public modules of ``bnlint.report``."""
    # pkgutil would import inspect for this, which takes as long as all else that starting takes.
    names = (name for name in os.listdir(bnlint.report.__path__[0]) if name.endswith(".py"))
    return sorted(name.removesuffix(".py") for name in names if not name.startswith("_"))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; ends the process with code 2 if they make no sense."""
    parser = _Parser(
        "bnlint",
        description="Find batch-normalization misuse in deep-learning Python code, without running it.",
        epilog="Exit codes: 0 clean, 1 findings, 2 something could not be checked or done.",
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"bnlint {bnlint.__version__}")
    # Without `prog` argparse formats a usage line for nothing.
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, prog="bnlint")
    _add_check(commands)
    rule = commands.add_parser("rule", help="print the page of a rule", formatter_class=_Formatter)
    rule.add_argument("code", metavar="CODE", help="code or name of the rule")
    commands.add_parser("rules", help="print the table of rules", formatter_class=_Formatter)
    parsed = parser.parse_args(arguments)
    if parsed.command == "check" and parsed.statistics and parsed.output_format == "json":
        parser.error("--statistics is for the text formats; in JSON, count the codes of the findings")
    return parsed


def _add_check(commands: argparse._SubParsersAction[_Parser]) -> None:
    check = commands.add_parser("check", help="check files and folders", formatter_class=_Formatter)
    check.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        default=["."],
        help="a file or folder (default: the current folder)",
    )
    rules = check.add_argument_group("rules")
    rules.add_argument(
        "--select",
        metavar="CODES",
        action="append",
        help=f"check only these rules, also those that are off by default: {_CODES}; ALL selects every rule",
    )
    rules.add_argument(
        "--ignore", metavar="CODES", action="append", help=f"do not check these rules: {_CODES}"
    )
    rules.add_argument(
        "--project-root",
        metavar="DIR",
        type=_folder,
        help="where the project begins (default: the nearest folder above that looks like it)",
    )
    output = check.add_argument_group("output")
    output.add_argument("--output-format", choices=formats(), default="full", help="default: full")
    output.add_argument(
        "--statistics", action="store_true", help="count the findings of each rule at the end"
    )
    output.add_argument(
        "--show-files", action="store_true", help="print the files that were analysed, not the findings"
    )
    output.add_argument(
        "--quiet", action="store_true", help="print findings and errors alone: no summary, no progress"
    )
    output.add_argument("--exit-zero", action="store_true", help="exit with 0 also when there are findings")


def _folder(text: str) -> str:
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
