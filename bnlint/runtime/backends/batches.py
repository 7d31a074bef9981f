"""The probe batch: one array, or a list or dict of them, with or without targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import refuse_bad_numbers


@dataclass(slots=True)
class Batch:
    """Inputs and perhaps targets, as NumPy arrays in the structure that the model takes."""

    inputs: Any
    targets: Any
    examples: int

    @staticmethod
    def of(batch: Any, targets: Any = None) -> Batch:
        """Make it of what the user gave. Raises UserError."""
        if hasattr(batch, "as_numpy_iterator"):
            batch = next(iter(batch.as_numpy_iterator()), None)
        elif hasattr(batch, "__next__"):
            batch = next(batch, None)
        if batch is None:
            raise UserError("The data are empty: there is no batch in them.")
        if isinstance(batch, tuple) and 1 <= len(batch) <= 3:
            if len(batch) > 1 and targets is None:
                targets = batch[1]
            batch = batch[0]
        inputs = mapped(lambda value: _array(value, "batch"), batch)
        values = arrays(inputs)
        if not values:
            raise UserError("The batch has no arrays. Give an array of samples, or a list or dict of arrays.")
        sizes = {len(value) if value.ndim else 0 for value in values}
        if len(sizes) > 1:
            raise UserError(
                f"The inputs of the batch have different numbers of samples: {', '.join(map(str, sorted(sizes)))}. "
                "The first axis of each must count the same samples."
            )
        examples = sizes.pop()
        if examples == 0:
            raise UserError(
                "The batch has no first axis that counts samples. Give an array of at least 8 samples."
            )
        if targets is not None:
            targets = mapped(lambda value: _array(value, "array of targets"), targets)
            others = {len(value) if value.ndim else 0 for value in arrays(targets)} - {examples}
            if others:
                raise UserError(
                    f"The batch has {examples} samples, and there are targets for {others.pop()}."
                )
        return Batch(inputs, targets, examples)


def take(batch: Batch, alone: bool) -> Batch:
    """The first sample by itself, or among other samples than before."""

    def change(value: Array) -> Array:
        if alone:
            return value[:1]
        other = value.copy()
        # The rest in another order; if numbers, also of another size.
        other[1:] = value[1:][::-1] * 2 + 3 if value.dtype.kind == "f" else value[1:][::-1]
        return other

    return Batch(mapped(change, batch.inputs), None, 1 if alone else batch.examples)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to each array of a structure."""
    if isinstance(value, dict):
        return {key: mapped(function, item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(mapped(function, item) for item in value)
    if isinstance(value, list) and any(hasattr(item, "shape") for item in value):
        return [mapped(function, item) for item in value]
    return function(value)


def arrays(value: Any) -> list[Array]:
    """The arrays of a structure, in order."""
    import numpy

    if value is None:
        return []
    if isinstance(value, dict):
        return [array for item in value.values() for array in arrays(item)]
    if isinstance(value, list | tuple):
        return [array for item in value for array in arrays(item)]
    if hasattr(value, "numpy"):
        value = value.numpy()
    return [numpy.asarray(value)]


def _array(value: Any, name: str) -> Array:
    import numpy

    if hasattr(value, "numpy"):
        value = value.numpy()
    try:
        array = numpy.asarray(value)
    except ValueError as error:
        raise UserError(f"The {name} is no array: its rows have different lengths. Pad them.") from error
    refuse_bad_numbers(name, array)
    return array
