"""Modes over time, in frameworks where each module has one: who switched it last, and what is trained in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bnlint.analyses.forwards import learned_from
from bnlint.dataflow import Const, Value
from bnlint.trace import (
    Event,
    Forward,
    IdleSwitch,
    ModeSwitch,
    NormCall,
    NormLayer,
    Origin,
    OwnSwitch,
    Trace,
    TrainStep,
    Unregistered,
)


def switches(call: NormCall, before: Event, trace: Trace) -> list[ModeSwitch]:
    """The switches that reached a layer before something, in order."""
    owner = call.layer.owner
    found = _by_part(trace).get(owner, ()) if owner is not None else ()
    return [switch for switch in found if switch.order < before.order]


def in_either_mode(forward: Forward, call: NormCall, trace: Trace) -> bool:
    """Whether the function that calls a model is told in which mode to do so, and is told both: it compares them."""
    body = forward.context.frame.node
    return _set_in(body, forward, call, trace) and any(
        other.site == forward.site
        and other.target is forward.target
        and any(isinstance(each.phase, Const) and each.phase.value is False for each in other.norms)
        and _set_in(body, other, call, trace)
        for other in trace.of(Forward)
    )


def _set_in(body: object, forward: Forward, call: NormCall, trace: Trace) -> bool:
    """Whether the last switch of a layer before the call of a model stands in the function that calls it."""
    before = switches(call, forward, trace)
    return bool(before) and body is not None and before[-1].context.frame.node is body


def reached(part: Value | None, trace: Trace) -> bool:
    """Whether any switch reaches a module."""
    return part is not None and part in _by_part(trace)


def is_registered(call: NormCall, trace: Trace) -> bool:
    """Whether a layer is a part of the model that is called, so that a switch of the model reaches it."""
    if call.forward is not None and call.layer.order > call.forward.order:
        return False
    found: set[NormCall] | None = trace.facts.get("unregistered")
    if found is None:
        found = {call for event in trace.of(Unregistered) for call in event.calls}
        trace.facts["unregistered"] = found
    return call not in found


def _by_part(trace: Trace) -> Mapping[Value, list[ModeSwitch]]:
    found: dict[Value, list[ModeSwitch]] | None = trace.facts.get("switches by part")
    if found is None:
        found = trace.facts["switches by part"] = {}
        for switch in trace.of(ModeSwitch):
            for part in switch.parts:
                found.setdefault(part, []).append(switch)
    return found


def to(switch: ModeSwitch) -> bool | None:
    """The mode that is switched to; None when it is not known."""
    return bool(switch.training.value) if isinstance(switch.training, Const) else None


def trained_in_training_mode(trace: Trace) -> Iterator[tuple[Forward, TrainStep, list[NormCall]]]:
    """The calls of models that belong to a train step, with their layers that are certainly in training mode.

    A call belongs to a step that learns from it, or that stands behind it in the same round of the same loop: what
    comes out of a frozen part may take ways that are not known.
    """
    steps = [step for step in trace.of(TrainStep) if step.eager]
    for forward in trace.of(Forward) if steps else ():
        calls = [
            call
            for call in forward.norms
            if call.origin is Origin.MODE and isinstance(call.phase, Const) and call.phase.value is True
        ]
        step = next((step for step in steps if step.order > forward.order), None) if calls else None
        if step is not None and (learned_from(forward, trace) or _same_round(forward, step)):
            yield forward, step, calls


def _same_round(forward: Forward, step: TrainStep) -> bool:
    one, other = forward.context, step.context
    return one.frame is other.frame and one.loops == other.loops and bool(one.loops)


def norm_modules(trace: Trace) -> set[Value]:
    """The modules that are normalisations."""
    found: set[Value] | None = trace.facts.get("norm modules")
    if found is None:
        owners = (layer.owner for layer in trace.of(NormLayer))
        found = trace.facts["norm modules"] = {owner for owner in owners if owner is not None}
    return found


def idle_switch(call: NormCall, forward: Forward, training: bool, trace: Trace) -> IdleSwitch | None:
    """What is written before the call of a model to put a layer into a mode, and does not do so."""
    last: Event | None = None
    for event in trace.events:
        if isinstance(event, ModeSwitch | IdleSwitch) and event.order < forward.order:
            if call.layer.owner in event.parts:
                last = event
    return last if isinstance(last, IdleSwitch) and last.training is training else None


def not_passed_on(switch: OwnSwitch, trace: Trace) -> bool:
    """Whether ``eval()`` leaves all layers of a model in training mode, and nobody said that it should."""
    norms = norm_modules(trace)
    return switch.switched and bool(norms & switch.left.keys()) and not norms & switch.reached.keys()


def held_in_training(call: NormCall, trace: Trace) -> bool:
    """Whether ``eval()`` of some model does not reach a layer, because a class has another one."""
    return any(
        call.layer.owner in switch.left and not_passed_on(switch, trace) for switch in trace.of(OwnSwitch)
    )
