"""Runs scripts of another age: TensorFlow 1 and 0.x on today's TensorFlow, NumPy 1, Python 2.

- ``decide``: which TensorFlow a script is written for, told by what it and its modules use.
- ``finder``: gives ``import`` what is not there any more.
- ``v1``: ``import tensorflow`` as TensorFlow 1 had it; ``early`` has the names of TensorFlow 0.x.
- ``contrib``: ``tensorflow.contrib``, from tf-slim; ``slim`` lets tf-slim run on today's TensorFlow.
- ``estimator``: the part of ``tf.estimator`` that scripts use.
- ``examples``: the digits of the tutorials, made up.
- ``python2``, ``numpy1``: builtins, modules and names that are gone.

Scripts for TensorFlow 2 are left alone.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnlint.errors import UserError

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder

_EXTRA = "Install it with `pip install 'bnlint[runtime]'`."


def prepare(path: str, data: bytes, folders: Sequence[str], api: str, recorder: Recorder) -> None:
    """Make everything ready for a script, before its first line.

    ``folders`` are where its own modules are, ``api`` is ``tf1``, ``tf2`` or ``auto``.

    Raises UserError if a framework that the script needs is not installed.
    """
    from bnlint.runtime.compat import python2
    from bnlint.runtime.compat.decide import Age, decide
    from bnlint.runtime.compat.finder import Finder
    from bnlint.runtime.script.watchers import watch

    python2.install()
    found = decide(path, data, folders)
    if found.uses_tensorflow and importlib.util.find_spec("tensorflow") is None:
        raise UserError(f"The script imports TensorFlow, which is not installed here. {_EXTRA}")
    age = {"tf1": Age.FACADE, "tf2": Age.TODAY}.get(api, found.age)
    if found.imports_v1 and api == "tf1":
        age = Age.COMPAT
    finder = Finder(recorder)
    if age is not Age.TODAY:
        _go_back(finder, age)
    if found.uses_numpy:
        from bnlint.runtime.compat import numpy1

        numpy1.install()
    watch(recorder)


def _go_back(finder: Finder, age: Age) -> None:
    from bnlint.runtime.compat.decide import Age

    for name, distribution in (("tf_keras", "tf-keras"), ("tf_slim", "tf-slim")):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"The script is written for TensorFlow 1, which needs {distribution}, and that is not installed here. "
                f"{_EXTRA}"
            )
    # TensorFlow reads it when it is imported; without it `tf.layers` raises.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    # What TensorFlow of today says about itself and about old names is not what the script wrote.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", message=".*is deprecated and will be removed in a future version")
    finder.install()
    from tensorflow.python.util import deprecation

    deprecation._PRINT_DEPRECATION_WARNINGS = False
    from bnlint.runtime.compat import contrib, estimator

    estimator.install()
    contrib.install(finder)
    if age is Age.FACADE:
        from bnlint.runtime.compat import v1

        v1.install(finder)
    else:
        from bnlint.runtime.compat import graph

        graph.install()


if TYPE_CHECKING:
    from bnlint.runtime.compat.decide import Age
    from bnlint.runtime.compat.finder import Finder
