"""The table of a configuration file: what it says, and on which line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnlint.settings.errors import SettingsError
from bnlint.source.discover import display_path

OWN = "bnlint.toml"
SHARED = "pyproject.toml"
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_HEADER = re.compile(r"^\s*\[{1,2}(?P<name>[^\]#]+)\]")
_ENTRY = re.compile(
    r"""^\s*(?P<name>(?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*="""
)
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([\w-]+)""")


@dataclass(frozen=True, slots=True)
class Table:
    """bnlint's table of a configuration file."""

    path: Path
    values: Mapping[str, Any]
    text: str
    """The whole file."""

    @property
    def folder(self) -> Path:
        """The folder that patterns and paths in the table are relative to."""
        return self.path.parent

    def place(self, *keys: str) -> str:
        """Where a key stands, for the user: the file, and the line of it or of what is around it, if easily found."""
        around = (keys[:length] for length in range(len(keys), 0, -1))
        line = next(filter(None, map(self._line, around)), None)
        return f"{display_path(self.path)}:{line}" if line else display_path(self.path)

    def _line(self, keys: tuple[str, ...]) -> int | None:
        """The first line that begins the entry or the table of a key, or one inside it."""
        wanted = [*(("tool", "bnlint") if self.path.name == SHARED else ()), *keys]
        above: list[str] = []
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(line):
                here = above = _parts(header["name"])
            elif entry := _ENTRY.match(line):
                here = [*above, *_parts(entry["name"])]
            else:
                continue
            if here[: len(wanted)] == wanted:
                return number
        return None


def _parts(name: str) -> list[str]:
    return ["".join(match.groups("")) for match in _PART.finditer(name)]


def load(path: Path) -> Table | None:
    """The table in a file; None if there is no such file, or no such table in a ``pyproject.toml``.

    Raises SettingsError if the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(
            f"{display_path(path)}: The configuration cannot be read ({error.strerror}). Allow reading it."
        ) from error
    # Most files named pyproject.toml are not meant for bnlint, and the parser need not be loaded for them.
    if path.name == SHARED and b"bnlint" not in data:
        return None
    text, values = _parsed(path, data)
    if path.name == SHARED:
        tool = values.get("tool", {})
        if not isinstance(tool, dict) or "bnlint" not in tool:
            return None
        values = tool["bnlint"]
        if not isinstance(values, dict):
            raise SettingsError(
                f"{display_path(path)}: `tool.bnlint` must be a table: write `[tool.bnlint]`."
            )
    return Table(path, values, text)


def named(path: Path) -> Table:
    """The table in a file that the user names.

    Raises SettingsError if there is none.
    """
    path = Path(os.path.abspath(path))
    found = load(path)
    if found is not None:
        return found
    if path.is_file():
        raise SettingsError(f"{display_path(path)}: The file has no table `[tool.bnlint]`. Add it.")
    raise SettingsError(f"There is no configuration file {display_path(path)}. Check how it is spelled.")


def in_folder(folder: str) -> Table | None:
    """The configuration in a folder, if there is one.

    Raises SettingsError if it cannot be read.
    """
    for name in (OWN, SHARED):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            found = load(Path(path))
            if found is not None:
                return found
    return None


def _parsed(path: Path, data: bytes) -> tuple[str, dict[str, Any]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        # Some editors on Windows begin a file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SettingsError(
            f"{display_path(path)}:{line}: The configuration is not UTF-8, as TOML must be. "
            "Save it in that encoding."
        ) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_not_toml(path, text, str(error))) from error


def _not_toml(path: Path, text: str, reason: str) -> str:
    where = _WHERE.search(reason)
    line = where["line"] if where and where["line"] else str(max(len(text.splitlines()), 1))
    reason = _WHERE.sub("", reason).rstrip(".")
    return f"{display_path(path)}:{line}: The configuration is not valid TOML ({reason}). Repair this line."
