"""Lets tf-slim 1.1 run on today's TensorFlow: a few private names that moved."""

from __future__ import annotations


def prepare() -> None:
    """Put the names back, before tf-slim is imported."""
    import tensorflow.compat.v1 as tf
    from tensorflow.python.framework import ops
    from tensorflow.python.ops import array_ops, cond, control_flow_ops, while_loop

    for module, name, value in (
        (ops, "Tensor", tf.Tensor),
        (ops, "IndexedSlices", tf.IndexedSlices),
        (array_ops, "stack", tf.stack),
        (array_ops, "unstack", tf.unstack),
        (control_flow_ops, "Assert", tf.Assert),
        (control_flow_ops, "case", tf.case),
        (control_flow_ops, "cond", cond.cond),
        (control_flow_ops, "while_loop", while_loop.while_loop),
    ):
        if not hasattr(module, name):
            setattr(module, name, value)
