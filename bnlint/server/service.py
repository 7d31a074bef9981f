"""Keeps the diagnostics of open documents up to date, without ever making the editor wait."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from lsprotocol import types

from bnlint.check import with_deep_stack
from bnlint.errors import UserError
from bnlint.findings import Problem
from bnlint.program.project import find_root, is_root
from bnlint.server.analysis import Analysis, Occasion, Project
from bnlint.server.convert import Client, Converter
from bnlint.server.workspace import Workspace
from bnlint.settings.lookup import Lookup

QUIET = 0.15
"""Seconds without a key before what was typed is analysed."""

log = logging.getLogger("bnlint.server")

Publish = Callable[[types.PublishDiagnosticsParams], None]
Complain = Callable[[str], None]
_T = TypeVar("_T")


class _Watched:
    """A project with open documents, and when it is to be analysed."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self.analysis: Analysis | None = None
        self.due: float | None = None
        self.occasion = Occasion.TYPED
        self.complaint = ""
        self.problems: set[Problem] = set()
        """What the log says already."""
        self.settled = asyncio.Event()

    def mark(self, due: float, occasion: Occasion) -> None:
        """Something has happened; analyse it at a time of the event loop, which comes after what was due before."""
        self.due = due
        self.occasion = max(self.occasion, occasion)
        self.settled.clear()

    def begin(self) -> Occasion:
        """An analysis begins; what happens from now on is for the next one."""
        occasion, self.occasion, self.due = self.occasion, Occasion.TYPED, None
        return occasion

    def note(self, problems: Iterable[Problem]) -> None:
        """Write what could not be checked to the log, once."""
        found = set(problems)
        for problem in found - self.problems:
            log.warning("%s:%s: %s", problem.path, problem.line, problem.message)
        self.problems = found


class Service:
    """Analyses what has changed and publishes what was found.

    Everything here runs in the event loop, except for the analysis itself: that has a thread, one at a time.
    """

    def __init__(self, publish: Publish, complain: Complain) -> None:
        self.workspace = Workspace()
        self.client = Client()
        self._publish = publish
        self._complain = complain
        self._watched: dict[Path, _Watched] = {}
        self._roots: dict[Path, Path] = {}
        self._published: dict[str, tuple[int, list[types.Diagnostic]]] = {}
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- what happens in the editor ------------------------------------------------------------------

    def typed(self, path: Path | None) -> None:
        """The text of a document has changed."""
        self._mark(path, Occasion.TYPED, pause=QUIET)

    def opened(self, path: Path | None) -> None:
        """A document was opened."""
        self._mark(path, Occasion.OPENED)

    def saved(self, path: Path | None = None) -> None:
        """A document was saved; without a path, any file on the disk may have changed."""
        if path is not None and self._roots.get(path) in self._watched:
            self._watched[self._roots[path]].project.forget()
            self._mark(path, Occasion.SAVED)
            return
        self._roots.clear()
        for watched in self._watched.values():
            watched.project.forget()
        for open_path in self.workspace.snapshot().overlay:
            self._mark(open_path, Occasion.SAVED)

    def closed(self, path: Path, uris: Iterable[str]) -> None:
        """Documents were closed: what counts now is what is on the disk."""
        for uri in uris:
            if uri in self._published:
                del self._published[uri]
                self._publish(types.PublishDiagnosticsParams(uri, []))
        self._mark(path, Occasion.SAVED)

    def _mark(self, path: Path | None, occasion: Occasion, pause: float = 0.0) -> None:
        if path is None:
            return
        root = self._root(path)
        watched = self._watched.get(root)
        if watched is None:
            watched = self._watched[root] = _Watched(root)
        watched.mark(asyncio.get_running_loop().time() + pause, occasion)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())

    def _root(self, path: Path) -> Path:
        """The project's folder; where nothing says, the folder that is open in the editor."""
        root = self._roots.get(path)
        if root is None:
            root = self._roots[path] = _root_of(path, self.workspace.folders)
        return root

    # -- what is asked -------------------------------------------------------------------------------

    async def current(self, uri: str) -> tuple[Project, Analysis, Converter] | None:
        """The analysis of a document as it is now, made at once if need be."""
        path = self.workspace.path(uri)
        watched = self._watched.get(self._root(path)) if path is not None else None
        if watched is None:
            return None
        if watched.due is not None:
            watched.due = 0.0
            self._wake.set()
        await watched.settled.wait()
        if watched.analysis is None:
            return None
        return watched.project, watched.analysis, self._converter(watched.analysis)

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """Do something that takes long, while the event loop goes on."""
        # Whoever waits may give up; the next one must wait nevertheless, because a thread cannot be stopped.
        return await asyncio.shield(asyncio.ensure_future(self._one_at_a_time(work)))

    async def _one_at_a_time(self, work: Callable[[], _T]) -> _T:
        async with self._lock:
            loop = asyncio.get_running_loop()
            done = asyncio.Event()
            outcome: list[_T] = []
            errors: list[BaseException] = []

            def run() -> None:
                try:
                    # Parsers recurse, and threads have small stacks.
                    outcome.append(with_deep_stack(work))
                except BaseException as error:  # handed on to whoever waits
                    errors.append(error)
                with suppress(RuntimeError):  # the client has gone, and the loop with it
                    loop.call_soon_threadsafe(done.set)

            # Not in an executor: when the client goes, nobody waits for an analysis to end.
            threading.Thread(target=run, daemon=True).start()
            await done.wait()
        if errors:
            raise errors[0]
        return outcome[0]

    # -- the work ------------------------------------------------------------------------------------

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            waiting = [
                (watched.due, watched) for watched in self._watched.values() if watched.due is not None
            ]
            due, watched = min(waiting, key=lambda pair: pair[0], default=(None, None))
            if watched is not None and due is not None and due <= loop.time():
                await self._analyse(watched)
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), None if due is None else due - loop.time())
            except asyncio.TimeoutError:
                continue

    async def _analyse(self, watched: _Watched) -> None:
        occasion = watched.begin()
        analysis, complaint = None, ""
        try:
            analysis = await self._analysed(watched, occasion)
            if analysis is not None and watched.due is None:
                watched.note(analysis.report.problems)
                self._publish_all(analysis)
        except UserError as error:
            complaint = str(error)
            if watched.complaint != complaint:
                self._complain(complaint)
        except Exception:  # whatever it is, the next text may be free of it
            log.exception("The analysis of %s failed.", watched.project.root)
        watched.complaint = complaint
        if watched.due is None:
            watched.analysis = analysis
            watched.settled.set()
        else:
            # There is newer text by now; what was found might be in the wrong places.
            watched.occasion = max(watched.occasion, occasion)

    async def _analysed(self, watched: _Watched, occasion: Occasion) -> Analysis | None:
        snapshot, project = self.workspace.snapshot(), watched.project
        paths = [path for path in snapshot.overlay if self._root(path) == project.root and path.is_file()]
        if not paths:
            return None
        return await self.in_thread(lambda: project.analyse(paths, snapshot, occasion))

    def _publish_all(self, analysis: Analysis) -> None:
        converter = self._converter(analysis)
        found: dict[str, list[types.Diagnostic]] = {
            document.uri: []
            for (path, _), document in analysis.snapshot.documents.items()
            if path in analysis.paths
        }
        for finding in analysis.report.findings:
            document = analysis.snapshot.documents.get(converter.key(finding.location))
            if document is not None:
                found[document.uri].append(converter.diagnostic(finding))
        versions = {document.uri: document.version for document in analysis.snapshot.documents.values()}
        for uri, diagnostics in found.items():
            state = versions[uri], diagnostics
            if self._published.get(uri) != state:
                self._published[uri] = state
                self._publish(types.PublishDiagnosticsParams(uri, diagnostics, versions[uri]))

    def _converter(self, analysis: Analysis) -> Converter:
        return Converter(analysis.snapshot, self.workspace.encoding, self.client)


def _root_of(path: Path, folders: Sequence[Path]) -> Path:
    try:
        configured = Lookup().of(path).project_root
    except UserError:
        # The analysis says what is wrong.
        configured = None
    root = configured or find_root(path)
    if root != path.parent or is_root(root):
        return root
    around = [folder for folder in folders if path.is_relative_to(folder)]
    return max(around, key=lambda folder: len(folder.parts), default=root)


def work_in(folder: Path) -> None:
    """Make a folder the current one, so that messages name files as seen from there."""
    try:
        os.chdir(folder)
    except OSError as error:
        log.warning("%s cannot be entered: %s", folder, error.strerror)
