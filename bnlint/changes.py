"""Which lines have changed since a revision of git."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from bnlint.errors import UserError
from bnlint.findings import Finding, Location, Report
from bnlint.source.files import Files

_HASH = re.compile(r"[0-9a-f]{40,64}")

_Line = tuple[int | None, int]
"""A cell and a line in it."""


class ChangesError(UserError):
    """Git cannot say what has changed."""


class Changes:
    """What has changed since a revision.

    A line has changed if it is new or other than it was, apart from its line end; so have the two lines between
    which something was deleted. Files that git does not know at the revision have changed as a whole; a renamed
    file is compared with what it was. In a notebook only the code of its cells counts.
    """

    def __init__(self, root: Path, commit: str, renamed: dict[str, str]) -> None:
        self._root = root
        self._commit = commit
        self._renamed = renamed

    @classmethod
    def since(cls, revision: str, folder: Path) -> Changes:
        """Ask git, in the repository that a folder is in.

        Raises ChangesError.
        """
        try:
            top = _git(folder, "rev-parse", "--show-toplevel")
        except _Failed as failed:
            raise ChangesError(
                f"--changed-since needs a git repository around {folder}, and git says: {failed}. "
                "Check files in a repository, or leave the option out."
            ) from None
        root = Path(os.fsdecode(top).rstrip("\r\n"))
        commit = _commit(root, revision)
        listed = _git(root, "diff", "--name-status", "-M", "--diff-filter=R", "-z", commit, "--")
        fields = os.fsdecode(listed).split("\0")
        renamed = dict(zip(fields[2::3], fields[1::3], strict=False))
        return cls(root, commit, renamed)

    def apply(self, report: Report, files: Files) -> None:
        """Take the findings that touch no changed line, neither themselves nor by a step, out of a report."""
        known: dict[str, set[_Line] | None] = {}

        def is_new(finding: Finding) -> bool:
            for place in (finding.location, *(step.location for step in finding.steps)):
                if place.path not in known:
                    known[place.path] = self._changed(Path(os.path.abspath(place.path)), files)
                if _touches(known[place.path], place):
                    return True
            return False

        report.findings[:] = filter(is_new, report.findings)
        report.suppressed[:] = [known for known in report.suppressed if is_new(known.finding)]

    def _changed(self, path: Path, files: Files) -> set[_Line] | None:
        """The changed lines of a file, or None if all of it counts as changed."""
        old = self._old(path)
        try:
            new = files.read(path)
        except OSError:
            return None
        if old is None:
            return None
        if path.suffix != ".ipynb":
            return _changed_lines(_lines(old), _lines(new))
        before, after = _cell_lines(old), _cell_lines(new)
        return None if before is None or after is None else _changed_lines(before, after)

    def _old(self, path: Path) -> bytes | None:
        """What a file was at the revision, or None if there was none."""
        try:
            # The file may itself be a link, and git looks at links and not at where they lead.
            name = (path.parent.resolve() / path.name).relative_to(self._root.resolve()).as_posix()
        except ValueError:
            return None
        try:
            return _git(self._root, "cat-file", "blob", f"{self._commit}:{self._renamed.get(name, name)}")
        except _Failed:
            return None


def _touches(changed: set[_Line] | None, place: Location) -> bool:
    if changed is None:
        return True
    last = max(place.line, place.end_line)
    return any((place.cell, line) in changed for line in range(place.line, last + 1))


def _lines(data: bytes) -> list[tuple[_Line, object]]:
    return [((None, number), line) for number, line in enumerate(data.splitlines(), 1)]


def _cell_lines(data: bytes) -> list[tuple[_Line, object]] | None:
    """The lines of all code cells of a notebook, or None if it cannot be read."""
    from bnlint.source.notebook import NotebookError, code_cells

    try:
        cells = code_cells(data.decode("utf-8-sig"))
    except (NotebookError, UnicodeDecodeError):
        return None
    return [
        ((cell.number, number), line)
        for cell in cells
        for number, line in enumerate(cell.original.split("\n"), 1)
    ]


def _changed_lines(old: Sequence[tuple[_Line, object]], new: Sequence[tuple[_Line, object]]) -> set[_Line]:
    """The places of the new lines that are not in the old ones, and of those between which some are gone."""
    before, after = [line for _, line in old], [line for _, line in new]
    return {new[index][0] for index in _changed_indices(before, after)}


def _changed_indices(before: list[object], after: list[object]) -> Iterator[int]:
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    # What both have in common at the ends would only cost time.
    matcher = SequenceMatcher(
        None, before[head : len(before) - tail], after[head : len(after) - tail], autojunk=False
    )
    for kind, _, _, begin, end in matcher.get_opcodes():
        if kind == "delete":
            yield from (index for index in (head + begin - 1, head + begin) if 0 <= index < len(after))
        elif kind != "equal":
            yield from range(head + begin, head + end)


def _commit(root: Path, revision: str) -> str:
    """The commit that a revision means."""
    if revision.startswith("-"):
        # Old versions of git would take it for an option.
        raise ChangesError(
            f"{revision!r} is no revision: none begins with a hyphen. Name a commit or branch."
        )
    try:
        found = os.fsdecode(_git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")).strip()
    except _Failed:
        found = ""
    if _HASH.fullmatch(found):
        return found
    try:
        _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except _Failed:
        raise ChangesError(
            f"The git repository {root} has no commit yet, so nothing can be compared with {revision!r}. "
            "Commit something first, or leave --changed-since out."
        ) from None
    raise ChangesError(
        f"There is no single commit {revision!r} in the git repository {root}. Check how it is spelled; a shallow "
        "clone, as CI makes it, lacks branches and history until they are fetched."
    )


class _Failed(Exception):
    """What git complains of."""


def _git(folder: Path, *arguments: str) -> bytes:
    """What git prints.

    Raises _Failed if git does not succeed, and ChangesError if there is no git.
    """
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        # Hooks are given paths that are relative to where they run.
        if name in environment:
            environment[name] = os.path.abspath(environment[name])
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise ChangesError(
            f"--changed-since needs git, which cannot be started ({error.strerror or error}). Install git, or "
            "leave the option out."
        ) from error
    if done.returncode:
        complaint = os.fsdecode(done.stderr).strip().partition("\n")[0].removeprefix("fatal: ").rstrip(".")
        raise _Failed(complaint or f"exit code {done.returncode}")
    return done.stdout
