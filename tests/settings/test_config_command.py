"""`bnlint config`: what applies to a path, and where each value comes from."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import Folder

FULL = """\
[project]
name = "x"

[tool.bnlint]
select = ["BN1", "BN301"]
ignore = ["BN102"]
extend-ignore = ["BN103"]
groups = [
  "error",
  "info",
]
exclude = ["vendor/"]
project-root = "src"

[tool.bnlint.per-file-ignores]
"old/*.py" = ["BN101"]

[tool.bnlint.target-versions]
tf_keras = "2.16"

[tool.bnlint.known-norm-layers]
"lib.bn" = "tf.layers.batch_normalization"
"lib.norm" = { like = "slim.batch_norm", parameters = ["x", "train"], arguments = { train = "is_training" } }
"""


@pytest.fixture
def project(folder: Folder) -> Folder:
    folder.put("pyproject.toml", FULL).put("src/a.py", "").put("old/b.py", "").put("vendor/c.py", "")
    return folder.put("requirements.txt", "numpy\ntensorflow>=1.14\n")


def test_defaults(folder: Folder) -> None:
    assert folder.put("a.py", "").run("config", "a.py").stdout.splitlines()[:-2] == [
        "a.py: no configuration file applies",
        "",
        "key                from     value",
        "select             default  -",
        "extend-select      default  -",
        "ignore             default  -",
        "groups             default  error, warning",
        "per-file-ignores   default  -",
        "exclude            default  -",
        "project-root       default  .",
        "target-versions    default  -",
        "known-norm-layers  default  -",
    ]


def test_everything(project: Folder) -> None:
    done = project.run("config", "old/b.py")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()[3:-3]]
    assert lines == [
        ["select", "pyproject.toml:5", "BN1, BN301"],
        ["extend-select", "default", "-"],
        ["ignore", "pyproject.toml:6,", "pyproject.toml:7  BN102, BN103"],
        ["groups", "pyproject.toml:8", "error, info"],
        ["per-file-ignores.old/*.py", "pyproject.toml:16", "BN101"],
        ["exclude", "pyproject.toml:12", "vendor/"],
        ["project-root", "pyproject.toml:13", "src"],
        ["target-versions.tensorflow", "requirements.txt:2", "1.14"],
        ["target-versions.tf-keras", "pyproject.toml:19", "2.16"],
        ["known-norm-layers.lib.bn", "pyproject.toml:22", "tf.layers.batch_normalization"],
        [
            "known-norm-layers.lib.norm",
            "pyproject.toml:23",
            "like = slim.batch_norm, parameters = x, train, arguments = (train = is_training)",
        ],
    ]
    on, ignored = done.stdout.splitlines()[-2:]
    assert on.startswith("Rules that are on: BN101, BN104, ")
    assert on.endswith(", BN301")
    assert ignored == "Of these ignored here: BN101"


def test_json(project: Folder) -> None:
    shown = project.config("old/b.py")
    assert shown["path"] == "old/b.py"
    assert shown["configuration"] == "pyproject.toml"
    assert shown["excluded"] is False
    assert shown["ignored"] == ["BN101"]
    assert shown["settings"]["groups"] == {"value": ["error", "info"], "from": "pyproject.toml:8"}
    assert shown["settings"]["target-versions"]["tensorflow"] == {
        "value": "1.14",
        "from": "requirements.txt:2",
    }
    isolated = project.config("--isolated")["settings"]
    assert isolated["per-file-ignores"] == {}
    assert list(isolated["target-versions"]) == ["tensorflow"]


@pytest.mark.parametrize("path", ["vendor", "vendor/c.py", "src/../vendor/c.py"])
def test_excluded(project: Folder, path: str) -> None:
    assert "It is excluded: nothing in it is reported." in project.run("config", path).stdout
    assert project.config(path)["excluded"] is True


def test_command_line(project: Folder) -> None:
    shown = project.config("--select", "BN1", "--ignore", "BN104", "--project-root", "old")["settings"]
    assert shown["select"] == {"value": ["BN1"], "from": "command line"}
    assert shown["ignore"] == {"value": ["BN104"], "from": "command line"}
    assert shown["project-root"] == {"value": "old", "from": "command line"}
    shown = project.config("--ignore", "BN104")["settings"]
    assert shown["ignore"]["value"] == ["BN102", "BN103", "BN104"]
    assert shown["ignore"]["from"] == "pyproject.toml:6, pyproject.toml:7, command line"


def test_another_configuration(project: Folder) -> None:
    project.put("ci.toml", 'ignore = ["BN1"]')
    shown = project.config("--config", "ci.toml", "src/a.py")
    assert (shown["configuration"], shown["settings"]["ignore"]["from"]) == ("ci.toml", "ci.toml:1")
    assert project.config("--isolated", "src/a.py")["configuration"] is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("gone.py",), "There is no file or folder gone.py."),
        (("--config", "gone.toml"), "There is no configuration file gone.toml."),
        (("--config", "pyproject.toml", "--isolated"), "Leave one of them out."),
        (("--select", "BN9999"), "There is no rule 'BN9999'."),
    ],
)
def test_mistakes(project: Folder, arguments: tuple[str, ...], expected: str) -> None:
    done = project.run("config", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr


def test_known_layers_are_verified(folder: Folder) -> None:
    folder.put("bnlint.toml", 'known-norm-layers."a.b" = "tf.layers.bach_normalization"')
    done = folder.run("config")
    assert done.returncode == 2
    assert "Did you mean `tf.layers.batch_normalization`?" in done.stderr


def test_as_a_process(project: Folder) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bnlint", "config", "src"],
        cwd=project.root, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("src: configured in pyproject.toml\n")
