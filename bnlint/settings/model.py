"""What a configuration may say, and what applies when it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bnlint.findings import Group

ON_BY_DEFAULT = (Group.ERROR, Group.WARNING)


@dataclass(frozen=True, slots=True)
class KnownNorm:
    """A wrapper of the user's that is to be taken for a normalisation layer of a framework.

    ``like`` is the API that it stands for, such as ``tf.layers.batch_normalization``; ``parameters`` are its own
    parameters in order (empty: those of the API), and ``arguments`` says which of them go to which parameter of
    the API where the names differ.
    """

    like: str
    parameters: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What applies to a file.

    Patterns are those of ``.gitignore`` and relative to ``folder``, where the configuration file is. ``origins``
    says for each key, in the spelling of the configuration file, where its value comes from.
    """

    folder: Path
    source: Path | None = None
    """The configuration file; None if there is none."""
    select: tuple[str, ...] = ()
    """Beginnings of codes, or ``ALL``; empty: all rules of ``groups``."""
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    target_versions: Mapping[str, str] = field(default_factory=dict)
    """By the name of the library; what the configuration says and, where it says nothing, what lock files and
    requirements say."""
    project_root: Path | None = None
    known_norm_layers: Mapping[str, KnownNorm] = field(default_factory=dict)
    """By dotted name."""
    groups: tuple[Group, ...] = ON_BY_DEFAULT
    """Rules of these groups are on."""
    origins: Mapping[str, str] = field(default_factory=dict)

    def enables(self, code: str, group: Group) -> bool:
        """Whether a rule is on."""
        if is_among(code, self.ignore):
            return False
        chosen = is_among(code, self.select) if self.select else group in self.groups
        return chosen or is_among(code, self.extend_select)


def is_among(code: str, beginnings: tuple[str, ...]) -> bool:
    """Whether a code begins with one of these beginnings, or one of them is ``ALL``."""
    return any(beginning == "ALL" or code.startswith(beginning) for beginning in beginnings)
