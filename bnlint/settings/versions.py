"""The versions of libraries that a project declares."""

from __future__ import annotations

import re
from pathlib import Path

_FILES = ("requirements*.txt", "requirements/*.txt", "pyproject.toml", "setup.cfg", "Pipfile")
_REQUIREMENT = re.compile(
    r"""^[\s"'\-]*(?P<name>[A-Za-z][\w.-]*)(?:\[[^\]]*\])?\s*=?\s*["']?\s*(?P<how>==|~=|>=)\s*(?P<version>\d[\d.]*)""",
    re.MULTILINE,
)
_SAME = {"tensorflow-gpu": "tensorflow", "tensorflow-cpu": "tensorflow", "tf-nightly": "tensorflow"}


def declared(root: Path) -> dict[str, str]:
    """The lowest version of each library that the project's requirements allow, by the library's name.

    Libraries without a lower bound are left out: then nothing is known.
    """
    found: dict[str, str] = {}
    for pattern in _FILES:
        for path in sorted(root.glob(pattern)):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            for match in _REQUIREMENT.finditer(text):
                name = match["name"].lower().replace("_", "-")
                found.setdefault(_SAME.get(name, name), match["version"].rstrip("."))
    return found
