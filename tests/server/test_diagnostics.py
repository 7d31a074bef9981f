"""Diagnostics in an editor: when they come, what they say, and when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsprotocol import types

from .programs import FIXED, LINE, MODEL, TRAIN, write

Drive = Callable[..., None]


def test_a_bug_is_shown_with_the_places_that_prove_it_and_goes_when_it_is_fixed(
    tmp_path: Path, drive: Drive
) -> None:
    model, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        (found,) = await editor.diagnostics(uri)
        assert (found.code, found.source, found.severity) == (
            "BN101",
            "bnlint",
            types.DiagnosticSeverity.Error,
        )
        assert TRAIN.splitlines()[LINE][found.range.start.character :] == (
            "tf.train.GradientDescentOptimizer(0.1).minimize(loss)"
        )
        assert found.range.start.line == found.range.end.line == LINE
        places = [
            (place.location.uri, place.location.range.start.line) for place in found.related_information
        ]
        assert (model.as_uri(), 5) in places
        editor.type(uri, FIXED)
        assert await editor.diagnostics(uri) == []
        editor.type(uri, TRAIN)
        assert [again.code for again in await editor.diagnostics(uri)] == ["BN101"]

    drive(scenario)


def test_a_change_in_one_file_changes_what_is_said_of_another(tmp_path: Path, drive: Drive) -> None:
    model, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri, other = editor.open(train), editor.open(model)
        assert [found.code for found in await editor.diagnostics(uri)] == ["BN101"]
        assert await editor.diagnostics(other) == []
        editor.type(other, MODEL.replace("training=True", "training=False"))
        found = await editor.until(
            uri, lambda params: "BN101" not in [one.code for one in params.diagnostics]
        )
        assert all(one.code != "BN101" for one in found)
        editor.type(other, MODEL)
        await editor.until(uri, lambda params: "BN101" in [one.code for one in params.diagnostics])

    drive(scenario)


def test_only_the_changed_part_of_a_text_is_sent(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)
    # A form feed ends no line for an editor, and the smile is two units long.
    text = f"# \N{GRINNING FACE} \f {TRAIN}"

    async def scenario(editor: Any) -> None:
        uri = editor.open(train, text.replace("import", "\nimport", 1))
        (found,) = await editor.diagnostics(uri)
        blank = found.range.start.line + 1
        editor.change(
            uri,
            types.TextDocumentContentChangePartial(_span(0, 2, 4), "x"),
            # Lines that are counted otherwise would make this a comment out of the line before.
            types.TextDocumentContentChangePartial(_span(blank, 0, 0), "# "),
            types.TextDocumentContentChangePartial(_span(0, 0, 0), "\n\n"),
        )
        (moved,) = await editor.diagnostics(uri)
        assert moved.range.start.line == found.range.start.line + 2

    drive(scenario)


def test_columns_are_counted_as_was_agreed(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)
    text = TRAIN.replace(
        "train_op = ", "s = '\N{GRINNING FACE}\N{LATIN SMALL LETTER U WITH DIAERESIS}'; train_op = "
    )
    before = text.splitlines()[LINE].partition("tf.")[0]

    for offered, agreed, column in (
        (("utf-32", "utf-16"), "utf-32", len(before)),
        (("utf-8",), "utf-8", len(before.encode())),
        ((), "utf-16", len(before) + 1),
    ):

        async def scenario(editor: Any, agreed: str = agreed, column: int = column) -> None:
            assert editor.capabilities.position_encoding == agreed
            (found,) = await editor.diagnostics(editor.open(train, text))
            assert found.range.start == types.Position(LINE, column)

        drive(scenario, encodings=offered)


def test_a_declared_encoding_does_not_move_columns(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)
    text = "# coding: latin-1\n" + TRAIN.replace("train_op = ", "s = 'äöü'; train_op = ")

    async def scenario(editor: Any) -> None:
        (found,) = await editor.diagnostics(editor.open(train, text))
        assert found.range.start == types.Position(LINE + 1, len("s = 'äöü'; train_op = "))

    drive(scenario)


def test_what_cannot_be_read_while_somebody_types_makes_no_new_diagnostics(
    tmp_path: Path, drive: Drive
) -> None:
    _, train = write(tmp_path)
    group = "train_op = tf.group(train_op, tf.get_collection(tf.GraphKeys.UPDATE_OPS))\n"
    grouped = TRAIN.replace("\nwith", f"{group}\nwith")
    broken = grouped.replace(group, f"{group[:-1]} if\n")

    async def scenario(editor: Any) -> None:
        uri = editor.open(train, grouped)
        assert await editor.diagnostics(uri) == []
        # The statement that is being typed is the one that makes the program right.
        editor.type(uri, broken)
        assert await editor.diagnostics(uri) == []
        editor.type(uri, TRAIN)
        assert len(await editor.diagnostics(uri)) == 1
        editor.type(uri, f"{TRAIN}\nsession.run([train_op,\n")
        assert [found.code for found in await editor.diagnostics(uri)] == ["BN101"]
        editor.save(uri, train)
        found = await editor.until(uri, lambda params: len(params.diagnostics) > 1)
        assert {one.code for one in found} == {"BN001", "BN101"}
        editor.type(uri, grouped)
        assert await editor.diagnostics(uri) == []
        editor.type(uri, broken)
        editor.save(uri, train)
        found = await editor.until(uri, lambda params: bool(params.diagnostics))
        assert [one.code for one in found] == ["BN001"]
        editor.close(uri)
        await editor.until(uri, lambda params: params.version is None)
        # Whoever opens a file sees all that is known of it.
        found = await editor.diagnostics(editor.open(train))
        assert {one.code for one in found} == {"BN001", "BN101"}

    drive(scenario)


def test_closing_clears_and_what_is_on_the_disk_counts_again(tmp_path: Path, drive: Drive) -> None:
    model, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri, other = editor.open(train), editor.open(model, MODEL.replace("training=True", "training=False"))
        await editor.until(uri, lambda params: "BN101" not in [one.code for one in params.diagnostics])
        await editor.diagnostics(other)
        editor.close(other)
        await editor.until(uri, lambda params: "BN101" in [one.code for one in params.diagnostics])
        editor.close(uri)
        assert await editor.until(uri, lambda params: not params.diagnostics) == []

    drive(scenario)


def test_documents_that_are_no_python_files_are_left_alone(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)
    (tmp_path / "notes.md").write_text(TRAIN)

    async def scenario(editor: Any) -> None:
        quiet = [
            editor.open(train, uri="untitled:Untitled-1"),
            editor.open(tmp_path / "notes.md", language="markdown"),
            editor.open(tmp_path / "never_saved.py", TRAIN),
        ]
        for uri in quiet:
            editor.type(uri, f"# {TRAIN}")
            assert await editor.actions(uri, LINE) == []
            assert await editor.hover(uri, LINE) is None
        editor.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(version=3, uri="file:///nowhere.py"),
                [types.TextDocumentContentChangeWholeDocument("x")],
            )
        )
        assert len(await editor.diagnostics(editor.open(train))) == 1
        assert all(not editor.shown(uri) for uri in quiet)
        assert editor.messages == []

    drive(scenario)


def test_a_file_outside_of_the_folder_that_is_open(tmp_path: Path, drive: Drive) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    _, train = write(outside)

    async def scenario(editor: Any) -> None:
        assert len(await editor.diagnostics(editor.open(train))) == 1

    drive(scenario, root=inside)
    drive(scenario, root=None)


def test_a_package_is_seen_from_the_folder_that_is_open(tmp_path: Path, drive: Drive) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").touch()
    model, train = write(tmp_path / "nets")
    train.write_text(TRAIN.replace("import model", "from nets import model"))

    async def scenario(editor: Any) -> None:
        uri = editor.open(model, MODEL)
        (found,) = await editor.diagnostics(editor.open(train))
        assert found.code == "BN101"
        assert await editor.diagnostics(uri) == []

    drive(scenario)


def test_a_mistake_in_the_configuration_is_told_once(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)
    settings = tmp_path / "bnlint.toml"
    settings.write_text("selekt = ['BN101']\n")

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        editor.type(uri, f"{TRAIN}\n")
        editor.type(uri, f"{TRAIN}\n\n")
        assert await editor.actions(uri, LINE) == []
        assert len(editor.messages) == 1
        assert "selekt" in editor.messages[0]
        settings.write_text("ignore = ['BN101']\n")
        watched = types.DidChangeWatchedFilesParams(
            [types.FileEvent(settings.as_uri(), types.FileChangeType.Changed)]
        )
        editor.client.workspace_did_change_watched_files(watched)
        assert await editor.diagnostics(uri) == []
        settings.write_text("")
        editor.client.workspace_did_change_watched_files(watched)
        assert len(await editor.until(uri, lambda params: bool(params.diagnostics))) == 1
        assert len(editor.messages) == 1
        assert [one.method for one in editor.registrations] == ["workspace/didChangeWatchedFiles"]

    drive(scenario)


def test_a_client_that_knows_only_messages_gets_the_steps_in_the_message(
    tmp_path: Path, drive: Drive
) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        (found,) = await editor.diagnostics(editor.open(train))
        assert found.related_information is None
        assert "\n1. model.py:6:9: " in found.message

    drive(scenario, capabilities=types.ClientCapabilities())


def test_the_latest_text_wins(tmp_path: Path, drive: Drive) -> None:
    _, train = write(tmp_path)

    async def scenario(editor: Any) -> None:
        uri = editor.open(train)
        for number in range(20):
            editor.type(uri, f"# {number}\n{TRAIN if number % 2 else FIXED}")
            await asyncio.sleep(0.01)
        editor.type(uri, FIXED)
        assert await editor.diagnostics(uri) == []

    drive(scenario)


def _span(line: int, start: int, end: int) -> types.Range:
    return types.Range(types.Position(line, start), types.Position(line, end))
