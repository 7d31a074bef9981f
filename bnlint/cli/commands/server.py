"""``bnlint server``: a language server for editors, over standard input and output."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes: none."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until the client goes."""
    raise NotImplementedError
