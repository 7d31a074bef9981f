"""Names and orders of arguments that TensorFlow had before 1.0, and some that it lost after."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

_RENAMED = {
    "mul": "multiply",
    "sub": "subtract",
    "neg": "negative",
    "pack": "stack",
    "unpack": "unstack",
    "select": "where",
    "complex_abs": "abs",
    "batch_matmul": "matmul",
    "batch_cholesky": "cholesky",
    "batch_matrix_inverse": "matrix_inverse",
    "histogram_summary": "summary.histogram",
    "image_summary": "summary.image",
    "scalar_summary": "summary.scalar",
    "audio_summary": "summary.audio",
    "merge_all_summaries": "summary.merge_all",
    "merge_summary": "summary.merge",
    "inv": "reciprocal",
    "listdiff": "setdiff1d",
    "Print": "Print",
    "initialize_all_tables": "tables_initializer",
}


def add(tf: Any, v1: ModuleType) -> None:
    """Add what is missing to the module ``tensorflow``."""
    from bnlint.runtime.compat.v1 import Facade

    for old, new in _RENAMED.items():
        if not hasattr(v1, old):
            setattr(tf, old, _find(v1, new))
    tf.concat = _concat(v1.concat)
    tf.split = _split(v1.split)
    tf.nn = Facade("tensorflow.nn", v1.nn)
    tf.nn.softmax_cross_entropy_with_logits = _by_position(
        v1.nn.softmax_cross_entropy_with_logits, "logits", "labels"
    )
    tf.nn.sparse_softmax_cross_entropy_with_logits = _by_position(
        v1.nn.sparse_softmax_cross_entropy_with_logits, "logits", "labels"
    )
    tf.nn.sigmoid_cross_entropy_with_logits = _targets(
        _by_position(v1.nn.sigmoid_cross_entropy_with_logits, "logits", "labels")
    )
    tf.train = Facade("tensorflow.train", v1.train)
    tf.train.SummaryWriter = v1.summary.FileWriter
    tf.train.get_or_create_global_step = v1.train.get_or_create_global_step


def _find(module: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        module = getattr(module, name)
    return module


def _is_axis(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _concat(original: Any) -> Any:
    """``concat(axis, values)`` until 0.12, ``concat(values, axis)`` since 1.0."""

    @functools.wraps(original)
    def concat(*arguments: Any, **keywords: Any) -> Any:
        if "concat_dim" in keywords:
            keywords["axis"] = keywords.pop("concat_dim")
        if len(arguments) > 1 and _is_axis(arguments[0]) and not _is_axis(arguments[1]):
            arguments = (arguments[1], arguments[0], *arguments[2:])
        return original(*arguments, **keywords)

    return concat


def _split(original: Any) -> Any:
    """``split(split_dim, num_split, value)`` until 0.12, ``split(value, num_or_size_splits, axis)`` since 1.0."""

    @functools.wraps(original)
    def split(*arguments: Any, **keywords: Any) -> Any:
        for old, new in (("split_dim", "axis"), ("num_split", "num_or_size_splits")):
            if old in keywords:
                keywords[new] = keywords.pop(old)
        if len(arguments) > 2 and _is_axis(arguments[0]) and not _is_axis(arguments[2]):
            arguments = (arguments[2], arguments[1], arguments[0], *arguments[3:])
        return original(*arguments, **keywords)

    return split


def _by_position(original: Any, *names: str) -> Any:
    """Until 0.12 these took their arguments by position."""

    @functools.wraps(original)
    def called(*arguments: Any, **keywords: Any) -> Any:
        if len(arguments) > 1 and arguments[0] is not None:
            keywords.update(zip(names, arguments, strict=False))
            arguments = ()
        return original(*arguments, **keywords)

    return called


def _targets(original: Any) -> Any:
    @functools.wraps(original)
    def called(*arguments: Any, **keywords: Any) -> Any:
        if "targets" in keywords:
            keywords["labels"] = keywords.pop("targets")
        return original(*arguments, **keywords)

    return called
