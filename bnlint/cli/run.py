"""From arguments to an exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

from bnlint.cli.arguments import parse
from bnlint.cli.terminal import say
from bnlint.errors import UserError


def run(arguments: Sequence[str] | None) -> int:
    """Do what the arguments ask for and return the exit code."""
    try:
        parsed = parse(arguments)
        code = import_module(f"bnlint.cli.commands.{parsed.command}").run(parsed)
        return int(code)
    except SystemExit as end:
        # This is how argparse ends after --help, and when the arguments make no sense.
        return end.code if isinstance(end.code, int) else 2
    except UserError as error:
        say(str(error))
    except Exception as error:
        if os.environ.get("BNLINT_TRACEBACK"):
            raise
        say(_own_fault(error))
    return 2


def _own_fault(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return (
        f"This is a bug in bnlint, not in your code: {type(error).__name__}: {error}{where}. "
        "Please report it; with BNLINT_TRACEBACK=1 in the environment the whole traceback is shown."
    )
