"""The versions that a project declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.settings.versions import declared


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("requirements.txt", "numpy<1.19\ntensorflow==1.15.5\n", {"tensorflow": "1.15.5"}),
        ("requirements.txt", "tensorflow-gpu >= 2.4  # training\n", {"tensorflow": "2.4"}),
        ("requirements-dev.txt", "tensorflow[and-cuda]~=2.16.1\n", {"tensorflow": "2.16.1"}),
        ("requirements.txt", "tensorflow<3\nkeras\n", {}),
        ("requirements.txt", "# tensorflow==1.4\n", {}),
        ("pyproject.toml", 'dependencies = [\n  "tensorflow>=2.1,<3",\n]\n', {"tensorflow": "2.1"}),
        ("Pipfile", '[packages]\ntf_keras = "==2.16"\n', {"tf-keras": "2.16"}),
    ],
)
def test_declared(tmp_path: Path, name: str, text: str, expected: dict[str, str]) -> None:
    (tmp_path / name).write_text(text)
    assert declared(tmp_path) == expected
