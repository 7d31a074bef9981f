"""Every kind of edit, on every kind of layout."""

from __future__ import annotations

from textwrap import dedent

import pytest

from bnlint.findings import (
    AddItem,
    AddParameter,
    InsertStatement,
    MoveStatement,
    NameArgument,
    RemoveArgument,
    RemoveStatement,
    RenameKeyword,
    ReplaceComment,
    ReplaceExpression,
    SetKeyword,
    WrapStatement,
)
from bnlint.fixes.errors import EditError

from .conftest import edited, place


def wrapped(text: str, piece: str) -> str:
    return edited(text, WrapStatement(place(text, piece), "dependencies(u)"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("train(loss)\n", "with dependencies(u):\n    train(loss)\n"),
        ("a = 1\nop = train(loss)", "a = 1\nwith dependencies(u):\n    op = train(loss)"),
        # The comments stay: above it, behind it, inside it.
        (
            "a = 1\n\n# why\nop = train(  # here\n    loss,\n    # and\n)  # end\n# after\nb = 2\n",
            "a = 1\n\n# why\nwith dependencies(u):\n    op = train(  # here\n        loss,\n        # and\n"
            "    )  # end\n# after\nb = 2\n",
        ),
        # Text in strings keeps its place, and so does what follows a backslash.
        (
            'op = train(loss, """a\n  b\n""") + \\\n    1\n',
            'with dependencies(u):\n    op = train(loss, """a\n  b\n""") + \\\n    1\n',
        ),
        (
            "def f():\n\top = train(\n\t\tloss)\n",
            "def f():\n\twith dependencies(u):\n\t\top = train(\n\t\t\tloss)\n",
        ),
        ("def f():\n  return train(loss)\n", "def f():\n  with dependencies(u):\n    return train(loss)\n"),
        (
            "def f():\n    a\ndef g():\n  return train(loss)\n",
            "def f():\n    a\ndef g():\n  with dependencies(u):\n    return train(loss)\n",
        ),
        # Statements that share a line.
        ("if a: train(loss)  # end\n", "if a:\n    with dependencies(u):\n        train(loss)  # end\n"),
        (
            "if a: b; train(loss); c; d # end\n",
            "if a:\n    b\n    with dependencies(u):\n        train(loss)\n    c; d # end\n",
        ),
        ("# why\nb; train(loss);\n", "# why\nb\nwith dependencies(u):\n    train(loss)\n"),
        (
            "class A:\n    def f(self): return train(loss)\n",
            "class A:\n    def f(self):\n        with dependencies(u):\n            return train(loss)\n",
        ),
        # Compound statements are wrapped as a whole, with their decorators.
        (
            "for a in b:\n    c\nelse:\n    d\n",
            "with dependencies(u):\n    for a in b:\n        c\n    else:\n        d\n",
        ),
        (
            "# first\n@train(loss)\ndef f():\n    pass\n",
            "# first\nwith dependencies(u):\n    @train(loss)\n    def f():\n        pass\n",
        ),
        ("é = 'ü'; ö = train(loss)\n", "é = 'ü'\nwith dependencies(u):\n    ö = train(loss)\n"),
        ("a\n\x0ctrain(loss)\n", "a\n\x0cwith dependencies(u):\n    train(loss)\n"),
    ],
)
def test_wrap(before: str, after: str) -> None:
    piece = before.rstrip("\n") if before.startswith("for") else "train"
    assert wrapped(before, piece) == after


def test_wrap_inside_a_statement_that_is_wrapped() -> None:
    text = "for a in b:\n    train(a)\n"
    edits = WrapStatement(place(text, "train(a)"), "x"), WrapStatement(place(text, text[:-1]), "y")
    assert edited(text, *edits) == "with y:\n    for a in b:\n        with x:\n            train(a)\n"


def test_wrap_twice_from_the_inside_out() -> None:
    text = "train(a)\n"
    edits = WrapStatement(place(text, "train(a)"), "x"), WrapStatement(place(text, "train(a)"), "y")
    assert edited(text, *edits) == "with y:\n    with x:\n        train(a)\n"


@pytest.mark.parametrize(
    ("text", "piece", "reason"),
    [
        ("if a: b\nelif c: d\n", "c", "elif"),
        ("a\n\n\n# end\n", "# end", "no statement"),
    ],
)
def test_wrap_is_refused(text: str, piece: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        wrapped(text, piece)


def test_a_header_that_is_none_is_refused() -> None:
    with pytest.raises(EditError, match="`with a b:` is no"):
        edited("x\n", WrapStatement(place("x\n", "x"), "a b"))


def test_move_takes_its_own_comments_along() -> None:
    text = dedent(
        """\
        first()

        # of second
        second()  # behind

        # of the group

        # of third
        third()  # too
        # the end
        """
    )
    assert edited(text, MoveStatement(place(text, "third()"), place(text, "second()"))) == dedent(
        """\
        first()

        # of third
        third()  # too
        # of second
        second()  # behind

        # of the group

        # the end
        """
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "if x:\n    if y:\n        target\n    moved\n",
            "if x:\n    if y:\n        moved\n        target\n",
        ),
        ("target\nif x:\n    moved\n", "moved\ntarget\nif x:\n    pass\n"),
        ("target\nif x: moved\n", "moved\ntarget\nif x:\n    pass\n"),
        ("a; target; moved; b\n", "a\nmoved\ntarget\nb\n"),
        ("def f():\n\ttarget\ndef g():\n  moved\n", "def f():\n\tmoved\n\ttarget\ndef g():\n  pass\n"),
    ],
)
def test_move(before: str, after: str) -> None:
    assert edited(before, MoveStatement(place(before, "moved"), place(before, "target"))) == after


def test_a_block_is_moved_with_its_edits() -> None:
    text = "target\nwith a:\n    b(1)\n"
    edits = (
        MoveStatement(place(text, "with a:\n    b(1)"), place(text, "target")),
        SetKeyword(place(text, "b(1)"), "k", "2"),
    )
    assert edited(text, *edits) == "with a:\n    b(1, k=2)\ntarget\n"


def test_nothing_is_moved_into_itself() -> None:
    text = "with a:\n    target\n"
    with pytest.raises(EditError, match="into itself"):
        edited(text, MoveStatement(place(text, text[:-1]), place(text, "target")))


@pytest.mark.parametrize(
    ("before", "text", "after", "expected"),
    [
        ("# why\nhere\n", "new()", False, "# why\nnew()\nhere\n"),
        ("a\n\n# why\nhere\n", "new()", False, "a\n\nnew()\n# why\nhere\n"),
        ("here  # why\nb\n", "new()", True, "here  # why\nnew()\nb\n"),
        ("if a:\n\there\n", "if new:\n    old\n", True, "if a:\n\there\n\tif new:\n\t\told\n"),
        ("a; here; b\n", "new", True, "a; here\nnew\nb\n"),
        ("a; here; b\n", "new", False, "a\nnew\nhere; b\n"),
        ("if a: here\n", "new\nnewer", True, "if a:\n    here\n    new\n    newer\n"),
        ("here", "new", True, "here\nnew"),
    ],
)
def test_insert(before: str, text: str, after: bool, expected: str) -> None:
    assert edited(before, InsertStatement(place(before, "here"), text, after)) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("a\ngone  # why\nb\n", "a\nb\n"),
        ("a\n\n# stays\ngone\n\nb\n", "a\n\n# stays\n\nb\n"),
        ("a\n\ngone\n\nb\n", "a\n\nb\n"),
        ("if a:\n    gone\n", "if a:\n    pass\n"),
        ("if a:\n    # stays\n    gone\nb\n", "if a:\n    pass\n    # stays\nb\n"),
        ("if a: gone\n", "if a:\n    pass\n"),
        ("a; gone; b\n", "a\nb\n"),
        ("if a:\n    b\n    gone\n", "if a:\n    b\n"),
        ("a\ngone", "a"),
    ],
)
def test_remove(before: str, expected: str) -> None:
    assert edited(before, RemoveStatement(place(before, "gone"))) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("f()\n", "f(k=1)\n"),
        ("f(a)\n", "f(a, k=1)\n"),
        ("f(a,)\n", "f(a, k=1,)\n"),
        ("f(a, k=2, b=3)\n", "f(a, k=1, b=3)\n"),
        ("f(*a, **b)\n", "f(*a, **b, k=1)\n"),
        ("f(x for x in y)\n", "f((x for x in y), k=1)\n"),
        ("f(\n    a,\n    b)\n", "f(\n    a,\n    b,\n    k=1)\n"),
        ("f(\n    a,\n    b,\n)\n", "f(\n    a,\n    b,\n    k=1,\n)\n"),
        ("f(\n    a,\n    b  # of b\n)\n", "f(\n    a,\n    b,  # of b\n    k=1\n)\n"),
        ("f(\n    a,\n    b,  # of b\n)\n", "f(\n    a,\n    b,  # of b\n    k=1,\n)\n"),
        ("f(\n    a\n)\n", "f(\n    a,\n    k=1\n)\n"),
        ("f(a,\n  b)\n", "f(a,\n  b,\n  k=1)\n"),
        ("f(a  # of a\n  )\n", "f(a,  # of a\n    k=1\n  )\n"),
    ],
)
def test_set_keyword(before: str, expected: str) -> None:
    assert edited(before, SetKeyword(place(before, before[:-1]), "k", "1")) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("f(gone)\n", "f()\n"),
        ("f( gone, )\n", "f()\n"),
        ("f(gone, b)\n", "f(b)\n"),
        ("f(a, gone)\n", "f(a)\n"),
        ("f(a, gone,)\n", "f(a,)\n"),
        ("f(a, k=gone, b=1)\n", "f(a, b=1)\n"),
        ("f(\n    a,\n    gone,\n    b,\n)\n", "f(\n    a,\n    b,\n)\n"),
        ("f(\n    a,\n    k=gone,\n)\n", "f(\n    a,\n)\n"),
        ("f(\n    a,\n    gone\n)\n", "f(\n    a\n)\n"),
        ("f(a,\n  gone)\n", "f(a)\n"),
        ("f(g(gone), gone)\n", "f(g(), gone)\n"),
        ("f(a, k=(gone))\n", "f(a)\n"),
    ],
)
def test_remove_argument(before: str, expected: str) -> None:
    assert edited(before, RemoveArgument(place(before, "gone"))) == expected


def test_remove_several_arguments_of_a_call() -> None:
    text = "f(a, b, c=d, e=g)\n"
    gone = [RemoveArgument(place(text, piece)) for piece in ("a", "d", "g")]
    assert edited(text, *gone) == "f(b)\n"


def test_name_argument() -> None:
    text = "f(a, *b, c, d=1)\n"
    assert edited(text, NameArgument(place(text, "c"), "k")) == "f(a, *b, k=c, d=1)\n"


def test_name_several_arguments() -> None:
    text = "f(a, (b,\n c), d)\n"
    edits = NameArgument(place(text, "(b,\n c)"), "k"), NameArgument(place(text, "d"), "m")
    assert edited(text, *edits) == "f(a, k=(b,\n c), m=d)\n"


@pytest.mark.parametrize(
    ("text", "piece", "reason"),
    [
        ("f(a, b)\n", "a", "another positional argument follows"),
        ("f(a, k=b)\n", "a", "has an argument `k` already"),
        ("f(c=a)\n", "a", "not positional"),
        ("f(a + b)\n", "a", "no argument"),
    ],
)
def test_name_argument_is_refused(text: str, piece: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        edited(text, NameArgument(place(text, piece), "k"))


def test_rename_keyword() -> None:
    text = "f(a, old = b)\n"
    where = place(text, text[:-1])
    assert edited(text, RenameKeyword(where, "old", "new")) == "f(a, new = b)\n"
    with pytest.raises(EditError, match="has no argument `older`"):
        edited(text, RenameKeyword(where, "older", "new"))


@pytest.mark.parametrize(
    ("before", "old", "text", "expected"),
    [
        ("f(a)\n", "a", "not {old}", "f(not a)\n"),
        ("f(a or b)\n", "a or b", "not {old}", "f(not (a or b))\n"),
        ("f((a))\n", "a", "not {old}", "f((not a))\n"),
        ("f((a))\n", "(a)", "not {old}", "f((not a))\n"),
        ("x = a + b\n", "b", "c or d", "x = a + (c or d)\n"),
        ("x = a + b\n", "b", "g({old}, 1)", "x = a + g(b, 1)\n"),
        ("x = a[b]\n", "b", "c if d else e", "x = a[c if d else e]\n"),
        ("x = a.b\n", "a", "{old}.c", "x = a.c.b\n"),
        ("x = a + b\n", "a + b", "{old}.c", "x = (a + b).c\n"),
        ("x = (a,\n     b)\n", "(a,\n     b)", "g({old})", "x = (g((a,\n     b)))\n"),
        ("x = [1,  # one\n  2]\n", "[1,  # one\n  2]", "{old} + y", "x = [1,  # one\n  2] + y\n"),
        ("f(True)\n", "True", "False", "f(False)\n"),
        ('f(\'a\', "b", "c")\n', "'a'", "'d'", 'f(\'d\', "b", "c")\n'),
        ("f(\"a\", 'b', 'c')\n", '"a"', "'d'", "f(\"d\", 'b', 'c')\n"),
        ("return_ = 'é', a\n", "a", "b", "return_ = 'é', b\n"),
        ("f(x for x in y)\n", "x in y", "", ""),
    ],
)
def test_replace_expression(before: str, old: str, text: str, expected: str) -> None:
    edit = ReplaceExpression(place(before, old), text)
    if not text:
        with pytest.raises(EditError, match="no expression"):
            edited(before, edit)
    else:
        assert edited(before, edit) == expected


def test_replace_what_is_no_expression_is_refused() -> None:
    with pytest.raises(EditError, match="`a b` is no expression"):
        edited("f(x)\n", ReplaceExpression(place("f(x)\n", "x"), "a b"))


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("a  # gone\nb\n", "", "a\nb\n"),
        ("a  # gone\nb\n", "# new", "a  # new\nb\n"),
        ("a\n# gone\nb\n", "", "a\nb\n"),
        ("# gone\n\na\n", "", "\na\n"),
        ("if a:\n    b\n    # gone\nc\n", "", "if a:\n    b\nc\n"),
        ("if a:  # gone\n    b\n", "", "if a:\n    b\n"),
        ("f(a,  # gone\n  b)\n", "", "f(a,\n  b)\n"),
        ("f(a,\n  # gone\n  b)\n", "", "f(a,\n  b)\n"),
        ("a\n# gone", "", "a"),
    ],
)
def test_replace_comment(before: str, text: str, expected: str) -> None:
    assert edited(before, ReplaceComment(place(before, "# gone"), text)) == expected


def test_add_item() -> None:
    text = "run(feed_dict={x: 1})\n"
    assert edited(text, AddItem(place(text, "{x: 1}"), "t", "True")) == "run(feed_dict={x: 1, t: True})\n"


def test_several_edits_of_one_statement() -> None:
    text = "a = f(b, True)  # why\n"
    edits = (
        WrapStatement(place(text, text[:-1]), "x"),
        NameArgument(place(text, "True"), "k"),
        ReplaceExpression(place(text, "b"), "g({old})"),
        InsertStatement(place(text, "a"), "u = 1"),
    )
    assert edited(text, *edits) == "u = 1\nwith x:\n    a = f(g(b), k=True)  # why\n"


def test_the_same_wrap_twice_is_one() -> None:
    text = "f(a, b)\n"
    wrap = WrapStatement(place(text, "a"), "x"), WrapStatement(place(text, "b"), "x")
    assert edited(text, *wrap) == "with x:\n    f(a, b)\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(self, x):\n    pass\n", "def f(self, x, training=None):\n    pass\n"),
        (
            "def f(self, x: T, mask = None) -> T: ...\n",
            "def f(self, x: T, mask = None, training=None) -> T: ...\n",
        ),
        ("@d\ndef f(self, x,):\n    pass\n", "@d\ndef f(self, x, training=None,):\n    pass\n"),
        ("def f(self, x, **rest):\n    pass\n", "def f(self, x, training=None, **rest):\n    pass\n"),
        ("def f(self, *x):\n    pass\n", "def f(self, *x, training=None):\n    pass\n"),
        ("def f(self, *x, **rest):\n    pass\n", "def f(self, *x, training=None, **rest):\n    pass\n"),
        ("def f(self, *, x):\n    pass\n", "def f(self, *, x, training=None):\n    pass\n"),
        (
            "def f(\n    self,\n    x,  # here\n):\n    pass\n",
            "def f(\n    self,\n    x,  # here\n    training=None,\n):\n    pass\n",
        ),
        (
            "def f(\n    self,\n    x  # here\n):\n    pass\n",
            "def f(\n    self,\n    x,  # here\n    training=None\n):\n    pass\n",
        ),
        (
            "def f(self,\n      x,  # here\n      **rest):\n    pass\n",
            "def f(self,\n      x,  # here\n      training=None,\n      **rest):\n    pass\n",
        ),
    ],
)
def test_add_parameter(before: str, after: str) -> None:
    assert edited(before, AddParameter(place(before, "self"), "training", "None")) == after


@pytest.mark.parametrize(
    ("text", "piece", "reason"),
    [
        ("def f(x, training=True):\n    pass\n", "x", "has a parameter `training` already"),
        ("def f(x, /):\n    pass\n", "x", "no parameter behind which"),
        ("x = 1\n", "x", "no definition of a function"),
    ],
)
def test_add_parameter_is_refused(text: str, piece: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        edited(text, AddParameter(place(text, piece), "training", "None"))
