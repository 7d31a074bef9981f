"""What bnlint says when a configuration makes no sense."""

# ruff: noqa: E501 - a mistake and what is said about it in one line

from __future__ import annotations

import pytest

from .conftest import BAD, Folder


@pytest.fixture
def project(folder: Folder) -> Folder:
    return folder.put("train.py", BAD)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ignroe = ["BN1"]', "bnlint.toml:1: There is no key `ignroe`. Did you mean `ignore`?"),
        ('per_file_ignores = {}', "bnlint.toml:1: There is no key `per_file_ignores`. Did you mean `per-file-ignores`?"),
        ("\nxyzzy = 1", "bnlint.toml:2: There is no key `xyzzy`. The keys are select, extend-select, "),
        ('select = "BN1"', 'bnlint.toml:1: `select` must be a list of rule codes or beginnings of codes, such as '
         '["BN101", "BN2"]; it is a string.'),
        ("ignore = [1]", "bnlint.toml:1: `ignore` must be a list of rule codes"),
        ("ignore = [1]", "it is a list with something else in it."),
        ('select = ["BN999"]', "bnlint.toml:1: There is no rule 'BN999'."),
        ('select = [""]', "bnlint.toml:1: `select` has an empty code."),
        ('ignore = ["ALL"]', "bnlint.toml:1: There is no rule 'ALL'."),
        ('extend-ignore = ["update-ops-never-run"]', "Did you mean BN101?"),
        ('groups = ["errors"]', "bnlint.toml:1: There is no group `errors` in `groups`. Did you mean `error`?"),
        ("groups = true", "bnlint.toml:1: `groups` must be a list of groups: error, warning, info, preview; it is true"),
        ('exclude = "vendor"', "bnlint.toml:1: `exclude` must be a list of patterns as in .gitignore"),
        ('exclude = ["a", "!"]', "bnlint.toml:1: '!' in `exclude` is no pattern of .gitignore."),
        ('exclude = ["a", "[z-a]"]', "bnlint.toml:1: '[z-a]' in `exclude` is no pattern of .gitignore."),
        ('per-file-ignores = ["BN1"]', "bnlint.toml:1: `per-file-ignores` must be a table of lists of rule codes"),
        ('[per-file-ignores]\n"a.py" = "BN1"', 'bnlint.toml:2: `per-file-ignores."a.py"` must be a list of rule codes'),
        ('[per-file-ignores]\n"a.py" = ["BN998"]', "bnlint.toml:2: There is no rule 'BN998'."),
        ('[per-file-ignores]\n"!a.py" = ["BN1"]', "bnlint.toml:2: '!a.py' in `per-file-ignores` matches no file"),
        ("target-versions = 3", "bnlint.toml:1: `target-versions` must be a table"),
        ("[target-versions]\nkeras = 3", "bnlint.toml:2: `target-versions.keras` must be a version in quotes, such as"),
        ("[target-versions]\nkeras = 3", "it is a number."),
        ("target-versions.tensorflow = 1.15", "bnlint.toml:1: `target-versions.tensorflow` must be a version"),
        ('target-versions.keras = ">=3"', "it is '>=3'."),
        ('target-versions.tensorfow = "1"', "There is no library `tensorfow` in `target-versions`. Did you mean "
         "`tensorflow`?"),
        ("project-root = 1", "bnlint.toml:1: `project-root` must be the path of a folder; it is a number."),
        ('project-root = "src"', "bnlint.toml:1: There is no folder 'src', which `project-root` names."),
        ('known-norm-layers = ["a.b"]', "bnlint.toml:1: `known-norm-layers` must be a table"),
        ('known-norm-layers."a.b" = 1', 'bnlint.toml:1: `known-norm-layers."a.b"` must be the name of a framework\'s'),
        ('known-norm-layers.a.b = "tf.layers.batch_normalization"', "write the name in quotes"),
        ('known-norm-layers.bn = "tf.layers.batch_normalization"', "'bn' in `known-norm-layers` must be the dotted name"),
        ('known-norm-layers."a.b" = {}', 'bnlint.toml:1: `known-norm-layers."a.b"` needs `like`, the name of'),
        ('known-norm-layers."a.b" = {like = 1}', "`like` must be".replace("`like`", '`known-norm-layers."a.b".like`')),
        ('known-norm-layers."a.b" = {lik = "x"}', "There is no key `lik`"),
        ('known-norm-layers."a.b" = {like = "tf.layers.batch_norm", parameters = "x"}', "must be a list of the layer's"),
        ('known-norm-layers."a.b" = {like = "tf.layers.batch_norm", arguments = ["x"]}', "must be a table of parameters"),
        ('known-norm-layers."a.b" = {like = "tf.layers.batch_norm", parameters = ["x", "train"], arguments = {trian = '
         '"training"}}', "bnlint.toml:1: There is no parameter `trian`"),
        ('known-norm-layers."a.b" = "tf.layers.batch_normalisation"', "bnlint.toml:1: bnlint knows no normalisation "
         "layer `tf.layers.batch_normalisation` that `a.b` could be like. Did you mean `tf.layers.batch_normalization`?"),
        ('known-norm-layers."a.b" = {like = "tf.layers.batch_normalization", arguments = {t = "trainin"}}',
         "`tf.layers.batch_normalization` has no parameter `trainin`, which a parameter of `a.b` is to be. "
         "Did you mean `training`?"),
        ("select = [", "bnlint.toml:1: The configuration is not valid TOML ("),
        ('select = ["BN1"]\n\nignore = BN1\n', "bnlint.toml:3: The configuration is not valid TOML (Invalid value)."),
        ("ignore = []\nignore = []\n", "bnlint.toml:2: The configuration is not valid TOML (Cannot overwrite a value)"),
    ],
)  # fmt: skip
def test_mistakes(project: Folder, text: str, expected: str) -> None:
    project.put("bnlint.toml", text)
    said = project.refused()
    assert expected in said
    assert said.count("\n") == 0
    assert said.endswith((".", "?"))


def test_places_in_pyproject(project: Folder) -> None:
    other = "[tool.other]\nselect = 1\n\n[[tool.other.more]]\nselect = 2\n\n"
    for text, line in (
        ("[tool.bnlint]\nselect = 1\n", 8),
        ("[ tool . 'bnlint' ] # here\n'select' = 1\n", 8),
        ("[tool]\nbnlint.select = 1\n", 8),
        ("[tool.bnlint.per-file-ignores]\n'x' = []\n[tool.bnlint]\nselect = 1\n", 10),
    ):
        project.put("pyproject.toml", other + text)
        assert project.refused().startswith(f"pyproject.toml:{line}: `select` must be ")


def test_the_table_must_be_one(project: Folder) -> None:
    project.put("pyproject.toml", "[tool]\nbnlint = 1\n")
    assert project.refused() == "pyproject.toml: `tool.bnlint` must be a table: write `[tool.bnlint]`."


def test_a_broken_pyproject_is_only_our_business_if_it_may_speak_of_bnlint(project: Folder) -> None:
    project.put("pyproject.toml", "[tool.other\n")
    assert project.codes() == ["BN101"]
    project.put("pyproject.toml", "[tool.bnlint\n")
    assert project.refused().startswith("pyproject.toml:1: The configuration is not valid TOML")


def test_other_encodings(project: Folder) -> None:
    project.put("bnlint.toml", 'ignore = ["BN101"]\n# caf\xe9\n'.encode("latin-1"))
    assert project.refused().startswith("bnlint.toml:2: The configuration is not UTF-8")
    project.put("bnlint.toml", 'ignore = ["BN101"]\r\n# café\r\n'.encode("utf-8-sig"))
    assert project.codes() == []


def test_missing_config(project: Folder) -> None:
    said = project.refused("--config", "conf/none.toml")
    assert said == "There is no configuration file conf/none.toml. Check how it is spelled."
    project.put("conf/pyproject.toml", "[project]\n")
    assert (
        project.refused("--config", "conf") == "There is no configuration file conf. Check how it is spelled."
    )
    said = project.refused("--config", "conf/pyproject.toml")
    assert said == "conf/pyproject.toml: The file has no table `[tool.bnlint]`. Add it."


def test_an_unreadable_configuration(project: Folder) -> None:
    path = project.put("bnlint.toml", "").root / "bnlint.toml"
    path.unlink()
    path.symlink_to("bnlint.toml")
    # A link to itself is no file: there is nothing to read.
    assert project.codes() == ["BN101"]


def test_mistakes_elsewhere_in_the_project_count(folder: Folder) -> None:
    folder.put("setup.py", "").put("a/train.py", BAD).put("b/bnlint.toml", "x = 1").put("b/other.py", "")
    assert folder.refused("a/train.py").startswith("b/bnlint.toml:1: There is no key `x`.")


def test_mistakes_are_found_without_a_word_of_normalisation(folder: Folder) -> None:
    folder.put("a.py", "").put("bnlint.toml", 'select = ["BN999"]')
    assert folder.refused().startswith("bnlint.toml:1: There is no rule 'BN999'.")
