"""``bnlint explain FILE:LINE``: why there is a finding at a line, or why there is none."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument("place", metavar="FILE:LINE", help="a line of a file; in a notebook FILE:cell N:LINE")


def run(arguments: argparse.Namespace) -> int:
    """Print what is known of the line."""
    raise NotImplementedError
