"""Prepares graph mode for scripts that ask for TensorFlow 1 by its name of today."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


def install() -> None:
    """Let ``tf.cond`` and loops be operations of the graph itself, as in TensorFlow 1: inside functions nothing
    could be looked at. What they compute is the same."""
    import tensorflow.compat.v1 as tf

    tf.disable_control_flow_v2()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of TensorFlow about what bnlint does in the user's name."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
