"""Fixes call TensorFlow what the user calls it."""

from __future__ import annotations

import ast

import pytest

from bnlint.findings import WrapStatement
from bnlint.fixes.errors import EditError
from bnlint.fixes.names import Names, TensorFlow

from .conftest import edited, place


def named(text: str) -> TensorFlow:
    """What TensorFlow is called where ``here`` is."""
    line = text.count("\n", 0, text.index("here")) + 1
    return Names(ast.parse(text), text).tensorflow(line)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import tensorflow as tf\nhere\n", "tf"),
        ("import tensorflow\nhere\n", "tensorflow"),
        ("import tensorflow as tf\ntf.compat.v1.f()\nhere\n", "tf.compat.v1"),
        ("import tensorflow.compat.v1 as tf\nhere\n", "tf"),
        ("import tensorflow as tf\nimport tensorflow.compat.v1 as tf1\nhere\n", "tf1"),
        ("from tensorflow.compat import v1\nhere\n", "v1"),
        ("from tensorflow.compat import v1 as T\nhere\n", "T"),
        ("from tensorflow import compat\nhere\n", "compat.v1"),
        ("import tensorflow.contrib.slim as slim\nimport tensorflow as TF\nhere\n", "TF"),
        ("import tensorflow.contrib.slim\nhere\n", "tensorflow"),
        ("def f():\n    import tensorflow as T\n    here\n", "T"),
        ("def f():\n    here\nimport tensorflow as tf\n", "tf"),
        ("def f(tf):\n    import tensorflow as T\n    here\n", "T"),
        (
            "try:\n    import tensorflow.compat.v1 as tf\nexcept ImportError:\n    import tensorflow as tf\nhere\n",
            "tf",
        ),
        ("import tensorflow as tf\ndef g(tf): pass\ndef f():\n    return [tf for tf in a]\nhere\n", "tf"),
        ("import tensorflow as tf\nclass A:\n    tf = 1\n    def f(self):\n        here\n", "tf"),
    ],
)
def test_a_name_that_is_there(text: str, name: str) -> None:
    assert named(text) == TensorFlow(name)


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("from tensorflow import layers\nhere\n", "tensorflow"),
        ("from tensorflow.compat.v1 import layers\nhere\n", "tensorflow.compat.v1"),
        ("def f():\n    import tensorflow as tf\nhere\n", "tensorflow"),
        ("import keras\nhere\n", "tensorflow"),
    ],
)
def test_a_name_that_is_not_there_is_imported(text: str, module: str) -> None:
    assert named(text) == TensorFlow("tf", f"import {module} as tf")


@pytest.mark.parametrize(
    "text",
    [
        "import tensorflow as tf\ndef f(tf):\n    here\n",
        "import tensorflow as tf\ntf = 1\nhere\n",
        "import keras as tf\nhere\n",
        "here\nimport tensorflow as tf\n",
        "def f():\n    here\n    import tensorflow as tf\n",
        "import tensorflow as tf\ndef f():\n    for tf in a:\n        here\n",
    ],
)
def test_a_name_that_means_something_else(text: str) -> None:
    with pytest.raises(EditError, match="TensorFlow"):
        named(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '"""Doc."""\nfrom __future__ import division\n\nimport os; import sys\nfrom tensorflow import layers\n\n'
            "a = 1\nhere()\nimport late\n",
            '"""Doc."""\nfrom __future__ import division\n\nimport os; import sys\nfrom tensorflow import layers\n'
            "import tensorflow as tf\n\na = 1\nwith tf.x:\n    here()\nimport late\n",
        ),
        ('"""Doc."""\nhere()\n', '"""Doc."""\nimport tensorflow as tf\nwith tf.x:\n    here()\n'),
        ("# coding: utf-8\nhere()\n", "# coding: utf-8\nimport tensorflow as tf\nwith tf.x:\n    here()\n"),
        (
            "import a; from tensorflow import layers  # why\nhere()\n",
            "import a; from tensorflow import layers  # why\nimport tensorflow as tf\nwith tf.x:\n    here()\n",
        ),
        (
            "def f():\n    here()\nimport late\n",
            "import tensorflow as tf\ndef f():\n    with tf.x:\n        here()\nimport late\n",
        ),
    ],
)
def test_where_the_import_goes(before: str, after: str) -> None:
    assert edited(before, WrapStatement(place(before, "here()"), "{tf}.x")) == after


def test_one_import_for_several_edits() -> None:
    text = "import a\nhere()\nthere()\n"
    edits = [WrapStatement(place(text, piece), "{tf}.x") for piece in ("here()", "there()")]
    assert edited(text, *edits).count("import tensorflow as tf\n") == 1
