"""Which files a run looks at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bnlint.source.discover import discover, display_path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def grow(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


def names(root: Path, *paths: Path, exclude: Sequence[str] = ()) -> list[str]:
    def excluded(path: Path, *, folder: bool = False) -> bool:
        return path in {root / name for name in exclude}

    files, problems = discover(paths or [root], root=root, excluded=excluded)
    assert problems == []
    assert all(path.is_absolute() for path in files)
    return [display_path(path) for path in files]


def test_takes_python_files_and_notebooks_sorted(root: Path) -> None:
    grow(root, "b.py", "a/c.py", "a/n.ipynb", "a/d.pyc", "a/e.pyw", "f.txt", "g", "a.py/h.py")
    assert names(root) == ["a.py/h.py", "a/c.py", "a/n.ipynb", "b.py"]


def test_takes_each_file_once(root: Path) -> None:
    grow(root, "a/b.py")
    assert names(root, root, root / "a", Path("a/b.py"), Path("a/../a/b.py")) == ["a/b.py"]


def test_skips_what_is_not_the_users_code(root: Path) -> None:
    skipped = [
        ".git",
        ".hg",
        ".venv",
        ".tox",
        "venv",
        "node_modules",
        "__pycache__",
        "build",
        ".ipynb_checkpoints",
    ]
    grow(root, "a.py", "mine/bin/x.py", "mine/pyvenv.cfg", *(f"{name}/x.py" for name in skipped))
    assert names(root) == ["a.py"]
    assert names(root, root / "venv") == ["venv/x.py"]
    assert names(root, root / "mine") == ["mine/bin/x.py"]


def test_honours_every_gitignore_up_to_the_root(root: Path) -> None:
    grow(
        root,
        "a.py",
        "gen/x.py",
        "sub/gen/y.py",
        "sub/skip.py",
        "sub/keep.py",
        "sub/deep/skip.py",
        "only/z.py",
    )
    (root / ".gitignore").write_text("/gen/\nskip.py\n*.ipynb\n!\n[z-a]\n")
    (root / "sub/deep/.gitignore").write_text("!skip.py\n")
    (root / "only/.gitignore").write_text("*\n")
    assert names(root) == ["a.py", "sub/deep/skip.py", "sub/gen/y.py", "sub/keep.py"]
    assert names(root, root / "sub") == ["sub/deep/skip.py", "sub/gen/y.py", "sub/keep.py"]


def test_honours_exclude_before_everything(root: Path) -> None:
    grow(root, "a.py", "b/c.py", "b/d.py", "e/f.py")
    (root / "b/.gitignore").write_text("!c.py\n")
    assert names(root, exclude=["b/c.py", "e"]) == ["a.py", "b/d.py"]


def test_a_file_named_by_itself_is_always_taken(root: Path) -> None:
    grow(root, "venv/a.py", "script")
    (root / ".gitignore").write_text("*\n")
    assert names(root, Path("venv/a.py"), Path("script")) == ["script", "venv/a.py"]


def test_links_neither_loop_nor_repeat(root: Path) -> None:
    grow(root, "a/b.py", "other/c.py")
    (root / "a/loop").symlink_to(root, target_is_directory=True)
    (root / "a/self.py").symlink_to(root / "a/b.py")
    (root / "a/far.py").symlink_to(root / "other/c.py")
    assert names(root) == ["a/b.py", "other/c.py"]
    assert names(root, root / "a") == ["a/b.py", "a/far.py"]


def test_what_is_not_there_is_a_problem(root: Path) -> None:
    grow(root, "a.py")
    (root / "gone.py").symlink_to(root / "nowhere.py")
    files, problems = discover([Path("nope.py"), root], root=root)
    assert files == [root / "a.py"]
    assert [(each.path, each.line) for each in problems] == [("nope.py", 1), ("gone.py", 1)]
    assert problems[0].message.startswith("There is no such file or folder")
    assert problems[1].message.startswith("The link leads nowhere")


def test_a_pipe_is_a_problem(root: Path) -> None:
    os.mkfifo(root / "pipe.py")
    files, (problem,) = discover([root / "pipe.py", root], root=root)
    assert files == []
    assert "neither a file nor a folder" in problem.message


def test_an_unreadable_folder_is_a_problem(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(root, "a.py", "closed/b.py", "closed_ignore/c.py")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (root / "closed_ignore/.gitignore").mkdir()
    files, problems = discover([root], root=root)
    assert files == [root / "a.py", root / "closed_ignore/c.py"]
    assert sorted(each.path for each in problems) == ["closed", "closed_ignore/.gitignore"]


def test_paths_are_shown_from_the_current_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(root, "a/b.py", "c/d.py")
    monkeypatch.chdir(root / "a")
    assert display_path(root / "a/b.py") == "b.py"
    assert display_path(root / "c/d.py") == "../c/d.py"
