"""Between what bnlint says and what the protocol can say."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types

from bnlint.findings import Finding, Group, Location, Replacement
from bnlint.server.analysis import Analysis
from bnlint.server.text import Encoding, position, split_lines
from bnlint.server.workspace import Document, Key, Snapshot

SOURCE = "bnlint"

_SEVERITIES = {
    Group.ERROR: types.DiagnosticSeverity.Error,
    Group.WARNING: types.DiagnosticSeverity.Warning,
    Group.INFO: types.DiagnosticSeverity.Information,
    Group.PREVIEW: types.DiagnosticSeverity.Hint,
}


@dataclass(frozen=True)
class Client:
    """What the client can take."""

    related: bool = False
    """Places beside that of the diagnostic."""
    versions: bool = False
    """Edits that say which version of a document they are for."""
    lazy_edits: bool = False
    """Code actions whose edit is only made when they are chosen."""
    markdown: bool = False

    @classmethod
    def of(cls, capabilities: types.ClientCapabilities) -> Client:
        """What a client says that it can take."""
        document = capabilities.text_document or types.TextDocumentClientCapabilities()
        workspace = capabilities.workspace or types.WorkspaceClientCapabilities()
        diagnostics, actions, hover = document.publish_diagnostics, document.code_action, document.hover
        edits = workspace.workspace_edit
        resolve = actions.resolve_support if actions else None
        formats = hover.content_format if hover else None
        return cls(
            related=bool(diagnostics and diagnostics.related_information),
            versions=bool(edits and edits.document_changes),
            lazy_edits=resolve is not None and "edit" in resolve.properties,
            markdown=types.MarkupKind.Markdown in (formats or ()),
        )


class Converter:
    """Converts with the texts of one moment."""

    def __init__(self, snapshot: Snapshot, encoding: Encoding, client: Client) -> None:
        self.snapshot = snapshot
        self.client = client
        self._encoding = encoding
        self._on_disk: dict[Key, list[str]] = {}

    def key(self, location: Location) -> Key:
        """The file and cell of a location."""
        return Path(os.path.abspath(location.path)), location.cell

    def place(self, location: Location) -> types.Location:
        """A location, in an open document or on the disk."""
        key = self.key(location)
        document = self.snapshot.documents.get(key)
        return types.Location(document.uri if document else key[0].as_uri(), self.range(location))

    def range(self, location: Location) -> types.Range:
        """The span of a location."""
        lines = self._lines(self.key(location))
        first, last = location.line - 1, location.end_line - 1
        return types.Range(
            position(lines, first, location.column - 1, self._encoding),
            position(lines, last, location.end_column - 1, self._encoding),
        )

    def diagnostic(self, finding: Finding) -> types.Diagnostic:
        """A finding, with the places that prove it."""
        message = finding.message
        related = None
        if self.client.related:
            related = [
                types.DiagnosticRelatedInformation(self.place(step.location), step.message)
                for step in finding.steps
            ]
        elif finding.steps:
            steps = (f"{_spoken(step.location)}: {step.message}" for step in finding.steps)
            message = "\n".join((message, *(f"{number}. {step}" for number, step in enumerate(steps, 1))))
        return types.Diagnostic(
            self._shown(finding.location),
            message,
            severity=_SEVERITIES[finding.group],
            code=finding.code,
            source=SOURCE,
            related_information=related or None,
        )

    def replaced(self, replacements: Iterable[Replacement]) -> types.WorkspaceEdit:
        """Replacements, wherever they are."""
        edits: dict[Key, list[types.TextEdit]] = defaultdict(list)
        for replacement in replacements:
            key = self.key(replacement.location)
            new = self._with_line_ends(key, replacement.text)
            edits[key].append(types.TextEdit(self.range(replacement.location), new))
        return self.edit(edits)

    def rewritten(self, texts: Iterable[tuple[Key, str]]) -> types.WorkspaceEdit:
        """New texts of documents; only the lines that differ are edited."""
        edits: dict[Key, list[types.TextEdit]] = defaultdict(list)
        for key, text in texts:
            old, new = self._lines(key), split_lines(self._with_line_ends(key, text))
            for start, end, lines in _differences(old, new):
                span = types.Range(self._line_start(old, start), self._line_start(old, end))
                edits[key].append(types.TextEdit(span, "".join(lines)))
        return self.edit(edits)

    def edit(self, edits: dict[Key, list[types.TextEdit]]) -> types.WorkspaceEdit:
        """Edits by file and cell as the client wants them: for exactly the version that was analysed."""
        found = [(self._document(key), listed) for key, listed in edits.items()]
        if not self.client.versions:
            return types.WorkspaceEdit(changes={document.uri: listed for document, listed in found})
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(
                        uri=document.uri, version=document.version if document.version >= 0 else None
                    ),
                    listed,
                )
                for document, listed in found
            ]
        )

    def _document(self, key: Key) -> Document:
        """The document of a key; one that is not open has a negative version."""
        return self.snapshot.documents.get(key) or Document(key[0].as_uri(), -1, "", "python")

    def _lines(self, key: Key) -> list[str]:
        document = self.snapshot.documents.get(key)
        if document is not None:
            return document.lines
        if key not in self._on_disk:
            try:
                text = key[0].read_bytes().decode("utf-8-sig", "replace") if key[1] is None else ""
            except OSError:
                text = ""
            self._on_disk[key] = split_lines(text)
        return self._on_disk[key]

    def _line_start(self, lines: list[str], line: int) -> types.Position:
        return position(lines, line, 0, self._encoding)

    def _with_line_ends(self, key: Key, text: str) -> str:
        """The text with the line ends of its document."""
        end = "\r\n" if self._lines(key)[0].endswith("\r\n") else "\n"
        return text.replace("\r\n", "\n").replace("\n", end)

    def _shown(self, location: Location) -> types.Range:
        """The range to underline: a location without extent stands for its whole line."""
        if (location.line, location.column) != (location.end_line, location.end_column):
            return self.range(location)
        lines = self._lines(self.key(location))
        if location.line > len(lines):
            return self.range(location)
        line = lines[location.line - 1].rstrip()
        indentation = len(line) - len(line.lstrip())
        return types.Range(
            position(lines, location.line - 1, indentation, self._encoding),
            position(lines, location.line - 1, len(line), self._encoding),
        )


def _differences(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Which lines are to be replaced by which others."""
    from difflib import SequenceMatcher

    # Most is the same, and comparing everything with everything takes long.
    shorter = min(len(old), len(new))
    head = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    shorter -= head
    tail = next((index for index in range(shorter) if old[-1 - index] != new[-1 - index]), shorter)
    first, second = old[head : len(old) - tail], new[head : len(new) - tail]
    for what, start, end, begin, stop in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if what != "equal":
            yield head + start, head + end, second[begin:stop]


def _spoken(location: Location) -> str:
    cell = f"cell {location.cell}:" if location.cell is not None else ""
    return f"{location.path}:{cell}{location.line}:{location.column}"


def findings_at(analysis: Analysis, converter: Converter, key: Key, span: types.Range) -> list[Finding]:
    """The findings of a document whose lines touch a range."""
    found = []
    for finding in analysis.report.findings:
        if converter.key(finding.location) == key:
            shown = converter.range(finding.location)
            if shown.start.line <= span.end.line and span.start.line <= shown.end.line:
                found.append(finding)
    return found
