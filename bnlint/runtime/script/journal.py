"""What was seen of a running script, as JSON and back without loss."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import json
import math
import os
import types
import typing
from pathlib import Path
from typing import Any

from bnlint.errors import UserError
from bnlint.findings import Location
from bnlint.runtime.observed import Observed

VERSION = 1
"""Changes when an older reader would misunderstand a newer file."""


_NAN, _INFINITY = "NaN", "Infinity"
_WORDS = (_NAN, _INFINITY, f"-{_INFINITY}")
"""For the numbers that JSON does not have."""


@dataclasses.dataclass(slots=True)
class Entry:
    """What the child tells the parent."""

    observed: Observed
    refused: str = ""
    """A sentence that says why nothing could be observed, if so."""
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    """In evidence: by path, what identifies the contents of each file that it speaks of."""


def write(
    path: str | Path, observed: Observed, refused: str = "", files: dict[str, str] | None = None
) -> None:
    """Write the file as a whole: whoever reads it at any time finds the old or the new state."""
    document = {"version": VERSION, "refused": refused, "files": files or {}, "observed": to_plain(observed)}
    text = json.dumps(document)
    beside = f"{path}.{os.getpid()}.new"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def read(path: str | Path) -> Entry | None:
    """Read what the child wrote; None if it wrote nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            plain = json.load(file)
    except FileNotFoundError:
        return None
    if from_plain(plain["version"], int) != VERSION:
        raise UserError(
            f"{path} was written by another version of bnlint, in a format that this one does not read. Run the "
            "script again with this version."
        )
    return Entry(
        from_plain(plain["observed"], Observed),
        from_plain(plain["refused"], str),
        from_plain(plain["files"], dict[str, str]),
    )


def read_evidence(path: str | Path) -> Entry:
    """Read what ``bnlint run --evidence`` wrote.

    Raises UserError if it is not such a file.
    """
    try:
        entry = read(path)
    except OSError as error:
        raise UserError(f"The evidence {path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path} is not what `bnlint run --evidence` writes. Run the script again and name its file."
        ) from error
    if entry is None:
        raise UserError(f"There is no evidence at {path}. `bnlint run --evidence {path} SCRIPT` writes it.")
    return entry


def paths(value: Any) -> set[str]:
    """The files that a value speaks of: those of all locations in it."""
    if isinstance(value, Location):
        return {value.path}
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    return set().union(*map(paths, value)) if isinstance(value, (list, tuple)) else set()


def to_plain(value: Any) -> Any:
    """The value as what JSON has; numbers that JSON does not have become words."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return _NAN if math.isnan(value) else _INFINITY if value > 0 else f"-{_INFINITY}"
    return value


def from_plain(value: Any, kind: Any) -> Any:
    """The inverse, given the type of what it was. Raises TypeError, ValueError or KeyError if it is of another type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return from_plain(value, next(each for each in arguments if each is not type(None)))
    if origin is list:
        return [from_plain(each, arguments[0]) for each in _checked(value, list)]
    if origin is tuple:
        pairs = zip(_checked(value, list), arguments, strict=True)
        return tuple(from_plain(each, one) for each, one in pairs)
    if origin is dict:
        return {key: from_plain(each, arguments[1]) for key, each in _checked(value, dict).items()}
    if kind is float:
        return float(value if value in _WORDS else _checked(value, int, float))
    if issubclass(kind, enum.Enum):
        return kind(value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        fields = _checked(value, dict)
        return kind(**{name: from_plain(each, hints[name]) for name, each in fields.items()})
    return _checked(value, kind)


def _checked(value: Any, *kinds: type) -> Any:
    # Python takes a bool for an int.
    if type(value) not in kinds:
        raise TypeError(f"{value!r} is not of {kinds}")
    return value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
