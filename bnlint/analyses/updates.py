"""Who runs the update operations of a layer: the question behind the rules about statistics that never learn.

In graph mode a layer in training mode leaves operations in a collection. For every train step this module
tells, for each layer that it trains, what becomes of them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from bnlint.analyses.runs import executions
from bnlint.dataflow import Const, Node, Op, Unknown, World, execution
from bnlint.findings import Location
from bnlint.phase import deliberate
from bnlint.trace import CollectUpdates, NormCall, NormLayer, Origin, Run, Trace, TrainStep, Updates
from bnlint.words import META_LEARNING


class Fate(enum.Enum):
    """What becomes of a layer's update operations."""

    RUN = "run"
    UNKNOWN = "unknown"
    NEVER_READ = "never read"
    """Nothing in the program reads their collection."""
    FILTERED_OUT = "filtered out"
    """The collection is read with a scope that does not match them."""
    READ_TOO_EARLY = "read too early"
    """The collection is read only before the layer exists."""
    UNUSED = "unused"
    """They are collected, but nothing that runs depends on them."""
    LEFT_ON_LAYER = "left on the layer"
    """They hang on a layer of Keras, in no collection, and nothing takes them from there."""


@dataclass(frozen=True, slots=True)
class Neglect:
    """The layers that a train step trains and whose updates share a fate."""

    step: TrainStep
    fate: Fate
    calls: tuple[NormCall, ...]
    reads: tuple[CollectUpdates, ...]
    """Where their collection is read."""


def trained(step: TrainStep, trace: Trace) -> list[NormCall]:
    """The normalisations of which a train step changes the weights and that may be in training mode then."""
    found: list[NormCall] | None = trace.facts.setdefault("trained", {}).get(step)
    if found is None:
        runs = runs_of(step, trace)
        worlds = [run.world() for run in runs] or [World(step.guards)]
        executed = execution([step.node], World(step.guards))
        found = []
        for node in sorted(executed.nodes, key=lambda node: node.order):
            if node.op == Op.NORM and changes(step, node.attrs["call"].layer) is not False:
                call: NormCall = node.attrs["call"]
                if call.phase is None or any(call.training(world) is not False for world in worlds):
                    found.append(call)
        trace.facts["trained"][step] = found
    return found


def trained_in_any_phase(step: TrainStep) -> list[NormCall]:
    """The normalisations that a train step runs, also those in inference mode."""
    nodes = execution([step.node], World(step.guards)).nodes
    return sorted((node.attrs["call"] for node in nodes if node.op == Op.NORM), key=lambda call: call.order)


def changes(step: TrainStep, layer: NormLayer) -> bool | None:
    """Whether a train step has a layer's weights in its list of variables; None when that is not known."""
    if step.variables is None:
        return True
    if step.listed is not None and layer.weights and set(step.listed) & set(layer.weights):
        return True
    if step.listed is None or step.partial or (layer.name is None and not layer.weights):
        return None
    if layer.name is None:
        return False
    names = [name for node in step.listed if isinstance(name := node.attrs.get("name"), str)]
    if any(name.startswith(f"{layer.name}/") for name in names):
        return True
    return False if len(names) == len(step.listed) else None


def runs_of(step: TrainStep, trace: Trace) -> list[Run]:
    """The runs that may execute a train step."""
    return [run for run, executed in executions(trace).items() if step.node in executed]


def updates_of(layer: NormLayer, trace: Trace) -> set[Node]:
    """The update operations of all calls of a layer: any of them moves its statistics."""
    found: dict[NormLayer, set[Node]] | None = trace.facts.get("updates of layers")
    if found is None:
        found = trace.facts["updates of layers"] = {}
        for call in trace.of(NormCall):
            found.setdefault(call.layer, set()).update(call.update_nodes)
    return found[layer]


def updates_run(trace: Trace) -> set[Node]:
    """The update operations that some run executes."""
    found: set[Node] | None = trace.facts.get("updates run")
    if found is None:
        found = {
            node for executed in executions(trace).values() for node in executed.nodes if node.op == Op.UPDATE
        }
        trace.facts["updates run"] = found
    return found


def neglected(trace: Trace) -> list[Neglect]:
    """For every train step that runs, the layers whose updates are certainly not run, by fate."""
    found: list[Neglect] | None = trace.facts.get("neglected")
    if found is None:
        found = _neglected(trace)
        if not trace.driven:
            # What a caller may add cannot be seen; but nobody reads what the program never names.
            found = [neglect for neglect in found if neglect.fate is Fate.NEVER_READ]
        trace.facts["neglected"] = found
    return found


def first_of_each_place(calls: Iterable[NormCall]) -> list[NormCall]:
    """The calls without those that a loop or a helper makes again at the same place."""
    places: dict[Location, NormCall] = {}
    for call in calls:
        places.setdefault(call.site, call)
    return list(places.values())


def fate(call: NormCall, step: TrainStep, trace: Trace) -> Fate:
    """What becomes of a layer's update operations when a train step runs."""
    if call.updates is Updates.ATTRIBUTE:
        return _attached_fate(call, step, trace)
    return _fate(call, step, trace, any(_opaque(run) for run in trace.of(Run)))


def _neglected(trace: Trace) -> list[Neglect]:
    result = []
    opaque = any(_opaque(run) for run in trace.of(Run))
    for step in trace.of(TrainStep):
        if step.eager:
            continue
        if not runs_of(step, trace) and not (opaque and trace.driven):
            continue
        fates: dict[Fate, list[NormCall]] = {}
        for call in (*trained(step, trace), *_left_in_inference(step, trace)):
            if call.update_nodes and not call.arguments.unexpected:
                becomes = fate(call, step, trace)
                if becomes is not Fate.RUN and becomes is not Fate.UNKNOWN:
                    fates.setdefault(becomes, []).append(call)
        for becomes, calls in fates.items():
            reads = tuple(read for call in calls[:1] for read in _reads(call, trace))
            result.append(Neglect(step, becomes, tuple(calls), reads))
    return result


def _left_in_inference(step: TrainStep, trace: Trace) -> list[NormCall]:
    """The layers of a step that wait for a learning phase which nobody feeds: they stay in inference mode."""
    known = trained(step, trace)
    return [
        call
        for call in trained_in_any_phase(step)
        if call.origin is Origin.CONTEXT and isinstance(call.phase, Node) and call not in known
    ]


def _opaque(run: Run) -> bool:
    """Whether nobody knows what a run fetches."""
    return any(isinstance(fetched, Unknown) and not fetched.sources for fetched in run.fetches)


def _reads(call: NormCall, trace: Trace) -> list[CollectUpdates]:
    return [
        read
        for read in trace.of(CollectUpdates)
        if read.collection == call.collection and read.graph is call.layer.graph
    ]


def _fate(call: NormCall, step: TrainStep, trace: Trace, opaque: bool) -> Fate:
    nodes = updates_of(call.layer, trace)
    if call.collection is None or nodes & handed_over(trace) or trace.incomplete:
        return Fate.UNKNOWN
    if nodes & _run_with(step, trace):
        return Fate.RUN
    reads = _reads(call, trace)
    if not reads:
        named = {"UPDATE_OPS", call.collection}
        if _wants_batch(call, deliberate((call.context, step.context))):
            return Fate.UNKNOWN
        return Fate.UNKNOWN if any(trace.mentions(name) for name in named) else Fate.NEVER_READ
    if opaque or any(set(read.contents) & handed_over(trace) for read in reads):
        return Fate.UNKNOWN
    if any(nodes & set(read.contents) or read.live for read in reads):
        return Fate.UNUSED
    if all(read.order < call.order for read in reads):
        return Fate.READ_TOO_EARLY
    if any(read.scope is not None for read in reads):
        return Fate.FILTERED_OUT
    return Fate.UNKNOWN


def _wants_batch(call: NormCall, sign: str | None) -> bool:
    """Whether batch statistics in every phase are meant: said at the layer, or the way of meta-learning."""
    if sign is None:
        return False
    default = call.origin is Origin.DEFAULT and isinstance(call.phase, Const) and bool(call.phase.value)
    return always_batch(call) or (default and sign in META_LEARNING)


def always_batch(call: NormCall) -> bool:
    """Whether a literal at the call asks for batch statistics, so that nobody needs the moving ones."""
    argument = call.arguments.named.get("training") or call.arguments.named.get("is_training")
    if argument is None or not isinstance(argument.value, Const):
        return False
    return argument.value.value is True and argument.site is not None and argument.value.site == argument.site


_KERAS_UPDATES = ("updates", "get_updates_for", "model_to_estimator")
"""What takes the updates of a Keras layer."""
_KERAS_MODELS = ("Model", "Sequential", "load_model", "model_from_json", "applications")
_KERAS_TRAINERS = ("fit", "fit_generator", "train_on_batch")
"""What runs them, if it is a method of a model of Keras."""


def _attached_fate(call: NormCall, step: TrainStep, trace: Trace) -> Fate:
    nodes = updates_of(call.layer, trace)
    if trace.incomplete or not runs_of(step, trace):
        return Fate.UNKNOWN
    if nodes & _run_with(step, trace):
        return Fate.RUN
    if any(map(trace.mentions, _KERAS_UPDATES)):
        return Fate.UNKNOWN
    trainer = any(map(trace.mentions, _KERAS_MODELS)) and any(map(trace.mentions, _KERAS_TRAINERS))
    return Fate.UNKNOWN if trainer else Fate.LEFT_ON_LAYER


def _run_with(step: TrainStep, trace: Trace) -> set[Node]:
    """The operations that some run executes, or the train step, whoever runs it."""
    found: dict[TrainStep, set[Node]] = trace.facts.setdefault("run with", {})
    if step not in found:
        found[step] = updates_run(trace) | execution([step.node], World(step.guards)).nodes
    return found[step]


def handed_over(trace: Trace) -> set[Node]:
    """What code that is not known may run: the values that it was given, and all that these need."""
    found: set[Node] | None = trace.facts.get("handed over")
    if found is None:
        found = trace.facts["handed over"] = execution(trace.escaped, World()).nodes
    return found
