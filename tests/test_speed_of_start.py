"""What is not needed is not imported: the price of a run over files without normalisation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "libcst", "numpy", "tensorflow", "torch", "keras", "jax", "bnlint.interpreter", "bnlint.frameworks",
    "bnlint.trace", "bnlint.dataflow", "bnlint.registry", "bnlint.rules", "bnlint.source.read", "fissix",
)  # fmt: skip
NORM = "import tensorflow as tf\ntf.layers.batch_normalization(0, training=True)\n"


def _imported(folder: Path, *arguments: str, site: bool = False) -> tuple[int, set[str]]:
    """The exit code of ``bnlint check``, and which heavy modules it imported."""
    code = (
        "import sys; from bnlint.cli import main; code = main(sys.argv[1:])\n"
        f"print(code, *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)"
    )
    # Without site, whose .pth files import what they like; but an editable install needs them to find the rules.
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, *([] if site else ["-S"]), "-c", code, "check", "--quiet", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[1]}{os.pathsep}{paths}"},
    )
    exit_code, *names = done.stderr.split()
    return int(exit_code), set(names)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print('hello')\n",
        "import tensorflow as tf\nsess.run(x, feed_dict={})\n",
        "import numpy, libcst\n",
    ],
    ids=["empty", "plain", "driving only", "imports of its own"],
)
def test_a_file_without_norm_words_is_not_parsed(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)
    assert _imported(tmp_path, "a.py") == (0, set())


def test_a_folder_without_norm_words_is_not_parsed(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"a{number}.py").write_text(f"import a{number + 1}\n")
    assert _imported(tmp_path, ".") == (0, set())


def test_a_clean_run_loads_neither_frameworks_nor_what_only_fixes_need(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(NORM)
    code, names = _imported(tmp_path, "a.py", site=True)
    assert code == 0
    assert not names & {"libcst", "numpy", "tensorflow", "torch", "keras", "jax", "fissix"}
    assert "bnlint.interpreter" in names
