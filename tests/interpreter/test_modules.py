"""Programs of several files: what an import finds, and that each module runs once."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Phases = Callable[..., list[Any]]
Program = Callable[..., Any]

IMPORTS = {
    "import": ({"a.py": "p = 1", "main.py": "import a\nnorm(a.p)"}, [1]),
    "import as": ({"a.py": "p = 1", "main.py": "import a as b\nnorm(b.p)"}, [1]),
    "from": ({"a.py": "p = 1", "main.py": "from a import p as q\nnorm(q)"}, [1]),
    "star": ({"a.py": "p = 1\n_q = 2", "main.py": "from a import *\nnorm(p); norm(_q)"}, [1, "?_q"]),
    "star of a star": ({"b.py": "p = 1", "a.py": "from b import *", "main.py": "from a import *\nnorm(p)"}, [1]),
    "star of a missing module": ({"main.py": "p = 1\nfrom nowhere import *\nnorm(p); norm(q)"}, [1, "?q"]),
    "package": ({"n/__init__.py": "p = 1", "main.py": "import n\nnorm(n.p)"}, [1]),
    "submodule": ({"n/__init__.py": "", "n/a.py": "p = 1", "main.py": "import n.a\nnorm(n.a.p)"}, [1]),
    "submodule from": ({"n/__init__.py": "", "n/a.py": "p = 1", "main.py": "from n import a\nnorm(a.p)"}, [1]),
    "submodule as": ({"n/__init__.py": "", "n/a.py": "p = 1", "main.py": "import n.a as b\nnorm(b.p)"}, [1]),
    "folder without init": ({"n/a.py": "p = 1", "main.py": "from n.a import p\nnorm(p)"}, [1]),
    "relative": (
        {"n/__init__.py": "", "n/a.py": "from . import b\nfrom .b import p as q\np = (b.p, q)", "n/b.py": "p = 1",
         "main.py": "from n.a import p\nnorm(p)"}, [(1, 1)],
    ),
    "relative to the parent": (
        {"n/__init__.py": "", "n/m/__init__.py": "", "n/m/a.py": "from ..b import p", "n/b.py": "p = 1",
         "main.py": "from n.m.a import p\nnorm(p)"}, [1],
    ),
    "relative of Python 2": (
        {"n/__init__.py": "", "n/a.py": "import b\np = b.p", "n/b.py": "p = 1", "main.py": "from n.a import p\nnorm(p)"}, [1],
    ),
    "init passes on": (
        {"n/__init__.py": "from .a import f", "n/a.py": "def f(): return 1", "main.py": "import n\nnorm(n.f())"}, [1],
    ),
    "cycle of modules": (
        {"a.py": "import b\np = 1\ndef f(): return b.q", "b.py": "import a\nq = 2\ndef g(): return a.p",
         "main.py": "import a, b\nnorm(a.f()); norm(b.g())"}, [2, 1],
    ),
    "cycle through a function": (
        {"a.py": "def f():\n    from b import q\n    return q\np = 1", "b.py": "from a import p\nq = p + 1",
         "main.py": "from a import f\nnorm(f())"}, [2],
    ),
    "import by name": ({"n/a.py": "p = 1", "main.py": "import importlib\nnorm(importlib.import_module('n.a').p)"}, [1]),
    "import by name, as Python itself does": ({"n/a.py": "p = 1", "main.py": "norm(__import__('n.a', fromlist=['p']).p)"}, [1]),
    "import by an option": (
        {"a.py": "p = 1", "main.py": "import argparse, importlib\nparser = argparse.ArgumentParser()\nparser.add_argument('--net', default='a')\n"
         "args = parser.parse_args()\nnorm(importlib.import_module(args.net).p); norm(args.net)"}, [1, "?args.net"],
    ),
    "import by an option without a default": (
        {"a.py": "p = 1", "main.py": "import argparse, importlib\nparser = argparse.ArgumentParser()\nparser.add_argument('net')\n"
         "norm(importlib.import_module(parser.parse_args().net).p)"}, ["?module.p"],
    ),
    "names of a module by an option": (
        {"a.py": "def f(): return 1\ndef g(): return 2", "main.py": "import argparse, a\nparser = argparse.ArgumentParser()\n"
         "parser.add_argument('-n', '--net-name', default='g')\nargs = parser.parse_args()\n"
         "norm(getattr(a, args.net_name)()); norm(a.__dict__[args.net_name]()); norm(eval('a.' + 'f')())"}, [2, 2, 1],
    ),
    "imports itself": ({"main.py": "import main\nnorm(1)"}, [1]),
    "runs once": ({"a.py": "p = []\np.append(1)", "b.py": "from a import p", "main.py": "import a, b\nfrom a import p\nnorm(p)"}, [[1]]),
    "set from outside": ({"a.py": "p = 1\ndef f(): return p", "main.py": "import a\na.p = 2\nnorm(a.f())"}, [2]),
    "global of the other module": ({"a.py": "p = 1\ndef f(): return p", "main.py": "from a import f\np = 2\nnorm(f())"}, [1]),
    "main guard of a module": ({"a.py": "p = 1\nif __name__ == '__main__': p = 2", "main.py": "import a\nnorm(a.p)"}, [1]),
    "name of a module": ({"n/a.py": "p = __name__", "main.py": "from n import a\nnorm(a.p is None)"}, [False]),
    "file that cannot be read as Python": ({"a.py": "p = (((", "main.py": "import a\nnorm(a.p)"}, ["?p"]),
    "inside a function": ({"a.py": "p = 1", "main.py": "def f():\n    import a\n    return a.p\nnorm(f())"}, [1]),
    "in a try": ({"a.py": "p = 1", "main.py": "try: from a import p\nexcept ImportError: from b import p\nnorm(p)"}, [1]),
    "configuration in a class": ({"config.py": "class Config(object):\n    train = True", "main.py": "from config import Config\nc = Config()\nnorm(c.train)"}, [True]),
    "attribute that is not there": ({"a.py": "", "main.py": "import a\nnorm(a.p)"}, ["?p"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "expected"), [pytest.param(*case, id=name) for name, case in IMPORTS.items()]
)
def test_import(phases: Phases, files: dict[str, str], expected: list[Any]) -> None:
    assert phases(files) == expected


def test_layers_of_other_modules_are_found_where_they_are_written(program: Program) -> None:
    seen = program({
        "nets/__init__.py": "",
        "nets/model.py": "import tensorflow as tf\ndef build(x, phase):\n    return tf.layers.batch_normalization(x, training=phase)",
        "main.py": "from nets.model import build\nbuild(x, True)",
    })  # fmt: skip
    (call,) = seen.calls
    assert (call.site.path, call.site.line) == ("nets/model.py", 3)
    assert call.phase.site.path == "main.py"
    assert seen.trace.files == ("main.py", "nets/model.py")


def test_a_module_of_the_project_hides_the_library(program: Program) -> None:
    files = {
        "tensorflow.py": "def placeholder(*a): return 1\nclass layers:\n    @staticmethod\n    def batch_normalization(*a, **k): return 2",
        "main.py": "norm(True)",
    }  # fmt: skip
    assert program(files).calls == []


@pytest.mark.parametrize(
    "source",
    [
        "from tensorflow.layers import *\nbatch_normalization(x, training=True)",
        "from tensorflow import *\nlayers.batch_normalization(x, training=True)",
        "from tensorflow.contrib.slim import *\nbatch_norm(x, is_training=True)",
        "from tensorflow.contrib.layers import *\nfrom math import *\nbatch_norm(x, is_training=True)",
    ],
)
def test_star_of_a_library(phases: Phases, source: str) -> None:
    assert phases(source) == [True]


def test_star_of_a_library_through_another_module(phases: Phases) -> None:
    files = {"a.py": "from tensorflow.layers import *", "main.py": "from a import *\nbatch_normalization(x, training=True)"}  # fmt: skip
    assert phases(files) == [True]


def test_stars_of_two_libraries_that_may_both_have_it(phases: Phases) -> None:
    assert phases("from tensorflow.layers import *\nfrom nowhere import *\nbatch_normalization(x)") == []
