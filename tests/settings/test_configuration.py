"""What each key of a configuration does to `bnlint check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import BAD, Folder

FIXTURES = Path(__file__).parents[2] / "fixtures"
CONTRIB = """\
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 8])
h = tf.contrib.layers.batch_norm(x, is_training=tf.placeholder(tf.bool, []))
"""
MISSPELT = CONTRIB.replace("is_training=", "training=")


@pytest.fixture
def project(folder: Folder) -> Folder:
    """A program with one bug."""
    return folder.put("train.py", BAD)


def test_without_configuration(project: Folder) -> None:
    assert project.found() == [("train.py", "BN101")]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["BN101"]),
        ('select = ["BN2"]', []),
        ('select = ["bn1", "BN201"]', ["BN101"]),
        ('select = ["ALL"]', ["BN901", "BN101"]),
        ("select = []", ["BN101"]),
        ('select = ["BN2"]\nextend-select = ["BN101"]', ["BN101"]),
        ('ignore = ["BN101"]', []),
        ('extend-ignore = ["BN1"]', []),
        ('select = ["BN101"]\nignore = ["BN1"]', []),
        ("groups = []", []),
        ('groups = ["warning"]', []),
        ('groups = ["error"]', ["BN101"]),
        ('groups = []\nextend-select = ["BN101"]', ["BN101"]),
    ],
)
def test_which_rules_are_on(project: Folder, text: str, codes: list[str]) -> None:
    project.put("bnlint.toml", text)
    assert project.codes() == codes


def test_groups_turn_rules_on(folder: Folder) -> None:
    source = next(path for path in sorted((FIXTURES / "bn304").iterdir()) if path.name.startswith("bad_"))
    for path in [source] if source.is_file() else source.rglob("*.py"):
        folder.put(path.name, path.read_bytes())
    assert "BN304" not in folder.codes()
    folder.put("bnlint.toml", 'groups = ["error", "warning", "info"]')
    assert "BN304" in folder.codes()


def test_per_file_ignores(folder: Folder) -> None:
    for name in ("a.py", "old/b.py", "old/deep/c.py"):
        folder.put(name, BAD)
    folder.put("bnlint.toml", '[per-file-ignores]\n"old/" = ["BN101"]\n')
    assert folder.found() == [("a.py", "BN101")]
    assert folder.found("old/b.py") == []
    folder.put("bnlint.toml", '[per-file-ignores]\n"/*.py" = ["ALL"]\n')
    assert folder.found() == [("old/b.py", "BN101"), ("old/deep/c.py", "BN101")]
    folder.put(
        "bnlint.toml",
        '[per-file-ignores]\n"a.py" = ["BN2"]\n[extend-per-file-ignores]\n"a.py" = ["BN1"]\n"c.py" = ["BN101"]\n',
    )
    assert folder.found() == [("old/b.py", "BN101")]


def test_per_file_ignores_hold_for_what_is_selected_on_the_command_line(project: Folder) -> None:
    project.put("bnlint.toml", '[per-file-ignores]\n"train.py" = ["BN101"]\n')
    assert project.codes("--select", "BN101") == []


@pytest.mark.parametrize("key", ["exclude", "extend-exclude"])
def test_exclude_also_holds_for_what_is_named(folder: Folder, key: str) -> None:
    for name in ("a.py", "a_pb2.py", "vendor/b.py", "vendor/deep/c.py", "vendor/ours/d.py"):
        folder.put(name, BAD)
    folder.put("bnlint.toml", f'{key} = ["vendor/", "*_pb2.py"]')
    assert folder.found() == [("a.py", "BN101")]
    assert folder.found("a.py", "a_pb2.py", "vendor/deep/c.py") == [("a.py", "BN101")]
    assert folder.found("vendor") == []
    assert folder.found("vendor/deep") == []
    folder.put("bnlint.toml", f'{key} = ["vendor/**/*.py", "!vendor/ours/*.py"]')
    assert folder.found("vendor") == [("vendor/ours/d.py", "BN101")]


def test_both_excludes_count(folder: Folder) -> None:
    for name in ("a.py", "b.py", "c.py"):
        folder.put(name, BAD)
    folder.put("bnlint.toml", 'exclude = ["a.py"]\nextend-exclude = ["b.py"]\n')
    assert folder.found() == [("c.py", "BN101")]


def test_excluded_files_are_not_read(folder: Folder) -> None:
    folder.put("a.py", BAD).put("broken.py", "batch_norm = (\n")
    assert folder.run("check").returncode == 2
    folder.put("bnlint.toml", 'exclude = ["broken.py"]')
    assert folder.codes() == ["BN101"]


def test_project_root(folder: Folder) -> None:
    model = (
        "import tensorflow as tf\ndef norm(x, t):\n    return tf.layers.batch_normalization(x, training=t)\n"
    )
    train = "from nets.model import norm\n" + BAD.replace(
        "tf.layers.batch_normalization(tf.layers.dense(x, 8), training=phase)",
        "norm(tf.layers.dense(x, 8), phase)",
    )
    # A marker makes jobs/ the project, in which there is no `nets`.
    folder.put("lib/nets/model.py", model).put("jobs/train.py", train).put("jobs/setup.py", "")
    folder.put("lib/nets/__init__.py", "")
    assert folder.found("jobs/train.py") == []
    folder.put("jobs/bnlint.toml", 'project-root = "../lib"')
    assert folder.found("jobs/train.py") == [("jobs/train.py", "BN101")]
    assert folder.found("jobs/train.py", "--project-root", "jobs") == []


@pytest.mark.parametrize(
    ("versions", "codes"),
    [
        ('tensorflow = "2.4"', ["BN606"]),
        ('tensorflow = "1.15"', []),
        ('tensorflow-gpu = "2"', ["BN606"]),
        ('"tensorflow" = "2.4"\nkeras = "2"', ["BN606"]),
        ("", []),
    ],
)
def test_target_versions(folder: Folder, versions: str, codes: list[str]) -> None:
    folder.put("net.py", CONTRIB).put("bnlint.toml", f"[target-versions]\n{versions}\n")
    assert folder.codes("--select", "BN606") == codes


def test_target_versions_go_before_what_the_project_declares(folder: Folder) -> None:
    folder.put("net.py", CONTRIB).put("requirements.txt", "tensorflow==2.4\n")
    assert folder.codes("--select", "BN606") == ["BN606"]
    folder.put("bnlint.toml", 'target-versions = {tensorflow = "1.15"}')
    assert folder.codes("--select", "BN606") == []


def test_versions_are_those_of_the_nearest_folder(folder: Folder) -> None:
    for name in ("old", "new"):
        folder.put(f"{name}/net.py", CONTRIB)
    folder.put("requirements.txt", "tensorflow==1.15\n").put(".git/HEAD", "")
    folder.put("new/requirements.txt", "tensorflow==2.4\n")
    assert folder.found("--select", "BN606") == [("new/net.py", "BN606")]


def test_versions_are_looked_for_up_to_the_project(folder: Folder) -> None:
    folder.put("a/b/net.py", CONTRIB).put("requirements.txt", "tensorflow==2.4\n")
    assert folder.codes("--select", "BN606", "a/b/net.py") == []
    folder.put(".git/HEAD", "")
    assert folder.codes("--select", "BN606", "a/b/net.py") == ["BN606"]
    assert folder.codes("--select", "BN606", "--project-root", "a", "a/b/net.py") == []
    folder.put("bnlint.toml", 'project-root = "a"')
    assert folder.codes("--select", "BN606", "a/b/net.py") == ["BN606"]


# -- which file applies ----------------------------------------------------------------------------------


def test_pyproject(project: Folder) -> None:
    project.put("pyproject.toml", '[project]\nname = "x"\n\n[tool.bnlint]\nignore = ["BN101"]\n')
    assert project.codes() == []


def test_pyproject_without_table_does_not_count(folder: Folder) -> None:
    folder.put("a/train.py", BAD).put("bnlint.toml", 'ignore = ["BN101"]')
    folder.put("a/pyproject.toml", '[project]\nname = "x"\ndependencies = ["bnlint"]\n')
    assert folder.codes() == []


def test_the_nearest_wins_as_a_whole(folder: Folder) -> None:
    for name in ("train.py", "a/train.py", "a/b/train.py"):
        folder.put(name, BAD)
    folder.put("pyproject.toml", '[tool.bnlint]\nignore = ["BN101"]\n')
    folder.put("a/bnlint.toml", 'exclude = ["never.py"]')
    assert folder.found() == [("a/b/train.py", "BN101"), ("a/train.py", "BN101")]
    folder.put("a/b/bnlint.toml", 'ignore = ["BN101"]')
    assert folder.found() == [("a/train.py", "BN101")]


def test_an_empty_table_counts(folder: Folder) -> None:
    folder.put("bnlint.toml", 'ignore = ["BN101"]').put("a/train.py", BAD)
    for name, text in (("a/bnlint.toml", ""), ("a/pyproject.toml", "[tool.bnlint]\n")):
        assert folder.codes() == []
        folder.put(name, text)
        assert folder.codes() == ["BN101"]
        (folder.root / name).unlink()


def test_beside_each_other_bnlint_toml_wins(project: Folder) -> None:
    project.put("pyproject.toml", '[tool.bnlint]\nignore = ["BN101"]\n').put("bnlint.toml", "")
    assert project.codes() == ["BN101"]


def test_config_names_the_file_for_all(folder: Folder) -> None:
    folder.put("a/train.py", BAD).put("a/bnlint.toml", "").put("ci/strict.toml", 'ignore = ["BN101"]')
    assert folder.codes("--config", "ci/strict.toml") == []
    folder.put("ci/pyproject.toml", '[tool.bnlint]\nexclude = ["a/"]\n')
    # Patterns are relative to the folder of the file that says them.
    assert folder.codes("--config", "ci/pyproject.toml") == ["BN101"]


def test_isolated(project: Folder) -> None:
    project.put("bnlint.toml", 'ignore = ["BN101"]\nexclude = ["*"]\n[target-versions]\ntensorflow = "2"')
    assert project.codes("--isolated") == ["BN101"]
    project.put("bnlint.toml", "not TOML")
    assert project.codes("--isolated") == ["BN101"]


# -- the command line goes first -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ((), ["BN606"]),
        (("--select", "BN101"), ["BN101"]),
        (("--select", "ALL"), ["BN101", "BN606", "BN901"]),
        (("--extend-select", "BN2"), ["BN606"]),
        (("--ignore", "BN6"), []),
        (("--select", "BN1,BN6", "--ignore", "BN6"), ["BN101"]),
    ],
)
def test_the_command_line_goes_first(project: Folder, arguments: tuple[str, ...], codes: list[str]) -> None:
    project.put("other.py", MISSPELT)
    project.put("bnlint.toml", 'select = ["BN1"]\nextend-select = ["BN606"]\nignore = ["BN101"]')
    assert sorted(project.codes(*arguments)) == codes


def test_command_line_ignores_are_added(project: Folder) -> None:
    project.put("other.py", MISSPELT).put("bnlint.toml", 'ignore = ["BN101"]')
    assert project.codes("--ignore", "BN606") == []
