"""The lines of source text that a report shows."""

from __future__ import annotations

import tokenize
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from bnlint.findings import Location


class Sources:
    """Reads each file once. A file that cannot be read has no lines: the report then goes without them."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int | None, list[str]]] = {}

    def lines(self, location: Location) -> Sequence[str]:
        """The lines of the file, or of the notebook's cell, that a location is in."""
        if location.path not in self._known:
            self._known[location.path] = _read(Path(location.path))
        return self._known[location.path].get(location.cell, [])


def _read(path: Path) -> dict[int | None, list[str]]:
    try:
        text = _decode(path.read_bytes())
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return {}
    if path.suffix != ".ipynb":
        return {None: text.split("\n")}
    from bnlint.source.notebook import NotebookError, code_cells

    try:
        return {cell.number: cell.original.split("\n") for cell in code_cells(text)}
    except NotebookError:
        return {}


def _decode(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
