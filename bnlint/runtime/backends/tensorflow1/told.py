"""What a program tells its norms, and what it does with what they leave behind: where a phase comes from, and whether
the collection of the updates was read."""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.tensorflow1 import applied as norms
from bnlint.runtime.backends.tensorflow1 import graph as questions
from bnlint.runtime.backends.tensorflow1 import patches
from bnlint.runtime.backends.tensorflow1.applied import Applied
from bnlint.runtime.backends.tensorflow1.graph import Graph
from bnlint.runtime.backends.tensorflow1.patches import around, around_method
from bnlint.runtime.script.frames import Frames
from bnlint.runtime.script.recorder import Recorder

_UPDATES = "update_ops"
_LEARNING_PHASE = "keras_learning_phase"


@dataclass(slots=True)
class _Read:
    """Of the collection of the updates, by the user's code."""

    before: int
    """The number of operations that there were."""
    items: list[Any]


@dataclass(slots=True)
class _Told:
    """What was said to one graph."""

    reads: list[_Read] = field(default_factory=list)
    phases: list[tuple[int, Location | None]] = field(default_factory=list)
    """How many operations there were when the learning phase was set, and where."""
    judged: tuple[int, int] = (0, 0)


_told: weakref.WeakKeyDictionary[Graph, _Told] = weakref.WeakKeyDictionary()


def observe(recorder: Recorder) -> None:
    """Patch what reads collections."""
    from tensorflow.python.framework import ops

    watch = _Collections(recorder)
    around_method(ops.Graph, "get_collection", watch.read)
    around_method(ops.Graph, "get_collection_ref", watch.refer)
    recorder.before_writing(lambda: _judge_all(recorder))


def observe_keras(recorder: Recorder) -> None:
    """Patch what sets the learning phase of tf-keras."""
    from tf_keras.src import backend

    def set_phase(original: Any, *arguments: Any, **keywords: Any) -> Any:
        import tensorflow.compat.v1 as tf

        if recorder.active and not tf.executing_eagerly():
            graph, places = tf.get_default_graph(), recorder.frames.here()
            _of(graph).phases.append((_count(graph), places[0] if places else None))
        return original(*arguments, **keywords)

    around(backend, "set_learning_phase", set_phase, ("tensorflow", "tf_keras", "keras"))


def phase_of(made: Applied, frames: Frames) -> tuple[bool | None, Location | None]:
    """Whether a norm's phase is fixed, and the line of the placeholder that tells it or that fixed it for all."""
    phase = made.phase
    if phase is None:
        return None, None
    if made.branch is not None:
        # The phase of one side may be fixed; which side is taken is not.
        return False, None
    op = getattr(phase, "op", None)
    if op is None:
        return True, _where_set(made)
    known = [op.graph.get_operation_by_name(name) for name in questions.data_ancestors(phase)]
    if any(each.type in questions.VARIABLES for each in known):
        return False, None
    placeholders = [each for each in known if each.type in ("Placeholder", "PlaceholderWithDefault")]
    if not placeholders:
        return (True, _where_set(made)) if all(each.type in _PURE for each in known) else (False, None)
    if len(placeholders) > 1 or _LEARNING_PHASE in placeholders[0].name:
        return False, None
    stack = [(frame.filename, frame.lineno) for frame in placeholders[0].traceback or ()]
    return False, frames.innermost(stack)


_PURE = frozenset(
    "Const Identity LogicalNot LogicalAnd LogicalOr Cast Equal NotEqual Reshape Squeeze".split()
)


def _where_set(made: Applied) -> Location | None:
    if made.origin != "context":
        return None
    before = [site for count, site in _of(made.y.graph).phases if count <= made.y.op._id]
    return before[-1] if before else None


class _Collections:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def read(self, original: Any, graph: Graph, name: Any, *arguments: Any, **keywords: Any) -> Any:
        """``get_collection``."""
        items = original(graph, name, *arguments, **keywords)
        if name == _UPDATES and self._recorder.active and self._by_user():
            _of(graph).reads.append(_Read(_count(graph), list(items)))
        return items

    def refer(self, original: Any, graph: Graph, name: Any) -> Any:
        """``get_collection_ref``: what is added later is in it, too."""
        items = original(graph, name)
        if name == _UPDATES and self._recorder.active and self._by_user():
            _of(graph).reads.append(_Read(sys.maxsize, items))
        return items

    def _by_user(self) -> bool:
        # What saves a graph reads all collections; the user's code is behind TensorFlow's own function and our patches.
        from tensorflow.python.framework import ops

        frame = sys._getframe(2)
        while frame.f_back is not None and frame.f_code.co_filename in (ops.__file__, patches.__file__):
            frame = frame.f_back
        return self._recorder.frames.is_users(frame.f_code.co_filename)


def _judge_all(recorder: Recorder) -> None:
    for graph, told in list(_told.items()):
        state = _count(graph), len(told.reads)
        if state != told.judged:
            told.judged = state
            first: dict[str, Applied] = {}
            for made in norms.of(graph):
                if made.seen.updates == "collected" and made.moving_mean is not None:
                    first.setdefault(made.seen.key, made)
            for made in first.values():
                made.seen.updates_read = _judged(made, graph, told.reads)


def _judged(made: Applied, graph: Graph, reads: list[_Read]) -> str:
    writes = set(questions.index_of(graph).assigns.get(made.moving_mean.op.name, ()))
    later = [read for read in reads if read.before > made.y.op._id]
    for read in later:
        operations = [item if hasattr(item, "inputs") else getattr(item, "op", None) for item in read.items]
        if writes & set(questions.executed([each for each in operations if each is not None], ())):
            return "unused"
    return "too early" if reads and not later else "never"


def _of(graph: Graph) -> _Told:
    return _told.setdefault(graph, _Told())


def _count(graph: Graph) -> int:
    return int(graph.version)
