from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnlint.errors import UserError
from bnlint.findings import Location
from bnlint.registry import rules
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


def document(folder: Path) -> Any:
    path = folder / "evidence.json"
    journal.write(path, full(), files={"train.py": "abc"})
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (["version"], "1"),
        (["version"], True),
        (["files"], []),
        (["files", "train.py"], 5),
        (["refused"], None),
        (["observed"], []),
        (["observed", "entry"], None),
        (["observed", "runs"], {}),
        (["observed", "notes"], "A note."),
        (["observed", "frameworks"], [["tensorflow", "2"]]),
        (["observed", "layers", 0, "channels"], "x"),
        (["observed", "layers", 0, "channels"], 1.5),
        (["observed", "layers", 0, "trainable"], 1),
        (["observed", "layers", 0, "site"], 5),
        (["observed", "layers", 0, "momentum"], "0.9"),
        (["observed", "layers", 0, "epsilon"], 10**400),
        (["observed", "layers", 0, "history", 0], [1, 0.5]),
        (["observed", "layers", 0, "last_mean", "first"], [None]),
        (["observed", "runs", 0, "purpose"], []),
        (["observed", "runs", 0, "passages", 0, "mode"], "other"),
    ],
)
def test_a_value_of_another_type_is_no_evidence(tmp_path: Path, way: list[Any], value: Any) -> None:
    plain = document(tmp_path)
    holder = plain
    for step in way[:-1]:
        holder = holder[step]
    holder[way[-1]] = value
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(plain), "utf-8")
    with pytest.raises(UserError, match="is not what `bnlint run --evidence` writes"):
        journal.read_evidence(path)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list and dict of a document, with every key or index in it."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=3,
)


@settings(deadline=None)
@given(data=st.data())
def test_whatever_is_edited_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    plain = document(folder)
    holder, key = data.draw(st.sampled_from(list(places(plain))))
    holder[key] = data.draw(JSON)
    path = folder / "evidence.json"
    path.write_text(json.dumps(plain), "utf-8")
    try:
        entry = journal.read_evidence(path)
    except UserError:
        return
    again = folder / "again.json"
    journal.write(again, entry.observed, entry.refused, entry.files)
    assert repr(journal.read_evidence(again)) == repr(entry)
    for rule in rules():
        list(rule.confirm(entry.observed))
