"""``bnlint config PATH``: which settings apply to a path, and where each value comes from."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default=".", help="a file or folder (default: the current folder)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the settings."""
    raise NotImplementedError
