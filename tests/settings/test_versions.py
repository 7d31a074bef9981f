"""The versions that a project declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.settings.versions import Versions, declared, places


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
        (
            "requirements.txt",
            "tensorflow<2,>=1.12\ntorch !=1.1, >=1.0\n",
            {"tensorflow": "1.12", "torch": "1.0"},
        ),
        (
            "requirements.txt",
            "tensorflow==1.15; python_version<'3.8'\ntensorflow==2.4\n",
            {"tensorflow": "1.15"},
        ),
        (
            "requirements.txt",
            "tensorflow==2.4; python_version>'3.7'\ntensorflow==1.15\n",
            {"tensorflow": "1.15"},
        ),
        (
            "requirements.txt",
            "TensorFlow==1.*\nmy-tensorflow==3\ntensorflow-probability==0.8\n",
            {"tensorflow": "1"},
        ),
        ("requirements/base.txt", "keras>=2.2\n", {"keras": "2.2"}),
        ("requirements/base.md", "keras>=2.2\n", {}),
        ("pyproject.toml", 'dependencies = ["numpy", "torch>=1.8"]\n', {"torch": "1.8"}),
        (
            "pyproject.toml",
            '[project.optional-dependencies]\ngpu = ["tensorflow-gpu==2.4.0"]\n',
            {"tensorflow": "2.4.0"},
        ),
        ("pyproject.toml", '[tool.poetry.dependencies]\nkeras = "^2.3"\n', {"keras": "2.3"}),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\nkeras = {version = "~2.3", optional = true}\n',
            {"keras": "2.3"},
        ),
        ("pyproject.toml", '[tool.poetry.dependencies]\nkeras = "*"\ntorch = "<2"\n', {}),
        (
            "pyproject.toml",
            '[tool.bnlint.target-versions]\nkeras = "3"\n[x]\nd = ["torch>=2"]\n',
            {"torch": "2"},
        ),
        (
            "setup.cfg",
            "[options]\ninstall_requires =\n    numpy\n    tensorflow>=1.4\n",
            {"tensorflow": "1.4"},
        ),
        ("setup.py", "setup(install_requires=['numpy', 'tensorflow>=1.4,<2'])\n", {"tensorflow": "1.4"}),
        ("setup.py", "# setup(install_requires=['tensorflow>=1.4'])\n", {}),
        (
            "environment.yml",
            "dependencies:\n  - python=3.6\n  - tensorflow-gpu=1.14.0=h0d30ee6_0\n",
            {"tensorflow": "1.14.0"},
        ),
        ("environment.yml", "dependencies:\n- conda-forge::pytorch>=1.4\n", {"torch": "1.4"}),
        ("environment_gpu.yaml", "- pip:\n  - keras==2.3.1\n", {"keras": "2.3.1"}),
        ("poetry.lock", '[[package]]\nname = "tensorflow"\nversion = "2.4.1"\n', {"tensorflow": "2.4.1"}),
        ("poetry.lock", '[package.dependencies]\nkeras = ">=2.9"\n', {}),
        (
            "uv.lock",
            '[[package]]\nname = "tf-keras"\nversion = "2.16.0"\nsource = {}\n',
            {"tf-keras": "2.16.0"},
        ),
        (
            "Pipfile.lock",
            '{"default": {"torch": {\n "hashes": [],\n "version": "==1.8.0"\n}}}',
            {"torch": "1.8.0"},
        ),
    ],
)
def test_declared(tmp_path: Path, name: str, text: str, expected: dict[str, str]) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert declared(tmp_path) == expected


def test_what_is_locked_goes_before_what_is_required(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("keras>=2\ntensorflow>=1.12\n")
    (tmp_path / "poetry.lock").write_text('[[package]]\nname = "tensorflow"\nversion = "2.4.1"\n')
    assert declared(tmp_path) == {"tensorflow": "2.4.1", "keras": "2"}


def test_places(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# tensorflow==1.4\nnumpy\n  tensorflow==1.5  # not 1.4\n")
    found = places(tmp_path)["tensorflow"]
    assert (found.version, found.path, found.line) == ("1.5", tmp_path / "requirements.txt", 3)


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    assert declared(tmp_path / "gone") == {}
    (tmp_path / "requirements.txt").mkdir()
    assert declared(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("requirements.txt", "tensorflow==2.3.0\n", {"tensorflow": "2.3.0"}),
        ("requirements.txt", "tensorflow>=2.3,<2.16\nkeras>=2\n", {"tensorflow": "2.16"}),
        ("requirements.txt", "tensorflow<2.16,>=2.3\n", {"tensorflow": "2.16"}),
        ("environment.yml", "- tensorflow-gpu=1.14.0=h0d30ee6_0\n", {"tensorflow": "1.14.0"}),
        ("poetry.lock", '[[package]]\nname = "keras"\nversion = "3.3.3"\n', {"keras": "3.3.3"}),
        ("setup.py", "setup(install_requires=['tensorflow>=2.0', 'numpy<2'])\n", {}),
        ("requirements.txt", "tensorflow<2.16  # why\n", {"tensorflow": "2.16"}),
        ("requirements.txt", "tensorflow >=2.4, <=2.15\n", {"tensorflow": "2.15"}),
        ("requirements.txt", "tensorflow>=2.4\n", {}),
        ("requirements.txt", "tensorflow!=2.4\n", {}),
        ("requirements.txt", "tensorflow_hub<0.13\ntensorflow-addons==0.2\n", {}),
        ("setup.py", "setup(install_requires=[\n    'tensorflow<2.16',\n])\n", {"tensorflow": "2.16"}),
    ],
)
def test_limits_from_above(tmp_path: Path, name: str, text: str, expected: dict[str, str]) -> None:
    (tmp_path / name).write_text(text)
    assert dict(Versions({}, tmp_path, tmp_path).ceilings) == expected


def test_a_configured_version_is_the_one_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("keras>=2\n")
    assert dict(Versions({"keras": "3.0"}, tmp_path, tmp_path).ceilings) == {"keras": "3.0"}
