"""How many examples a call of a model is given, where the data comes from a loader that says it."""

from __future__ import annotations

from collections.abc import Iterable

from bnlint.dataflow import Const, Value, maker, sources
from bnlint.eager import Batches
from bnlint.trace import Forward, NormCall, Trace

_REGROUP = frozenset(
    "cat concat concatenate stack view reshape repeat repeat_interleave expand flatten rearrange tile squeeze "
    "unsqueeze permute transpose".split()
)
"""What may make more of the examples of a batch, or fewer."""


def batches_of(forward: Forward, trace: Trace) -> Batches | None:
    """The batches that all data of a call comes from; None if there are none, or several."""
    known: dict[Value, Batches] | None = trace.facts.get("batches")
    if known is None:
        known = trace.facts["batches"] = {each.value: each for each in trace.of(Batches)}
    if not known:
        return None
    found = {known[value] for value in sources(forward.inputs) if value in known}
    return found.pop() if len(found) == 1 else None


def batch_size(call: NormCall, trace: Trace) -> tuple[int, Batches] | None:
    """How many examples the batches have that a layer normalises; None when that is not known."""
    found = batches_of(call.forward, trace) if call.forward is not None else None
    if found is None or not isinstance(found.size, Const) or type(found.size.value) is not int:
        return None
    return None if regrouped((call.input,)) else (found.size.value, found)


def regrouped(values: Iterable[Value]) -> bool:
    """Whether something on the way to values may have made other batches of the examples."""
    return any(_name(value) in _REGROUP for value in sources(values))


def _name(value: Value) -> str:
    return maker(value).rpartition(".")[2]
