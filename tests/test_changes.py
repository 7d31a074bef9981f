"""``--changed-since``, as the user meets it: the real command in real git repositories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

MODEL = """\
import tensorflow as tf


def network(x):
    return tf.layers.dense(tf.layers.batch_normalization(x, training=True), 1)
"""
TRAIN = """\
import tensorflow as tf
from model import network

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])
loss = tf.losses.mean_squared_error(y, network(x))
# the step
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
# the run
tf.Session().run(train_op)
"""
_CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


class Repository:
    """A git repository with a program in it whose bug is at line 8 of ``train.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")
        self.write("model.py", MODEL)
        self.write("train.py", TRAIN)

    def git(self, *arguments: str) -> str:
        identity = [
            "-c",
            "user.name=Somebody",
            "-c",
            "user.email=somebody@example.org",
            "-c",
            "commit.gpgsign=false",
        ]
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder,
            env={**_CLEAN, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def check(
        self, revision: str, *arguments: str, cwd: str = ".", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bnlint", "check", "--isolated", "--output-format", "concise"]
        return subprocess.run(
            [*command, f"--changed-since={revision}", *arguments],
            cwd=self.folder / cwd,
            env={**_CLEAN, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def found(self, revision: str = "HEAD", *arguments: str) -> list[str]:
        done = self.check(revision, *arguments)
        assert done.returncode in (0, 1), done.stderr
        found = [line.split(" ")[0] for line in done.stdout.splitlines() if ": BN" in line]
        assert done.returncode == bool(found)
        return found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit()
    return made


FOUND = ["train.py:8:12:"]


def test_nothing_changed(repository: Repository) -> None:
    assert repository.found() == []


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("1e-3", "1e-4", True),
        ("# the step\n", "# the step\n\n", False),
        ("# the step", "# The step", False),
        ("# the step\n", "", True),  # what was deleted stood right before it
        ("# the run\n", "", True),
        (
            "y = tf.placeholder(tf.float32, [None, 1])\n",
            "y = tf.placeholder(tf.float32, [None, 1])\n\n\n",
            False,
        ),
        ("# the run\n", "", True),
    ],
)
def test_the_finding_is_touched(repository: Repository, old: str, new: str, touched: bool) -> None:
    repository.write("train.py", TRAIN.replace(old, new))
    assert bool(repository.found()) is touched


def test_a_step_in_another_file_is_touched(repository: Repository) -> None:
    repository.write("model.py", MODEL.replace("training=True", "training=True, momentum=0.9"))
    assert repository.found() == FOUND
    assert repository.found("HEAD", "train.py") == FOUND


def test_staged_and_committed_changes_count(repository: Repository) -> None:
    repository.write("train.py", TRAIN.replace("1e-3", "1e-4"))
    repository.git("add", "train.py")
    assert repository.found() == FOUND
    repository.commit()
    assert repository.found() == []
    assert repository.found("HEAD~1") == FOUND
    repository.git("tag", "now")
    assert repository.found("now") == []


def test_files_that_git_does_not_know_are_new(repository: Repository) -> None:
    repository.write("other.py", TRAIN)
    repository.write(".gitignore", "ignored.py\n")
    repository.write("ignored.py", TRAIN)
    assert repository.found() == ["other.py:8:12:"]
    assert repository.found("HEAD", "ignored.py") == ["ignored.py:8:12:"]


def test_renamed_files_are_compared_with_what_they_were(repository: Repository) -> None:
    repository.git("mv", "train.py", "run me.py")
    assert repository.found() == []
    repository.write("run me.py", TRAIN.replace("1e-3", "1e-4"))
    assert [
        line.split(":")[1] for line in repository.check("HEAD").stdout.splitlines() if "BN101" in line
    ] == ["8"]


def test_other_line_ends_change_nothing(repository: Repository) -> None:
    repository.write("train.py", TRAIN.replace("\n", "\r\n"))
    assert repository.found() == []


def test_odd_names_and_folders(repository: Repository) -> None:
    name = "mödel 'x'/-tr\tain.py" if os.name == "posix" else "mödel/train.py"
    repository.write(name, TRAIN)
    repository.write(str(Path(name).parent / "model.py"), MODEL)
    repository.commit()
    done = repository.check("HEAD")
    assert (done.returncode, "BN101" in done.stdout) == (0, False), done.stdout
    done = repository.check("HEAD", ".", cwd=str(Path(name).parent))
    assert done.returncode == 0
    repository.write(name, TRAIN.replace("1e-3", "1e-4"))
    assert "BN101" in repository.check("HEAD", ".", cwd=str(Path(name).parent)).stdout


def test_a_folder_elsewhere(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    repository.write("train.py", TRAIN.replace("1e-3", "1e-4"))
    done = repository.check("HEAD", str(repository.folder), cwd=str(elsewhere))
    assert done.returncode == 1


def test_variables_that_git_sets_for_hooks(repository: Repository) -> None:
    repository.write("sub/train.py", TRAIN)
    repository.write("sub/model.py", MODEL)
    repository.commit()
    done = repository.check("HEAD", "sub", GIT_DIR=".git", GIT_WORK_TREE=".", GIT_INDEX_FILE=".git/index")
    assert (done.returncode, done.stderr) == (0, "")


def test_suppressed_findings_are_left_out_too(repository: Repository) -> None:
    text = TRAIN.replace("minimize(loss)", "minimize(loss)  # bnlint: ignore[BN101] known")
    repository.write("train.py", text)
    repository.commit()
    assert "1 suppressed" not in repository.check("HEAD").stdout
    repository.write("train.py", text.replace("1e-3", "1e-4"))
    assert "1 suppressed" in repository.check("HEAD").stdout


def test_the_fix_is_for_what_changed(repository: Repository) -> None:
    twice = TRAIN + "x = 1  # bnlint: ignore[BN101]\ny = 1\n"
    repository.write("train.py", twice)
    repository.commit()
    changed = twice + "z = 1  # bnlint: ignore[BN101]\n"
    repository.write("train.py", changed)
    done = repository.check("HEAD", "--fix")
    assert done.returncode == 0, done.stdout
    assert (repository.folder / "train.py").read_text() == twice + "z = 1\n"


def _notebook(*sources: str, output: str = "") -> str:
    cells = [
        {"cell_type": "code", "metadata": {}, "source": source.splitlines(keepends=True), "outputs": [output]}
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, indent=1)


def test_notebooks(repository: Repository) -> None:
    head, tail = TRAIN.replace("network(x))", "network(x))\n").split("# the step\n")
    repository.write("a.ipynb", _notebook(head, tail))
    repository.commit()
    assert repository.found() == []
    repository.write("a.ipynb", _notebook(head, tail, output="trained"))
    assert repository.found() == []
    repository.write("a.ipynb", _notebook("import os", head, "print(os)", tail + "\nprint()"))
    assert repository.found() == []
    repository.write("a.ipynb", _notebook("import os", head, tail.replace("1e-3", "1e-4")))
    assert repository.found() == ["a.ipynb:cell"]
    repository.write("a.ipynb", "{")
    repository.commit()
    repository.write("a.ipynb", _notebook(head, tail))
    assert repository.found() == ["a.ipynb:cell"]  # what it was cannot be read


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("nowhere", "There is no single commit 'nowhere'"),
        ("HEAD~7", "There is no single commit 'HEAD~7'"),
        ("HEAD:train.py", "There is no single commit"),
        ("HEAD..HEAD", "There is no single commit"),
        ("^HEAD", "There is no single commit"),
        ("--output=x", "'--output=x' is no revision"),
        ("-h", "'-h' is no revision"),
        ("nowhere\n", "There is no single commit"),
    ],
)
def test_unknown_revisions(repository: Repository, revision: str, words: str) -> None:
    done = repository.check(revision)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr and "Traceback" not in done.stderr
    assert sorted(path.name for path in repository.folder.iterdir()) == [".git", "model.py", "train.py"]


def test_no_commit_yet(tmp_path: Path) -> None:
    done = Repository(tmp_path).check("HEAD")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no commit yet" in done.stderr


def test_no_repository(repository: Repository) -> None:
    shutil.rmtree(repository.folder / ".git")
    done = repository.check("HEAD", GIT_CEILING_DIRECTORIES=str(repository.folder.parent))
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs a git repository" in done.stderr and "not a git repository" in done.stderr


def test_no_git(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    done = repository.check("HEAD", PATH=str(tmp_path_factory.mktemp("empty")))
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs git, which cannot be started" in done.stderr
