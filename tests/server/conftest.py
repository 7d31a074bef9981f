"""An editor for the tests: a real client that talks to a real server process over its standard streams."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from bnlint.server.text import changed

PATIENCE = 60.0
"""Seconds after which a test gives up; never what a test waits for when all is well."""


class Editor:
    """Opens documents, edits them, and keeps what the server says of them."""

    def __init__(self) -> None:
        self.client = LanguageClient("editor", "1")
        self.messages: list[str] = []
        self.registrations: list[types.Registration] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.capabilities: types.ServerCapabilities
        self._shown: dict[str, types.PublishDiagnosticsParams] = {}
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self._publish(params))
        self.client.feature(types.WINDOW_SHOW_MESSAGE)(lambda params: self.messages.append(params.message))
        self.client.feature(types.CLIENT_REGISTER_CAPABILITY)(
            lambda params: self.registrations.extend(params.registrations)
        )

    def _publish(self, params: types.PublishDiagnosticsParams) -> None:
        self._shown[params.uri] = params
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def start(
        self,
        root: Path | None,
        *,
        encodings: tuple[str, ...] = (),
        capabilities: Any = None,
        command: tuple[str, ...] = ("-m", "bnlint", "server"),
    ) -> None:
        await self.client.start_io(sys.executable, *command)
        result = await asyncio.wait_for(
            self.client.initialize_async(
                types.InitializeParams(
                    capabilities=capabilities or _capabilities(encodings),
                    root_uri=root.as_uri() if root else None,
                    workspace_folders=[types.WorkspaceFolder(root.as_uri(), root.name)] if root else None,
                )
            ),
            PATIENCE,
        )
        self.capabilities = result.capabilities
        self.client.initialized(types.InitializedParams())

    async def stop(self) -> int:
        await asyncio.wait_for(self.client.shutdown_async(None), PATIENCE)
        self.client.exit(None)
        return await self.exit_code()

    async def exit_code(self) -> int:
        process = self.client._server
        assert process is not None
        await asyncio.wait_for(process.wait(), PATIENCE)
        await self.client.stop()
        assert process.returncode is not None
        return process.returncode

    # -- documents -----------------------------------------------------------------------------------

    def open(self, path: Path, text: str | None = None, *, uri: str = "", language: str = "python") -> str:
        uri = uri or path.as_uri()
        self.texts[uri] = path.read_text() if text is None else text
        self.versions[uri] = 1
        item = types.TextDocumentItem(uri, language, 1, self.texts[uri])
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def type(self, uri: str, text: str) -> None:
        self.change(uri, types.TextDocumentContentChangeWholeDocument(text))

    def change(
        self, uri: str, *changes: types.TextDocumentContentChangeEvent, encoding: str = "utf-16"
    ) -> None:
        self.versions[uri] += 1
        self.texts[uri] = changed(self.texts[uri], changes, types.PositionEncodingKind(encoding))
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(version=self.versions[uri], uri=uri), list(changes)
            )
        )

    def save(self, uri: str, path: Path) -> None:
        path.write_bytes(self.texts[uri].encode())
        self.client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))

    def close(self, uri: str) -> None:
        self.client.text_document_did_close(
            types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
        )

    # -- what the server says ------------------------------------------------------------------------

    async def diagnostics(self, uri: str) -> list[types.Diagnostic]:
        """The diagnostics of a document as it is now."""
        return await self.until(uri, lambda params: params.version == self.versions[uri])

    async def until(
        self, uri: str, wanted: Callable[[types.PublishDiagnosticsParams], bool]
    ) -> list[types.Diagnostic]:
        """The diagnostics of a document once they are as is wanted."""

        def arrived() -> bool:
            return uri in self._shown and wanted(self._shown[uri])

        async with self._news:
            await asyncio.wait_for(self._news.wait_for(arrived), PATIENCE)
        return list(self._shown[uri].diagnostics)

    def shown(self, uri: str) -> list[types.Diagnostic] | None:
        """What is shown at the moment; None if nothing was ever said."""
        return list(self._shown[uri].diagnostics) if uri in self._shown else None

    async def actions(self, uri: str, line: int, only: list[str] | None = None) -> list[types.CodeAction]:
        place = types.Position(line, 0)
        found = await asyncio.wait_for(
            self.client.text_document_code_action_async(
                types.CodeActionParams(
                    types.TextDocumentIdentifier(uri),
                    types.Range(place, place),
                    types.CodeActionContext([], only=only),
                )
            ),
            PATIENCE,
        )
        return [action for action in found or [] if isinstance(action, types.CodeAction)]

    async def hover(self, uri: str, line: int) -> str | None:
        found = await asyncio.wait_for(
            self.client.text_document_hover_async(
                types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(line, 1))
            ),
            PATIENCE,
        )
        if found is None:
            return None
        assert isinstance(found.contents, types.MarkupContent)
        return found.contents.value

    async def complete(self, action: types.CodeAction) -> types.CodeAction:
        return await asyncio.wait_for(self.client.code_action_resolve_async(action), PATIENCE)

    def apply(self, edit: types.WorkspaceEdit | None) -> None:
        """Do what an editor does with an edit: refuse it if it is for another version, else change the text."""
        assert edit is not None and edit.document_changes
        for change in edit.document_changes:
            assert isinstance(change, types.TextDocumentEdit)
            uri = change.text_document.uri
            assert change.text_document.version == self.versions[uri]
            edits = sorted(change.edits, key=lambda one: (one.range.start.line, one.range.start.character))
            parts = [
                types.TextDocumentContentChangePartial(one.range, one.new_text) for one in reversed(edits)
            ]
            self.change(uri, *parts)


def _capabilities(encodings: tuple[str, ...]) -> types.ClientCapabilities:
    return types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=list(encodings) or None),
        notebook_document=types.NotebookDocumentClientCapabilities(
            types.NotebookDocumentSyncClientCapabilities()
        ),
        text_document=types.TextDocumentClientCapabilities(
            publish_diagnostics=types.PublishDiagnosticsClientCapabilities(related_information=True),
            hover=types.HoverClientCapabilities(content_format=[types.MarkupKind.Markdown]),
            code_action=types.CodeActionClientCapabilities(
                resolve_support=types.ClientCodeActionResolveOptions(["edit"]), data_support=True
            ),
        ),
        workspace=types.WorkspaceClientCapabilities(
            workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
    )


Scenario = Callable[[Editor], Awaitable[None]]


@pytest.fixture
def drive(tmp_path: Path) -> Callable[[Scenario], None]:
    """Plays a scenario in an editor that has the test's folder open, and closes the editor properly."""

    def play(scenario: Scenario, **options: Any) -> None:
        async def session() -> None:
            editor = Editor()
            await editor.start(options.pop("root", tmp_path), **options)
            await asyncio.wait_for(scenario(editor), 3 * PATIENCE)
            assert await editor.stop() == 0

        asyncio.run(session())

    return play
