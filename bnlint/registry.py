"""Finds the rules: one in each file of ``bnlint.rules``, and those that other distributions offer.

A distribution offers rules by an entry point in the group ``bnlint.rules`` that names a module::

    [project.entry-points."bnlint.rules"]
    my-rules = "my_package.my_rule"
"""

from __future__ import annotations

import functools
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

from bnlint.errors import UserError
from bnlint.findings import Group
from bnlint.rule import Rule

ENTRY_POINTS = "bnlint.rules"


class RegistryError(UserError):
    """The rules cannot be used as they are; the text says why and what to do."""


Wanted = Callable[[str, Group, tuple[str, ...]], bool]
"""Whether a rule is wanted, by its code, its group and its frameworks."""

_DECLARED = re.compile(rb"^    (code|group|frameworks) = (.+)$", re.MULTILINE)


@functools.cache
def rules() -> tuple[Rule, ...]:
    """All rules, by code.

    Raises RegistryError if a rule cannot be loaded, or if two have the same code.
    """
    return load(lambda code, group, frameworks: True)


def load(wanted: Wanted) -> tuple[Rule, ...]:
    """The rules that are wanted, by code; a file whose text says that its rule is not is not imported.

    Raises RegistryError if a rule cannot be loaded, or if two have the same code.
    """
    known: dict[str, Rule] = {}
    for module in (*_own_modules(wanted), *_offered_modules()):
        for rule in _rules_in(module):
            other = known.setdefault(rule.code, rule)
            if other is not rule:
                raise RegistryError(
                    f"The code {rule.code} is used by two rules, in {_file(other)} and in {_file(rule)}. "
                    "Give one of them another code."
                )
    found = (known[code] for code in sorted(known))
    return tuple(rule for rule in found if wanted(rule.code, rule.group, rule.frameworks))


def _own_modules(wanted: Wanted) -> Iterator[ModuleType]:
    try:
        package = import_module("bnlint.rules")
    except ModuleNotFoundError:
        raise RegistryError(
            "The rules of bnlint are missing. Install bnlint with pip; it cannot run from a bare checkout."
        ) from None
    for info in pkgutil.iter_modules(package.__path__):
        declared = _declared(_bytes(os.path.join(package.__path__[0], f"{info.name}.py")))
        if declared is None or wanted(*declared):
            yield import_module(f"bnlint.rules.{info.name}")


def _declared(text: bytes) -> tuple[str, Group, tuple[str, ...]] | None:
    """What the text of a rule's file says of the rule, which takes a tenth of the time of importing it."""
    found = _DECLARED.findall(text)
    said = {name.decode(): value.decode() for name, value in found}
    code, group = said.get("code", "").strip('"'), said.get("group", "").removeprefix("Group.")
    if len(found) != len(said) or not code or group not in Group.__members__:
        return None
    return code, Group[group], tuple(re.findall(r'"(\w+)"', said.get("frameworks", "")))


def _offered_modules() -> Iterator[ModuleType]:
    if not any(map(_offers_rules, sys.path)):
        return
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS):
        try:
            module = entry.load()
        except Exception as error:  # code of others may raise whatever it likes
            raise RegistryError(
                f"The rules {entry.value!r} cannot be imported ({type(error).__name__}: {error}). "
                "Repair or uninstall the distribution that offers them."
            ) from error
        if not isinstance(module, ModuleType):
            raise RegistryError(
                f"The entry point {entry.name!r} in the group {ENTRY_POINTS!r} names {entry.value!r}, "
                "which is not a module. It must name the module that holds the rules."
            )
        yield module


def _offers_rules(folder: str) -> bool:
    """Whether a folder of ``sys.path`` has a distribution with entry points for rules.

    Nearly always there is none, and looking takes a tenth of the time of importing importlib.metadata.
    """
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return False
    return any(
        f"[{ENTRY_POINTS}]".encode() in _bytes(os.path.join(name, "entry_points.txt")) for name in names
    )


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


@functools.cache
def _rules_in(module: ModuleType) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for value in list(vars(module).values()):
        # In Python 3.10 isinstance takes `tuple[int]` for a class.
        is_class = issubclass(type(value), type)
        if is_class and issubclass(value, Rule) and value.__module__ == module.__name__:
            missing = [name for name in ("code", "name", "group") if not hasattr(value, name)]
            missing += sorted(value.__abstractmethods__)
            if missing:
                raise RegistryError(
                    f"The rule {value.__name__} in {module.__file__} lacks {', '.join(missing)}. "
                    "Add what is missing."
                )
            found.append(value())
    return tuple(found)


def _file(rule: Rule) -> str:
    return str(sys.modules[type(rule).__module__].__file__)


def no_such_rule(code: str) -> str:
    """The sentence for a code or name that no rule has."""
    from difflib import get_close_matches

    names = {rule.name: rule.code for rule in rules()}
    if code.lower() in names:
        close = [code.lower()]
    else:
        meant = code.upper().translate(_LOOKALIKES)
        codes = get_close_matches(meant, names.values(), 5)
        close = sorted(codes, key=lambda known: -_places_alike(known, meant)) or get_close_matches(
            code.lower(), names, 1
        )
    question = f" Did you mean {names.get(close[0], close[0])}?" if close else ""
    return f"There is no rule {code!r}.{question} `bnlint rules` lists the rules."


_LOOKALIKES = str.maketrans("OIL", "011")
"""Letters that are typed for digits; no code has them."""


def _places_alike(one: str, other: str) -> int:
    return sum(mine == theirs for mine, theirs in zip(one, other, strict=False))
