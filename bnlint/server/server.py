"""The wiring: which request or notification of the protocol is answered by what."""

from __future__ import annotations

import logging
import sys
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

import bnlint
from bnlint.server import actions
from bnlint.server.convert import Client
from bnlint.server.hover import pages_at
from bnlint.server.service import Service, log, work_in
from bnlint.server.workspace import path_of

_WATCHED = ("**/*.{py,ipynb,toml,txt,cfg,lock,yml,yaml}", "**/{.gitignore,Pipfile}")
"""Files that an analysis reads."""
_NOTEBOOKS = types.NotebookDocumentSyncOptions(
    # All cells, not only those in Python: they are counted.
    [types.NotebookDocumentFilterWithNotebook(types.NotebookDocumentFilterNotebookType("jupyter-notebook"))],
    save=True,
)


class Server(LanguageServer):
    """A server for one client."""

    def __init__(self) -> None:
        super().__init__("bnlint", bnlint.__version__, notebook_document_sync=_NOTEBOOKS)
        self.asked_to_stop = False
        self.service: Service

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Write a failure to the log; a window for each would be in the way."""
        log.error("%s", error)


def serve() -> int:
    """Serve a client over standard input and output until it goes; returns the exit code."""
    server = Server()
    _register(server)
    output = sys.stdout.buffer
    # What anything prints by mistake must not get between the messages.
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="bnlint: %(message)s")
    server.start_io(stdout=output)
    return 0 if server.asked_to_stop else 1


def _register(server: Server) -> None:
    _register_documents(server)
    _register_notebooks(server)
    _register_questions(server)

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        service = server.service = Service(
            server.text_document_publish_diagnostics,
            lambda text: server.window_show_message(
                types.ShowMessageParams(types.MessageType.Error, f"bnlint: {text}")
            ),
        )
        service.client = Client.of(params.capabilities)
        service.workspace.encoding = server.workspace.position_encoding or types.PositionEncodingKind.Utf16
        _take_folders(server)
        if service.workspace.folders:
            work_in(service.workspace.folders[0])

    @server.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        workspace = server.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace else None
        if watching is not None and watching.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions(
                [types.FileSystemWatcher(pattern) for pattern in _WATCHED]
            )
            server.client_register_capability(
                types.RegistrationParams(
                    [types.Registration("files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)]
                )
            )

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def files_changed(params: types.DidChangeWatchedFilesParams) -> None:
        server.service.saved()

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders_changed(params: types.DidChangeWorkspaceFoldersParams) -> None:
        _take_folders(server)

    @server.feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.asked_to_stop = True


def _take_folders(server: Server) -> None:
    uris = [folder.uri for folder in server.workspace.folders.values()]
    if not uris and server.workspace.root_uri:
        uris = [server.workspace.root_uri]
    server.service.workspace.folders = [path for uri in uris if (path := path_of(uri)) is not None]


def _register_documents(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.service.opened(server.service.workspace.open(params.text_document))

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.service.typed(server.service.workspace.change(params))

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        server.service.saved(server.service.workspace.path(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        path = server.service.workspace.close(params.text_document.uri)
        if path is not None:
            server.service.closed(path, [params.text_document.uri])


def _register_notebooks(server: Server) -> None:
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenNotebookDocumentParams) -> None:
        server.service.opened(server.service.workspace.open_notebook(params))

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeNotebookDocumentParams) -> None:
        change = server.service.workspace.change_notebook(params)
        if change is None:
            return
        path, gone = change
        if gone:
            server.service.closed(path, gone)
        else:
            server.service.typed(path)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveNotebookDocumentParams) -> None:
        server.service.saved(server.service.workspace.path(params.notebook_document.uri))

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseNotebookDocumentParams) -> None:
        closing = server.service.workspace.close_notebook(params.notebook_document.uri)
        if closing is not None:
            server.service.closed(*closing)


def _register_questions(server: Server) -> None:
    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=list(actions.KINDS), resolve_provider=True),
    )
    async def code_actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        return await actions.offered(server.service, params)

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def resolved(action: types.CodeAction) -> types.CodeAction:
        return await actions.completed(server.service, action)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        return await pages_at(server.service, params)
