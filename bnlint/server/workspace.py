"""The documents that are open in the editor, and the bytes that stand for them in an analysis."""

from __future__ import annotations

import codecs
import io
import json
import os
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path

from bnlint.server.text import Encoding, changed, split_lines

Key = tuple[Path, int | None]
"""A file, and in a notebook the number of the cell, counted from 1."""


@dataclass(frozen=True)
class Document:
    """A text document or a notebook's cell, as it is at one moment."""

    uri: str
    version: int
    text: str
    language: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines with their ends."""
        return split_lines(self.text)

    @cached_property
    def data(self) -> bytes:
        """The bytes of the text, of which bnlint reads the same text again whatever encoding it declares."""
        data = self.text.encode("utf-8", "replace")
        if self.text.isascii():
            return data
        try:
            declared, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        except SyntaxError:
            return data
        return data if declared.startswith("utf-8") else codecs.BOM_UTF8 + data


@dataclass(frozen=True)
class Notebook:
    """An open notebook: its cells in order."""

    path: Path
    cells: tuple[types.NotebookCell, ...]


@dataclass(frozen=True)
class Snapshot:
    """All open documents at one moment."""

    documents: Mapping[Key, Document]
    overlay: Mapping[Path, bytes]

    @cached_property
    def keys(self) -> dict[str, Key]:
        """By URI, the file and cell that a document shows."""
        return {document.uri: key for key, document in self.documents.items()}


class Workspace:
    """The open documents, kept as the client says."""

    def __init__(self) -> None:
        self.encoding: Encoding = types.PositionEncodingKind.Utf16
        self.folders: list[Path] = []
        self._documents: dict[str, Document] = {}
        self._paths: dict[str, Path] = {}
        self._notebooks: dict[str, Notebook] = {}
        self._notebook_data: dict[str, tuple[object, bytes]] = {}

    # -- text documents ------------------------------------------------------------------------------

    def open(self, item: types.TextDocumentItem) -> Path | None:
        """Take a document up; returns its path if it is a Python file."""
        path = path_of(item.uri)
        if path is None or (item.language_id != "python" and path.suffix != ".py"):
            return None
        self._documents[item.uri] = _document(item)
        self._paths[item.uri] = path
        return path

    def change(self, params: types.DidChangeTextDocumentParams) -> Path | None:
        """Change a document; returns its path if it is known."""
        uri = params.text_document.uri
        if uri not in self._paths:
            return None
        self._change(params.text_document, params.content_changes)
        return self._paths[uri]

    def close(self, uri: str) -> Path | None:
        """Forget a document; returns its path if it was known."""
        if uri not in self._paths:
            return None
        del self._documents[uri]
        return self._paths.pop(uri)

    def _change(
        self,
        document: types.VersionedTextDocumentIdentifier,
        changes: Sequence[types.TextDocumentContentChangeEvent],
    ) -> None:
        known = self._documents.get(document.uri)
        if known is not None:
            text = changed(known.text, changes, self.encoding)
            self._documents[document.uri] = replace(known, version=document.version, text=text)

    # -- notebooks -----------------------------------------------------------------------------------

    def open_notebook(self, params: types.DidOpenNotebookDocumentParams) -> Path | None:
        """Take a notebook and its cells up; returns its path if it is a file."""
        notebook = params.notebook_document
        path = path_of(notebook.uri)
        if path is None or path.suffix != ".ipynb":
            return None
        self._notebooks[notebook.uri] = Notebook(path, tuple(notebook.cells))
        self._take_up(params.cell_text_documents)
        return path

    def change_notebook(self, params: types.DidChangeNotebookDocumentParams) -> tuple[Path, list[str]] | None:
        """Change a notebook; returns its path and the URIs of the cells that are gone."""
        uri = params.notebook_document.uri
        notebook = self._notebooks.get(uri)
        if notebook is None:
            return None
        gone: list[str] = []
        change = params.change.cells
        if change is not None:
            cells = list(notebook.cells)
            if change.structure is not None:
                array = change.structure.array
                cells[array.start : array.start + array.delete_count] = array.cells or []
                self._take_up(change.structure.did_open or [])
                gone = [closed.uri for closed in change.structure.did_close or []]
                for cell_uri in gone:
                    self._documents.pop(cell_uri, None)
            described = {cell.document: cell for cell in change.data or []}
            cells = [described.get(cell.document, cell) for cell in cells]
            self._notebooks[uri] = replace(notebook, cells=tuple(cells))
            for content in change.text_content or []:
                self._change(content.document, content.changes)
        return notebook.path, gone

    def close_notebook(self, uri: str) -> tuple[Path, list[str]] | None:
        """Forget a notebook; returns its path and the URIs of its cells."""
        notebook = self._notebooks.pop(uri, None)
        if notebook is None:
            return None
        self._notebook_data.pop(uri, None)
        gone = [cell.document for cell in notebook.cells]
        for cell_uri in gone:
            self._documents.pop(cell_uri, None)
        return notebook.path, gone

    def _take_up(self, items: Iterable[types.TextDocumentItem]) -> None:
        for item in items:
            self._documents[item.uri] = _document(item)

    # -- everything ----------------------------------------------------------------------------------

    def path(self, uri: str) -> Path | None:
        """The file that a document, a notebook or a cell belongs to, if it is open."""
        if uri in self._notebooks:
            return self._notebooks[uri].path
        if uri in self._paths:
            return self._paths[uri]
        for notebook in self._notebooks.values():
            if any(cell.document == uri for cell in notebook.cells):
                return notebook.path
        return None

    def snapshot(self) -> Snapshot:
        """All open documents as they are now."""
        documents: dict[Key, Document] = {}
        overlay: dict[Path, bytes] = {}
        for uri, path in self._paths.items():
            documents[path, None] = self._documents[uri]
            overlay[path] = self._documents[uri].data
        for uri, notebook in self._notebooks.items():
            cells = [(cell, self._documents.get(cell.document)) for cell in notebook.cells]
            for number, (_, document) in enumerate(cells, 1):
                if document is not None:
                    documents[notebook.path, number] = document
            known = self._notebook_data.get(uri)
            if known is None or known[0] != cells:
                known = self._notebook_data[uri] = cells, _notebook_data(cells)
            overlay[notebook.path] = known[1]
        return Snapshot(documents, overlay)


def path_of(uri: str) -> Path | None:
    """The file that a URI names; None if it names something else, such as a text that was never saved."""
    if not uri.startswith("file:"):
        return None
    path = to_fs_path(uri)
    return Path(os.path.abspath(path)) if path else None


def _document(item: types.TextDocumentItem) -> Document:
    return Document(item.uri, item.version, item.text, item.language_id)


def _notebook_data(cells: Sequence[tuple[types.NotebookCell, Document | None]]) -> bytes:
    """The notebook in Jupyter's format, with every cell at its place."""
    written: list[dict[str, object]] = []
    for cell, document in cells:
        lines = document.lines if document is not None else []
        kind: dict[str, object] = {"cell_type": "markdown"}
        if cell.kind == types.NotebookCellKind.Code:
            kind = {"cell_type": "raw"}
            if document is not None and document.language == "python":
                kind = {"cell_type": "code", "execution_count": None, "outputs": []}
        written.append({**kind, "metadata": {}, "source": [line for line in lines if line]})
    notebook = {"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(notebook, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"
