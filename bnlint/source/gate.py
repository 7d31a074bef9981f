"""Decides from the bytes of a file whether it is worth parsing."""

from __future__ import annotations

import codecs
import enum
import re
from collections.abc import Sequence


class Relevance(enum.IntEnum):
    """What a file speaks of."""

    NONE = 0
    """Nothing of interest: it need not be parsed."""
    DRIVE = 1
    """Training, evaluation or saving: of interest if it imports something that normalises."""
    NORM = 2
    """Normalisation: of interest by itself."""


# Many expressions that each begin with fixed text are searched several times faster than one that has
# them as alternatives.
_NORM = tuple(
    re.compile(word)
    for word in (
        rb"atch_?(?:[nN]orm|stat|moment)",
        rb"ATCH_?NORM",
        rb"MovingAverage",
        rb"UPDATE_OPS",
        rb"update_op",
        rb"moving_(?:average|mean|var)",
        rb"running_(?:mean|var|stat)",
        rb"normalizer_(?:fn|param)",
        rb"moments ?\(",
        rb"reduce_variance",
        rb"InPlaceABN",
        rb"keras[\w.]*applications",
        rb"import applications",
        rb"torchvision\.models",
        rb"torchvision import models",
        rb"timm[\w.]* import|import timm",
        rb"segmentation_models_pytorch",
        rb"hub\.load ?\(",
    )
)
_DRIVE = tuple(
    re.compile(word)
    for word in (
        rb"\.(?:minimize|backward|eval|train|run|fit|fit_generator|compile|predict|evaluate|step"
        rb"|apply|restore|save|train_on_batch|test_on_batch|predict_on_batch) ?\(",
        rb"Session",
        rb"feed_dict",
        rb"train_op",
        rb"Estimator",
        rb"GradientTape",
        rb"_gradients ?\(",
        rb"grad ?\(",
        rb"no_grad",
        rb"inference_mode",
        rb"optimize_loss",
        rb"mutable ?=",
        rb"state_dict",
        rb"Saver",
        rb"Supervisor",
        rb"SavedModel",
        rb"saved_model",
        rb"simple_save",
        rb"export ?\(",
        rb"freeze_graph",
        rb"convert_variables",
        rb"\.parameters ?\(",
        rb"DataLoader",
    )
)


def relevance(data: bytes, norms: Sequence[re.Pattern[bytes]] = ()) -> Relevance:
    """The most that one of the words in the file says about it.

    ``norms`` are words that speak of normalisation in this project.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # No Python source, but the reader must get to say so.
        data = data.decode("utf-16", "ignore").encode()
    if any(word.search(data) for word in _NORM) or any(word.search(data) for word in norms):
        return Relevance.NORM
    return Relevance.DRIVE if any(word.search(data) for word in _DRIVE) else Relevance.NONE
