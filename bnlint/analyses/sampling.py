"""Predictions that are sampled: a trained model is called again and again with dropout switched on."""

from __future__ import annotations

import ast

from bnlint.analyses.forwards import (
    in_test_function,
    in_vain,
    learned_from,
    on_made_up_data,
    without_gradients,
)
from bnlint.analyses.written import source
from bnlint.dataflow import Const
from bnlint.trace import Forward, ModeSwitch, NormCall, Origin, Run, Trace, Updates
from bnlint.words import DROPOUT, words


def sampling_switch(run: Run, trace: Trace) -> ModeSwitch | None:
    """What switched dropout on for a call of a model that samples, and batch normalisation with it."""
    forward = run.forward
    calls = [call for call in forward.norms if call.origin is Origin.MODE] if forward is not None else []
    if forward is None or not calls or any(not _by_batch(call, run) for call in calls):
        return None
    if (
        learned_from(forward, trace)
        or in_vain(run, trace)
        or on_made_up_data(forward)
        or in_test_function(run)
    ):
        return None
    switch = _last_switch(calls[0], forward, trace)
    if switch is None or not switch.drops or not _is_true(switch) or _trains(calls[0], switch, trace):
        return None
    samples = _repeats(forward, trace) or (without_gradients(run) and _called_so(run))
    return switch if samples else None


def _by_batch(call: NormCall, run: Run) -> bool:
    return call.updates is Updates.IN_PLACE and call.training(run.world()) is True


def _is_true(switch: ModeSwitch) -> bool:
    return isinstance(switch.training, Const) and bool(switch.training.value)


def _last_switch(call: NormCall, forward: Forward, trace: Trace) -> ModeSwitch | None:
    before = (each for each in trace.of(ModeSwitch) if each.order < forward.order)
    return next((each for each in reversed(list(before)) if call.layer.owner in each.parts), None)


def _trains(call: NormCall, switch: ModeSwitch, trace: Trace) -> bool:
    """Whether a layer is also trained in the mode that a switch gave it, in some round of a loop."""
    on = False
    for event in trace.events:
        if isinstance(event, ModeSwitch) and call.layer.owner in event.parts:
            on = event.site == switch.site
        elif on and isinstance(event, Forward) and any(each.layer is call.layer for each in event.norms):
            if learned_from(event, trace):
                return True
    return False


_LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.GeneratorExp)


def _repeats(forward: Forward, trace: Trace) -> bool:
    """Whether a call stands in a loop that gives it the same in each round."""
    written = source(forward.site, trace)
    call = written.at(forward.site, ast.Call) if written is not None else None
    if written is None or call is None or not (call.args or call.keywords):
        return False
    scope = written.scope(call)
    loop = next((outer for outer in written.outwards(call) if isinstance(outer, _LOOPS)), None)
    if loop is None or not written.inside(loop, scope):
        return False
    given = [node for argument in (*call.args, *call.keywords) for node in ast.walk(argument)]
    names = {node.id for node in given if isinstance(node, ast.Name)}
    changed = {
        node.id
        for node in ast.walk(loop)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    return bool(names) and not names & changed and not any(isinstance(node, ast.Call) for node in given)


def _called_so(run: Run) -> bool:
    """Whether a function around a call speaks of dropout or uncertainty."""
    return any(
        frame.node is not None and set(words(frame.function.rpartition(".")[2])) & DROPOUT
        for frame in run.context.frame.outwards()
    )
