"""Whatever the files hold: a sentence, the right exit code, no traceback, and bounded work.

Nothing here measures time: that work is bounded is told by the steps that the abstract machine takes.
"""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bnlint.interpreter.program
from bnlint.cli import main
from bnlint.interpreter.activation import STEPS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.program import ALONE

BAD = """\
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 8])
y = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=True)
step = tf.train.AdamOptimizer().minimize(tf.reduce_mean(y))
with tf.Session() as sess:
    sess.run(step, {x: 0})
"""
NORM = (
    "import tensorflow as tf\nx = tf.layers.batch_normalization(tf.placeholder(tf.float32), training=True)\n"
)


class Checked:
    """The outcome of one ``bnlint check``."""

    def __init__(self, code: int, out: str, err: str, steps: list[int]) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.steps = steps

    def quiet(self) -> bool:
        """Whether nothing in the output comes from a crash."""
        return not any(
            word in self.out + self.err for word in ("Traceback", "Please report it", "bug in bnlint")
        )


Check = Callable[..., Checked]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Write files, check them, and count the steps of each machine."""
    machines: list[Machine] = []

    class Counted(Machine):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            machines.append(self)

    monkeypatch.setattr(bnlint.interpreter.program, "Machine", Counted)
    monkeypatch.chdir(tmp_path)

    def check(files: dict[str, str | bytes], *arguments: str) -> Checked:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        code = main(["check", "--output-format", "concise", "--quiet", *(arguments or (".",))])
        shown = capsys.readouterr()
        return Checked(code, shown.out, shown.err, [machine.steps for machine in machines])

    return check


UNREADABLE = {
    "binary": (bytes(range(1, 256)) * 20 + b"batch_norm", "a.py"),
    "NUL bytes": (b"\0batch_norm\0", "The file holds NUL bytes"),
    "UTF-16": ("import tensorflow as tf  # batch_norm".encode("utf-16"), "a.py"),
    "encoding that does not exist": (b"# -*- coding: no-such-thing -*-\n" + NORM.encode(), "declares the encoding 'no-such-thing'"),
    "wrong encoding": (b"# coding: utf-8\n" + NORM.encode() + b"# \xff\xfe", "is not valid UTF-8"),
    "wrong encoding declared": (b"# coding: ascii\n" + NORM.encode() + "# \u00e9".encode("latin-1"), "is not valid ascii or UTF-8"),
    "10 MB": (NORM.encode() + b"x = [1, 2, 3, 4, 5, 6, 7, 8]\n" * 350_000, "bytes, more than the 1,000,000 that are read"),
    "broken everywhere": (b"batch_norm ((((\n" * 50, "a.py"),
    "unfinished text": (b"batch_norm = '''", "a.py"),
    "notebook that is none": (b"{batch_norm", "The notebook cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable(run: Check, content: bytes, sentence: str) -> None:
    name = "a.ipynb" if content == b"{batch_norm" else "a.py"
    done = run({name: content, "good.py": NORM, "bad.py": BAD})
    assert done.quiet(), done.out + done.err
    assert (done.code, done.err) == (2, "")
    assert f"{name}:" in done.out
    assert sentence in done.out
    assert "bad.py:4:8: BN101" in done.out
    assert "good.py" not in done.out


READABLE = {
    "empty": "",
    "BOM": b"\xef\xbb\xbf" + BAD.encode(),
    "BOM and declaration": b"\xef\xbb\xbf# coding: utf-8\n" + NORM.encode(),
    "old line ends": NORM.replace("\n", "\r\n").encode(),
    "oldest line ends": NORM.replace("\n", "\r").encode(),
    "form feed": b"\f" + NORM.encode(),
    "no line end": NORM.rstrip("\n").encode(),
    "only a comment": "# batch_norm",
    "Latin-1, declared": b"# coding: latin-1\n" + NORM.encode() + "# \u00e9".encode("latin-1"),
}


@pytest.mark.parametrize("content", READABLE.values(), ids=READABLE)
def test_readable(run: Check, content: str | bytes) -> None:
    done = run({"a.py": content})
    assert done.quiet()
    assert (done.code, done.err) == (
        (1, "") if isinstance(content, bytes) and b"minimize" in content else (0, "")
    )
    assert done.code == 0 or "a.py:4:8: BN101" in done.out


HUGE = {
    "literal of 100,000 elements": "DATA = [" + ", ".join(map(str, range(100_000))) + "]\n",
    "dictionary of 50,000 entries": "DATA = {" + ", ".join(f"{i}: {i}" for i in range(50_000)) + "}\n",
    "long text": f"DATA = {'a' * 500_000!r}\n",
    "10,000 functions": "".join(f"def f{i}(a): return a\n" for i in range(10_000)),
    "long elif chain": "if tf.a == 0: z = 0\n" + "".join(f"elif tf.a == {i}: z = {i}\n" for i in range(1, 400)),
    "90 nested ifs": "".join(f"{' ' * i}if tf.a{i}:\n" for i in range(90)) + " " * 90 + "z = 1\n",
    "300 ifs one after the other": "".join(f"if tf.a{i}: z{i} = {i}\n" for i in range(300)),
    "wide call": "tf.group(" + ", ".join(["x"] * 5_000) + ")\n",
    "sum of 900": "z = " + " + ".join(["x"] * 900) + "\n",
    "300 classes, each of the one before": "class A0: pass\n" + "".join(f"class A{i + 1}(A{i}): pass\n" for i in range(300)) + "A300().b\n",
    "80 nested functions": "".join(f"{' ' * i}def f{i}():\n" for i in range(80)) + " " * 80 + "pass\n",
}  # fmt: skip


@pytest.mark.parametrize("more", HUGE.values(), ids=HUGE)
def test_huge(run: Check, more: str) -> None:
    done = run({"a.py": BAD.replace("with tf", more + "with tf")})
    assert done.quiet(), done.out + done.err
    assert done.code in (1, 2)
    assert max(done.steps) <= STEPS + ALONE + 100
    assert "BN101" in done.out or "a.py" in done.out


DEEP = {
    "5,000 parentheses": "z = " + "(" * 5_000 + "1" + ")" * 5_000 + "\n",
    "5,000 lists": "z = " + "[" * 5_000 + "]" * 5_000 + "\n",
    "5,000 nots": "z = " + "not " * 5_000 + "1\n",
    "2,000 chained calls": "z = x" + ".a()" * 2_000 + "\n",
    "2,000 chained calls on many lines": "z = (x" + "\n    .a()" * 2_000 + ")\n",
    "2,000 calls inside one another": "z = " + "f(" * 2_000 + "x" + ")" * 2_000 + "\n",
    "sum of 20,000": "z = " + " + ".join(["1"] * 20_000) + "\n",
    "2,000 lambdas": "z = " + "lambda: " * 2_000 + "1\n",
    "2,000 conditional expressions": "z = " + "1 if x else " * 2_000 + "2\n",
    "200 nested ifs": "".join(f"{' ' * i}if x:\n" for i in range(200)) + " " * 200 + "z = 1\n",
    "3,000 elifs": "if x == 0: z = 0\n" + "".join(f"elif x == {i}: z = {i}\n" for i in range(1, 3_000)),
}  # fmt: skip


@pytest.mark.parametrize("more", DEEP.values(), ids=DEEP)
def test_deep(tmp_path: Path, more: str) -> None:
    """In a process of its own: what overflows the stack there must not take the tests with it."""
    (tmp_path / "a.py").write_text(BAD + more)
    (tmp_path / "bad.py").write_text(BAD)
    done = subprocess.run(
        [sys.executable, "-m", "bnlint", "check", "--output-format", "concise", "--quiet", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (1, 2), (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    assert "Please report" not in done.stdout + done.stderr
    assert "bad.py:4:8: BN101" in done.stdout
    assert "a.py:4:8: BN101" in done.stdout.replace("bad.py", "") or (
        done.returncode == 2 and "a.py:" in done.stdout
    )


@pytest.mark.parametrize("name", ["nowhere.py", "nowhere", "no/where.py"])
def test_missing_path(run: Check, name: str) -> None:
    done = run({"bad.py": BAD}, name, "bad.py")
    assert (done.code, done.quiet()) == (2, True)
    assert f"{name}:1:1: error: There is no such file or folder" in done.out
    assert "bad.py:4:8: BN101" in done.out


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_file_that_may_not_be_read(run: Check, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(NORM)
    (tmp_path / "a.py").chmod(0)
    done = run({"bad.py": BAD})
    assert (done.code, done.quiet()) == (2, True)
    assert "a.py:1:1: error: The file cannot be read (Permission denied)" in done.out
    assert "bad.py:4:8: BN101" in done.out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe(run: Check, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    done = run({"bad.py": BAD}, "a.py", "bad.py")
    assert (done.code, done.quiet()) == (2, True)
    assert "a.py:1:1: error: This is neither a file nor a folder." in done.out


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
@pytest.mark.parametrize(
    ("link", "target"), [("loop.py", "loop.py"), ("a/up", ".."), ("here", "."), ("gone.py", "nowhere.py")]
)
def test_links(run: Check, tmp_path: Path, link: str, target: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / link).symlink_to(target)
    done = run({"a/bad.py": BAD})
    broken = link.endswith(".py")
    assert (done.code, done.quiet()) == (2 if broken else 1, True)
    assert done.out.count("BN101") == 1
    assert (f"{link}:1:1: error: The link leads nowhere." in done.out) == broken


PROJECTS: dict[str, dict[str, str | bytes]] = {
    "import cycle": {"bad.py": "import a\n" + BAD, "a.py": "import b, bad\n", "b.py": "from a import *\nimport c\n", "c.py": "import a\nfrom b import nothing\n"},
    "imports itself": {"bad.py": "import bad\nfrom bad import *\n" + BAD},
    "package that imports itself": {"bad.py": "import n\n" + BAD, "n/__init__.py": "from n import *\nfrom . import n\nfrom .n import n\n", "n/n.py": "from . import n\nfrom .. import n\n"},
    "star of a missing module": {"bad.py": "from nowhere import *\nfrom .nowhere import *\nfrom ..... import *\n" + BAD},
    "recursive function": {"bad.py": "def f(n): return f(n + 1) + g(n)\ndef g(n): return f(n)\nf(0)\n" + BAD},
    "recursive class": {"bad.py": "class A:\n  def __init__(self): self.a = A()\n  def __getattr__(self, n): return getattr(self, n)\n  def __getitem__(self, k): return self[k]\n  def __call__(self): return self()\nA().b.c\nA()[1]\nA()()\n" + BAD},
    "class of itself": {"bad.py": "class A(A): pass\nclass B(B.C): pass\nA().b\nB().b\n" + BAD},
    "cycle without an entry": {"a.py": "import b\n" + BAD, "b.py": "import a\n", "bad.py": "import a, bad2\n", "bad2.py": "import bad\n"},
    "bases in a circle": {"bad.py": "class A: pass\nclass B(A): pass\nclass A(B): pass\nA().b\n" + BAD},
    "recursive property": {"bad.py": "class A:\n  @property\n  def p(self): return self.p\nA().p\n" + BAD},
    "recursive property that is set": {"bad.py": "class A:\n  @property\n  def p(self): return 1\n  @p.setter\n  def p(self, v): self.p = v\nA().p = 1\n" + BAD},
    "recursive decorator": {"bad.py": "def d(f): return d(f)\n@d\ndef g(): pass\ng()\n" + BAD},
    "list of itself": {"bad.py": "a = []\na.append(a)\na.extend(a)\nd = {}\nd['d'] = d\ntf_d = d['d']['d']\nfor i in a: a.append(i)\nprint(a, d, *a, **d)\nb = a == a\n" + BAD},
    "partial of itself": {"bad.py": "import functools\ndef f(*a): return functools.partial(f, f, *a)()\nf()\n" + BAD},
    "generator of itself": {"bad.py": "def f():\n  yield from f()\nlist(f())\n" + BAD},
    "context manager of itself": {"bad.py": "import contextlib\n@contextlib.contextmanager\ndef f():\n  with f() as a: yield a\nwith f(): pass\n" + BAD},
    "wrong numbers of arguments": {"bad.py": "def f(a): return a\nf(); f(1, 2); f(b=3); f(*1); f(**2)\nlen(); dict(1, 2); zip(); range(); getattr(1); isinstance(); setattr(); map(); super()\n[].append(); {}.get(); ''.join(); sorted(); print(*[])\n" + BAD},
    "wrong arguments of TensorFlow": {"bad.py": BAD + "tf.layers.batch_normalization()\ntf.group()\ntf.cond()\ntf.Variable()\ntf.get_variable()\ntf.placeholder()\ntf.train.Saver(1, 2, 3)\ntf.tuple()\ntf.variable_scope()\ntf.Session().run()\ntf.assign()\ntf.nn.moments()\ntf.contrib.layers.conv2d()\ntf.logical_and()\ntf.equal()\ntf.identity()\ntf.while_loop()\ntf.make_template()\ntf.estimator.Estimator().train()\ntf.app.run(1)\ntf.saved_model.simple_save()\ntf.contrib.slim.learning.create_train_op()\ntf.contrib.slim.repeat()\ntf.contrib.slim.stack()\ntf.keras.Sequential(1)(1)\ntf.keras.Model()(1)\ntf.train.ExponentialMovingAverage().apply().average()\n"},
    "names that mean nothing": {"bad.py": "del nobody\nnobody.a = 1\nnobody[0] = 1\nnobody += 1\nfor nobody.b in nobody: break\nwith nobody as (a, b): pass\nglobal_ = lambda: (yield)\nglobal_()\n" + BAD},
    "statements outside of functions": {"bad.py": BAD + "return_ = 1\n" },
}  # fmt: skip


@pytest.mark.parametrize("files", PROJECTS.values(), ids=PROJECTS)
def test_strange_programs(run: Check, files: dict[str, str | bytes]) -> None:
    done = run(files)
    assert done.quiet(), done.out + done.err
    assert (done.code, done.err) == (1, ""), done.out
    assert "BN101" in done.out


def test_module_that_shadows_tensorflow(run: Check) -> None:
    files = {
        "a.py": BAD,
        "tensorflow.py": "class layers:\n    def batch_normalization(x): pass\nimport tensorflow as tf\n",
    }
    done = run(files)
    assert (done.code, done.out, done.quiet()) == (0, "", True)


EXPONENTIAL = {
    "branches that call each other": "".join(
        f"def f{i}(a):\n    if a.b{i}: return f{i + 1}(a.l)\n    else: return f{i + 1}(a.r)\n" for i in range(40)
    ) + "def f40(a): return a\nf0(tf)\n",
    "early returns under unknown conditions": "".join(
        f"def f{i}(a):\n    if a.b{i}: return f{i + 1}(a)\n    if a.c{i}: return f{i + 1}(a)\n    return f{i + 1}(a)\n" for i in range(40)
    ) + "def f40(a): return a\nf0(tf)\n",
    "doubling lists": "a = [1, 2]\n" + "a = a + a\n" * 60,
    "doubling texts": "a = 'ab'\n" + "a = a + a\n" * 60,
    "doubling numbers": "a = 3\n" + "a = a * a\n" * 60,
    "nested comprehensions": "z = [1 for a in range(30) for b in range(30) for c in range(30) for d in range(30)]\n",
    "loops in loops": "".join(f"{' ' * i}for i{i} in [1, 2, 3]:\n" for i in range(15)) + " " * 15 + "tf.abs(x)\n",
    "choices of choices": "a = 0\n" + "".join(f"if tf.b{i}: a = (a, {i})\n" for i in range(200)),
    "decorators that call twice": "def d(f):\n    def g(): f(); return f()\n    return g\n" + "@d\n" * 40 + "def h(): return tf.abs(x)\nh()\n",
    "exceptions": "".join(f"{' ' * i}try:\n" for i in range(15)) + " " * 15 + "tf.abs(x)\n"
    + "".join(f"{' ' * i}except E: tf.abs(x)\n" for i in reversed(range(15))),
    "many exceptions": "def f():\n" + "    try: return tf.abs(x)\n    except E: pass\n" * 60 + "f()\n",
    "cartesian products": "a = [1, 2, 3]\nfor i in range(12): a = [(b, c) for b in a for c in a]\n",
}  # fmt: skip


@pytest.mark.parametrize("source", EXPONENTIAL.values(), ids=EXPONENTIAL)
def test_exponential_programs_cost_no_more_than_their_budget(run: Check, source: str) -> None:
    done = run({"a.py": BAD.replace("with tf", source + "with tf"), "bad.py": BAD})
    assert done.quiet(), done.out + done.err
    assert done.code in (1, 2)
    assert "bad.py:4:8: BN101" in done.out
    assert max(done.steps) <= STEPS + 4 * ALONE + 100


def test_a_program_that_is_too_large_is_said_to_be_partly_analysed(run: Check) -> None:
    files: dict[str, str | bytes] = {"a.py": BAD + EXPONENTIAL["branches that call each other"]}
    assert "a.py:1:1: BN002 the analysis stopped early" in run(files, ".", "--select", "BN002").out


def test_a_program_that_is_too_large_is_said_to_be_so_by_default(run: Check) -> None:
    files: dict[str, str | bytes] = {"a.py": BAD + EXPONENTIAL["branches that call each other"]}
    document = json.loads(run(files, ".", "--output-format", "json").out)
    assert document["summary"]["incomplete"] == ["a.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"cells": [', "it is not valid JSON"),
        ("", "it is not valid JSON"),
        ('{"nbformat": 4}', "it has no cells"),
    ],
    ids=["cut off", "empty", "without cells"],
)
def test_a_notebook_that_is_named_and_broken_is_told_whatever_it_speaks_of(
    run: Check, text: str, reason: str
) -> None:
    done = run({"n.ipynb": text}, "n.ipynb")
    assert done.code == 2
    assert f"error: The notebook cannot be read: {reason}" in done.out


def test_a_notebook_with_an_empty_list_of_cells_is_clean(run: Check) -> None:
    assert run({"n.ipynb": '{"cells": []}'}, "n.ipynb").code == 0
