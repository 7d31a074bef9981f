"""Recurrent layers: where what they give out, and what is made of it element by element, has its features."""

from __future__ import annotations

from typing import Any

from bnlint.runtime.backends.pytorch_eager.patches import around
from bnlint.runtime.backends.pytorch_eager.watch import Watch

_FUNCTIONS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_MARK = "bnlint features"
_ELEMENTWISE = frozenset(
    f"{name}Backward0" for name in "Relu LeakyRelu Elu Gelu Silu Tanh Sigmoid Mul NativeDropout".split()
)
"""The activations, and what dropout is to autograd."""
_SEQUENCE = 3
"""The axes of a batch of sequences: steps and examples, in one order or the other, and features."""
_FARTHEST = 8


def observe(watch: Watch) -> None:
    """Patch the functions that all recurrent layers call."""
    import torch

    def called(original: Any, *arguments: Any, **keywords: Any) -> Any:
        results = original(*arguments, **keywords)
        if watch.recorder.active and not watch.local.keeping:
            with watch.recorder.observing():
                _mark(results[0])
        return results

    for name in _FUNCTIONS:
        # To TorchScript it is what it was.
        torch.jit._builtins._register_builtin(around(torch._VF, name, called), f"aten::{name}")


def _mark(outputs: Any) -> None:
    if outputs.dim() == _SEQUENCE and outputs.grad_fn is not None:
        outputs.grad_fn.metadata[_MARK] = _SEQUENCE - 1


def features_of(x: Any) -> list[int]:
    """The axis of the features, told by what autograd recorded; none if no recurrent layer is known to make them."""
    node = x.grad_fn
    for _ in range(_FARTHEST):
        if node is None:
            break
        if _MARK in node.metadata:
            return [node.metadata[_MARK]]
        following = [each for each, _ in node.next_functions if each is not None]
        if node.name() not in _ELEMENTWISE or len(following) != 1:
            break
        node = following[0]
    return []
