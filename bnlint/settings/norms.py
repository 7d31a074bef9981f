"""The normalisation layers of the user's own, which a configuration says to be like those of a framework."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from bnlint.findings import AddItem, Applicability, Finding, Location, NameArgument, RenameKeyword, SetKeyword
from bnlint.settings.errors import SettingsError
from bnlint.settings.model import KnownNorm, Settings

if TYPE_CHECKING:
    from bnlint.frameworks.library import Library

_NAMING = AddItem | NameArgument | RenameKeyword | SetKeyword
"""Edits that name a parameter."""


class KnownNorms:
    """What the configurations of a run say together; where two disagree about a name the first one counts."""

    def __init__(self, settings: Iterable[Settings]) -> None:
        self._norms: dict[str, tuple[KnownNorm, str]] = {}
        self._calls: Set[Location] = frozenset()
        for found in settings:
            for name, norm in found.known_norm_layers.items():
                place = found.origins.get(f"known-norm-layers.{name}", str(found.source))
                self._norms.setdefault(name, (norm, place))

    @property
    def words(self) -> tuple[re.Pattern[bytes], ...]:
        """What a file that uses one of the layers mentions: the last part of its name."""
        names = {_mentioned(name) for name in self._norms}
        return tuple(re.compile(rb"\b" + re.escape(name.encode()) + rb"\b") for name in sorted(names))

    def teach(self, library: Library) -> None:
        """Tell the frameworks what the layers mean.

        Raises SettingsError if a layer, or one of its parameters, is to be like something that is not known.
        """
        for name, (norm, place) in self._norms.items():
            parameters = library.norm_parameters(norm.like)
            if parameters is None:
                raise SettingsError(
                    f"{place}: bnlint knows no normalisation layer `{norm.like}` that `{name}` could be "
                    f"like.{_question(norm.like, library.norms)}"
                )
            for meant in norm.arguments.values():
                if meant not in parameters:
                    raise SettingsError(
                        f"{place}: `{norm.like}` has no parameter `{meant}`, which a parameter of `{name}` is "
                        f"to be.{_question(meant, parameters)}"
                    )
            library.add_norm(name, norm.like, norm.parameters, norm.arguments)
        library.norm_words = self.words
        self._calls = library.wrappers.calls

    def tempered(self, finding: Finding) -> Finding:
        """A finding whose fix is only shown if it gives one of the layers an argument of the framework's."""
        if finding.fix is None or not any(
            isinstance(edit, _NAMING) and not self._calls.isdisjoint((edit.location, finding.location))
            for edit in finding.fix.edits
        ):
            return finding
        return replace(finding, fix=replace(finding.fix, applicability=Applicability.DISPLAY))


def _mentioned(name: str) -> str:
    """The last part of a dotted name that is written where the layer is used."""
    parts = [part for part in name.split(".") if not (part.startswith("__") and part.endswith("__"))]
    return (parts or [name])[-1]


def _question(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, 1, 0.5)
    return f" Did you mean `{close[0]}`?" if close else f" There are {', '.join(sorted(known))}."
