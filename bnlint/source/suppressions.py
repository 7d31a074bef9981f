"""The comments that suppress findings: ``# bnlint: ignore[CODES] reason``, ``ignore-file``, and ``# noqa: CODES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bnlint.findings import Suppression, UnusedSuppression
from bnlint.source.module import Module


class Comments:
    """The suppressing comments of one file, and which of them were of use."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def silence(self, code: str, places: Sequence[tuple[int | None, int]]) -> Suppression | None:
        """The comment that suppresses a rule's finding; it counts as used from now on.

        ``places`` are the cell and line of the finding and of the statement's first line.
        """
        return None

    def unused(self, asked: Callable[[str], bool]) -> Iterator[UnusedSuppression]:
        """The comments that suppressed nothing. ``asked`` tells whether the rule of a code was asked."""
        yield from ()
