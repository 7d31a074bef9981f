"""Which file an import means, and where a project begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.program.project import Project, find_root


def lay_out(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


FINDS = {
    "beside": (("a.py", "b.py"), "a.py", "b", 0, "b.py"),
    "nothing": (("a.py",), "a.py", "b", 0, None),
    "not itself": (("a.py",), "a.py", "a", 0, None),
    "package": (("a.py", "b/__init__.py"), "a.py", "b", 0, "b/__init__.py"),
    "module before folder": (("a.py", "b.py", "b/c.py"), "a.py", "b", 0, "b.py"),
    "folder without init": (("a.py", "b/c.py"), "a.py", "b", 0, "b"),
    "folder without Python files": (("a.py", "b/c.txt"), "a.py", "b", 0, None),
    "submodule": (("a.py", "b/__init__.py", "b/c.py"), "a.py", "b.c", 0, "b/c.py"),
    "submodule of a folder": (("a.py", "b/c/d.py"), "a.py", "b.c.d", 0, "b/c/d.py"),
    "from the root": (("n/a.py", "m/b.py"), "n/a.py", "m.b", 0, "m/b.py"),
    "src layout": (("scripts/a.py", "src/pkg/b.py"), "scripts/a.py", "pkg.b", 0, "src/pkg/b.py"),
    "as Python 2, beside the importer": (("n/a.py", "n/b.py"), "n/a.py", "b", 0, "n/b.py"),
    "as Python 2, above the importer": (("n/b.py", "n/m/a.py"), "n/m/a.py", "b", 0, "n/b.py"),
    "root before the importer's folder": (("n/a.py", "n/b.py", "b.py"), "n/a.py", "b", 0, "b.py"),
    "in another case": (("a.py", "B.py"), "a.py", "b", 0, "B.py"),
    "exact before another case": (("n/a.py", "n/B.py", "b.py"), "n/a.py", "b", 0, "b.py"),
    "one dot": (("n/a.py", "n/b.py", "b.py"), "n/a.py", "b", 1, "n/b.py"),
    "one dot alone": (("n/__init__.py", "n/a.py"), "n/a.py", "", 1, "n/__init__.py"),
    "one dot alone, no init": (("n/a.py",), "n/a.py", "", 1, "n"),
    "two dots": (("n/b.py", "n/m/a.py"), "n/m/a.py", "b", 2, "n/b.py"),
    "relative finds nothing elsewhere": (("n/a.py", "b.py"), "n/a.py", "b", 1, None),
    "too many dots": (("a.py",), "a.py", "b", 40, None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "importer", "dotted", "level", "expected"),
    [pytest.param(*case, id=name) for name, case in FINDS.items()],
)
def test_find(
    tmp_path: Path, names: tuple[str, ...], importer: str, dotted: str, level: int, expected: str | None
) -> None:
    lay_out(tmp_path, *names)
    found = Project(tmp_path).find(tmp_path / importer, dotted, level)
    assert found == (None if expected is None else tmp_path / expected)


def test_the_entrys_folder_comes_first(tmp_path: Path) -> None:
    lay_out(tmp_path, "utils.py", "app/utils.py", "app/main.py", "lib/a.py")
    project = Project(tmp_path)
    assert project.find(tmp_path / "lib/a.py", "utils", 0) == tmp_path / "utils.py"
    assert (
        project.find(tmp_path / "lib/a.py", "utils", 0, tmp_path / "app/main.py") == tmp_path / "app/utils.py"
    )


@pytest.mark.parametrize("marker", [".git/config", "pyproject.toml", "setup.py", "setup.cfg"])
def test_root_is_the_nearest_folder_with_a_marker(tmp_path: Path, marker: str) -> None:
    lay_out(tmp_path, f"top/{marker}", "top/a/b/c.py")
    assert find_root(tmp_path / "top/a/b/c.py") == tmp_path / "top"
    assert find_root(tmp_path / "top/a/b") == tmp_path / "top"


def test_without_a_marker_the_root_is_the_folder(tmp_path: Path) -> None:
    lay_out(tmp_path, "a/b.py")
    marked = any(
        (folder / name).exists()
        for folder in (tmp_path, *tmp_path.parents)
        for name in (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")
    )
    if marked:
        pytest.skip("the folder for temporary files is inside a project")
    assert find_root(tmp_path / "a/b.py") == tmp_path / "a"
