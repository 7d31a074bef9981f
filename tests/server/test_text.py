"""Lines and columns as editors count them."""

from __future__ import annotations

import pytest
from lsprotocol import types

from bnlint.server.text import changed, characters, position, split_lines, units

UTF8, UTF16, UTF32 = types.PositionEncodingKind


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\n", ["a\n", ""]),
        ("a\r\nb\rc\n\nd", ["a\r\n", "b\r", "c\n", "\n", "d"]),
        ("a\fb\x1cc\u2028d", ["a\fb\x1cc\u2028d"]),
    ],
)
def test_lines_end_where_the_protocol_says(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("encoding", "lengths"),
    [(UTF8, [1, 3, 7, 8]), (UTF16, [1, 2, 4, 5]), (UTF32, [1, 2, 3, 4]), ("unheard-of", [1, 2, 4, 5])],
)
def test_columns_there_and_back(encoding: str, lengths: list[int]) -> None:
    line = "a\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{GRINNING FACE}z"
    for count, length in enumerate(lengths, 1):
        assert units(line[:count], encoding) == length
        assert characters(f"{line}\r\n", length, encoding) == count
        assert position([f"{line}\n"], 0, count, encoding) == types.Position(0, length)
    assert characters(f"{line}\n", 99, encoding) == 4


def test_a_position_is_moved_into_the_text() -> None:
    assert position(["ab\n", "c"], 7, 0, UTF16) == types.Position(1, 1)
    assert position(["ab\n", "c"], 0, 9, UTF16) == types.Position(0, 2)


@pytest.mark.parametrize(("encoding", "start", "end"), [(UTF8, 4, 8), (UTF16, 2, 4), (UTF32, 2, 3)])
def test_changes_follow_one_another(encoding: types.PositionEncodingKind, start: int, end: int) -> None:
    span = types.Range(types.Position(1, start), types.Position(1, end))
    last = types.Range(types.Position(9, 0), types.Position(9, 0))
    text = (
        "# first\n\N{EURO SIGN}=\N{GRINNING FACE}!\r\nlast"
        if encoding == UTF8
        else "\n==\N{GRINNING FACE}!\r\nlast"
    )
    after = changed(
        text,
        [
            types.TextDocumentContentChangePartial(span, "a\n"),
            types.TextDocumentContentChangePartial(last, "."),
        ],
        encoding,
    )
    assert after == text.replace("\N{GRINNING FACE}", "a\n") + "."
    assert changed(text, [types.TextDocumentContentChangeWholeDocument("new")], encoding) == "new"
