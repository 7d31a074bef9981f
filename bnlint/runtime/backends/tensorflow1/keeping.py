"""Checkpoints that are written or read, and models that are exported."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from bnlint.runtime.backends.tensorflow1 import applied as norms
from bnlint.runtime.backends.tensorflow1 import graph as questions
from bnlint.runtime.backends.tensorflow1.applied import Applied
from bnlint.runtime.backends.tensorflow1.capture import Capture
from bnlint.runtime.backends.tensorflow1.graph import Graph
from bnlint.runtime.backends.tensorflow1.patches import around, around_method
from bnlint.runtime.observed import CheckpointSeen


def observe(capture: Capture) -> None:
    """Patch the savers and the functions that export."""
    from tensorflow.python.framework import convert_to_constants
    from tensorflow.python.saved_model import builder_impl
    from tensorflow.python.training import saver

    keeping = _Keeping(capture)
    around_method(saver.Saver, "save", keeping.save)
    around_method(saver.Saver, "restore", keeping.restore)
    around(convert_to_constants, "convert_variables_to_constants", keeping.freeze)
    _patch_lite(keeping)
    around_method(builder_impl.SavedModelBuilder, "add_meta_graph_and_variables", keeping.saved_model)


def _patch_lite(keeping: _Keeping) -> None:
    from tensorflow.lite.python import lite

    original = lite.TFLiteConverter.from_session

    @functools.wraps(original)
    def from_session(cls: Any, session: Any, inputs: Any, outputs: Any) -> Any:
        return keeping.lite(original, session, inputs, outputs)

    lite.TFLiteConverter.from_session = classmethod(from_session)


class _Keeping:
    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._recorder = capture.recorder
        self._inside = False
        """Whether an export is under way: what it does on the way is part of it."""

    def save(self, original: Any, saver: Any, session: Any, *arguments: Any, **keywords: Any) -> Any:
        """``Saver.save``."""
        self._checkpoint(saver, session, "tf.train.Saver.save", writes=True)
        return original(saver, session, *arguments, **keywords)

    def restore(self, original: Any, saver: Any, session: Any, *arguments: Any, **keywords: Any) -> Any:
        """``Saver.restore``."""
        result = original(saver, session, *arguments, **keywords)
        graph = _graph(session)
        if graph is not None:
            self._capture.restored.add(graph)
        self._checkpoint(saver, session, "tf.train.Saver.restore", writes=False)
        return result

    def freeze(
        self, original: Any, session: Any, graph_def: Any, names: Any, *others: Any, **keywords: Any
    ) -> Any:
        """``convert_variables_to_constants``."""
        self._export(_graph(session), names, "tf.graph_util.convert_variables_to_constants")
        return original(session, graph_def, names, *others, **keywords)

    def saved_model(self, original: Any, builder: Any, session: Any, *others: Any, **keywords: Any) -> Any:
        """``SavedModelBuilder.add_meta_graph_and_variables``, in which ``simple_save`` ends, too."""
        signatures = keywords.get("signature_def_map") or (others[1] if len(others) > 1 else None) or {}
        names = [
            info.name
            for signature in signatures.values()
            for info in signature.outputs.values()
            if info.WhichOneof("encoding") == "name"
        ]
        self._export(_graph(session), names, "tf.saved_model.builder.SavedModelBuilder")
        with self._part_of_it():
            return original(builder, session, *others, **keywords)

    def lite(self, original: Any, session: Any, inputs: Any, outputs: Any) -> Any:
        """``TFLiteConverter.from_session``."""
        names = [tensor.name for tensor in outputs]
        self._export(_graph(session), names, "tf.lite.TFLiteConverter.from_session")
        with self._part_of_it():
            return original(session, inputs, outputs)

    @contextmanager
    def _part_of_it(self) -> Iterator[None]:
        self._inside = True
        try:
            yield
        finally:
            self._inside = False

    def _checkpoint(self, saver: Any, session: Any, api: str, *, writes: bool) -> None:
        graph = _graph(session)
        if graph is None or self._inside or not self._recorder.active:
            return
        held = set(_held(getattr(saver, "_var_list", None)))
        if not held:
            return
        with self._recorder.observing():
            places = self._recorder.frames.here()
            missing = dict.fromkeys(
                made.seen.key
                for made in norms.of(graph)
                if any(
                    variable is not None and variable.op.name not in held
                    for variable in (made.moving_mean, made.moving_variance)
                )
            )
            self._recorder.checkpoint(
                CheckpointSeen(places[0] if places else None, api, writes, list(missing))
            )

    def _export(self, graph: Graph | None, names: Iterable[str], api: str) -> None:
        if graph is None or self._inside or not self._recorder.active:
            return
        with self._recorder.observing():
            outputs = []
            for name in names:
                try:
                    element = graph.as_graph_element(name)
                except (KeyError, ValueError, TypeError):
                    continue
                outputs.append(getattr(element, "op", element))
            executed = questions.executed(outputs, ())
            training: list[str] = []
            for made in norms.of(graph):
                made.settle()
            for name in executed:
                training.extend(made.seen.key for made in norms.named(name) if _always_training(made))
            places = self._recorder.frames.here()
            site = places[0] if places else None
            seen = CheckpointSeen(site, api, True, training_mode=list(dict.fromkeys(training)))
            self._recorder.checkpoint(seen)


def _graph(session: Any) -> Graph | None:
    graph = getattr(session, "graph", None)
    return graph if graph is not None and questions.is_plain(graph) else None


def _held(variables: Any) -> Iterator[str]:
    if isinstance(variables, dict):
        variables = list(variables.values())
    for variable in variables or ():
        if hasattr(variable, "op") and hasattr(variable.op, "name"):
            # Of an object that knows how to save a variable, `op` is the variable or what reads it.
            yield variable.op.name
            if variable.op.type not in questions.VARIABLES:
                found = questions.variable_of(variable.op.outputs[0]) if variable.op.outputs else None
                if found:
                    yield found
        elif isinstance(variable, (list, tuple)) or hasattr(variable, "__iter__"):
            yield from _held(list(variable))


def _always_training(made: Applied) -> bool:
    """Whether it is in training mode when nothing is fed."""
    from tensorflow.python.framework import ops, tensor_util

    phase = made.phase
    if phase is None:
        return not made.seen.has_statistics
    if ops.is_symbolic_tensor(phase):
        if phase.op.type == "PlaceholderWithDefault":
            phase = phase.op.inputs[0]
        value = tensor_util.constant_value(phase)
        if value is None:
            return False
        phase = bool(value)
    return bool(phase) != made.inverted
