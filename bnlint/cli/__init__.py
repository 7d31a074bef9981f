"""The command line: arguments, output streams and exit codes, nothing else."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run bnlint and return the exit code: 0 clean, 1 findings, 2 could not do its job."""
    try:
        # Only here, so that Ctrl-C is met with a sentence from the first moment on.
        from bnlint.cli.run import run

        return run(arguments)
    except KeyboardInterrupt:
        from bnlint.cli.terminal import say

        say("Interrupted; the check is not complete.")
        return 2
