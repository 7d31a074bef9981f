"""What decides how far a repair of a rule may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.check import Options, check
from bnlint.findings import Applicability, Fix, ReplaceExpression

FIXTURES = Path(__file__).parents[2] / "fixtures"


def _fix(folder: Path, code: str) -> Fix | None:
    report = check([folder], Options(select=(code,), project_root=folder))
    (found,) = report.findings
    return found.fix


def test_a_name_for_a_layer_is_unsafe_once_another_program_uses_its_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = FIXTURES / "bn302" / "bad_unnamed_layer_between_reused_ones.py"
    (tmp_path / "net.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    alone = _fix(tmp_path, "BN302")
    (tmp_path / "other.py").write_text(
        "import tensorflow.compat.v1 as tf\nfrom net import mlp\nmlp(mlp(tf.zeros([2, 4]), True), True)\n",
        encoding="utf-8",
    )
    imported = _fix(tmp_path, "BN302")
    assert alone is not None and alone.applicability is Applicability.SAFE
    assert imported is not None and imported.applicability is Applicability.UNSAFE


def test_a_list_of_variables_that_is_used_elsewhere_keeps_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = (FIXTURES / "bn501" / "bad_trainables_plus_global_step.py").read_text(encoding="utf-8")
    shared = source.replace("    saver = ", "    print(len(to_save))\n    saver = ")
    (tmp_path / "train.py").write_text(shared, encoding="utf-8")
    fix = _fix(tmp_path, "BN501")
    assert fix is not None
    (edit,) = fix.edits
    saver = next(number for number, line in enumerate(shared.splitlines(), 1) if "Saver(" in line)
    assert isinstance(edit, ReplaceExpression) and edit.location.line == saver
