"""From a table to settings: each key is checked, and what is wrong is said in a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnlint.findings import Group
from bnlint.settings.codes import ALL, exists
from bnlint.settings.errors import SettingsError
from bnlint.settings.model import ON_BY_DEFAULT, KnownNorm, Settings
from bnlint.settings.patterns import Patterns
from bnlint.settings.versions import LIBRARIES, library

if TYPE_CHECKING:
    from bnlint.settings.table import Table

_VERSION = re.compile(r"\d+(?:\.\d+)*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_KINDS = {
    bool: "true or false", str: "a string", int: "a number", float: "a number", list: "a list", dict: "a table"
}  # fmt: skip
_CODES = 'a list of rule codes or beginnings of codes, such as ["BN101", "BN2"]'
_PATTERNS = 'a list of patterns as in .gitignore, such as ["vendor/", "*_pb2.py"]'
_IGNORES = 'a table of lists of rule codes by pattern, such as {"tests/**" = ["BN301"]}'


def parse(table: Table) -> Settings:
    """The settings that a table gives.

    Raises SettingsError if it makes no sense.
    """
    for key in table.values:
        if key not in KEYS:
            raise SettingsError(_no_such(table, (key,), KEYS, "key", "keys"))
    origins: dict[str, str] = {}
    values: dict[str, Any] = {}
    for key, read in KEYS.items():
        if key in table.values:
            values[key] = read(table, key, table.values[key])
            origins[key] = table.place(key)
            if isinstance(values[key], dict):
                named = library if key == "target-versions" else str
                origins.update({f"{key}.{named(name)}": table.place(key, name) for name in table.values[key]})
    return Settings(
        table.folder,
        table.path,
        select=values.get("select", ()),
        extend_select=values.get("extend-select", ()),
        ignore=(*values.get("ignore", ()), *values.get("extend-ignore", ())),
        per_file_ignores=_joined(
            values.get("per-file-ignores", {}), values.get("extend-per-file-ignores", {})
        ),
        exclude=(*values.get("exclude", ()), *values.get("extend-exclude", ())),
        target_versions=values.get("target-versions", {}),
        project_root=values.get("project-root"),
        known_norm_layers=values.get("known-norm-layers", {}),
        groups=values.get("groups", ON_BY_DEFAULT),
        origins=origins,
    )


def _joined(
    one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {pattern: (*one.get(pattern, ()), *other.get(pattern, ())) for pattern in (*one, *other)}


# -- what is wrong ---------------------------------------------------------------------------------------


def _spelled(keys: Iterable[str]) -> str:
    return ".".join(key if re.fullmatch(r"[\w-]+", key) else f'"{key}"' for key in keys)


def _wrong(table: Table, keys: tuple[str, ...], expected: str, value: object) -> SettingsError:
    kind = _KINDS.get(type(value), f"a {type(value).__name__}")
    given = f"{kind} with something else in it" if expected.startswith(kind) else kind
    return SettingsError(f"{table.place(*keys)}: `{_spelled(keys)}` must be {expected}; it is {given}.")


def _no_such(table: Table, keys: tuple[str, ...], known: Iterable[str], one: str, many: str) -> str:
    """The sentence for a name that nobody knows."""
    known = list(known)
    close = get_close_matches(keys[-1].lower().replace("_", "-"), known, 1)
    question = f" Did you mean `{close[0]}`?" if close else ""
    where = f" in `{_spelled(keys[:-1])}`" if keys[:-1] else ""
    return (
        f"{table.place(*keys)}: There is no {one} `{keys[-1]}`{where}.{question} "
        f"The {many} are {', '.join(known)}."
    )


# -- values ----------------------------------------------------------------------------------------------


def _texts(table: Table, keys: tuple[str, ...], value: object, expected: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(table, keys, expected, value)
    return tuple(value)


def _entries(table: Table, key: str, value: object, expected: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _wrong(table, (key,), expected, value)
    return value


def _codes_at(table: Table, keys: tuple[str, ...], value: object, *, all_: bool) -> tuple[str, ...]:
    codes = tuple(code.strip().upper() for code in _texts(table, keys, value, _CODES))
    for code in codes:
        if not code:
            raise SettingsError(f"{table.place(*keys)}: `{_spelled(keys)}` has an empty code. Take it out.")
        if not (code == ALL and all_) and not exists(code):
            from bnlint.registry import no_such_rule

            raise SettingsError(f"{table.place(*keys)}: {no_such_rule(code)}")
    return codes


def _chosen(table: Table, key: str, value: object) -> tuple[str, ...]:
    return _codes_at(table, (key,), value, all_=True)


def _ignored(table: Table, key: str, value: object) -> tuple[str, ...]:
    return _codes_at(table, (key,), value, all_=False)


def _check_pattern(table: Table, keys: tuple[str, ...], pattern: str) -> None:
    try:
        Patterns((pattern,))
    except ValueError:
        raise SettingsError(
            f"{table.place(*keys)}: {pattern!r} in `{_spelled(keys)}` is no pattern of .gitignore. Repair it."
        ) from None


def _ignores(table: Table, key: str, value: object) -> dict[str, tuple[str, ...]]:
    found = {}
    for pattern, codes in _entries(table, key, value, _IGNORES).items():
        _check_pattern(table, (key, pattern), pattern)
        if pattern.startswith("!"):
            raise SettingsError(
                f"{table.place(key, pattern)}: {pattern!r} in `{key}` matches no file, because it only takes "
                "back what other patterns say. Name the files."
            )
        found[pattern] = _codes_at(table, (key, pattern), codes, all_=True)
    return found


def _excluded(table: Table, key: str, value: object) -> tuple[str, ...]:
    patterns = _texts(table, (key,), value, _PATTERNS)
    for pattern in patterns:
        _check_pattern(table, (key,), pattern)
    return patterns


def _target_versions(table: Table, key: str, value: object) -> dict[str, str]:
    found = {}
    for name, version in _entries(table, key, value, 'a table, such as {tensorflow = "1.15"}').items():
        if library(name) not in LIBRARIES:
            raise SettingsError(_no_such(table, (key, name), LIBRARIES, "library", "libraries"))
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            expected = 'a version in quotes, such as "2.15" or "3"'
            if isinstance(version, str):
                raise SettingsError(
                    f"{table.place(key, name)}: `{_spelled((key, name))}` must be {expected}; it is {version!r}."
                )
            raise _wrong(table, (key, name), expected, version)
        found[library(name)] = version
    return found


def _project_root(table: Table, key: str, value: object) -> Path:
    if not isinstance(value, str):
        raise _wrong(table, (key,), "the path of a folder", value)
    root = Path(os.path.abspath(table.folder / value))
    if not root.is_dir():
        raise SettingsError(
            f"{table.place(key)}: There is no folder {value!r}, which `{key}` names. "
            "The path is relative to the folder of this file."
        )
    return root


def _groups(table: Table, key: str, value: object) -> tuple[Group, ...]:
    known = {group.value: group for group in Group}
    names = _texts(table, (key,), value, f"a list of groups: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise SettingsError(_no_such(table, (key, name), known, "group", "groups"))
    return tuple(known[name] for name in names)


_NORM = '"its.dotted.name" = "tf.layers.batch_normalization"'
_NORM_KEYS = ("like", "parameters", "arguments")


def _known_norms(table: Table, key: str, value: object) -> dict[str, KnownNorm]:
    found = {}
    for name, norm in _entries(table, key, value, f"a table, such as {{{_NORM}}}").items():
        place = (key, name)
        if isinstance(norm, dict) and "." not in name and _NORM_KEYS[0] not in norm:
            # An unquoted dotted name is a table in a table.
            raise SettingsError(
                f"{table.place(*place)}: `{key}.{name}` says nothing about `like` what the layer is. "
                f"If it is the beginning of a dotted name, write the name in quotes: {_NORM}."
            )
        if not _DOTTED.fullmatch(name):
            raise SettingsError(
                f"{table.place(*place)}: {name!r} in `{key}` must be the dotted name of a function or class: "
                f'its module and its name, in quotes, such as "models.layers.batch_norm".'
            )
        found[name] = _known_norm(table, place, norm)
    return found


def _known_norm(table: Table, place: tuple[str, ...], value: object) -> KnownNorm:
    if isinstance(value, str):
        return KnownNorm(value)
    if not isinstance(value, dict):
        raise _wrong(table, place, "the name of a framework's layer, or a table with `like`", value)
    for key in value:
        if key not in _NORM_KEYS:
            raise SettingsError(_no_such(table, (*place, key), _NORM_KEYS, "key", "keys"))
    like = value.get("like")
    if not isinstance(like, str):
        expected = "the name of a framework's layer, such as tf.layers.batch_normalization"
        if like is None:
            raise SettingsError(f"{table.place(*place)}: `{_spelled(place)}` needs `like`, {expected}.")
        raise _wrong(table, (*place, "like"), expected, like)
    parameters = _texts(
        table,
        (*place, "parameters"),
        value.get("parameters", []),
        'a list of the layer\'s own parameters in order, such as ["x", "is_train"]',
    )
    arguments = value.get("arguments", {})
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments.values()):
        expected = 'a table of parameters: its own = that of `like`, such as {is_train = "training"}'
        raise _wrong(table, (*place, "arguments"), expected, arguments)
    for own in arguments:
        if parameters and own not in parameters:
            raise SettingsError(
                _no_such(table, (*place, "arguments", own), parameters, "parameter", "parameters")
            )
    return KnownNorm(like, parameters, dict(arguments))


KEYS: Mapping[str, Callable[[Table, str, object], Any]] = {
    "select": _chosen,
    "extend-select": _chosen,
    "ignore": _ignored,
    "extend-ignore": _ignored,
    "per-file-ignores": _ignores,
    "extend-per-file-ignores": _ignores,
    "exclude": _excluded,
    "extend-exclude": _excluded,
    "target-versions": _target_versions,
    "project-root": _project_root,
    "known-norm-layers": _known_norms,
    "groups": _groups,
}
"""What a configuration may say, and what reads it."""
