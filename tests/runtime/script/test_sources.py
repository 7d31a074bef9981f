from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from bnlint.errors import UserError
from bnlint.runtime.compat import python2
from bnlint.runtime.compat.decide import Age, decide
from bnlint.runtime.script.sources import compile_script


def executed(text: str) -> str:
    python2.install()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile_script("old.py", text.encode()), {"__name__": "__main__"})
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("print 7 / 2, 7.0 / 2, -7 / 2", "3 3.5 -4\n"),
        ("from __future__ import division\nprint 7 / 2", "3.5\n"),
        ("print {'a': 1}.has_key('a'), [v for v in {'a': 1}.itervalues()]", "True [1]\n"),
        ("d = {1: 2}\nprint d.keys()[0], map(abs, [-1])[0], range(3)[1:]", "1 1 [1, 2]\n"),
        ("try:\n    raise ValueError, 'no'\nexcept ValueError, e:\n    print 'caught', e", "caught no\n"),
        ("import cPickle\nprint cPickle.loads(cPickle.dumps(5)), xrange(2)[1]", "5 1\n"),
        ("import sys\nprint >>sys.stdout, 'to', 'there'", "to there\n"),
        ("print 0777, 10L, `1`", "511 10 1\n"),
    ],
)
def test_python_2_means_what_it_meant(text: str, printed: str) -> None:
    assert executed(text) == printed


def test_lines_stay_where_they_are() -> None:
    with pytest.raises(ZeroDivisionError) as error:
        executed("print 'a'\n\n\nprint 1 % 0\n")
    assert error.traceback[-1].lineno + 1 == 4


def test_python_3_is_left_alone() -> None:
    assert executed("print(7 / 2, list(map(abs, [-1])), {1: 2}.keys())") == "3.5 [1] dict_keys([1])\n"


def test_what_cannot_be_translated_is_refused_with_the_line() -> None:
    with pytest.raises(UserError, match=r"old\.py:3: .*Python 2.*2to3"):
        executed("print 'a'\nx = 1\ny = = 2\n")
    with pytest.raises(SyntaxError):
        executed("x = = 2\n")


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("import tensorflow as tf\nx = tf.placeholder(tf.float32)", Age.FACADE),
        ("import tensorflow as tf\ntf.train.AdamOptimizer(1)", Age.FACADE),
        ("from tensorflow import placeholder", Age.FACADE),
        ("import tensorflow\ntensorflow.contrib.layers.batch_norm(1)", Age.FACADE),
        ("import tensorflow.contrib.slim as slim", Age.FACADE),
        ("from tensorflow.examples.tutorials.mnist import input_data", Age.FACADE),
        ("import tensorflow as tf\nprint tf.app", Age.FACADE),
        ("import tensorflow.compat.v1 as tf\ntf.placeholder(1)", Age.COMPAT),
        ("import tensorflow as tf\ntf.compat.v1.disable_eager_execution()", Age.COMPAT),
        ("import tf_slim as slim", Age.COMPAT),
        ("import tensorflow as tf\ntf.keras.Sequential()\ntf.nn.moments(1, 2)", Age.TODAY),
        ("import tensorflow as tf\ntf.compat.v1.logging.set_verbosity(1)", Age.TODAY),
        ("import tensorflow as tf\ntf.metrics\ntf.keras.metrics.Mean()", Age.TODAY),
        ("import keras", Age.TODAY),
        ("x.placeholder()", Age.TODAY),
    ],
)
def test_for_which_tensorflow_a_script_is_written(text: str, age: Age) -> None:
    assert decide("script.py", text.encode(), []).age is age


def test_modules_of_the_script_count_and_others_do_not(tmp_path: Path) -> None:
    package = tmp_path / "nets"
    package.mkdir()
    (package / "__init__.py").write_text("from .deep import net\n")
    (package / "deep.py").write_text("import tensorflow as tf\nnet = lambda: tf.get_variable('x')\n")
    (tmp_path / "unused.py").write_text("import tensorflow.contrib\n")
    script = tmp_path / "train.py"
    assert decide(str(script), b"import nets\n", [str(tmp_path)]).age is Age.FACADE
    assert decide(str(script), b"import os\n", [str(tmp_path)]).age is Age.TODAY
