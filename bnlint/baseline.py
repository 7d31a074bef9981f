"""The baseline: findings that were there before bnlint was, and that are not reported."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bnlint import atomic
from bnlint.errors import UserError
from bnlint.findings import Finding, Report, Silencer, Suppressed, Suppression

VERSION = 1
"""Changes when old files would be misread."""

_MOST_NAMED = 5
_TEXTS = ("path", "code", "definition", "statement")


class BaselineError(UserError):
    """The baseline file cannot be used."""


class Key(NamedTuple):
    """By what a finding is recognised; ``path`` is relative to the folder of the baseline file."""

    path: str
    code: str
    definition: str
    statement: str


class Baseline:
    """What a baseline file holds: how often each finding may be there."""

    def __init__(self, path: Path, entries: Mapping[Key, int]) -> None:
        self._path = path
        self._entries = dict(entries)
        self._stale: Counter[Key] = Counter()

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a baseline file.

        Raises BaselineError.
        """
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            raise BaselineError(
                f"There is no baseline file {path}. Make it with --write-baseline {path}."
            ) from None
        except OSError as error:
            raise BaselineError(
                f"The baseline file {path} cannot be read ({error.strerror}). Check that it is a readable file."
            ) from error
        except UnicodeDecodeError:
            raise BaselineError(_broken(path, "it is not UTF-8")) from None
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise BaselineError(_broken(path, f"line {error.lineno} is not JSON ({error.msg})")) from None
        except RecursionError:
            raise BaselineError(_broken(path, "its JSON is nested too deeply")) from None
        return cls(path, _entries(path, document))

    def apply(self, report: Report) -> None:
        """Take the findings that the baseline knows out of a report, and note the entries that are stale."""
        left = Counter(self._entries)
        reported = []
        for finding in report.findings:
            key = _key(finding, self._path)
            if left[key] > 0:
                left[key] -= 1
                suppression = Suppression(Silencer.BASELINE, None, f"known in {self._path.as_posix()}")
                report.suppressed.append(Suppressed(finding, suppression))
            else:
                reported.append(finding)
        report.findings[:] = reported
        self._stale = self._judge(+left, report)
        if self._stale:
            report.notes.append(self._complaint())

    def prune(self) -> int:
        """Take the entries that were stale in the last report out of the file; returns how many they were.

        Raises BaselineError.
        """
        pruned = len(self._stale)
        if pruned:
            self._entries = dict(Counter(self._entries) - self._stale)
            _save(self._path, self._entries)
            self._stale.clear()
        return pruned

    def _judge(self, left: Counter[Key], report: Report) -> Counter[Key]:
        """Of the entries that were not needed, those that certainly say something that is no longer true."""
        folder = _folder(self._path)
        asked = {_relative(path, folder) for path in report.asked}
        codes = {rule.code for rule in report.rules} or {key.code for key in left}
        # What was not read or not reached may hold what the entries are there for.
        complete = not (report.problems or report.summary.incomplete)
        return Counter(
            {
                key: count
                for key, count in left.items()
                if (complete and key.path in asked and key.code in codes)
                or not os.path.lexists(os.path.join(folder, key.path))
            }
        )

    def _complaint(self) -> str:
        stale = sorted(self._stale)
        named = ", ".join(f"{key.code} in {key.path}" for key in stale[:_MOST_NAMED])
        more = f" and {len(stale) - _MOST_NAMED:,} more" if len(stale) > _MOST_NAMED else ""
        subject = "An entry" if len(stale) == 1 else f"{len(stale):,} entries"
        verb = "is" if len(stale) == 1 else "are"
        return (
            f"{subject} of the baseline {self._path.as_posix()} {verb} no longer found: {named}{more}. "
            "--prune-baseline takes what is stale out of the file."
        )


def write(path: Path, findings: Sequence[Finding]) -> None:
    """Write a baseline file that holds these findings.

    Raises BaselineError, also if there is a file that is no baseline.
    """
    if path.exists():
        try:
            Baseline.load(path)
        except BaselineError as error:
            raise BaselineError(f"{path} is not overwritten, because it is no baseline. {error}") from error
    _save(path, Counter(_key(finding, path) for finding in findings))


def _key(finding: Finding, baseline: Path) -> Key:
    anchor = finding.anchor
    path = _relative(finding.location.path, _folder(baseline))
    return Key(path, finding.code, anchor.definition if anchor else "", anchor.statement if anchor else "")


def _folder(baseline: Path) -> str:
    return os.path.realpath(baseline.parent)


def _relative(path: str, folder: str) -> str:
    """The path of a file from a folder, with ``/``; links to folders are followed, so that one file has one."""
    parent, name = os.path.split(os.path.abspath(path))
    path = os.path.join(os.path.realpath(parent), name)
    with suppress(ValueError):  # On Windows there is no way from one drive to another.
        path = os.path.relpath(path, folder)
    return path.replace(os.sep, "/")


def _entries(path: Path, document: Any) -> Counter[Key]:
    if not isinstance(document, dict) or "version" not in document:
        raise BaselineError(_broken(path, 'it is not an object with "version" and "entries"'))
    version = document["version"]
    if version != VERSION:
        raise BaselineError(
            f"The baseline file {path} has the version {version!r}, and this bnlint reads version {VERSION}. "
            "Use the bnlint that wrote it, or remove it and make it again with --write-baseline."
        )
    entries = document.get("entries")
    if not isinstance(entries, list):
        raise BaselineError(_broken(path, '"entries" is not a list'))
    found: Counter[Key] = Counter()
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise BaselineError(_broken(path, f"entry {number} is not an object"))
        for name in _TEXTS:
            if not isinstance(entry.get(name), str):
                raise BaselineError(_broken(path, f'"{name}" of entry {number} is not a text'))
        count = entry.get("count")
        if type(count) is not int or count < 1:
            raise BaselineError(_broken(path, f'"count" of entry {number} is not a number from 1'))
        found[Key(*(entry[name] for name in _TEXTS))] += count
    return found


def _broken(path: Path, reason: str) -> str:
    return (
        f"The baseline file {path} cannot be used: {reason}. Repair it, or remove it and make it again with "
        "--write-baseline."
    )


def _save(path: Path, entries: Mapping[Key, int]) -> None:
    listed = [
        {
            "code": key.code,
            "path": key.path,
            "definition": key.definition,
            "statement": key.statement,
            "count": entries[key],
        }
        for key in sorted(entries)
    ]
    text = json.dumps({"version": VERSION, "entries": listed}, indent=2, ensure_ascii=False) + "\n"
    # Names of files may be no valid text.
    data = text.encode("utf-8", "backslashreplace")
    try:
        atomic.write(path, data)
    except OSError as error:
        raise BaselineError(
            f"The baseline cannot be written to {path} ({error.strerror}). Name a file in a folder that exists "
            "and may be written to."
        ) from error
