"""By what findings are recognised when lines have moved, and where their statements begin."""

from __future__ import annotations

from bnlint.findings import Anchor, Location
from bnlint.source.module import Module


class Anchors:
    """The definitions and statements of one file."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def anchor(self, location: Location) -> Anchor:
        """The definition and the statement around a location."""
        return Anchor("", "")

    def statement_line(self, location: Location) -> int:
        """The first line of the statement around a location, in the same cell."""
        return location.line
