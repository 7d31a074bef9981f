"""The JSON Schema of the configuration says what the code does."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from bnlint.findings import Group
from bnlint.settings.errors import SettingsError
from bnlint.settings.parse import KEYS, parse
from bnlint.settings.table import Table
from bnlint.settings.versions import LIBRARIES, SAME

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA: dict[str, Any] = json.loads((resources.files("bnlint.settings") / "schema.json").read_text("utf-8"))

GOOD = [
    "",
    'select = ["ALL"]\nextend-select = ["bn1", "BN201"]\nignore = ["BN101"]\nextend-ignore = []',
    'groups = ["error", "warning", "info", "preview"]',
    'exclude = ["a/", "!a/b.py", "# nothing"]\nextend-exclude = ["*.gen.py"]',
    '[per-file-ignores]\n"tests/**" = ["ALL"]\n[extend-per-file-ignores]\n"a b.py" = ["BN1"]',
    'project-root = "."',
    'target-versions = {tensorflow = "1.15", tf_keras = "2", tensorflow-gpu = "2.4.1"}',
    'known-norm-layers."a.b" = "tf.layers.batch_normalization"',
    'known-norm-layers."a.B.__call__" = {like = "slim.batch_norm"}',
    '[known-norm-layers."a.b"]\nlike = "x"\nparameters = ["x", "t"]\narguments = {t = "training"}',
]
BAD = [
    "unknown = 1",
    'select = "BN1"',
    "ignore = [1]",
    'extend-select = ["BN1 BN2"]',
    'groups = ["error", "all"]',
    'groups = "error"',
    "exclude = [1]",
    'extend-exclude = "a"',
    "per-file-ignores = []",
    'per-file-ignores."a.py" = "BN1"',
    'per-file-ignores."!a.py" = ["BN1"]',
    "extend-per-file-ignores.x = [1]",
    "project-root = []",
    'target-versions = "2"',
    "target-versions.keras = 3",
    'target-versions.keras = "^3"',
    'target-versions.tensorfow = "3"',
    'known-norm-layers = "a.b"',
    'known-norm-layers.bn = "x"',
    'known-norm-layers.a.b = "x"',
    'known-norm-layers."a.b" = []',
    'known-norm-layers."a.b" = {}',
    'known-norm-layers."a.b" = {like = "x", more = 1}',
    'known-norm-layers."a.b" = {like = "x", parameters = [1]}',
    'known-norm-layers."a.b" = {like = "x", arguments = {t = 1}}',
]


def problems(text: str) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(tomllib.loads(text))]


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_it_has_the_keys_of_the_code() -> None:
    assert sorted(SCHEMA["properties"]) == sorted(KEYS)
    assert all(SCHEMA["properties"][key]["description"] for key in KEYS)


def test_it_has_the_values_of_the_code() -> None:
    assert SCHEMA["properties"]["groups"]["items"]["enum"] == [group.value for group in Group]
    for name in (*LIBRARIES, *SAME):
        assert problems(f'target-versions."{name}" = "1"') == []
        assert problems(f'target-versions."{name.replace("-", "_")}" = "1"') == []


@pytest.mark.parametrize("text", GOOD)
def test_good(tmp_path: Path, text: str) -> None:
    assert problems(text) == []
    parse(Table(tmp_path / "bnlint.toml", tomllib.loads(text), text))


@pytest.mark.parametrize("text", BAD)
def test_bad(tmp_path: Path, text: str) -> None:
    assert problems(text)
    with pytest.raises(SettingsError):
        parse(Table(tmp_path / "bnlint.toml", tomllib.loads(text), text))
