"""Recognises norms in a graph that was not built by the script but read from a file."""

from __future__ import annotations

from typing import Any

from bnlint.runtime.backends.tensorflow1 import applied as norms
from bnlint.runtime.backends.tensorflow1 import graph as questions
from bnlint.runtime.backends.tensorflow1.capture import Capture
from bnlint.runtime.backends.tensorflow1.graph import Operation, Variable
from bnlint.runtime.backends.tensorflow1.handmade import Formula
from bnlint.runtime.backends.tensorflow1.patches import around

_FUSED = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))


def observe(capture: Capture) -> None:
    """Patch what imports graphs."""
    from tensorflow.python.training import saver

    around(saver, "import_meta_graph", _Import(capture))


class _Import:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._formula = Formula(capture)

    def __call__(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        from tensorflow.python.framework import ops

        graph = ops.get_default_graph()
        before = len(graph.get_operations())
        result = original(*arguments, **keywords)
        if self._capture.recorder.active and questions.is_plain(graph):
            with self._capture.recorder.observing():
                known = {made.y.op.name for made in norms.of(graph)}
                for op in graph.get_operations()[before:]:
                    if op.name not in known and not questions.of_gradients(op):
                        self._recognise(op)
        return result

    def _recognise(self, op: Operation) -> None:
        if op.type in _FUSED:
            self._fused(op)
        elif op.name.endswith("/add_1") and op.type in ("Add", "AddV2"):
            parts = _parts(op)
            if parts is not None:
                x, mean, variance, offset, scale, epsilon = parts
                self._formula.note(
                    "tf.nn.batch_normalization", x, op.outputs[0], mean, variance, offset, scale, epsilon
                )

    def _fused(self, op: Operation) -> None:
        x, gamma, beta, mean, variance = op.inputs
        training = bool(op.get_attr("is_training"))
        held = [self._variable(gamma, each, name) for each, name in ((mean, "mean"), (variance, "variance"))]
        self._capture.add(
            x,
            op.outputs[0],
            api="tf.nn.fused_batch_norm",
            origin="argument",
            gamma=gamma,
            beta=beta,
            mean=held[0],
            variance=held[1],
            epsilon=float(op.get_attr("epsilon")),
            momentum=None,
            axes=(1,) if op.get_attr("data_format").startswith(b"NC") else (-1,),
            phase=training,
            updates="collected",
            fused=True,
        )

    def _variable(self, gamma: Any, tensor: Any, name: str) -> Variable:
        """The moving statistic: what is read, or, in training mode, what is called so beside gamma."""
        index = questions.index_of(tensor.graph)
        found = questions.variable_of(tensor)
        if found is None:
            scale = questions.variable_of(gamma)
            found = f"{scale.rpartition('/')[0]}/moving_{name}" if scale else None
        return index.variables.get(found) if found else None


def _parts(op: Operation) -> tuple[Any, Any, Any, Any, Any, Any] | None:
    """What ``tf.nn.batch_normalization`` was called with, given its last operation.

    It computes x s + (offset - mean s) with s = rsqrt(variance + epsilon) scale.
    """
    product, rest = op.inputs[0].op, op.inputs[1].op
    if product.type != "Mul" or rest.type != "Sub" or rest.inputs[1].op.type != "Mul":
        return None
    x, inverse = product.inputs
    mean, same = rest.inputs[1].op.inputs
    if inverse.name != same.name:
        return None
    scale = None
    if inverse.op.type == "Mul":
        inverse, scale = inverse.op.inputs
    if inverse.op.type != "Rsqrt" or inverse.op.inputs[0].op.type not in ("Add", "AddV2"):
        return None
    variance, epsilon = inverse.op.inputs[0].op.inputs
    return x, mean, variance, rest.inputs[0], scale, epsilon
