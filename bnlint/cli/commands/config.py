"""``bnlint config PATH``: which settings apply to a path, and where each value comes from."""

from __future__ import annotations

import argparse
import os

from bnlint.cli.arguments import folder
from bnlint.cli.codes import codes
from bnlint.cli.terminal import write
from bnlint.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default=".", help="a file or folder (default: the current folder)"
    )
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    given = parser.add_argument_group("as given to check")
    for option in ("--select", "--extend-select", "--ignore"):
        given.add_argument(option, metavar="CODES", action="append")
    given.add_argument("--config", metavar="FILE")
    given.add_argument("--isolated", action="store_true")
    given.add_argument("--project-root", metavar="DIR", type=folder)


def run(arguments: argparse.Namespace) -> int:
    """Print the settings."""
    from pathlib import Path

    from bnlint.frameworks.library import Library
    from bnlint.settings import show
    from bnlint.settings.lookup import Lookup, Options

    path = Path(arguments.path)
    if not path.exists():
        raise UserError(f"There is no file or folder {arguments.path}. Check how it is spelled.")
    if arguments.config and arguments.isolated:
        raise UserError(
            "--config names a configuration file and --isolated forbids it. Leave one of them out."
        )
    lookup = Lookup(
        Options(
            select=codes(arguments.select, "--select"),
            extend_select=codes(arguments.extend_select, "--extend-select"),
            ignore=codes(arguments.ignore, "--ignore"),
            config=Path(arguments.config) if arguments.config else None,
            isolated=arguments.isolated,
            project_root=Path(arguments.project_root) if arguments.project_root else None,
        )
    )
    absolute = Path(os.path.abspath(path))
    norms = lookup.known_norms([absolute / "any.py" if path.is_dir() else absolute])
    if norms is not None:
        norms.teach(Library())
    shown = show.show(path, lookup)
    write(show.json(shown) if arguments.output_format == "json" else show.text(shown))
    return 0
