"""What the runs of a program execute, worked out once for all rules."""

from __future__ import annotations

from collections.abc import Iterable

from bnlint.dataflow import (
    Choice,
    Execution,
    Guards,
    Node,
    Op,
    Value,
    World,
    execution,
)
from bnlint.trace import Declared, NormCall, Run, Trace, TrainStep
from bnlint.words import training_outcome


def executions(trace: Trace) -> dict[Run, Execution]:
    """What each run of the program executes; worked out once."""
    found: dict[Run, Execution] | None = trace.facts.get("executions")
    if found is None:
        found = trace.facts["executions"] = {run: run.execution() for run in trace.of(Run)}
    return found


def training_runs(trace: Trace) -> list[Run]:
    """The runs that certainly execute a train step."""
    found: list[Run] | None = trace.facts.get("training runs")
    if found is None:
        found = trace.facts["training runs"] = [
            run
            for run, execution in executions(trace).items()
            if run.declared is Declared.TRAIN or any(node.op == Op.TRAIN for node in execution.certain)
        ]
    return found


def runs_training(step: TrainStep, trace: Trace) -> list[Run]:
    """The runs that certainly execute a train step."""
    return [run for run, execution in executions(trace).items() if step.node in execution.certain]


def optimized(trace: Trace) -> set[NormCall]:
    """The normalisations that some training run executes on the way to a loss."""
    found: set[NormCall] | None = trace.facts.get("optimized")
    if found is None:
        found = trace.facts["optimized"] = set()
        for run in training_runs(trace):
            nodes = executions(trace)[run].nodes
            losses = [node.attrs["step"].loss for node in nodes if node.op == Op.TRAIN]
            if losses and all(isinstance(loss, Node) for loss in losses):
                nodes = nodes & execution(losses, run.world()).nodes
            found.update(node.attrs["call"] for node in nodes if node.op == Op.NORM)
    return found


def norms_in(run: Run, trace: Trace) -> list[NormCall]:
    """The normalisations that a run certainly executes, in the order in which they were made."""
    found = [node for node in executions(trace)[run].certain if node.op == Op.NORM]
    return [node.attrs["call"] for node in sorted(found, key=_order)]


def norms_reached(run: Run, trace: Trace) -> list[NormCall]:
    """The normalisations that a run executes whatever its data, in some configuration of the program.

    Unlike :func:`norms_in` this takes every alternative of an undecided choice, except those of the phase.
    """
    found: dict[Run, list[NormCall]] = trace.facts.setdefault("norms reached", {})
    if run not in found:
        nodes = sorted(reached(run.fetches, run.world()), key=_order)
        found[run] = [node.attrs["call"] for node in nodes if node.op == Op.NORM]
    return found[run]


def reached(values: Iterable[Value], world: World) -> set[Node]:
    """What values need whatever the data, in some configuration of the program: see :func:`norms_reached`."""
    pending: list[Value] = list(values)
    seen: set[Value] = set()
    nodes: set[Node] = set()
    while pending:
        value = pending.pop()
        if value in seen or value in world.fed:
            continue
        seen.add(value)
        if isinstance(value, Choice):
            pending.extend(option for guards, option in value.options if _configures(guards, world))
        elif isinstance(value, Node) and _configures((*value.context.guards, *value.branch), world):
            nodes.add(value)
            if value.op == Op.COND:
                predicate, *sides = value.inputs
                outcome = world.truth(predicate)
                pending.extend(
                    (predicate, *(sides[:1] if outcome else sides[1:2] if outcome is False else ()))
                )
            elif value.op != Op.VARIABLE:
                pending.extend((*value.inputs, *value.control))
    return nodes


def _configures(guards: Guards, world: World) -> bool:
    """Whether guards may hold in a world and, where it leaves them open, are not about the phase."""
    for condition, outcome in guards:
        known = world.truth(condition)
        if known is None and training_outcome(condition) is not None:
            return False
        if known is not None and known != outcome:
            return False
    return True


def _order(node: Node) -> int:
    return node.order
