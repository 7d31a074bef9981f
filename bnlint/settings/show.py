"""What applies to a path, and where each value comes from, for the user."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnlint.settings.lookup import Lookup
from bnlint.settings.model import KnownNorm, Settings
from bnlint.settings.versions import Versions
from bnlint.source.discover import display_path

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Row:
    """A value and where it comes from; ``name`` is the entry where the key is a table."""

    key: str
    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Shown:
    """All that can be said about a path."""

    path: str
    configuration: str | None
    excluded: bool
    rows: tuple[Row, ...]
    rules: tuple[str, ...]
    """The codes of the rules that are on."""
    ignored: tuple[str, ...]
    """Those of them that are ignored in this file."""


def show(path: Path, lookup: Lookup) -> Shown:
    """What applies to a path.

    Raises SettingsError if the configuration makes no sense.
    """
    from bnlint.registry import rules

    absolute = Path(os.path.abspath(path))
    settings = lookup.of(absolute)
    on = tuple(rule.code for rule in rules() if settings.enables(rule.code, rule.group))
    return Shown(
        display_path(path),
        display_path(settings.source) if settings.source else None,
        lookup.excluded(absolute, folder=path.is_dir()),
        tuple(_rows(absolute, settings)),
        on,
        tuple(code for code in on if lookup.ignored_in(absolute, code)),
    )


def _rows(path: Path, settings: Settings) -> Iterable[Row]:
    """One row for each key, or for each entry of a table."""

    def row(key: str, value: Any, *others: str) -> Row:
        origins = [settings.origins[name] for name in (key, *others) if name in settings.origins]
        return Row(key, "", value, ", ".join(origins) or DEFAULT)

    yield row("select", list(settings.select))
    yield row("extend-select", list(settings.extend_select))
    yield row("ignore", list(settings.ignore), "extend-ignore")
    yield row("groups", [group.value for group in settings.groups])
    yield from _entries(settings, "per-file-ignores", settings.per_file_ignores, "extend-per-file-ignores")
    yield row("exclude", list(settings.exclude), "extend-exclude")
    yield _project_root(path, settings)
    yield from _entries(settings, "target-versions", dict(sorted(settings.target_versions.items())))
    norms = {name: _norm(norm) for name, norm in settings.known_norm_layers.items()}
    yield from _entries(settings, "known-norm-layers", norms)


def _entries(settings: Settings, key: str, values: Any, *others: str) -> Iterable[Row]:
    if not values:
        yield Row(key, "", {}, settings.origins.get(key, DEFAULT))
    for name, value in values.items():
        places = (settings.origins.get(f"{table}.{name}") for table in (key, *others))
        origin = ", ".join(place for place in places if place) or _declared(settings, name)
        yield Row(key, name, list(value) if isinstance(value, tuple) else value, origin)


def _declared(settings: Settings, name: str) -> str:
    versions = settings.target_versions
    found = versions.places.get(name) if isinstance(versions, Versions) else None
    return f"{display_path(found.path)}:{found.line}" if found else DEFAULT


def _project_root(path: Path, settings: Settings) -> Row:
    from bnlint.program.project import find_root

    if settings.project_root is not None:
        return Row("project-root", "", display_path(settings.project_root), settings.origins["project-root"])
    root = find_root(path)
    return Row("project-root", "", display_path(root), DEFAULT)


def _norm(norm: KnownNorm) -> dict[str, Any] | str:
    if not norm.parameters and not norm.arguments:
        return norm.like
    found: dict[str, Any] = {"like": norm.like}
    if norm.parameters:
        found["parameters"] = list(norm.parameters)
    if norm.arguments:
        found["arguments"] = dict(norm.arguments)
    return found


def text(shown: Shown) -> str:
    """For people."""
    # Values come last, because some of them are long.
    rows = [("key", "from", "value"), *((_key(row), row.origin, _value(row.value)) for row in shown.rows)]
    first, second = (max(len(cells[column]) for cells in rows) for column in (0, 1))
    lines = [f"{key:<{first}}  {origin:<{second}}  {value}" for key, origin, value in rows]
    head = [f"{shown.path}: {_which(shown.configuration)}"]
    if shown.excluded:
        head.append("It is excluded: nothing in it is reported.")
    tail = [f"Rules that are on: {', '.join(shown.rules) or 'none'}"]
    if shown.ignored:
        tail.append(f"Of these ignored here: {', '.join(shown.ignored)}")
    return "\n".join([*head, "", *lines, "", *tail]) + "\n"


def _which(configuration: str | None) -> str:
    return f"configured in {configuration}" if configuration else "no configuration file applies"


def _key(row: Row) -> str:
    return f"{row.key}.{row.name}" if row.name else row.key


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_inner(item)}" for name, item in value.items()) or "-"
    return _inner(value) or "-"


def _inner(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return f"({_value(value)})"
    return str(value)


def json(shown: Shown) -> str:
    """For programs."""
    from json import dumps

    settings: dict[str, Any] = {}
    for row in shown.rows:
        found = {"value": row.value, "from": row.origin}
        if row.name:
            settings.setdefault(row.key, {})[row.name] = found
        else:
            settings[row.key] = {} if row.value == {} else found
    return (
        dumps(
            {
                "path": shown.path,
                "configuration": shown.configuration,
                "excluded": shown.excluded,
                "settings": settings,
                "rules": list(shown.rules),
                "ignored": list(shown.ignored),
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )
