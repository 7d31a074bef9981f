from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bnlint.findings import Location, UnusedSuppression
from bnlint.source.module import Module
from bnlint.source.read import read
from bnlint.source.suppressions import Comments, Standing

RULES = {
    "BN003": Standing(asked=True, usual=True),
    "BN101": Standing(asked=True, usual=True),
    "BN102": Standing(asked=True, usual=True),
    "BN110": Standing(asked=False, usual=False),
    "BN301": Standing(asked=False, usual=True),
}


def _comments(text: str, name: str = "a.py") -> Comments:
    module = read(Path(name), name, text.encode())
    assert isinstance(module, Module)
    return Comments(module)


def _silence(comments: Comments, line: int, code: str = "BN101", cell: int | None = None) -> str | None:
    found = comments.silence(code, Location("a.py", line, 1, line, 9, cell), (line, line))
    return None if found is None else found.reason


def _unused(comments: Comments) -> list[UnusedSuppression]:
    return list(comments.unused(RULES))


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("# bnlint: ignore[BN101] set by hand", "set by hand"),
        ("#bnlint:ignore[BN101]", ""),
        ("# bnlint: ignore [BN101]: set by hand", "set by hand"),
        ("# bnlint: ignore[bn101] - see #12", "see #12"),
        ("# bnlint: ignore[BN301, BN101]", ""),
        ("# bnlint: ignore[BN301 BN101]", ""),
        ("# bnlint: ignore[BN1] old code", "old code"),
        ("# bnlint: ignore", ""),
        ("# bnlint: ignore old code", "old code"),
        ("# type: ignore  # bnlint: ignore[BN101] why # fmt: skip", "why"),
        ("# noqa: BN101", ""),
        ("#NOQA:E501,BN101", ""),
        ("# noqa: E501 BN1  set by hand", "set by hand"),
        ("# note # noqa : BN101", ""),
    ],
)
def test_forms(comment: str, reason: str) -> None:
    comments = _comments(f"x = 1  {comment}\n")
    assert _silence(comments, 1) == reason


@pytest.mark.parametrize(
    "comment",
    [
        "# bnlint: ignor[BN101]",
        "# bnlint: ignored[BN101]",
        "# bnlint: ignore BN101",
        "# bnlint: ignore: BN101",
        "# bnlint: ignore[BN101",
        "# bnlint: ignore[]",
        "# bnlint: ignore(BN101)",
        "# bnlint: disable=BN101",
        "# bnlint: ignore-files[BN101]",
        "# bnlint: ignore[BN-101]",
        "# bnlint: ignore-file[BN101]",  # not on a line of its own
        "# bnlint ignore[BN101]",
        "# noqa",
        "# noqa: all",
        "# noqa:E501",
        "# pylint: disable=BN101",
        "x = '# bnlint: ignore[BN101]'",
    ],
)
def test_what_suppresses_nothing(comment: str) -> None:
    assert _silence(_comments(f"x = 1; {comment}\n"), 1) is None


def test_mistakes_come_with_what_to_write() -> None:
    (told,) = _unused(_comments("x = 1  # bnlint: disable=BN101,BN102\n"))
    assert (
        told.mistake
        == "bnlint does not understand this comment. Write `# bnlint: ignore[BN101, BN102] reason`."
    )
    (told,) = _unused(_comments("# bnlint: ignor-file\n"))
    assert "`# bnlint: ignore-file[CODE] reason`" in told.mistake
    (told,) = _unused(_comments("x = 1  # bnlint: ignore[BN011]\n"))
    assert re.fullmatch(r"There is no rule BN011\. Did you mean BN\d01\?", told.mistake)


def test_places() -> None:
    text = (
        "# bnlint: ignore[BN101] above\n"
        "# more\n"
        "op = f(  # bnlint: ignore[BN102] first line\n"
        "    a,  # bnlint: ignore[BN101] inside\n"
        "    # bnlint: ignore[BN301] above the finding\n"
        "    b,\n"
        ")  # bnlint: ignore[BN201] end\n"
    )
    comments = _comments(text)
    where = Location("a.py", 6, 5, 6, 6)

    def reason(code: str, place: Location = where) -> str | None:
        found = comments.silence(code, place, (3, 7))
        return None if found is None else found.reason

    assert reason("BN101") == "above"
    assert reason("BN102") == "first line"
    assert reason("BN301") == "above the finding"
    assert reason("BN201") is None
    assert reason("BN201", Location("a.py", 3, 1, 7, 2)) == "end"
    assert reason("BN101", Location("a.py", 4, 5, 4, 6)) == "inside"


def test_end_of_a_block_is_not_the_end_of_its_head() -> None:
    comments = _comments("with a:\n    b()\n    c()  # bnlint: ignore[BN101]\n")
    assert comments.silence("BN101", Location("a.py", 1, 1, 3, 8), (1, 1)) is None


def test_an_empty_line_or_code_ends_the_reach() -> None:
    comments = _comments("# bnlint: ignore[BN101]\n\nx = 1\n# bnlint: ignore[BN101]\ny = 1\nz = 1\n")
    assert [_silence(comments, line) is None for line in (3, 5, 6)] == [True, False, True]


def test_whole_file() -> None:
    comments = _comments("x = 1\n\n    # bnlint: ignore-file[BN1] generated\n")
    assert _silence(comments, 1) == "generated"
    assert _silence(comments, 1, "BN301") is None
    assert _unused(comments) == []


def test_the_nearest_comment_counts() -> None:
    comments = _comments("# bnlint: ignore-file[BN101]\nx = 1  # bnlint: ignore[BN101] here\n")
    assert _silence(comments, 2) == "here"
    assert [told.location.line for told in _unused(comments)] == [1]


@pytest.mark.parametrize(
    ("comment", "codes", "rest"),
    [
        ("# bnlint: ignore[BN102] why", ("BN102",), ""),
        ("# bnlint: ignore[BN101, BN102] why", ("BN102",), "# bnlint: ignore[BN101] why"),
        ("# bnlint: ignore[BN301, BN102]", ("BN102",), "# bnlint: ignore[BN301]"),
        ("# bnlint: ignore[BN102]  # noqa: E501", ("BN102",), "# noqa: E501"),
        ("# note  # bnlint: ignore[BN102] why", ("BN102",), "# note"),
        ("# a  # bnlint: ignore[BN102]  # b", ("BN102",), "# a  # b"),
        ("# bnlint: ignore[BN101]  # bnlint: ignore[BN102]", ("BN102",), "# bnlint: ignore[BN101]"),
        ("# bnlint: ignore[BN102]  # bnlint: ignore[BN101]", ("BN102",), "# bnlint: ignore[BN101]"),
        ("# bnlint: ignore[BN101, BN1]", ("BN1",), "# bnlint: ignore[BN101]"),
    ],
)
def test_unused(comment: str, codes: tuple[str, ...], rest: str) -> None:
    comments = _comments(f"xä = 1  {comment}\n")
    _silence(comments, 1)
    (told,) = _unused(comments)
    assert (told.codes, told.rest, told.mistake) == (codes, rest, "")
    assert told.location == Location("a.py", 1, 9, 1, 9 + len(comment))


@pytest.mark.parametrize(
    "comment",
    [
        "# bnlint: ignore[BN101]",
        "# bnlint: ignore",
        "# bnlint: ignore[BN301, BN110]",
        "# noqa: BN102",
        "# bnlint: ignore[BN003, BN101]",
    ],
)
def test_not_unused(comment: str) -> None:
    comments = _comments(f"x = 1  {comment}\n")
    _silence(comments, 1)
    assert _unused(comments) == []


def test_many_rules_are_unused_only_if_all_usual_ones_were_asked() -> None:
    assert [told.codes for told in _unused(_comments("x = 1  # bnlint: ignore[BN1]\n"))] == [("BN1",)]
    assert _unused(_comments("x = 1  # bnlint: ignore\n")) == []  # BN301 was not asked
    asked = {code: Standing(True, standing.usual) for code, standing in RULES.items()}
    (told,) = _comments("x = 1  # bnlint: ignore\n").unused(asked)
    assert (told.codes, told.rest) == ((), "")


def test_only_its_own_code_suppresses_an_unused_suppression() -> None:
    text = "x = 1  # bnlint: ignore\ny = 1  # bnlint: ignore[BN0]\nz = 1  # bnlint: ignore[BN003]\n"
    comments = _comments(text)
    assert [_silence(comments, line, "BN003") is None for line in (1, 2, 3)] == [True, True, False]


def test_strings_hide_comments() -> None:
    comments = _comments('x = """\n# bnlint: ignore-file[BN101]\n"""\ny = "#" # bnlint: ignore[BN102]\n')
    assert _silence(comments, 1) is None
    assert _silence(comments, 4, "BN102") == ""


@pytest.mark.parametrize(
    "text",
    [
        "print 'a'  # bnlint: ignore[BN101]\n",
        "x = f(  # bnlint: ignore[BN101]\n",
        "def (:  # bnlint: ignore[BN101]\n    pass\n",
        "x = 1 \\\n",
    ],
)
def test_old_and_broken_sources(text: str) -> None:
    comments = _comments(f"{text}y = 1  # bnlint: ignore[BN102]\n")
    assert (_silence(comments, 1) == "") is ("bnlint" in text)
    assert _silence(comments, 1 + text.count("\n"), "BN102") == ""


def test_notebook() -> None:
    sources = [
        "!echo '''\n%time x = 1  # bnlint: ignore[BN101] timed\n# bnlint: ignore[BN102]",
        "y = 1",
        "%%bash\n# bnlint: ignore-file[BN301]\necho",
    ]
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source} for source in sources]
    comments = _comments(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}), "a.ipynb")
    assert _silence(comments, 2, cell=1) == "timed"
    assert _silence(comments, 1, "BN102", cell=2) is None
    assert _silence(comments, 1, "BN301", cell=2) is None
    assert _silence(comments, 2, "BN101") is None  # in no cell
    (told,) = _unused(comments)
    assert told.location == Location("a.ipynb", 3, 1, 3, 24, 1)
    assert told.location.cell == 1
