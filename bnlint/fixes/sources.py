"""The files that fixes edit: their text by cell, and the way back to bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bnlint.findings import Edit, Location, Problem
from bnlint.fixes import notebook, splice
from bnlint.fixes.edits import Draft
from bnlint.fixes.errors import EditError
from bnlint.fixes.names import Names
from bnlint.fixes.splice import FORM_FEEDS
from bnlint.fixes.tree import Tree, tree_of
from bnlint.source.notebook import Cell, code_cells

Read = Callable[[Path], bytes]


class Source:
    """A file with the edits that are planned for it.

    Raises EditError if the file is one that is not fixed.
    """

    def __init__(self, path: Path, display: str, data: bytes) -> None:
        from bnlint.source.read import read

        self.path = path
        self.data = data
        module = read(path, display, data)
        if isinstance(module, Problem):
            raise EditError(f"{display} cannot be read")
        if module.python2:
            raise EditError(f"{display} is Python 2, and such files are only reported")
        if module.left_out or module.problems:
            raise EditError(f"{display} has parts that cannot be read")
        self._module = module
        self._names = Names(module.tree, module.text)
        self._cells: dict[int | None, Cell] = {}
        self._starts: dict[int | None, int] = {}
        if path.suffix == ".ipynb":
            self._read_cells()
        else:
            self._starts[None] = 0
        self._trees: dict[int | None, Tree] = {}
        self._drafts: dict[int | None, Draft] = {}

    @property
    def text(self) -> str:
        """What was analysed."""
        return self._module.text

    def _read_cells(self) -> None:
        line = 0
        for cell in code_cells(notebook.decoded(self.data)):
            self._cells[cell.number] = cell
            self._starts[cell.number] = line
            line += cell.text.count("\n") + 1

    def draft(self, cell: int | None) -> Draft:
        """The edited text of a cell, or of the file if it is no notebook.

        Raises EditError.
        """
        if cell not in self._drafts:
            if cell not in self._starts:
                raise EditError("the place of the edit is not in a cell")
            if cell not in self._trees:
                text = self.text if cell is None else self._cells[cell].text
                if cell is not None and FORM_FEEDS.search(text):
                    raise EditError("the cell has form feeds")
                self._trees[cell] = tree_of(text)
            start = self._starts[cell]
            self._drafts[cell] = Draft(self._trees[cell], lambda line: self._names.tensorflow(start + line))
        return self._drafts[cell]

    def refuse_commands(self, location: Location) -> None:
        """Raise EditError if the location is in a line that is not the same as Python."""
        cell = self._cells.get(location.cell)
        if cell is not None:
            lines = slice(location.line - 1, location.end_line)
            if cell.original.split("\n")[lines] != cell.text.split("\n")[lines]:
                raise EditError("an IPython command would be changed")

    def clear(self) -> None:
        """Forget the edits."""
        self._drafts.clear()

    def bytes(self) -> bytes:
        """The bytes with all edits.

        Raises EditError.
        """
        texts = {cell: draft.text() for cell, draft in self._drafts.items()}
        if None in texts:
            before = self._trees[None].text
            return (
                splice.spliced_bytes(self.data, before, texts[None]) if texts[None] != before else self.data
            )
        changed = {self._cells[cell]: text for cell, text in texts.items() if cell is not None}
        return notebook.spliced_notebook(
            self.data, {cell: text for cell, text in changed.items() if text != cell.text}
        )


class Sources:
    """The files of a report as they are to become."""

    def __init__(self, read: Read, allowed: Callable[[str], bool]) -> None:
        self._read = read
        self._allowed = allowed
        self._sources: dict[str, Source] = {}

    def fits(self, edits: Sequence[Edit]) -> bool:
        """Whether edits touch nothing that is edited already.

        Raises EditError if they cannot be made.
        """
        return all(self._draft(place, group).fits(group) for place, group in _by_place(edits))

    def add(self, edits: Sequence[Edit]) -> None:
        """Plan the edits of one fix.

        Raises EditError if they cannot be made.
        """
        for place, group in _by_place(edits):
            self._draft(place, group).add(group)

    def clear(self) -> None:
        """Forget the edits, but not what was parsed for them."""
        for source in self._sources.values():
            source.clear()

    def changed(self) -> dict[Path, bytes]:
        """The bytes of the files that change.

        Raises EditError.
        """
        made = {source.path: (source.data, source.bytes()) for source in self._sources.values()}
        return {path: after for path, (before, after) in made.items() if before != after}

    def _draft(self, place: tuple[str, int | None], edits: Sequence[Edit]) -> Draft:
        display, cell = place
        if display not in self._sources:
            if not self._allowed(display):
                raise EditError(f"{display} is not a part of the project")
            path = Path(os.path.abspath(display))
            try:
                data = self._read(path)
            except OSError as error:
                raise EditError(f"{display} cannot be read ({error.strerror})") from error
            self._sources[display] = Source(path, display, data)
        source = self._sources[display]
        draft = source.draft(cell)
        for edit in edits:
            for where in _locations(edit):
                source.refuse_commands(where)
        return draft


def _by_place(edits: Sequence[Edit]) -> list[tuple[tuple[str, int | None], list[Edit]]]:
    """The edits of each file, and in a notebook of each cell."""
    groups: dict[tuple[str, int | None], list[Edit]] = {}
    for edit in edits:
        places = {(where.path, where.cell) for where in _locations(edit)}
        if len(places) > 1:
            raise EditError("a statement cannot be moved into another cell or file")
        groups.setdefault(places.pop(), []).append(edit)
    return list(groups.items())


def _locations(edit: Edit) -> list[Location]:
    """The places in an edit."""
    before = getattr(edit, "before", None)
    return [edit.location, *([before] if isinstance(before, Location) else [])]


def lines_of(path: Path, data: bytes) -> dict[int | None, list[str]]:
    """The lines of a file that was analysed; of a notebook by the number of the cell."""
    if path.suffix == ".ipynb":
        return {cell.number: cell.original.split("\n") for cell in code_cells(notebook.decoded(data))}
    return {None: splice.decoded(data)[1].replace("\r\n", "\n").replace("\r", "\n").split("\n")}
