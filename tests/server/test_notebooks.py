"""Notebooks: their cells are documents of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from .programs import FIXED, MODEL, TRAIN

Drive = Callable[..., None]

PARTS = (
    MODEL.rstrip("\n"),
    TRAIN.replace("model.logits", "logits").replace("\nimport model\n", "").rstrip("\n"),
)
LINE = 5
"""Of the finding in the second part, counted from 0."""


class Notebook:
    """A notebook in an editor that has never been saved with what is in it."""

    def __init__(self, editor: Any, path: Path, *cells: tuple[types.NotebookCellKind, str, str]) -> None:
        self.editor = editor
        self.uri = path.as_uri()
        self.version = 1
        path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        made = [self.cell(number, *cell) for number, cell in enumerate(cells)]
        editor.client.notebook_document_did_open(
            types.DidOpenNotebookDocumentParams(
                types.NotebookDocument(self.uri, "jupyter-notebook", 1, [cell for cell, _ in made]),
                [item for _, item in made],
            )
        )

    def cell(
        self, number: int, kind: types.NotebookCellKind, language: str, text: str
    ) -> tuple[types.NotebookCell, types.TextDocumentItem]:
        uri = self.cell_uri(number)
        self.editor.texts[uri], self.editor.versions[uri] = text, 1
        return types.NotebookCell(kind, uri), types.TextDocumentItem(uri, language, 1, text)

    def cell_uri(self, number: int) -> str:
        return f"{self.uri.replace('file:', 'vscode-notebook-cell:')}#cell{number}"

    def change(self, cells: types.NotebookDocumentCellChanges) -> None:
        self.version += 1
        self.editor.client.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(version=self.version, uri=self.uri),
                types.NotebookDocumentChangeEvent(cells=cells),
            )
        )

    def type(self, number: int, change: types.TextDocumentContentChangeEvent) -> None:
        uri = self.cell_uri(number)
        self.editor.versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(version=self.editor.versions[uri], uri=uri)
        self.change(
            types.NotebookDocumentCellChanges(
                text_content=[types.NotebookDocumentCellContentChanges(document, [change])]
            )
        )


CODE, TEXT = types.NotebookCellKind.Code, types.NotebookCellKind.Markup


def test_what_is_found_is_shown_in_its_cell(tmp_path: Path, drive: Drive) -> None:
    async def scenario(editor: Any) -> None:
        notebook = Notebook(
            editor,
            tmp_path / "train.ipynb",
            (TEXT, "markdown", "# Training"),
            (CODE, "python", PARTS[0]),
            (CODE, "julia", "using Flux"),
            (CODE, "python", PARTS[1]),
        )
        (found,) = await editor.diagnostics(notebook.cell_uri(3))
        assert (found.code, found.range.start.line) == ("BN101", LINE)
        places = [
            (place.location.uri, place.location.range.start.line) for place in found.related_information
        ]
        assert (notebook.cell_uri(1), 5) in places
        assert await editor.diagnostics(notebook.cell_uri(1)) == []
        assert "# BN101" in await editor.hover(notebook.cell_uri(3), LINE)
        assert await editor.hover(notebook.cell_uri(1), LINE) is None

    drive(scenario)


def test_the_actions_of_a_cell_edit_that_cell(tmp_path: Path, drive: Drive) -> None:
    async def scenario(editor: Any) -> None:
        notebook = Notebook(
            editor, tmp_path / "train.ipynb", (CODE, "python", PARTS[0]), (CODE, "python", PARTS[1])
        )
        cell = notebook.cell_uri(1)
        await editor.diagnostics(cell)
        fix, silence = await editor.actions(cell, LINE, ["quickfix"])
        for action in (fix, silence):
            (change,) = action.edit.document_changes
            assert (change.text_document.uri, change.text_document.version) == (cell, 1)
        assert "# bnlint: ignore[BN101]" in "".join(one.new_text for one in change.edits)
        (action,) = await editor.actions(cell, LINE, ["source.fixAll"])
        (change,) = (await editor.complete(action)).edit.document_changes
        assert change.text_document.uri == cell
        assert "control_dependencies" in "".join(one.new_text for one in change.edits)

    drive(scenario)


def test_cells_are_edited_moved_and_closed(tmp_path: Path, drive: Drive) -> None:
    async def scenario(editor: Any) -> None:
        notebook = Notebook(
            editor, tmp_path / "train.ipynb", (CODE, "python", PARTS[0]), (CODE, "python", PARTS[1])
        )
        cell = notebook.cell_uri(1)
        assert len(await editor.diagnostics(cell)) == 1
        insertion = types.Range(types.Position(0, 0), types.Position(0, 0))
        notebook.type(1, types.TextDocumentContentChangePartial(insertion, "%matplotlib inline\n"))
        (found,) = await editor.diagnostics(cell)
        assert found.range.start.line == LINE + 1
        fixed = FIXED.replace("model.logits", "logits").replace("\nimport model\n", "")
        notebook.type(1, types.TextDocumentContentChangeWholeDocument(fixed))
        assert await editor.diagnostics(cell) == []
        notebook.type(1, types.TextDocumentContentChangeWholeDocument(PARTS[1]))
        assert len(await editor.diagnostics(cell)) == 1
        new, item = notebook.cell(2, CODE, "python", "print(1)")
        notebook.change(
            types.NotebookDocumentCellChanges(
                structure=types.NotebookDocumentCellChangeStructure(
                    types.NotebookCellArrayChange(0, 0, [new]), did_open=[item]
                )
            )
        )
        assert await editor.diagnostics(notebook.cell_uri(2)) == []
        assert len(await editor.diagnostics(cell)) == 1
        notebook.change(
            types.NotebookDocumentCellChanges(
                structure=types.NotebookDocumentCellChangeStructure(
                    types.NotebookCellArrayChange(1, 1),
                    did_close=[types.TextDocumentIdentifier(notebook.cell_uri(0))],
                )
            )
        )
        # Without the model there is nothing left to find.
        assert await editor.until(cell, lambda params: not params.diagnostics) == []
        editor.client.notebook_document_did_close(
            types.DidCloseNotebookDocumentParams(
                types.NotebookDocumentIdentifier(notebook.uri),
                [types.TextDocumentIdentifier(cell), types.TextDocumentIdentifier(notebook.cell_uri(2))],
            )
        )
        assert await editor.hover(cell, LINE) is None

    drive(scenario)


def test_notebooks_that_are_no_files_are_left_alone(tmp_path: Path, drive: Drive) -> None:
    async def scenario(editor: Any) -> None:
        sync = editor.capabilities.notebook_document_sync
        assert sync.save
        notebook = Notebook(editor, tmp_path / "notes.txt", (CODE, "python", "\n".join(PARTS)))
        notebook.type(0, types.TextDocumentContentChangeWholeDocument("print(1)"))
        assert await editor.actions(notebook.cell_uri(0), 0) == []
        assert editor.shown(notebook.cell_uri(0)) is None

    drive(scenario)
