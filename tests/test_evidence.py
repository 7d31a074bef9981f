"""`bnlint run --evidence FILE` and `bnlint check --evidence FILE`: what a run says about findings."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema
import pytest

from bnlint.cli import main
from bnlint.evidence import digests
from bnlint.findings import Location
from bnlint.runtime.observed import Figures, LayerSeen, Mode, Observed, Passage, Purpose, RunSeen
from bnlint.runtime.script import journal

SCHEMA = json.loads((Path(__file__).parents[1] / "bnlint" / "report" / "schema.json").read_text("utf-8"))
# The updates are run, in a way that only a run shows.
TRAIN = """\
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

x = tf.placeholder(tf.float32, [None, 4])
phase = tf.placeholder(tf.bool, [])
hidden = tf.layers.batch_normalization(x, momentum=0.9, training=phase)
loss = tf.reduce_mean(tf.square(tf.layers.dense(hidden, 1)))
train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
graph = tf.get_default_graph()
moves = [op for op in graph.get_operations() if op.name.endswith(("cond_2/Merge", "cond_3/Merge"))]
data = np.random.normal(5.0, 2.0, (64, 4))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for _ in range(8):
        sess.run([train_op, *moves], {x: data, phase: True})
    print(sess.run(loss, {x: data, phase: False}))
"""
LAYER, STEP, RUN, TEST = 8, 10, 17, 18


def program(folder: Path, text: str = TRAIN) -> None:
    (folder / "train.py").write_text(text, "utf-8")


def at(line: int) -> Location:
    return Location("train.py", line, 1, line, 20)


def figures(value: float) -> Figures:
    return Figures(value, value, value, [value] * 4)


def seen(*, moved: bool, step: int = STEP) -> Observed:
    """What a run of the program shows: eight steps that moved the statistics, or did not."""
    layer = LayerSeen(
        "bn", "bn", "tf.layers.batch_normalization", "tensorflow", at(LAYER), channels=4, axes=[1], momentum=0.9,
        updates="collected", initial_mean=figures(0.0), initial_variance=figures(1.0),
        last_mean=figures(3.0 if moved else 0.0), last_variance=figures(3.0 if moved else 1.0),
    )  # fmt: skip
    passage = Passage("bn", Mode.BATCH, declared=True, fixed=False, trained=True, moved=moved, samples=8)
    run = RunSeen(
        "train", at(RUN), "tf.Session.run", Purpose.TRAIN, count=8, passages=[passage], step=at(step), order=1, last=8
    )  # fmt: skip
    return Observed("train.py", {"tensorflow": "2"}, [layer], [run], train_steps=8)


def written(observed: Observed, name: str = "seen.json") -> str:
    journal.write(name, observed, files=digests(journal.paths(observed)))
    return name


def checked(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    code = main(["check", "--isolated", *arguments, "train.py"])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    program(tmp_path)
    return tmp_path


def test_what_the_run_found_too_is_confirmed(capsys: Any) -> None:
    code, out, _ = checked(capsys, "--evidence", written(seen(moved=False)))
    assert code == 1
    told = " ".join(out.split())
    assert (
        "= confirmed: in the run of train.py, the moving statistics of 1 layer never moved in 8 training"
        in told
    )
    code, out, _ = checked(capsys, "--evidence", "seen.json", "--output-format", "concise")
    assert out.splitlines()[0].endswith("(confirmed)")


def test_what_the_run_did_right_is_contradicted_and_does_not_count(capsys: Any) -> None:
    code, out, _ = checked(capsys, "--evidence", written(seen(moved=True)))
    assert code == 0
    assert (
        f"note: train.py:{STEP}: BN101 is contradicted and does not count: in the run of train.py, the moving "
        "statistics of 1 layer moved in all 8 training steps." in out
    )
    assert "1 suppressed" in out
    assert "update-ops-never-run" not in out
    _, out, _ = checked(capsys, "--evidence", "seen.json", "--show-suppressed")
    assert "suppressed: BN101 update-ops-never-run at train.py:10" in out
    assert "by the evidence: in the run of train.py" in out


@pytest.mark.parametrize("moved", [True, False])
def test_json_and_sarif_tell_it(moved: bool, capsys: Any) -> None:
    evidence = written(seen(moved=moved))
    verdict = "contradicted" if moved else "confirmed"
    _, out, _ = checked(capsys, "--evidence", evidence, "--output-format", "json")
    report = json.loads(out)
    jsonschema.validate(report, SCHEMA)
    (finding,) = report["suppressed" if moved else "findings"]
    assert finding["evidence"]["verdict"] == verdict
    assert finding["group"] == ("info" if moved else "error")
    if moved:
        assert finding["suppression"]["kind"] == "evidence"
    _, out, _ = checked(capsys, "--evidence", evidence, "--output-format", "sarif")
    (result,) = json.loads(out)["runs"][0]["results"]
    assert result["properties"]["evidence"].startswith(f"{verdict}: in the run of train.py, ")
    assert ("suppressions" in result) == moved


def test_without_evidence_nothing_is_said(capsys: Any) -> None:
    code, out, _ = checked(capsys, "--output-format", "json")
    assert code == 1
    assert json.loads(out)["findings"][0]["evidence"] is None


def test_another_step_says_nothing_about_this_one(capsys: Any) -> None:
    """The layer's statistics moved, but not all that the finding names was seen at work."""
    observed = seen(moved=True)
    observed.runs[0].passages[0].samples = 0
    code, out, _ = checked(capsys, "--evidence", written(observed))
    assert (code, "contradicted" in out) == (1, False)


def test_a_layer_elsewhere_says_nothing(capsys: Any) -> None:
    observed = seen(moved=True, step=5)
    observed.layers[0].site = at(5)
    observed.runs[0].site = at(5)
    code, out, _ = checked(capsys, "--evidence", written(observed))
    assert (code, "contradicted" in out) == (1, False)


def test_files_that_have_changed_are_left_out(here: Path, capsys: Any) -> None:
    evidence = written(seen(moved=True))
    program(here, TRAIN + "# more\n")
    code, out, _ = checked(capsys, "--evidence", evidence)
    assert code == 1
    assert "does not count for files that have changed: train.py. Run `bnlint run --evidence seen.json" in out


def test_evidence_about_other_files_is_told(here: Path, capsys: Any) -> None:
    evidence = written(seen(moved=True))
    os.rename("train.py", "other.py")
    (here / "train.py").write_text("print(1)\n")
    document = json.loads(Path(evidence).read_text())
    document["files"] = digests(["other.py"])
    Path(evidence).write_text(json.dumps(document))
    code, out, _ = checked(capsys, "--evidence", evidence)
    assert code == 0
    assert "is about none of these files" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "There is no evidence at seen.json"),
        ("{", "is not what `bnlint run --evidence` writes"),
        ("[]", "is not what `bnlint run --evidence` writes"),
        ('{"version": 1, "refused": "", "files": {}, "observed": []}', "is not what `bnlint run --evidence` writes"),
        ('{"version": 1, "files": 3, "refused": "", "observed": {"entry": "a"}}', "is not what `bnlint run"),
        ("[" * 100_000, "is not what `bnlint run --evidence` writes"),
        ("\udce4", "is not what `bnlint run --evidence` writes"),
        ('{"version": 99}', "was written by another version of bnlint"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_evidence(text: str | None, words: str, capsys: Any) -> None:
    if text is not None:
        Path("seen.json").write_text(text, "utf-8", "surrogateescape")
    code, out, err = checked(capsys, "--evidence", "seen.json")
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("option", [["--fix"], ["--diff"], ["--add-ignore", "a reason"]])
def test_evidence_is_not_for_editing(option: list[str], capsys: Any) -> None:
    code, _, err = checked(capsys, "--evidence", written(seen(moved=True)), *option)
    assert code == 2
    assert f"{option[0]} edits it" in err


def test_check_does_not_import_frameworks(here: Path) -> None:
    evidence = written(seen(moved=True))
    program = dedent(f"""
        import sys
        from bnlint.cli import main
        assert main(["check", "--isolated", "--evidence", {evidence!r}, "train.py"]) == 0
        print([name for name in ("numpy", "tensorflow", "rich", "matplotlib") if name in sys.modules])
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("tensorflow", "tf_keras")),
    reason="TensorFlow and tf-keras are not installed",
)
@pytest.mark.skipif(os.name != "posix", reason="`bnlint run` needs Linux or macOS")
def test_both_commands_meet(here: Path, capsys: Any) -> None:
    command = [sys.executable, "-m", "bnlint", "run", "--isolated", "--evidence", "seen.json", "train.py"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    code, out, _ = checked(capsys, "--evidence", "seen.json")
    assert code == 0, out
    assert "BN101 is contradicted and does not count: in the run of train.py, the moving statistics" in out
