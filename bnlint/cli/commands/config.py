"""``bnlint config PATH``: which settings apply to a path, and where each value comes from."""

from __future__ import annotations

import argparse
import os

from bnlint.cli.settings import add_rules, add_settings, options
from bnlint.cli.terminal import write
from bnlint.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default=".", help="a file or folder (default: the current folder)"
    )
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    add_rules(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the settings."""
    from pathlib import Path

    from bnlint.frameworks.library import Library
    from bnlint.settings import show
    from bnlint.settings.lookup import Lookup

    path = Path(arguments.path)
    if not path.exists():
        raise UserError(f"There is no file or folder {arguments.path}. Check how it is spelled.")
    lookup = Lookup(options(arguments))
    absolute = Path(os.path.abspath(path))
    norms = lookup.known_norms([absolute / "any.py" if path.is_dir() else absolute])
    if norms is not None:
        norms.teach(Library())
    shown = show.show(path, lookup)
    write(show.json(shown) if arguments.output_format == "json" else show.text(shown))
    return 0
