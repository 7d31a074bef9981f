"""The command line: arguments, output streams and exit codes, nothing else."""

from __future__ import annotations

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run bnlint and return the exit code: 0 clean, 1 findings, 2 could not do its job."""
    # What is imported stays: looking for garbage in it only takes time.
    gc.set_threshold(50_000, 20, 20)
    try:
        # Only here, so that Ctrl-C is met with a sentence from the first moment on.
        from bnlint.cli.run import run

        return run(arguments)
    except KeyboardInterrupt:
        from bnlint.cli.terminal import say

        say("Interrupted; the check is not complete.")
        return 2
