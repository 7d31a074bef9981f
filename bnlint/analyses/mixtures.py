"""Layers that learn from the data of two domains in the same training step, in separate calls.

What is normalised together has one mean, and what is called alike may still be one set of examples: only passes count
whose data comes straight from two loaders that are certainly of different domains (``bnlint.analyses.domains``), and
from which the same loss, or the same round of a loop, learns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.analyses.domains import Domain, domains, is_data
from bnlint.analyses.forwards import called, learned_from, named, on_made_up_data
from bnlint.dataflow import Const, World
from bnlint.findings import Location
from bnlint.phase import deliberate
from bnlint.trace import Forward, NormCall, NormLayer, Origin, Reset, Run, Trace, Updates

_MOST = 4
"""How many layers of one call are followed back to the data: those behind them got the same."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A place where data of one domain goes through layers."""

    domain: Domain
    site: Location
    forward: Forward


@dataclass(frozen=True, slots=True)
class Mixture:
    """A layer, and the two passes from which it learns."""

    layer: NormLayer
    first: Pass
    second: Pass


def mixtures(trace: Trace) -> Iterator[Mixture]:
    """The layers that learn from two domains: one for each place where the second of them comes in."""
    before: dict[tuple[Location, ...], list[Pass]] = {}
    seen: set[Location] = set()
    for forward in trace.of(Forward):
        given = domains(forward.inputs, trace) if forward.context.loops else None
        if not given or not is_data(forward.inputs) or not learned_from(forward, trace):
            continue
        if len(given) > 1:
            found = _inside(forward, trace)
        else:
            now = Pass(given.pop(), forward.site, forward)
            others = before.setdefault(forward.context.loops, [])
            found = next((made for other in others if (made := _together(other, now))), None)
            others.append(now)
        if found is not None and found.second.site not in seen:
            seen.add(found.second.site)
            if _is_used(found, trace):
                yield found


def _together(first: Pass, second: Pass) -> Mixture | None:
    """What two calls in the same round of a loop have in common."""
    one, other = first.forward, second.forward
    if not first.domain.differs(second.domain) or _way(one) == _way(other):
        # The same way again is another round.
        return None
    if not World(one.guards).allows(other.guards):
        return None
    layers = {call.layer for call in learning(one)}
    shared = next((call.layer for call in learning(other) if call.layer in layers), None)
    return Mixture(shared, first, second) if shared is not None else None


def _way(forward: Forward) -> tuple[Location | None, ...]:
    return (forward.site, *(frame.site for frame in forward.context.frame.outwards()))


def _inside(forward: Forward, trace: Trace) -> Mixture | None:
    """The first layer of a model to which one call gives both domains, one after the other."""
    for calls in list(applied_often(forward))[:_MOST]:
        for first, second in itertools.combinations(calls[:4], 2):
            one, other = domains((first.input,), trace), domains((second.input,), trace)
            if one and other and len(one) == len(other) == 1:
                begin, end = (
                    Pass(found.pop(), called(call), forward)
                    for found, call in ((one, first), (other, second))
                )
                if begin.domain.differs(end.domain):
                    return Mixture(first.layer, begin, end)
    return None


def learning(forward: Forward) -> Iterator[NormCall]:
    """The layers whose moving statistics certainly learn from a call of a model."""
    for call in forward.norms:
        if call.origin is Origin.MODE and call.updates is Updates.IN_PLACE:
            if call.training(World(forward.guards)) is True:
                yield call


def applied_often(forward: Forward) -> Iterator[list[NormCall]]:
    """The applications of each layer that learns from several of them in one call of a model."""
    found: dict[NormLayer, list[NormCall]] = {}
    for call in learning(forward):
        found.setdefault(call.layer, []).append(call)
    return (calls for calls in found.values() if len(calls) > 1)


def _is_used(found: Mixture, trace: Trace) -> bool:
    """Whether the statistics may well be those that an evaluation uses in the end."""
    momentum = found.layer.arguments.value("momentum")
    if isinstance(momentum, Const) and momentum.value in (0, 1):
        return False
    if trace.mentions("update_bn") or any(found.layer in reset.layers for reset in trace.of(Reset)):
        return False
    for forward in trace.of(Forward):
        if not learned_from(forward, trace) and not on_made_up_data(forward):
            if any(call.layer is found.layer for call in learning(forward)):
                # They are estimated anew, or nobody uses them.
                return False
    runs = (run for run in trace.of(Run) if run.forward is found.second.forward)
    return deliberate((), (named(run, trace) for run in runs)) is None
