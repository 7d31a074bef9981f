"""Code actions and hovering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from .programs import FIXED, LINE, TRAIN, write

Drive = Callable[..., None]

EVALUATE = """\
import tensorflow as tf

is_training = tf.placeholder(tf.bool, [])
images = tf.placeholder(tf.float32, [None, 28, 28, 1])
labels = tf.placeholder(tf.int64, [None])
x = tf.layers.batch_normalization(tf.layers.conv2d(images, 8, 3), training=is_training)
logits = tf.layers.dense(tf.layers.flatten(x), 10)
loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)

with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(100):
        session.run(train_op, {images: [], labels: [], is_training: True})
    print(session.run(accuracy, {images: [], labels: [], is_training: True}))
"""
EVALUATED = 16


def test_a_safe_fix_makes_the_diagnostic_go(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        (found,) = await editor.diagnostics(uri)
        fix = (await editor.actions(uri, LINE, ["quickfix"]))[0]
        assert (fix.kind, fix.is_preferred) == ("quickfix", True)
        assert [one.code for one in fix.diagnostics] == [found.code]
        editor.apply(fix.edit)
        assert editor.texts[uri] == FIXED
        assert await editor.diagnostics(uri) == []
        assert await editor.actions(uri, LINE) == []

    drive(scenario)


def test_an_unsafe_fix_says_so(tmp_path: Path, drive: Drive) -> None:
    script = tmp_path / "evaluate.py"
    script.write_text(EVALUATE)

    async def scenario(editor: Any) -> None:
        uri = editor.open(script)
        assert [found.code for found in await editor.diagnostics(uri)] == ["BN201"]
        (fix,) = [one for one in await editor.actions(uri, EVALUATED) if "Suppress" not in one.title]
        assert fix.title.endswith("(changes how the model trains or infers)")
        assert not fix.is_preferred
        assert await editor.actions(uri, EVALUATED, ["source.fixAll"]) == []
        editor.apply(fix.edit)
        assert await editor.diagnostics(uri) == []

    drive(scenario)


def test_line_ends_are_kept(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train, TRAIN.replace("\n", "\r\n"))
        await editor.diagnostics(uri)
        fix, silence = await editor.actions(uri, LINE, ["quickfix"])
        before = editor.texts[uri]
        editor.apply(silence.edit)
        assert "# bnlint: ignore[BN101]" in editor.texts[uri]
        assert "\n" not in editor.texts[uri].replace("\r\n", "")
        editor.type(uri, before)
        await editor.diagnostics(uri)
        fix, _ = await editor.actions(uri, LINE, ["quickfix"])
        editor.apply(fix.edit)
        assert editor.texts[uri] == FIXED.replace("\n", "\r\n")

    drive(scenario)


def test_a_comment_suppresses(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        await editor.diagnostics(uri)
        (silence,) = [one for one in await editor.actions(uri, LINE) if one.title == "Suppress BN101 here"]
        assert silence.kind == "quickfix"
        editor.apply(silence.edit)
        lines = editor.texts[uri].splitlines()
        assert [line for line in lines if line not in TRAIN.splitlines()] == [
            line for line in lines if "# bnlint: ignore[BN101]" in line
        ]
        assert await editor.diagnostics(uri) == []

    drive(scenario)


def test_all_safe_fixes_at_once(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train, f"# \N{GRINNING FACE}\n{TRAIN}")
        await editor.diagnostics(uri)
        for only in (None, ["source"], ["source.fixAll"], ["source.fixAll.bnlint"]):
            (action,) = [
                one for one in await editor.actions(uri, 0, only) if one.kind == "source.fixAll.bnlint"
            ]
            assert action.edit is None
        assert await editor.actions(uri, 0, ["source.organizeImports"]) == []
        assert await editor.actions(uri, 0, ["source.fixAll.other"]) == []
        editor.apply((await editor.complete(action)).edit)
        assert editor.texts[uri] == f"# \N{GRINNING FACE}\n{FIXED}"
        assert await editor.diagnostics(uri) == []
        assert await editor.actions(uri, 0, ["source.fixAll"]) == []

    drive(scenario)


def test_actions_are_for_the_text_as_it_is_now(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        await editor.diagnostics(uri)
        editor.type(uri, f"\n\n{TRAIN}")
        fix = (await editor.actions(uri, LINE + 2))[0]
        editor.apply(fix.edit)
        assert editor.texts[uri] == f"\n\n{FIXED}"

    drive(scenario)


def test_a_client_without_versions_and_late_edits(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        (_found,) = await editor.diagnostics(uri)
        assert [one.kind for one in await editor.actions(uri, LINE)] == ["quickfix", "quickfix"]
        (action,) = await editor.actions(uri, LINE, ["source.fixAll"])
        assert list(action.edit.changes) == [uri]

    drive(scenario, capabilities=types.ClientCapabilities())


def test_hovering_shows_the_page_of_the_rule(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        (found,) = await editor.diagnostics(uri)
        text = await editor.hover(uri, LINE)
        assert found.message in text
        assert "# BN101 update-ops-never-run" in text
        assert "## Why it is bad" in text
        assert await editor.hover(uri, 0) is None

    drive(scenario)
