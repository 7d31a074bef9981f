"""Contrastive learning in which the statistics of a batch tell which key belongs to a query.

A network that follows another one computes keys, and the loss compares each query with the key of the same example and
with keys of earlier batches. It is recognised by the flow of data alone: a cross entropy over a concatenation, where
one part multiplies queries with the keys of this step, and another one multiplies them with something else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.analyses.forwards import called
from bnlint.dataflow import Choice, Node, Op, Unknown, Value, World, maker, sources
from bnlint.eager import Synchronise
from bnlint.findings import Location
from bnlint.trace import Copy, NormCall, NormLayer, Trace, TrainStep

_ENTROPIES = frozenset("cross_entropy CrossEntropyLoss".split())
_JOINS = frozenset("cat concat concatenate".split())
_PRODUCTS = frozenset("mult matmult mul mm bmm matmul einsum dot inner cosine_similarity".split())
_SYNC = "torch.nn.SyncBatchNorm"


@dataclass(frozen=True, slots=True)
class Leak:
    """A layer of the network for the keys, one of that for the queries, and where they are compared."""

    query: NormCall
    key: NormCall
    compared: Node
    asked: Location
    """Where the network of the queries is called."""
    answered: Location
    """Where that of the keys is."""


def leak(trace: Trace) -> Leak | None:
    """The first layer whose keys are normalised with the batch of their queries, and are compared with keys of other
    batches; None if there is none."""
    pairs = [pair for copy in trace.of(Copy) for pair in _pairs(copy)]
    if not pairs or _is_shuffled_or_shared(trace):
        return None
    queries = {layer for layer, _ in pairs}
    networks = {module for copy in trace.of(Copy) for module in (copy.source, copy.target)}
    view = _View(queries, {layer for _, layer in pairs} - queries, networks)
    steps = (step for step in trace.of(TrainStep) if step.eager and step.loss is not None)
    joins = (join for step in steps for join in view.joins(step))
    return next((found for join in joins if (found := view.leak(join)) is not None), None)


def _pairs(copy: Copy) -> Iterator[tuple[NormLayer, NormLayer]]:
    """The layers of the network that is followed, and of the one that follows."""
    if copy.weights and len(copy.read_from) == len(copy.written_to):
        for one, other in zip(copy.read_from, copy.written_to, strict=True):
            if one is not other and _SYNC not in (one.api, other.api):
                yield one, other


def _is_shuffled_or_shared(trace: Trace) -> bool:
    """Whether batches may be put into another order for the keys, or share their statistics between devices."""
    told = ("randperm", "SyncBatchNorm", "convert_sync_batchnorm")
    return any(map(trace.mentions, told)) or any(True for _ in trace.of(Synchronise))


class _View:
    """What values have to do with queries and keys."""

    def __init__(self, queries: set[NormLayer], keys: set[NormLayer], networks: set[Value]) -> None:
        self.queries, self.keys, self.networks = queries, keys, networks
        self._calls: dict[Value, frozenset[NormCall]] = {}

    def joins(self, step: TrainStep) -> Iterator[Node]:
        """The concatenations over which the loss of a step is a cross entropy."""
        for entropy in _above(step.loss) if step.loss is not None else ():
            for value in _inputs(entropy) if _name(entropy) in _ENTROPIES else ():
                for join in _above(value):
                    if isinstance(join, Node) and _name(join) in _JOINS and len(join.inputs) > 1:
                        yield join

    def leak(self, join: Node) -> Leak | None:
        """The key that its statistics give away, in a concatenation of products."""
        for one, other in itertools.permutations(join.inputs, 2):
            now = self._keys(one) - self._keys(other)
            if now and self._multiplies(one, now) and self._multiplies(other):
                query, key = (min(calls, key=lambda call: call.order) for calls in (self._queries(one), now))
                if all(call.training(World(call.guards)) is True for call in (query, key)):
                    if not _in_another_order(key):
                        return Leak(query, key, join, self._site(query), self._site(key))
        return None

    def _site(self, call: NormCall) -> Location:
        forward = call.forward
        return forward.site if forward is not None and forward.target in self.networks else called(call)

    def _multiplies(self, value: Value, keys: frozenset[NormCall] | None = None) -> bool:
        """Whether queries are multiplied with certain keys, or at least with something else than queries."""
        for each in _above(value):
            factors = _inputs(each) if _name(each) in _PRODUCTS else ()
            if any(self._queries(factor) and not self._keys(factor) for factor in factors):
                others = (factor for factor in factors if not self._queries(factor))
                if any(keys is None or keys & self._keys(factor) for factor in others):
                    return True
        return False

    def _queries(self, value: Value) -> frozenset[NormCall]:
        return frozenset(call for call in self._norms(value) if call.layer in self.queries)

    def _keys(self, value: Value) -> frozenset[NormCall]:
        return frozenset(call for call in self._norms(value) if call.layer in self.keys)

    def _norms(self, value: Value) -> frozenset[NormCall]:
        if value not in self._calls:
            nodes = (node for node in sources((value,)) if isinstance(node, Node) and node.op == Op.NORM)
            self._calls[value] = frozenset(node.attrs["call"] for node in nodes)
        return self._calls[value]


def _above(value: Value) -> Iterator[Value]:
    """What a value is computed from, as far as the outputs of networks."""
    pending, seen = [value], set[Value]()
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            yield current
            if not isinstance(current, Node) or current.op not in (Op.WEIGHTED, Op.NORM):
                pending.extend(_inputs(current))


def _in_another_order(key: NormCall) -> bool:
    names = (_name(value).lower() for value in sources((key.input,)))
    return any("shuffle" in name or name in ("randperm", "argsort") for name in names)


def _inputs(value: Value) -> tuple[Value, ...]:
    if isinstance(value, Choice):
        return tuple(option for _, option in value.options)
    return value.inputs if isinstance(value, Node) else value.sources if isinstance(value, Unknown) else ()


def _name(value: Value) -> str:
    return maker(value).removesuffix(".__call__").rpartition(".")[2]
