"""Reads one file: decodes it, parses it, and says what could not be read."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from bnlint.findings import Problem
from bnlint.source.module import Module
from bnlint.source.notebook import Cell, NotebookError, code_cells
from bnlint.source.repair import LeftOut, Repaired, UnreadableError, parse, repair

LARGEST = 1_000_000
"""A Python file of more bytes is taken for data; its tree could need half a gigabyte."""
LARGEST_NOTEBOOK = 30_000_000
"""Notebooks hold pictures, so they may be larger."""

_DECLARATION = re.compile(rb"[ \t\f]*#[^\n\r]*?coding[:=][ \t]*([-\w.]+?)(?:-(?:unix|dos|mac))?(?![-\w.])")
_NO_CODE = re.compile(rb"[ \t\f]*(?:#[^\n\r]*)?(?:\r\n|\n|\r)")


def read(path: Path, display: str, data: bytes | None = None) -> Module | Problem:
    """The file as a module, or the reason why there is none.

    ``display`` is the path to show to the user. ``data`` are the bytes of the file if they are at hand.
    Nothing is raised, whatever the file holds.
    """
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            return Problem(
                display, 1, f"The file cannot be read ({reason}). Check that it is there and readable."
            )
    notebook = path.suffix == ".ipynb"
    limit = LARGEST_NOTEBOOK if notebook else LARGEST
    if len(data) > limit:
        size = f"The file has {len(data):,} bytes, more than the {limit:,} that are read."
        return Problem(display, 1, f"{size} Exclude it if it is generated.")
    text, problems = _decode(data, display)
    if text is None:
        return problems[0]
    try:
        if notebook:
            return _notebook(path, display, text, problems)
        return _python(path, display, text, problems)
    except UnreadableError as error:
        return Problem(
            display,
            error.line,
            f"The file cannot be read as Python: {error.reason}. Correct it or exclude it.",
        )
    except NotebookError as error:
        return Problem(
            display,
            error.line,
            f"The notebook cannot be read: {error}. Save it again with Jupyter or exclude it.",
        )


def _python(path: Path, display: str, text: str, problems: list[Problem]) -> Module:
    repaired = repair(text)
    problems += [Problem(display, gone.line, _left_out(gone)) for gone in repaired.left_out]
    return Module(
        path,
        display,
        repaired.text,
        repaired.tree,
        original=None if repaired.text == text else text,
        python2=repaired.python2,
        problems=problems,
        left_out=[gone.line for gone in repaired.left_out],
    )


def _notebook(path: Path, display: str, text: str, problems: list[Problem]) -> Module:
    """Every cell is repaired alone, so that what is broken in one cannot reach into the next."""
    starts: list[tuple[int, int]] = []
    parts: list[Repaired] = []
    left_out: list[int] = []
    line = 1
    cells: list[Cell] = code_cells(text)
    for cell in cells:
        try:
            part = repair(cell.text)
        except UnreadableError as error:
            message = f"Cell {cell.number} cannot be read as Python: {error.reason}. Correct it."
            problems.append(Problem(display, error.line, message))
            part = repair("\n" * cell.text.count("\n"))
        for gone in part.left_out:
            problems.append(Problem(display, gone.line, f"Cell {cell.number}: {_left_out(gone)}"))
            left_out.append(line + gone.line - 1)
        starts.append((line, cell.number))
        parts.append(part)
        line += cell.text.count("\n") + 1
    joined = "\n".join(part.text for part in parts)
    return Module(
        path,
        display,
        joined,
        parse(joined),
        original="\n".join(cell.original for cell in cells),
        python2=any(part.python2 for part in parts),
        problems=problems,
        left_out=left_out,
        cells=starts,
    )


def _left_out(gone: LeftOut) -> str:
    return (
        f"This statement cannot be read ({gone.reason}) and was left out; the rest of the file was checked. "
        "Correct it to have it checked too."
    )


def _decode(data: bytes, display: str) -> tuple[str | None, list[Problem]]:
    """The text with ``\\n`` line ends; without text there is one problem that says why."""
    problems: list[Problem] = []
    declared = declared_encoding(data)
    text = None
    failure: Exception | None = None
    for encoding in (declared, "utf-8-sig"):
        try:
            text = data.decode(encoding)
            break
        except LookupError as error:
            failure = error
            message = (
                f"The file declares the encoding {encoding!r}, which does not exist. Declare the right one."
            )
            problems.append(Problem(display, 1, message))
        except ValueError as error:
            failure = error
    if text is None:
        line = data.count(b"\n", 0, getattr(failure, "start", 0)) + 1
        text = data.decode("latin-1")
        tried = "UTF-8" if declared.lower().startswith("utf-8") else f"{declared} or UTF-8"
        message = f"The text is not valid {tried}, so it was read as Latin-1. Save it as UTF-8."
        problems.append(Problem(display, line, message))
    if "\0" in text:
        message = "The file holds NUL bytes, so it is no Python source text. Exclude it or save it as UTF-8."
        return None, [Problem(display, 1, message)]
    return text.replace("\r\n", "\n").replace("\r", "\n"), problems


def declared_encoding(data: bytes) -> str:
    """The encoding that the first two lines declare (PEP 263), else UTF-8."""
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    found = _DECLARATION.match(data)
    if found is None and (first := _NO_CODE.match(data)):
        found = _DECLARATION.match(data, first.end())
    return found[1].decode("ascii", "replace") if found else "utf-8-sig"
