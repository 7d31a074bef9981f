"""Python 2 becomes Python 3 without a line moving."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnlint.source.python2 import normalise

CASES = [
    ('print "x"', 'print("x")'),
    ("print x, y  # why", "print(x, y)  # why"),
    ('print"x"', 'print("x")'),
    ("print x,", "print(x,)"),
    ("print -1", "print(-1)"),
    ("print [1]", "print([1])"),
    ("if x: print y; print z", "if x: print(y); print(z)"),
    ("print 'a %s' % \\\n  x", "print('a %s' % \\\n  x)"),
    ("print '''a\nb'''", "print('''a\nb''')"),
    ("try: x\nexcept E, e: print e", "try: x\nexcept E as e: print(e)"),
    ("try: x\nexcept (A, B),e: pass", "try: x\nexcept (A, B) as e: pass"),
    ('raise E, "m"', 'raise E( "m")'),
    ('raise E, "m", tb', 'raise E( "m", tb)'),
    ("x = `y` + `z`", "x = repr(y) + repr(z)"),
    ("a <> b", "a != b"),
    ('exec "x"', 'exec("x")'),
    ('exec "x" in d', 'exec("x"  , d)'),
    ("x = 0777 + 10L + 0xFFl", "x = 0o777 + 10  + 0xFF "),
    ("x = ur'a' + Ur\"b\"", "x = r'a' + r\"b\""),
    ("x = 'C:\\users'", "x = 'C:\\\\users'"),
    ("x = b'\u00e9'", "x = '\u00e9'"),
    ("y = x.cuda(async=True)", "y = x.cuda(async_=True)"),
    ("from a import async", "from a import async_"),
    ("await = 1; print x", "await_ = 1; print(x)"),
    ("def f(a, (b, c)):\n    return b", "def f(a, b_c):\n    (b,c) = b_c; return b"),
    ("def f((a, b)=(1, 2)): return a", "def f(a_b=(1, 2)): (a,b) = a_b; return a"),
    ("s(key=lambda (k, v): v, r=1)", "s(key=lambda k_v: [v for (k,v), in [(k_v,)]][0], r=1)"),
    ("if x:\n\ty = 1\n        z = 2", "if x:\n        y = 1\n        z = 2"),
]


@pytest.mark.parametrize(("old", "new"), CASES, ids=[old for old, _ in CASES])
def test_rewrites_what_only_python_2_has(old: str, new: str) -> None:
    assert normalise(old) == new
    ast.parse(new)


@pytest.mark.parametrize(
    "text",
    [
        "print(x, file=f)",
        "print >>f, x",
        "print = x",
        "x = 'print y; a <> b; `c`'  # print z",
        "async def f():\n    async with a: await (b)\n    async for c in d: await e",
        "x = 0 + 00 + 0.5 + 0x1F + 1_000 + 09.5 + 1e5 + 5j",
        "raise E('a, b')",
        "lambda x, y: (x, y)",
        "def f(a=(1, 2), *b, c: tuple = (3,)): pass",
        "x = u'\\u00e9' + r'\\u' + '\\\\u'",
        "class A:\n\tdef f(self):\n\t\tpass",
        "",
    ],
)
def test_leaves_python_3_alone(text: str) -> None:
    assert normalise(text) is None


def test_a_nested_tuple_parameter_binds_every_name() -> None:
    text = normalise("f = lambda (a, (b, c)), d: a + b + c + d\ng = lambda (a, b): lambda (c, d): a + d\n")
    assert text is not None
    names: dict[str, object] = {}
    exec(text, names)
    assert names["f"]((1, (2, 3)), 4) == 10  # type: ignore[operator]
    assert names["g"]((1, 2))((3, 4)) == 5  # type: ignore[operator]


def test_a_tuple_parameter_before_a_compound_statement_still_parses() -> None:
    text = normalise("def f((a, b)):\n    if a:\n        return b\n")
    assert text == "def f(a_b):\n    if a:\n        return b\n"


EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["x", "`y`", "0777", "10L", "'a\\n'", "ur'b'", "u'\u00e9'", "'''c\nd'''", "-1", "f()", "[]"]
    ),
    lambda inner: st.one_of(
        st.builds("({} <> {})".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("f({},\n  async={})".format, inner, inner),
        st.builds("(lambda (k, v): {})".format, inner),
        st.builds("{{{}: {}}}".format, inner, inner),
        st.builds("{} + \\\n {}".format, inner, inner),
    ),
    max_leaves=6,
)
SIMPLE = st.one_of(
    st.builds("print {}".format, EXPRESSIONS),
    st.builds("print {}, {},  # c".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("print >>f, {}".format, EXPRESSIONS),
    st.builds("exec {} in {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("raise E, {}, {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("a = {}; print {}".format, EXPRESSIONS, EXPRESSIONS),
)


def _indented(block: str) -> str:
    # Two-space lines inside strings and brackets may be indented too: only their number matters.
    return "".join(f"\t{line}\n" for line in block.split("\n"))


BLOCKS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds("{}\n{}".format, inner, inner),
        st.builds(lambda body: f"if `x`:\n{_indented(body)}else: print x", inner),
        st.builds(lambda body: f"def f(a, (b, c)=(1, 2)):\n{_indented(body)}", inner),
        st.builds(lambda body: f"try:\n{_indented(body)}except (A, B), e:\n        print e", inner),
    ),
    max_leaves=5,
)


@given(BLOCKS)
def test_every_program_of_python_2_parses_with_its_lines_in_place(program: str) -> None:
    new = normalise(program) or program
    ast.parse(new)
    assert new.count("\n") == program.count("\n")
    assert normalise(new) is None


@given(st.text(alphabet="pr int\"'`\\\n\t()[]{}:;,=<>lambdexcsuL0#"))
def test_no_text_moves_a_line(text: str) -> None:
    new = normalise(text)
    assert new is None or new.count("\n") == text.count("\n")
