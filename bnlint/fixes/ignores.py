"""Writes comments that suppress findings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bnlint.findings import Finding, Location, Problem
from bnlint.fixes import Change
from bnlint.fixes.errors import EditError
from bnlint.source.anchors import Anchors
from bnlint.source.files import Files
from bnlint.source.module import Module
from bnlint.source.suppressions import Comments, Directive
from bnlint.source.tokens import pieces

_LONGEST = 100
"""A comment that would make a line longer than this gets a line of its own."""
_NOWHERE = (
    "No comment can be written for the finding at this line, because it begins and ends inside of texts that go on. "
    "Write the statement on lines of its own, or suppress the finding in the whole file."
)
_MUST_BE_FIRST = re.compile(r"#!|[ \t\f]*#.*?coding[:=]")


class Suppressing(NamedTuple):
    """The files with comments that suppress findings, and what no comment can be written for."""

    changes: dict[Path, Change]
    problems: list[Problem]


def suppressing(findings: Sequence[Finding], reason: str, files: Files) -> Suppressing:
    """A comment ``# bnlint: ignore[CODES] reason`` for each of the findings.

    There is none in files that cannot be read, and in those whose text is not in the encoding that they declare,
    because nobody knows how to write into them.
    """
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.location.path, []).append(finding)
    reason = " ".join(reason.split())
    made = Suppressing({}, [])
    for display, found in by_file.items():
        path = Path(os.path.abspath(display))
        try:
            change, homeless = _changed(path, display, found, reason, files)
        except EditError as error:
            message = f"No comment can be written into this file: {error}. Correct it and run bnlint again."
            made.problems.append(Problem(display, 1, message, unwritten=True))
            continue
        made.problems.extend(Problem(display, line, _NOWHERE, unwritten=True) for line in homeless)
        if change.before != change.after:
            made.changes[path] = change
    return made


def _changed(
    path: Path, display: str, findings: Sequence[Finding], reason: str, files: Files
) -> tuple[Change, list[int]]:
    """The change of a file, and the lines for which it has no comment.

    Raises EditError.
    """
    from bnlint.source.read import read

    try:
        data = files.read(path)
    except OSError as error:
        raise EditError(f"it cannot be read ({error.strerror or error})") from error
    module = read(path, display, data)
    if isinstance(module, Problem):
        raise EditError("it cannot be read")
    # Where the encoding of the file lacks letters, ASCII can still say what was meant.
    failure = EditError()
    for spelling in dict.fromkeys((reason, reason.encode("ascii", "backslashreplace").decode())):
        plan = _Plan(module, spelling)
        for finding in findings:
            plan.take(finding)
        try:
            return Change(data, _bytes(module, data, plan.lines())), plan.homeless
        except EditError as error:
            failure = error
    raise failure


def _bytes(module: Module, data: bytes, lines: Sequence[Sequence[str]]) -> bytes:
    """The bytes of a file in which other lines stand for each of its lines."""
    if module.path.suffix != ".ipynb":
        from bnlint.fixes.splice import spliced_bytes

        return spliced_bytes(data, "\n".join(module.source), "\n".join(_flat(lines)))
    from bnlint.fixes.notebook import decoded, spliced_notebook
    from bnlint.source.notebook import code_cells

    changed = {}
    start = 0
    for cell in code_cells(decoded(data)):
        end = start + cell.original.count("\n") + 1
        text = "\n".join(_flat(lines[start:end]))
        if text != cell.original:
            # Magics are to stay, so the lines are compared as they are and not as they were analysed.
            changed[cell._replace(text=cell.original)] = text
        start = end
    return spliced_notebook(data, changed)


def _flat(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    return (line for group in lines for line in group)


@dataclass(slots=True)
class _New:
    """What is to be said at a place."""

    codes: set[str] = field(default_factory=set)
    directive: Directive | None = None
    """The one that is already there and names other codes."""


class _Plan:
    """The comments for the findings of one file."""

    def __init__(self, module: Module, reason: str) -> None:
        self._module = module
        self._reason = reason
        self._anchors = Anchors(module)
        self._comments = Comments(module)
        self._layout = _Layout(module)
        self._statements: dict[int, set[str]] = {}
        """By the first line of a statement, the codes to ignore there."""
        self._merged: dict[int, _New] = {}
        """By the identity of a directive, what it has to name, too."""
        self._whole_file: set[str] = set()
        self.homeless: list[int] = []
        """The lines of statements at which no comment may stand; known once the lines are made."""

    def take(self, finding: Finding) -> None:
        """Plan the comment for one finding."""
        where = finding.location
        statement = self._anchors.statement_lines(where)
        known = [
            directive
            for directive in self._comments.at(where, statement)
            if directive.codes and not (directive.mistake or directive.noqa)
        ]
        line = self._module.line_of(where)
        first = line - where.line + statement[0]
        nowhere = not self._anchors.anchor(where).statement and not self._layout.may_follow(line)
        near = next((directive for directive in known if directive.whole_file is nowhere), None)
        if near is not None:
            new = self._merged.setdefault(id(near), _New(directive=near))
            new.codes.add(finding.code)
        elif nowhere:
            self._whole_file.add(finding.code)
        else:
            self._statements.setdefault(first, set()).add(finding.code)

    def lines(self) -> list[list[str]]:
        """What stands for each line of the file."""
        result = [[line] for line in self._module.source]
        for new in sorted(self._merged.values(), key=_from_the_end):
            assert new.directive is not None
            self._merge(result, new.directive, new.codes)
        for line, codes in self._statements.items():
            comment = _comment("ignore", sorted(codes), self._reason)
            source = self._module.source[line - 1]
            appended = f"{source.rstrip()}  {comment}"
            above_fits = self._layout.may_precede(line)
            if self._layout.may_end(line) and (len(appended) <= _LONGEST or not above_fits):
                result[line - 1][-1] = appended
            elif above_fits:
                indent = source[: len(source) - len(source.lstrip())]
                result[line - 1].insert(0, indent + comment)
            else:
                self.homeless.append(line)
        if self._whole_file:
            comment = _comment("ignore-file", sorted(self._whole_file), self._reason)
            result[self._layout.top() - 1].insert(0, comment)
        return result

    def _merge(self, result: list[list[str]], directive: Directive, codes: set[str]) -> None:
        verb = "ignore-file" if directive.whole_file else "ignore"
        reasons = [directive.reason] if directive.reason else []
        if self._reason and self._reason not in directive.reason:
            reasons.append(self._reason)
        listed = [*directive.codes, *sorted(codes.difference(directive.codes))]
        line = result[self._module.line_of(directive.location) - 1]
        start, end = (offset + directive.location.column - 1 for offset in directive.span)
        line[-1] = f"{line[-1][:start]}{_comment(verb, listed, '; '.join(reasons))}{line[-1][end:]}"


def _comment(verb: str, codes: Sequence[str], reason: str) -> str:
    return f"# bnlint: {verb}[{', '.join(codes)}] {reason}".rstrip()


def _from_the_end(new: _New) -> tuple[int, int]:
    """Sorts directives so that the places of the others in a comment stay right."""
    assert new.directive is not None
    where: Location = new.directive.location
    return where.line, -new.directive.span[0]


class _Layout:
    """Where comments may stand in a file."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._ended: set[int] = set()
        """Lines that end where no string goes on, and no backslash joins the next one."""
        self._commented: set[int] = set()
        self._starts = [start for start, _ in module.cells] or [1]
        lines = module.text.split("\n") if module.cells else module.source
        for start, end in zip(self._starts, [*self._starts[1:], len(lines) + 1], strict=True):
            line = start
            for piece in pieces("\n".join(lines[start - 1 : end - 1])):
                if piece.kind == "newline":
                    self._ended.add(line)
                elif piece.kind == "comment":
                    self._commented.add(line)
                line += piece.text.count("\n")
            self._ended.add(line)

    def may_end(self, line: int) -> bool:
        """Whether a line may end with a new comment."""
        text, source = self._module.line_text(line).strip(), self._module.source[line - 1]
        # What differs is not Python, but for what %time measures.
        is_python = not self._module.cells or (bool(text) and source.rstrip().endswith(text))
        return is_python and line in self._ended and line not in self._commented

    def may_precede(self, line: int) -> bool:
        """Whether a line of its own for a comment may come before a line."""
        return line in self._starts or line - 1 in self._ended

    def may_follow(self, line: int) -> bool:
        """Whether a comment can speak of what stands on a line."""
        source = self._module.source
        text = source[line - 1] if 0 < line <= len(source) else ""
        return bool(text.strip()) and not (line <= 2 and _MUST_BE_FIRST.match(text))

    def top(self) -> int:
        """The line before which a comment for the whole file is put."""
        source = self._module.source
        for start in self._starts:
            if not source[start - 1].lstrip().startswith("%%"):
                break
        line = start
        while line < min(start + 2, len(source)) and _MUST_BE_FIRST.match(source[line - 1]):
            line += 1
        return line
