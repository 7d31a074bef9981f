"""Compiled functions: what they do is noted while they are traced, and looked at from outside when they run."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager import look
from bnlint.runtime.backends.eager.calls import Phase
from bnlint.runtime.backends.eager.known import Known, State
from bnlint.runtime.backends.eager.look import Looked
from bnlint.runtime.backends.eager.steps import Episode, Tape
from bnlint.runtime.backends.eager.watch import Watch
from bnlint.runtime.backends.tensorflow1.patches import around_method
from bnlint.runtime.observed import Mode

_MOST_NOTED = 10_000
_NOTE = (
    "Nobody can look into compiled functions (`tf.function`, `fit` without `run_eagerly`): in which mode a layer is "
    "in them is told by the phase it was given when they were traced, and by whether its statistics moved."
)


@dataclass(frozen=True, slots=True)
class Noted:
    """A layer in a function, once for each time it is applied."""

    known: Known
    phase: Phase
    site: Location | None
    training: bool | None
    """Whether it normalises with the batch's statistics, if that follows from its code."""


@dataclass(eq=False, slots=True)
class Facts:
    """What one traced function does, with all that it calls."""

    forwards: list[Noted] = field(default_factory=list)
    sources: dict[int, Any] = field(default_factory=dict)
    """The variables of which it takes gradients."""
    applied: set[int] = field(default_factory=set)
    """The variables that an optimizer changes in it."""
    site: Location | None = None
    """Where that is written."""
    iterations: list[Any] = field(default_factory=list)
    """The variables in which optimizers count their steps."""
    looped: bool = False
    """Whether some of it is in a loop or a condition of the graph."""
    fed: set[str] = field(default_factory=set)

    def include(self, other: Facts) -> None:
        """The function calls another one."""
        if len(self.forwards) < _MOST_NOTED:
            self.forwards += other.forwards
        self.sources.update(other.sources)
        self.applied |= other.applied
        self.site = self.site or other.site
        self.iterations += [each for each in other.iterations if not _holds(self.iterations, each)]
        self.looped = self.looped or other.looped
        self.fed |= other.fed


class Functions:
    """All functions that were traced."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._facts: weakref.WeakKeyDictionary[Any, Facts] = weakref.WeakKeyDictionary()

    def tracing(self) -> Facts | None:
        """What is known of the function that is being traced now; None if none is."""
        from tensorflow.python.framework import ops
        from tensorflow.python.framework.func_graph import FuncGraph
        from tensorflow.python.ops.control_flow_v2_func_graphs import ControlFlowFuncGraph

        graph = ops.get_default_graph()
        inside = False
        while isinstance(graph, ControlFlowFuncGraph):
            # The branches and bodies of loops belong to the function that they are written in.
            graph, inside = graph.outer_graph, True
        if not isinstance(graph, FuncGraph):
            return None
        facts = self._facts.get(graph)
        if facts is None:
            facts = self._facts[graph] = Facts()
        facts.looped = facts.looped or inside
        return facts

    def phases_in(self, graph: Any) -> Iterator[tuple[Known, bool]]:
        """The layers with moving statistics in a function that does not train; whether they certainly do without."""
        facts = self._facts.get(graph)
        if facts is not None and not facts.applied:
            for noted in facts.forwards:
                if noted.known.seen.has_statistics:
                    # Which branch of a condition is taken is not known.
                    yield noted.known, noted.training is True and not facts.looped

    def call(self, original: Any, function: Any, tensor_inputs: Any, captured_inputs: Any) -> Any:
        """A concrete function is called."""
        facts = self._facts.get(function.graph)
        if facts is None or not (facts.forwards or facts.applied) or not self._watch.recorder.active:
            return original(function, tensor_inputs, captured_inputs)
        from tensorflow.python.eager import context

        if not context.executing_eagerly():
            outer = self.tracing()
            if outer is not None and outer is not facts:
                outer.include(facts)
            return original(function, tensor_inputs, captured_inputs)
        return self._run(original, function, tensor_inputs, captured_inputs, facts)

    def _run(
        self, original: Any, function: Any, tensor_inputs: Any, captured_inputs: Any, facts: Facts
    ) -> Any:
        watch = self._watch
        if facts.applied and not watch.steps.joins(facts.applied):
            watch.recorder.step_begins()
        around = watch.local.episode
        episode = around
        if episode is None:
            frame = watch.callers.user(sys._getframe(1))
            episode = watch.begin(frame.f_code if frame is not None else None, id(facts))
            episode.compiled = True
        before: dict[Known, State | None] = {}
        iterations: list[Any] = []
        if facts.forwards:
            episode.counts = True
            episode.fed |= facts.fed
            if episode.sampled:
                with watch.recorder.observing():
                    before = {known: known.state() for known in _distinct(facts)}
        if facts.looped:
            with watch.recorder.observing():
                iterations = [_number(each) for each in facts.iterations]
        result = original(function, tensor_inputs, captured_inputs)
        with watch.recorder.observing():
            steps = 1
            if iterations:
                after = [_number(each) for each in facts.iterations]
                steps = max(int(new - old) for new, old in zip(after, iterations, strict=True))
            if before and steps:
                watch.recorder.note(_NOTE)
                self._looked(episode, facts, before, steps)
            if around is None:
                self._tell(episode, facts, steps)
            elif facts.applied:
                watch.steps.apply(facts.applied, facts.site)
        return result

    def _looked(self, episode: Episode, facts: Facts, before: dict[Known, State | None], steps: int) -> None:
        for known, first in before.items():
            last = known.state()
            uses = [noted for noted in facts.forwards if noted.known is known]
            training = [noted for noted in uses if noted.training]
            for noted in uses:
                found = Looked(known, noted.phase, noted.site, first=first, last=last)
                look.compare(found)
                if training and not noted.training and noted.training is not None:
                    # What moved the statistics is the other use.
                    found.moved, found.updates = False, 0.0
                elif found.moved and (steps > 1 or facts.looped):
                    found.updates = None
                if noted.training is not None:
                    look.by_phase(found, noted.training)
                elif found.moved is not None and noted.phase.declared is found.moved:
                    found.mode = Mode.BATCH if found.moved else Mode.MOVING
                if len(training) == 1 and noted.training and steps == 1:
                    look.derived(found)
                episode.looked.append(found)

    def _tell(self, episode: Episode, facts: Facts, steps: int) -> None:
        watch = self._watch
        for noted in facts.forwards:
            episode.weights |= noted.known.weights
        episode.counter.seen += 1
        episode.counter.sampled += episode.sampled
        watch.place(episode)
        if facts.applied and not facts.forwards:
            watch.steps.apply(facts.applied, facts.site)
        elif facts.applied:
            watch.steps.whole(episode, facts.applied, facts.site, steps)
        elif facts.sources:
            tape = Tape(is_open=False)
            episode.tapes.append(tape)
            watch.steps.episode(episode)
            watch.steps.gradient(tape, list(facts.sources.values()), set(facts.sources))
        else:
            watch.steps.episode(episode)


def observe(watch: Watch) -> None:
    """Patch what runs a function, however it was called."""
    from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

    around_method(ConcreteFunction, "_call_flat", functions_of(watch).call)


_functions: weakref.WeakKeyDictionary[Watch, Functions] = weakref.WeakKeyDictionary()


def functions_of(watch: Watch) -> Functions:
    """The functions that a watch knows."""
    if watch not in _functions:
        _functions[watch] = Functions(watch)
    return _functions[watch]


def _distinct(facts: Facts) -> list[Known]:
    return list(dict.fromkeys(noted.known for noted in facts.forwards))


def _number(variable: Any) -> int:
    from bnlint.runtime.backends.parts import read

    return int(read(variable))


def _holds(variables: list[Any], wanted: Any) -> bool:
    return any(each is wanted for each in variables)
