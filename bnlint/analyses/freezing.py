"""What a program freezes and what its trainer takes note of: questions that the rules about freezing share.

A trainer (``compile`` and ``fit`` of Keras) does not look at every step at what is trainable. Keras 2 notes it when
the model is compiled, Keras 3 when the compiled model is trained for the first time, as both do when they are run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bnlint.analyses.runs import executions, training_runs
from bnlint.dataflow import Frame, Op, Value, World
from bnlint.trace import Compile, Declared, Event, Freeze, NormCall, Run, Trace, Updates


def in_order(trace: Trace, *events: Event) -> bool:
    """Whether things happen one after the other and nothing that is not known comes in between.

    That is so in a program, and in one call of a function that was interpreted on its own.
    """
    return trace.driven or len({_outermost(event) for event in events}) == 1


def puts_norms_into_evaluation_mode(function: ast.AST) -> bool:
    """Whether a function goes through modules and puts its batch normalisations into evaluation mode."""
    nodes = list(ast.walk(function))
    switches = any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "eval"
        for node in nodes
    )
    names = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in nodes}
    return switches and any("BatchNorm" in name for name in names)


def _outermost(event: Event) -> Frame | None:
    calls = [frame for frame in event.context.frame.outwards() if frame.node is not None]
    return calls[-1] if calls else None


def in_training(run: Run, trace: Trace) -> Iterator[NormCall]:
    """The normalisations that a run certainly makes and that are told to train, whether or not they are frozen."""
    world = run.world()
    for node in sorted(executions(trace)[run].certain, key=lambda node: node.order):
        if node.op == Op.NORM:
            call: NormCall = node.attrs["call"]
            told = call.phase if call.told is None else call.told
            if told is not None and world.truth(told) is True:
                yield call


def frozen(call: NormCall) -> bool:
    """Whether a normalisation that is told to train is frozen."""
    return call.updates is Updates.NONE


def last_freeze(call: NormCall, before: Event, trace: Trace, after: int = -1) -> Freeze | None:
    """The last time before something that a layer was made trainable or not."""
    owner = call.layer.owner
    found = [
        freeze for freeze in _freezes(trace).get(owner, ()) if after < freeze.order < before.order
    ] if owner is not None else []  # fmt: skip
    return found[-1] if found else None


def _freezes(trace: Trace) -> Mapping[Value, list[Freeze]]:
    found: dict[Value, list[Freeze]] | None = trace.facts.get("freezes")
    if found is None:
        found = trace.facts["freezes"] = {}
        for freeze in trace.of(Freeze):
            for part in freeze.parts:
                found.setdefault(part, []).append(freeze)
    return found


def trained_by_trainer(trace: Trace) -> list[Run]:
    """The runs in which a trainer trains a model."""
    return [run for run in training_runs(trace) if run.declared is Declared.TRAIN and run.target is not None]


def compiled(run: Run, trace: Trace) -> Compile | None:
    """Where the model that a trainer trains was compiled, for the last time before; None when that is not certain."""
    found = [each for each in trace.of(Compile) if each.target is run.target and each.order < run.order]
    return found[-1] if found and set(found[-1].guards) <= set(run.guards) else None


@dataclass(frozen=True, slots=True)
class Noted:
    """What a trainer goes by in a run: the moment at which it took note of what is trainable, and what it noted."""

    compile: Compile
    moment: Event
    trainable: Mapping[Value, bool | None]


def noted(run: Run, generation: int, trace: Trace) -> Noted | None:
    """What the trainer of a generation of Keras goes by in a run; None when that is not known."""
    compile = compiled(run, trace)
    if compile is None:
        return None
    if generation == 2:
        world = World(run.guards)
        trainable = {part: world.truth(value) for part, value in compile.trainable.items()}
        return Noted(compile, compile, trainable)
    if compile.at_once is not False or looks_at_every_step(trace):
        return None
    first = next(
        other
        for other in trained_by_trainer(trace)
        if other.target is run.target and compile.order < other.order <= run.order
    )
    if not set(first.guards) <= set(run.guards):
        return None
    states = {call.layer.owner: not frozen(call) for call in in_training(first, trace)}
    return Noted(compile, first, {owner: state for owner, state in states.items() if owner is not None})


def looks_at_every_step(trace: Trace) -> bool:
    """Whether Keras 3 may look at every step at what is trainable: run eagerly, or not by TensorFlow."""
    return any(map(trace.mentions, ("run_functions_eagerly", "torch", "jax")))


def shared_since(call: NormCall, freeze: Freeze, run: Run, trace: Trace) -> Compile | None:
    """Another model that has the layer and was compiled after a freeze and before a run: it may be meant for that."""
    return next(
        (
            other
            for other in trace.of(Compile)
            if freeze.order < other.order < run.order
            and other.target is not run.target
            and call.layer.owner in other.trainable
        ),
        None,
    )
