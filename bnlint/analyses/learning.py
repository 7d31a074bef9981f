"""What the train steps of an eager framework learn: which calls of models, and of which models the optimizer has the
parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.analyses.forwards import results
from bnlint.analyses.runs import executions, training_runs
from bnlint.analyses.written import source
from bnlint.dataflow import Const, Node, Value, sources
from bnlint.trace import Forward, Freeze, ModeSwitch, Origin, Run, Trace, TrainStep

PARAMETERS_OF = "parameters of"
"""The attribute of nodes that stand for all parameters of a module: that module."""


def lessons(trace: Trace) -> Iterator[tuple[Forward, Run]]:
    """The calls of models from which an eager train step learns, each with the first such step."""
    if not any(step.eager for step in trace.of(TrainStep)):
        return
    for forward in trace.of(Forward):
        for run in training_runs(trace):
            nodes = executions(trace)[run].nodes
            if forward.order < run.order and any(value in nodes for value in results(forward, trace)):
                yield forward, run
                break


def optimized_modules(trace: Trace) -> set[Value]:
    """The modules of which an optimizer was given all parameters."""
    found: set[Value] | None = trace.facts.get("optimized modules")
    if found is None:
        found = trace.facts["optimized modules"] = {
            origin.attrs[PARAMETERS_OF]
            for node in trace.nodes
            if node.op.startswith("torch.optim.")
            for origin in sources(node.inputs)
            if isinstance(origin, Node) and PARAMETERS_OF in origin.attrs
        }
    return found


def frozen(module: Value, trace: Trace) -> bool:
    """Whether something of a module may be kept from learning."""
    return any(
        module in freeze.parts and not (isinstance(freeze.trainable, Const) and freeze.trainable.value)
        for freeze in trace.of(Freeze)
    )


def switched_off_at_birth(forward: Forward, trace: Trace) -> ModeSwitch | None:
    """The ``eval()`` on a whole model in the function that gave it away, if that is the only mode it ever had."""
    calls = [call for call in forward.norms if call.origin is Origin.MODE]
    switches = [switch for switch in trace.of(ModeSwitch) if forward.target in switch.parts]
    if not calls or not switches or frozen(forward.target, trace) or _is_ever_switched_on(trace):
        return None
    if any(
        other.target is forward.target
        and any(isinstance(call.phase, Const) and call.phase.value is True for call in other.norms)
        for other in trace.of(Forward)
    ):
        return None
    modes = {call.phase.value if isinstance(call.phase, Const) else None for call in calls}
    last = switches[-1]
    whole = optimized_modules(trace) & {forward.target, last.target}
    return last if modes == {False} and whole and _given_away(last, forward, trace) else None


def _is_ever_switched_on(trace: Trace) -> bool:
    return any(
        not (isinstance(switch.training, Const) and not switch.training.value)
        for switch in trace.of(ModeSwitch)
    )


def _given_away(switch: ModeSwitch, forward: Forward, trace: Trace) -> bool:
    """Whether the function that switches a model off has ended when it is called, and returned it."""
    frame = switch.context.frame
    written = source(switch.site, trace)
    call = written.at(switch.site, ast.Call) if written else None
    if call is None or not isinstance(call.func, ast.Attribute) or frame in forward.context.frame.outwards():
        return False
    model = ast.unparse(call.func.value)
    return any(
        isinstance(node, ast.Return)
        and node.value is not None
        and any(part is call or ast.unparse(part) == model for part in ast.walk(node.value))
        for node in ast.walk(frame.node or ast.Pass())
    )
