"""``import tensorflow`` as TensorFlow 1 had it: the v1 API, graph mode, ``contrib``, and the names of 0.x."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from bnlint.runtime.compat.finder import Finder
from bnlint.runtime.compat.graph import quiet


class Facade(ModuleType):
    """A module that has what other modules have, the first that knows a name."""

    def __init__(self, name: str, *behind: Any, doc: str = "") -> None:
        super().__init__(name, doc)
        self.__dict__["_behind"] = behind

    def __getattr__(self, name: str) -> Any:
        if not (name.startswith("__") and name.endswith("__")):
            for module in self.__dict__["_behind"]:
                found = getattr(module, name, _MISSING)
                if found is not _MISSING:
                    return found
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        names = set(self.__dict__)
        for module in self.__dict__["_behind"]:
            names.update(dir(module))
        return sorted(names)


_MISSING = object()


def install(finder: Finder) -> None:
    """Replace ``tensorflow`` in ``sys.modules``. What is imported already keeps the real one."""
    import tensorflow as real

    v1 = real.compat.v1
    with quiet():
        v1.disable_v2_behavior()
    # These ask for `tensorflow` when they are imported, and mean the real one.
    importlib.import_module("tf_keras")
    importlib.import_module("tensorflow.compat.v1")
    importlib.import_module("tensorflow.compat.v2")
    facade = _facade(real, v1, finder)
    sys.modules["tensorflow"] = facade
    for name in (
        "nn",
        "train",
        "keras",
        "layers",
        "summary",
        "losses",
        "metrics",
        "estimator",
        "logging",
        "gfile",
    ):
        # `import tensorflow.nn` and `from tensorflow.nn import …` ask for a module of that name.
        finder.offer(f"tensorflow.{name}", _getter(facade, name))
        sys.modules.pop(f"tensorflow.{name}", None)
    for name in ("keras.layers", "keras.models", "keras.backend", "keras.optimizers", "keras.regularizers"):
        finder.offer(f"tensorflow.{name}", _getter(facade, name))


def _getter(facade: ModuleType, dotted: str) -> Any:
    def get() -> ModuleType:
        found: Any = facade
        for part in dotted.split("."):
            found = getattr(found, part)
        made = Facade(f"tensorflow.{dotted}", found)
        made.__path__ = list(getattr(found, "__path__", []))
        return made

    return get


def _facade(real: ModuleType, v1: ModuleType, finder: Finder) -> Facade:
    from bnlint.runtime.compat import early, examples

    facade = Facade("tensorflow", v1, doc="TensorFlow 1 as bnlint offers it on TensorFlow 2.")
    facade.__path__ = real.__path__
    facade.__file__ = real.__file__
    facade.__spec__ = real.__spec__
    facade.__version__ = real.__version__  # type: ignore[attr-defined]
    facade.compat = real.compat  # type: ignore[attr-defined]
    facade.python = sys.modules["tensorflow.python"]  # type: ignore[attr-defined]
    early.add(facade, v1)
    examples.install(finder)
    return facade
