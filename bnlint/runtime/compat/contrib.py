"""``tensorflow.contrib``, as far as tf-slim and TensorFlow still have it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from bnlint.runtime.compat.finder import Finder
from bnlint.runtime.compat.v1 import Facade


class _Contrib(Facade):
    """Says what is not there."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            try:
                return importlib.import_module(f"tensorflow.contrib.{name}")
            except ModuleNotFoundError:
                raise AttributeError(
                    f"tensorflow.contrib.{name} does not exist in TensorFlow 2, and `bnlint run` has nothing to put "
                    "in its place"
                ) from None
        raise AttributeError(name)


def install(finder: Finder) -> None:
    """Offer the modules; each is made, and tf-slim imported, when it is asked for."""
    import tensorflow.compat.v1 as v1

    contrib = _Contrib("tensorflow.contrib")
    contrib.__path__ = []
    finder.offer("tensorflow.contrib", lambda: contrib)
    for name, behind in _modules(v1):
        finder.offer(f"tensorflow.contrib.{name}", _maker(f"tensorflow.contrib.{name}", behind))
    if not hasattr(v1, "contrib"):
        v1.contrib = contrib


def _modules(v1: Any) -> Iterator[tuple[str, Any]]:
    def slim(name: str = "") -> Any:
        return importlib.import_module(f"tf_slim.{name}" if name else "tf_slim")

    yield (
        "slim",
        lambda: [slim(), _named(arg_scope=slim("ops.arg_scope").arg_scope, variables=slim("ops.variables"))],
    )
    for name in ("evaluation", "layers", "learning", "losses", "metrics", "nets", "queues", "summaries"):
        yield f"slim.{name}", lambda name=name: [slim(name)]
    for (
        name
    ) in "alexnet inception overfeat resnet_utils resnet_v1 resnet_v2 vgg inception_v1 inception_v3".split():
        yield f"slim.nets.{name}", lambda name=name: [slim(f"nets.{name}")]
        yield f"slim.python.slim.nets.{name}", lambda name=name: [slim(f"nets.{name}")]
    yield "slim.python", lambda: [_named()]
    yield "slim.python.slim", lambda: [_named()]
    yield "slim.python.slim.nets", lambda: [slim("nets")]
    for place in ("layers", "layers.python.layers"):
        yield place, lambda: [slim("layers"), _named(summarize_tensor=None)]
    yield "layers.python", lambda: [_named()]
    for part in ("initializers", "layers", "optimizers", "regularizers", "summaries", "utils"):
        yield f"layers.python.layers.{part}", lambda part=part: [slim(f"layers.{part}")]
    for place in ("framework", "framework.python.ops", "framework.python.framework", "framework.python"):
        yield place, lambda: [slim("ops.arg_scope"), slim("ops.variables"), _framework(v1)]
    for part in ("arg_scope", "variables"):
        yield f"framework.python.ops.{part}", lambda part=part: [slim(f"ops.{part}")]
    yield (
        "training",
        lambda: [slim("training.training"), slim("training.evaluation"), _named(HParams=HParams)],
    )
    yield "losses", lambda: [slim("losses"), v1.losses]
    yield "metrics", lambda: [slim("metrics"), v1.metrics]
    yield "summary", lambda: [v1.summary]
    yield "data", lambda: [v1.data, v1.data.experimental]
    yield "rnn", lambda: [v1.nn.rnn_cell, v1.nn]
    yield "distributions", lambda: [v1.distributions]
    yield "opt", lambda: [v1.train]
    yield "util", lambda: [_named(make_tensor_proto=v1.make_tensor_proto, make_ndarray=v1.make_ndarray)]
    yield "lookup", lambda: [v1.lookup]
    yield "eager", lambda: [_named()]
    yield "eager.python", lambda: [_named(tfe=Facade("tfe", v1))]


def _maker(name: str, behind: Any) -> Any:
    def make() -> ModuleType:
        made = Facade(name, *behind())
        made.__path__ = []
        return made

    return make


def _named(**names: Any) -> ModuleType:
    made = ModuleType("tensorflow.contrib")
    vars(made).update(names)
    return made


def _framework(v1: Any) -> ModuleType:
    return _named(
        get_or_create_global_step=v1.train.get_or_create_global_step,
        get_global_step=v1.train.get_global_step,
        list_variables=v1.train.list_variables,
        load_variable=v1.train.load_variable,
        nest=v1.nest,
        is_tensor=v1.is_tensor,
        sort=v1.sort,
        argsort=v1.argsort,
    )


class HParams:
    """Named values, as ``tf.contrib.training.HParams`` held them."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def add_hparam(self, name: str, value: Any) -> None:
        """Add one."""
        if hasattr(self, name):
            raise ValueError(f"Hyperparameter name is reserved: {name}")
        setattr(self, name, value)

    def set_hparam(self, name: str, value: Any) -> None:
        """Change one."""
        setattr(self, name, value)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of one."""
        return self.__dict__.get(name, default)

    def values(self) -> dict[str, Any]:
        """All of them."""
        return dict(self.__dict__)

    def override_from_dict(self, values: dict[str, Any]) -> HParams:
        """Change several."""
        self.__dict__.update(values)
        return self

    def parse(self, text: str) -> HParams:
        """Change those that ``name=value,…`` names, keeping their types."""
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            old = self.__dict__[name.strip()]
            kind = (lambda text: text.lower() in ("1", "true")) if isinstance(old, bool) else type(old)
            setattr(self, name.strip(), kind(value.strip()))
        return self

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__
