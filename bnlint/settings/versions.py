"""The versions of libraries that a project declares, in its lock files and requirements.

The files are searched as text: a project's old requirements need not be valid today, no parser has to be loaded
for them, and a ``setup.py`` must not be run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

LIBRARIES = (
    "tensorflow", "keras", "tf-keras", "tf-slim", "tensorlayer", "tflearn", "torch", "torchvision", "timm",
    "lightning", "pytorch-lightning", "jax", "flax", "dm-haiku", "equinox", "mxnet", "chainer", "paddlepaddle",
)  # fmt: skip
"""The libraries whose versions may matter."""
SAME = {
    "tensorflow-gpu": "tensorflow", "tensorflow-cpu": "tensorflow", "tensorflow-intel": "tensorflow",
    "tensorflow-macos": "tensorflow", "tensorflow-rocm": "tensorflow", "tensorflow-base": "tensorflow",
    "tf-nightly": "tensorflow", "pytorch": "torch", "keras-gpu": "keras", "haiku": "dm-haiku",
    "mxnet-cu101": "mxnet", "paddlepaddle-gpu": "paddlepaddle",
}  # fmt: skip
"""Other names of distributions with the same library."""

_NAME = rf"(?P<name>{'|'.join(sorted((*LIBRARIES, *SAME), key=len, reverse=True))})".replace("-", "[-_.]")
_VERSION = r"(?P<version>\d[\d.]*)"
_EXTRAS = r"\s*(?:\[[^\]\n]*\])?\s*"
_LOWEST = r"(?:(?:<=?|!=)\s*[\d.*]+\s*,\s*)*(?:===?|~=|>=)"
_SILENT = r"(?ms)(?:^|(?<=\s))#[^\n]*|^\[tool\.bnlint\b.*?(?=^\[(?!tool\.bnlint\b)|\Z)"
"""What declares nothing: comments, and the configuration of bnlint itself."""
_FLAGS = re.MULTILINE | re.IGNORECASE

# Not compiled yet: this takes longer than all else in this module, and few runs need it.
_LOCKED = rf'^name = "{_NAME}"\s*\nversion = "{_VERSION}'
_LOCKED_JSON = rf'"{_NAME}":\s*\{{[^{{}}]*?"version":\s*"==={{0,1}}{_VERSION}'
_CONDA = rf"""^\s*-\s*["']?(?:[\w-]+::)?{_NAME}{_EXTRAS}(?:=|{_LOWEST})\s*{_VERSION}"""
_REQUIRED = rf"""^[\s"'-]*{_NAME}{_EXTRAS}{_LOWEST}\s*{_VERSION}"""
_QUOTED = rf"""["']{_NAME}{_EXTRAS}\(?{_LOWEST}\s*{_VERSION}"""
_LIMIT = rf"""^[\s"'-]*{_NAME}{_EXTRAS}(?:[<>=!~]+\s*[\d.*]+\s*,\s*)*(?:<=?|===?)\s*{_VERSION}"""
_ASSIGNED = (
    rf"""^["']?{_NAME}["']?\s*=\s*(?:\{{[^}}\n]*?\bversion\s*=\s*)?["'](?:\^|~|{_LOWEST})?\s*{_VERSION}"""
)

_FILES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("poetry.lock", (_LOCKED,)),
    ("uv.lock", (_LOCKED,)),
    ("pdm.lock", (_LOCKED,)),
    ("Pipfile.lock", (_LOCKED_JSON,)),
    ("requirements.txt", (_REQUIRED,)),
    ("requirements*.txt", (_REQUIRED,)),
    ("requirements/*.txt", (_REQUIRED,)),
    ("environment*.yml", (_CONDA,)),
    ("environment*.yaml", (_CONDA,)),
    ("pyproject.toml", (_QUOTED, _ASSIGNED)),
    ("setup.cfg", (_REQUIRED,)),
    ("setup.py", (_QUOTED,)),
    ("Pipfile", (_ASSIGNED,)),
)
"""Which files declare versions, and how; the first that speaks of a library decides."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A version, and where it is declared."""

    version: str
    path: Path
    line: int
    ceiling: str = ""
    """The highest version that is allowed, or the first that is not; empty if there is no such limit."""


Look = Callable[[Path], Mapping[str, Declared]]


def library(name: str) -> str:
    """The library that a distribution's name means."""
    name = re.sub(r"[-_.]+", "-", name.lower())
    return SAME.get(name, name)


def declared(root: Path) -> dict[str, str]:
    """The lowest version of each library that the files in a folder allow, by the library's name.

    Libraries without a lower bound are left out: then nothing is known.
    """
    return {name: found.version for name, found in places(root).items() if found.version}


def places(folder: Path) -> dict[str, Declared]:
    """The lowest version of each library that the files in a folder allow, and where they say so."""
    found: dict[str, Declared] = {}
    for path, patterns in _declaring(folder):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        here: dict[str, Declared] = {}
        # Lines stay where they are.
        text = re.sub(_SILENT, lambda match: "\n" * match[0].count("\n"), text)
        for pattern in patterns:
            for match in re.finditer(pattern, text, _FLAGS):
                version = match["version"].rstrip(".")
                line = text.count("\n", 0, match.start("version")) + 1
                known = here.get(name := library(match["name"]))
                if known is None or _numbers(version) < _numbers(known.version):
                    exact = (
                        version if pattern in (_LOCKED, _LOCKED_JSON, _CONDA) and ">" not in match[0] else ""
                    )
                    here[name] = Declared(version, path, line, exact)
        for match in re.finditer(_LIMIT, text, _FLAGS):
            line = text.count("\n", 0, match.start("version")) + 1
            known = here.get(name := library(match["name"])) or Declared("", path, line)
            here[name] = replace(known, ceiling=known.ceiling or match["version"].rstrip("."))
        found = here | found
    return found


def _declaring(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    try:
        names = sorted(os.listdir(folder))
        if "requirements" in names and (folder / "requirements").is_dir():
            names += [f"requirements/{name}" for name in sorted(os.listdir(folder / "requirements"))]
    except OSError:
        return
    seen: set[str] = set()
    for wanted, patterns in _FILES:
        for name in names:
            if name not in seen and fnmatch(name, wanted) and name.count("/") == wanted.count("/"):
                seen.add(name)
                yield folder / name, patterns


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)


class Versions(Mapping[str, str]):
    """The versions that apply in a folder: those of the configuration, then those that the nearest folder declares.

    The version that ``keras`` must not exceed, or not reach, is ``keras<``. Nothing is read before somebody asks:
    most runs never do.
    """

    def __init__(
        self, configured: Mapping[str, str], folder: Path, root: Path | None, look: Look | None = None
    ) -> None:
        """``root`` is the outermost folder to look into, by default the project's; ``look`` does so."""
        self._configured = configured
        self._folder = folder
        self._root = root
        self._look = look or places

    @cached_property
    def places(self) -> dict[str, Declared]:
        """What the project declares, whatever the configuration says."""
        from bnlint.program.project import find_root

        root = self._root or find_root(self._folder)
        found: dict[str, Declared] = {}
        for folder in (self._folder, *self._folder.parents):
            found = {**self._look(folder), **found}
            if folder == root or not folder.is_relative_to(root):
                break
        return found

    @cached_property
    def _all(self) -> dict[str, str]:
        found = {name: found.version for name, found in self.places.items() if found.version}
        return found | dict(self._configured)

    @property
    def ceilings(self) -> Mapping[str, str]:
        """The limits from above; a version that the configuration names is the one that is meant."""
        return _Ceilings(self)

    @cached_property
    def limits(self) -> dict[str, str]:
        """What :attr:`ceilings` holds."""
        found = {name: each.ceiling for name, each in self.places.items() if each.ceiling}
        return found | dict(self._configured)

    def __getitem__(self, name: str) -> str:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class _Ceilings(Mapping[str, str]):
    """Nothing is read before somebody asks."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def __getitem__(self, name: str) -> str:
        return self._versions.limits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions.limits)

    def __len__(self) -> int:
        return len(self._versions.limits)
