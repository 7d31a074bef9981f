"""``bnlint server``: a language server for editors, over standard input and output."""

from __future__ import annotations

import argparse

from bnlint.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes: none."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until the client goes; the exit code is 0 if it said goodbye, as the protocol wants it."""
    try:
        import pygls.lsp.server  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"The language server needs pygls 2 or later ({error}). Install it: pip install 'bnlint[lsp]'"
        ) from None
    from bnlint.server.server import serve

    return serve()
