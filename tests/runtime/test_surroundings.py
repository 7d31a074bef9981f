"""What the code around a line is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.findings import Location
from bnlint.runtime.surroundings import names, sign_of_evaluation

PROGRAM = """\
class Model:
    def evaluate(self, sess):
        for batch in self.batches:
            print sess.run(self.loss)

    def fit(self, sess):
        def step(batch):
            sess.run(self.train_op)
        return step


def main():
    val_loss = sess.run(loss)
    other = sess.run(loss)
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return str(path)


def at(path: str, line: int) -> Location:
    return Location(path, line, 1, line, 1)


def test_functions_and_classes_around_a_line_innermost_first(script: str) -> None:
    assert names(at(script, 4)) == ["evaluate", "Model", "script"]
    assert names(at(script, 8)) == ["step", "fit", "Model", "script"]
    assert names(at(script, 13)) == ["main", "script"]


def test_a_line_or_a_function_may_say_that_it_evaluates(script: str) -> None:
    assert "evaluate" in sign_of_evaluation([at(script, 4)])
    assert "val" in sign_of_evaluation([at(script, 13)])
    assert sign_of_evaluation([at(script, 14)]) == ""


def test_a_function_that_trains_says_the_contrary(script: str) -> None:
    assert sign_of_evaluation([at(script, 8), at(script, 13)]) == ""


def test_what_cannot_be_read_says_what_the_file_is_called() -> None:
    assert names(at("no/such/eval_model.py", 3)) == ["eval_model"]
    assert names(Location("notes.ipynb", 1, 1, 1, 1, cell=2)) == ["notes"]


def test_a_function_ends_where_the_code_goes_on_further_left(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(
        "def validate():\n    return 1\n\n\nfor x in data:\n    with tape:\n        # a note\n        step(x)\n",
        "utf-8",
    )
    assert names(at(str(path), 8)) == ["loop"]
