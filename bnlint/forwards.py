"""Calls of models, in frameworks where a call hands the phase down to the layers."""

from __future__ import annotations

from bnlint.dataflow import Const, Value
from bnlint.trace import Forward, NormCall, Origin


def told_by(call: NormCall) -> Forward | None:
    """The call of a model that decides the phase of a layer, by what it gives or by giving nothing."""
    forward = call.forward
    if forward is None:
        return None
    if call.origin is Origin.DEFAULT:
        return forward
    if forward.training is None:
        return None
    if call.origin is Origin.CONTEXT or _same(call.phase, forward.training):
        return forward
    return None


def _same(one: Value | None, other: Value) -> bool:
    if isinstance(one, Const) and isinstance(other, Const):
        return one is other or (one.site is not None and one.site == other.site)
    return one is other
