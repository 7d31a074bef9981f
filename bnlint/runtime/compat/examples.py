"""``tensorflow.examples.tutorials.mnist.input_data``: digits that are made up, because the tutorials are gone."""

from __future__ import annotations

import functools
import importlib.util
from types import ModuleType
from typing import Any

from bnlint.runtime.compat.finder import Finder

_NOTE = (
    "The data set of tensorflow.examples.tutorials.mnist is synthetic: `bnlint run` makes up a small one, because "
    "TensorFlow 2 does not come with it. What the script says about accuracy is meaningless."
)
_SIZES = {"train": 2000, "validation": 500, "test": 500}


def install(finder: Finder) -> None:
    """Offer the modules."""
    try:
        if importlib.util.find_spec("tensorflow.examples.tutorials.mnist") is not None:
            return
    except ImportError:
        pass
    for name in ("examples", "examples.tutorials", "examples.tutorials.mnist"):
        finder.offer(f"tensorflow.{name}", functools.partial(_package, f"tensorflow.{name}"))
    finder.offer("tensorflow.examples.tutorials.mnist.input_data", lambda: _input_data(finder))


def _package(name: str) -> ModuleType:
    made = ModuleType(name)
    made.__path__ = []
    return made


def _input_data(finder: Finder) -> ModuleType:
    made = ModuleType("tensorflow.examples.tutorials.mnist.input_data")

    def read_data_sets(
        train_dir: str = "",
        fake_data: bool = False,
        one_hot: bool = False,
        reshape: bool = True,
        **others: Any,
    ) -> Any:
        finder.recorder.note(_NOTE)
        return Datasets(one_hot, reshape)

    made.read_data_sets = read_data_sets  # type: ignore[attr-defined]
    made.mnist = made  # type: ignore[attr-defined]
    return made


class Datasets:
    """``train``, ``validation`` and ``test``."""

    def __init__(self, one_hot: bool, reshape: bool) -> None:
        import numpy

        random = numpy.random.RandomState(0)
        prototypes = random.rand(10, 28, 28, 1) > 0.8
        for name, size in _SIZES.items():
            labels = random.randint(0, 10, size)
            noisy = prototypes[labels] * random.uniform(0.5, 1.0, (size, 28, 28, 1))
            images = (noisy + 0.1 * random.rand(size, 28, 28, 1)).clip(0, 1).astype("float32")
            setattr(self, name, Dataset(images, labels, one_hot, reshape))


class Dataset:
    """Images and labels, in batches."""

    def __init__(self, images: Any, labels: Any, one_hot: bool, reshape: bool) -> None:
        import numpy

        self.images = images.reshape(len(images), -1) if reshape else images
        self.labels = numpy.eye(10)[labels] if one_hot else labels.astype("uint8")
        self.num_examples = len(images)
        self.epochs_completed = 0
        self._order = numpy.arange(len(images))
        self._random = numpy.random.RandomState(1)
        self._next = len(images)

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True) -> tuple[Any, Any]:
        """The next images and labels; after all of them, from the beginning in another order."""
        if self._next + batch_size > self.num_examples:
            if shuffle:
                self._random.shuffle(self._order)
            self.epochs_completed += 1
            self._next = 0
        chosen = self._order[self._next : self._next + batch_size]
        self._next += batch_size
        return self.images[chosen], self.labels[chosen]
