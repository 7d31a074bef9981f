"""What every place needs: a repository of bnlint as others fetch it, and projects with and without a bug."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

MODEL = """\
import tensorflow as tf


def logits(images):
    features = tf.layers.dense(images, 128, use_bias=False)
    features = tf.nn.relu(tf.layers.batch_normalization(features, training=True))
    return tf.layers.dense(features, 10)
"""

BAD = """\
import numpy as np
import tensorflow as tf

import model


def main():
    images = tf.placeholder(tf.float32, [None, 784])
    labels = tf.placeholder(tf.int64, [None])
    loss = tf.losses.sparse_softmax_cross_entropy(labels, model.logits(images))
    train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)

    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(1000):
            batch = {images: np.random.rand(64, 784), labels: np.random.randint(10, size=64)}
            session.run(train_op, feed_dict=batch)


if __name__ == "__main__":
    main()
"""

_MINIMIZE = "    train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)\n"

_WRAPPED = "    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):\n    " + _MINIMIZE

Git = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment for programs that call git: an author, and nothing of this machine's configuration."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT"))}
    return {
        **clean,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
        "PRE_COMMIT_HOME": str(_shared(tmp_path_factory) / "pre-commit"),
    }


@pytest.fixture(scope="session")
def git(environment: dict[str, str]) -> Git:
    """Runs git in a folder."""
    if shutil.which("git") is None:
        pytest.skip("needs git")

    def run(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    """A git repository with this working tree, as those fetch it who use bnlint; all test processes share it."""
    target = _shared(tmp_path_factory) / "published"
    if not target.exists():
        copy = tmp_path_factory.mktemp("published")
        for name in ("pyproject.toml", "setup.py", "README.md", ".pre-commit-hooks.yaml", "action.yml"):
            shutil.copy(ROOT / name, copy)
        for name in ("bnlint", "rules"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        git(copy, "init", "--quiet")
        git(copy, "add", "--all")
        git(copy, "commit", "--quiet", "--message", "publish")
        try:
            copy.rename(target)
        except OSError:
            # Another test process was faster.
            assert target.is_dir()
    return target


@pytest.fixture
def repaired() -> str:
    """What `train.py` of the project should be."""
    return BAD.replace(_MINIMIZE, _WRAPPED)


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Path:
    """A git repository with one commit, which holds a program with a bug."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "train.py").write_text(BAD)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "begin")
    return folder


def _shared(factory: Any) -> Path:
    """A folder that is the same in all processes of a parallel test run."""
    base: Path = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
