from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bnlint.errors import UserError
from bnlint.findings import Location
from bnlint.runtime.observed import (
    CheckpointSeen,
    Figures,
    LayerSeen,
    Mode,
    Observed,
    Passage,
    Purpose,
    RunSeen,
)
from bnlint.runtime.script import journal

PLACE = Location("train.py", 3, 5, 3, 20)


def full() -> Observed:
    layer = LayerSeen("k", "bn", "tf.layers.batch_normalization", "tensorflow", PLACE, [PLACE], momentum=0.9)
    layer.last_mean = Figures(math.nan, -math.inf, math.inf, [1.0, 2.0])
    layer.history, layer.track = [(1, 0.5, 0.25)], [(1, 0.0, 1.0, 2.0, 3.0)]
    passage = Passage(
        "k", Mode.BATCH, declared=True, moved=True, batch_error=0.5, moving_error=math.inf, site=PLACE
    )
    run = RunSeen(
        "r", PLACE, "tf.Session.run", Purpose.TRAIN, ["why"], passages=[passage], fed={"phase": "True"}
    )
    checkpoint = CheckpointSeen(None, "tf.train.Saver.save", True, ["k"], ["k"])
    return Observed("train.py", {"tensorflow": "2"}, [layer], [run], [checkpoint], 7, notes=["A note."])


def test_what_was_seen_comes_back_without_loss(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    journal.write(path, full())
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    back = journal.read_evidence(path).observed
    assert repr(back) == repr(full())
    assert back.layers[0].site == PLACE
    assert back.runs[0].passages[0].mode is Mode.BATCH


def test_writing_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    journal.write(path, full())
    broken = full()
    broken.notes = [object()]  # type: ignore[list-item]
    with pytest.raises(TypeError):
        journal.write(path, broken)
    assert journal.read_evidence(path).observed.train_steps == 7
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1}', '{"observed": {"who": 1}, "refused": ""}']
)
def test_other_files_are_no_evidence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is not what `bnlint run --evidence` writes"):
        journal.read_evidence(path)
    with pytest.raises(UserError, match="There is no evidence"):
        journal.read_evidence(tmp_path / "none.json")
