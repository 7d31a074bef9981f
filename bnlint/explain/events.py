"""What an event of the trace means to the rules, in sentences: what is known of it, and how that is known."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from bnlint import phase
from bnlint.analyses.runs import executions
from bnlint.analyses.updates import Fate, fate, runs_of, trained
from bnlint.dataflow import Const, Op, Unknown
from bnlint.explain.describe import described, place
from bnlint.trace import (
    CollectUpdates,
    Event,
    Export,
    Freeze,
    ModeSwitch,
    NormCall,
    NormLayer,
    Origin,
    Run,
    Save,
    Trace,
    TrainStep,
    Updates,
)

_ORIGINS = {
    Origin.ARGUMENT: "given at the call",
    Origin.SCOPE: "set by an argument scope or by the parameters of a normaliser",
    Origin.DEFAULT: "the default of the API",
    Origin.CONTEXT: "handed down by an enclosing call or a global learning phase",
    Origin.MODE: "the mode of the module",
    Origin.NONE: "there is no switch",
}
_UPDATES = {
    Updates.COLLECTED: "it leaves update operations in a collection, and somebody must run them",
    Updates.IN_PLACE: "the layer moves its statistics by itself",
    Updates.ATTRIBUTE: "the updates hang on the layer object, and only a trainer of Keras runs them",
    Updates.RETURNED: "the call returns the new statistics",
    Updates.BY_HAND: "the program moves the statistics itself",
    Updates.NONE: "nothing moves its statistics",
}
_FATES = {
    Fate.RUN: "are run",
    Fate.UNKNOWN: "may or may not be run: not enough is known, so no rule speaks of it",
    Fate.NEVER_READ: "are never read from their collection",
    Fate.FILTERED_OUT: "are filtered out by a scope",
    Fate.READ_TOO_EARLY: "are read before the layer exists",
    Fate.UNUSED: "are collected, but nothing that runs depends on them",
    Fate.LEFT_ON_LAYER: "stay on the layer, and nothing takes them from there",
}
_MOST_LAYERS = 5


@functools.singledispatch
def sentences(event: Event, trace: Trace) -> Iterator[str]:
    """What is known of an event."""
    yield from ()


@sentences.register
def _layer(event: NormLayer, trace: Trace) -> Iterator[str]:
    named = f", named `{event.name}`" if event.name else ", whose name is not known"
    calls = sum(call.layer is event for call in trace.of(NormCall))
    times = "once" if calls == 1 else f"{calls} times"
    yield f"The layer of a batch normalisation is made here by `{event.api}`{named}; it is applied {times}."


@sentences.register
def _norm(event: NormCall, trace: Trace) -> Iterator[str]:
    yield f"A batch normalisation is applied here, by `{event.layer.api}`."
    if event.phase is None:
        yield f"Its phase: {_ORIGINS[event.origin]}."
    else:
        yield f"Its phase is {described(event.phase)} ({_ORIGINS[event.origin]})."
        if isinstance(event.phase, Unknown):
            yield "Because the phase is not known, the rules about it are silent here."
    yield f"Statistics: {_UPDATES[event.updates]}."
    steps = [step for step in trace.of(TrainStep) if event in trained(step, trace)]
    if not steps:
        yield "No train step is known to train through it in training mode."
    for step in steps:
        yield f"It is trained by the train step at {place(step.site)}{_becomes(event, step, trace)}."


def _becomes(call: NormCall, step: TrainStep, trace: Trace) -> str:
    if not call.update_nodes:
        return ""
    return f"; its update operations {_FATES[fate(call, step, trace)]}"


@sentences.register
def _train(event: TrainStep, trace: Trace) -> Iterator[str]:
    yield f"A train step is made here, by `{event.api}`."
    loss = "not given" if event.loss is None else described(event.loss)
    yield f"Its loss is {loss}."
    layers = trained(event, trace)
    if not layers:
        yield "No batch normalisation in training mode is known to lie on the way to its loss."
    for call in layers[:_MOST_LAYERS]:
        yield f"It trains the normalisation at {place(call.site)}{_becomes(call, event, trace)}."
    if len(layers) > _MOST_LAYERS:
        yield f"It trains {len(layers) - _MOST_LAYERS} more normalisations."
    runs = runs_of(event, trace)
    if runs:
        yield f"It runs at {', '.join(dict.fromkeys(place(run.site) for run in runs[:3]))}."
    else:
        yield "Nothing is known to run it."


@sentences.register
def _run(event: Run, trace: Trace) -> Iterator[str]:
    yield f"The program computes something here, by `{event.api}`."
    if any(isinstance(fetched, Unknown) for fetched in event.fetches):
        yield "What it fetches is not known, or not all of it."
    executed = executions(trace)[event]
    world = event.world()
    norms = sorted((node for node in executed.nodes if node.op == Op.NORM), key=lambda node: node.order)
    if not norms:
        yield "No batch normalisation is known to run with it."
    for node in norms[:_MOST_LAYERS]:
        call: NormCall = node.attrs["call"]
        training = call.training(world)
        mode = "a mode that is not known" if training is None else _mode(training)
        yield f"It runs the normalisation at {place(call.site)} in {mode}."
    if len(norms) > _MOST_LAYERS:
        yield f"It runs {len(norms) - _MOST_LAYERS} more normalisations."
    for feed in event.feeds:
        yield f"It feeds {described(feed.key)} with {described(feed.value)}."
    if not event.feeds_known:
        yield "What else it feeds is not known."
    verdict = phase.role(event, trace)
    if verdict.role is phase.Role.UNKNOWN:
        yield "Whether it trains or evaluates is not known, so the rules about evaluation are silent here."
    else:
        yield f"It is taken for {verdict.role.value}."
    for reason in verdict.reasons:
        sense = "speaks against evaluation" if reason.weight < 0 else "evidence"
        weight = f", weight {reason.weight}" if reason.weight else ""
        yield f"Because {reason.text} ({sense}{weight}; {place(reason.site)})."


def _mode(training: bool) -> str:
    return "training mode" if training else "inference mode"


@sentences.register
def _collect(event: CollectUpdates, trace: Trace) -> Iterator[str]:
    count = len(event.contents)
    held = "nothing" if count == 0 else "1 operation" if count == 1 else f"{count} operations"
    yield f"The collection {event.collection!r} is read here; it held {held} at that time."
    if event.scope is not None and not (isinstance(event.scope, Const) and event.scope.value is None):
        yield f"A scope filters it: {described(event.scope)}."


@sentences.register
def _switch(event: ModeSwitch, trace: Trace) -> Iterator[str]:
    target = "everything" if event.target is None else described(event.target)
    yield f"The phase of {target} is set to {described(event.training)}."


@sentences.register
def _freeze(event: Freeze, trace: Trace) -> Iterator[str]:
    yield f"Whether {described(event.target)} can be trained is set to {described(event.trainable)}."


@sentences.register
def _save(event: Save, trace: Trace) -> Iterator[str]:
    yield f"A checkpoint writer is made here for variables: {event.scope.value}."


@sentences.register
def _export(event: Export, trace: Trace) -> Iterator[str]:
    yield f"A model is exported here, by `{event.api}`."
