"""From which set of data the examples are that a layer normalises, and how different two of them are in one step."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.look import Looked
from bnlint.runtime.backends.pytorch_eager.known import is_plain
from bnlint.runtime.backends.pytorch_eager.patches import around
from bnlint.runtime.oracle import Array

_MOST = 2000
_STEPS = 3
"""From how many steps on a difference is no accident of one of them."""
_CHANCE = 4.0
"""Standard errors that a difference of means may have by chance, among many channels."""


class Examples:
    """The tensors that loaders gave."""

    def __init__(self) -> None:
        self._sets: dict[int, tuple[weakref.ref[Any], int]] = {}
        """By where their numbers are kept, which views of them share."""

    def observe(self) -> None:
        """Patch what gives the batches of a loader."""
        from torch.utils.data.dataloader import _BaseDataLoaderIter

        around(_BaseDataLoaderIter, "__next__", self._drawn)

    def _drawn(self, original: Any, iterator: Any) -> Any:
        batch = original(iterator)
        whole: Any = getattr(iterator, "_dataset", None)
        while hasattr(whole, "dataset"):
            # A part of a set has the same kind of examples.
            whole = whole.dataset
        if len(self._sets) > _MOST:
            self._sets = {key: known for key, known in self._sets.items() if known[0]() is not None}
        for tensor in _tensors(batch):
            self._sets[_kept(tensor)] = weakref.ref(tensor), id(whole)
        return batch

    def of(self, calls: Sequence[Sequence[Any]]) -> int:
        """The set of data from which the innermost call is given examples; 0 if that is none, or not one."""
        for given in calls:
            found = {known for each in given if is_plain(each) and (known := self._set(each))}
            if found:
                return found.pop() if len(found) == 1 else 0
        return 0

    def _set(self, tensor: Any) -> int:
        known = self._sets.get(_kept(tensor))
        return known[1] if known is not None and known[0]() is not None else 0


def _kept(tensor: Any) -> int:
    return int(tensor.untyped_storage().data_ptr())


def _tensors(batch: Any, depth: int = 3) -> Iterator[Any]:
    if is_plain(batch):
        yield batch
    elif depth and isinstance(batch, list | tuple | dict):
        for each in batch.values() if isinstance(batch, dict) else batch:
            yield from _tensors(each, depth - 1)


@dataclass(slots=True)
class _Difference:
    total: Array
    steps: int = 0
    examples: int = 0

    @property
    def certain(self) -> float:
        """In standard deviations of the examples, for the channel where it is largest."""
        import numpy

        error = math.sqrt(2 / self.examples)
        return float(numpy.max(numpy.abs(self.total)) / self.steps - _CHANCE * error)


class Mixtures:
    """How far the means are apart that a layer had in one step for the examples of two sets of data."""

    def __init__(self) -> None:
        self._differences: dict[tuple[Any, ...], _Difference] = {}

    def note(self, looked: Sequence[tuple[Looked, Location | None]]) -> None:
        """Compare what layers did in the forward passes of one step; with each comes the line of its pass."""
        first: dict[str, tuple[Looked, Location | None]] = {}
        for now in looked:
            found, line = now
            if found.examples and found.phase.declared and not found.recomputed and found.picture is not None:
                other, before = first.setdefault(found.known.seen.key, now)
                if other.examples != found.examples:
                    same = before == line
                    self._compare(other, found, *((other.site, found.site) if same else (before, line)))

    def _compare(self, one: Looked, other: Looked, first: Location | None, second: Location | None) -> None:
        import numpy

        assert one.picture is not None and other.picture is not None
        variance = (one.picture.batch_variance + other.picture.batch_variance) / 2
        apart = (other.picture.batch_mean - one.picture.batch_mean) / numpy.sqrt(
            numpy.maximum(variance, 1e-12)
        )
        key = one.known.seen.key, one.examples, other.examples, first, second
        difference = self._differences.setdefault(key, _Difference(numpy.zeros_like(apart)))
        difference.total = difference.total + apart
        difference.steps += 1
        difference.examples += min(one.batch, other.batch)
        if difference.steps >= _STEPS and difference.examples:
            other.mixed, other.mixed_with, other.mixed_at = max(0.0, difference.certain), first, second
