"""The code cells of a Jupyter notebook, with what is IPython and not Python taken out."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from bnlint.source.tokens import logical_line

_PYTHON_CELL_MAGICS = frozenset(("capture", "memit", "prun", "time", "timeit"))
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_TIMED = re.compile(r"([ \t]*)%time(?:it)?[ \t]+(?=[^-\s])")
_LEADING_INDENT = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*([ \t]*)\S")
_IPYTHON = re.compile(
    r"""
      (?P<indent> [ \t]* ) (?:
          [%!?] [^\n]*                                       # %magic, !command, ?help
        | (?: pip3? | conda ) [ \t]+ (?: un )? install [^\n]*
        | [\w.*]+ \?{1,2} [ \t]* (?: \# [^\n]* )? (?= \n | \Z )  # help?
        | (?P<target> [\w., \t]+? = [ \t]* ) [%!] [^\n]* )   # x = !command
    """,
    re.VERBOSE,
)


class Cell(NamedTuple):
    """A code cell: its number among all cells of the file, its lines as they are, and as Python."""

    number: int
    original: str
    text: str


class NotebookError(Exception):
    """The file is not a notebook."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def code_cells(text: str) -> list[Cell]:
    """The code cells of a notebook in any format, none if its language is not Python.

    Raises NotebookError.
    """
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotebookError(error.lineno, f"it is not valid JSON ({error.msg})") from None
    except RecursionError:
        raise NotebookError(1, "its JSON is nested too deeply") from None
    if not isinstance(notebook, dict):
        raise NotebookError(1, "it is not a JSON object")
    if _language(notebook) not in ("python", "python2", "python3", "ipython"):
        return []
    return [
        Cell(number, source, to_python(source))
        for number, cell in enumerate(_cells(notebook), 1)
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
        for source in (_source(cell),)
    ]


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    if isinstance(metadata, dict):
        for holder, key in (("language_info", "name"), ("kernelspec", "language")):
            part = metadata.get(holder)
            if isinstance(part, dict) and isinstance(part.get(key), str):
                return str(part[key]).lower()
    return "python"


def _cells(notebook: dict[str, Any]) -> list[Any]:
    cells = notebook.get("cells")
    if cells is None:
        # Format 3 had worksheets, in practice always one.
        sheets = notebook.get("worksheets")
        if sheets is None:
            raise NotebookError(1, "it has no cells")
        sheets = sheets if isinstance(sheets, list) else []
        cells = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        cells = [cell for listed in cells if isinstance(listed, list) for cell in listed]
    if not isinstance(cells, list):
        raise NotebookError(1, "its cells are not a list")
    return cells


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(map(str, source))
    return str(source).replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")


def to_python(source: str) -> str:
    """The cell with its magics replaced by ``pass``, on as many lines.

    A cell for another language becomes empty; what ``%time`` measures stays.
    """
    magic = _CELL_MAGIC.match(source)
    if magic:
        lines = source.split("\n")
        first = source.count("\n", 0, magic.end())
        rest = lines[first + 1 :] if magic[1] in _PYTHON_CELL_MAGICS else [""] * (len(lines) - first - 1)
        source = "\n".join([""] * (first + 1) + rest)
    indent = _LEADING_INDENT.match(source)
    if indent and indent[1]:
        # IPython runs a cell that was pasted with its indentation.
        source = re.sub(rf"^{indent[1]}", "", source, flags=re.MULTILINE)
    pieces = []
    position = 0
    while position < len(source):
        timed = _TIMED.match(source, position)
        if timed:
            pieces.append(timed[1])
            position = timed.end()
        found = _IPYTHON.match(source, position)
        if found:
            end = _end_of_command(source, found.end())
            # What a command returns is unknown, so the name stands for something unknown.
            filler = found["target"] + "get_ipython()" if found["target"] else "pass"
            pieces.append(found["indent"] + filler + "\n" * source.count("\n", position, end))
        else:
            _, end, _ = logical_line(source, position, 1)
            pieces.append(source[position:end])
        position = end
    return "".join(pieces)


def _end_of_command(source: str, end: int) -> int:
    """Where a command ends that goes on after a backslash."""
    while source[end - 1] == "\\" and end < len(source):
        following = source.find("\n", end + 1)
        end = following if following >= 0 else len(source)
    return end
