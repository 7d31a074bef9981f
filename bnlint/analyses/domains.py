"""From which domain the data of a tensor comes, as far as the flow of data and the program's own words tell.

A domain is what one loader of data gives, if the program says of it and of another one that they are opposites
(``source_loader`` and ``target_loader``). Where the data comes from is told by the flow of data alone; names only tell
that two loaders are of different kinds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bnlint.analyses.written import source
from bnlint.dataflow import Choice, Frame, Node, Op, Unknown, Value, maker, sources
from bnlint.eager import Batches
from bnlint.findings import Location
from bnlint.trace import Trace
from bnlint.words import OPPOSITES, words

_LOADERS = frozenset("loader loaders dataloader dataloaders iter iterator batches".split())
_SIZES = frozenset("len size shape numel dim ndim".split())
"""What tells how much data there is, and not which."""
_PARTS = frozenset("random_split Subset".split())


@dataclass(frozen=True, slots=True)
class Domain:
    """The data of one loader."""

    name: str
    """What the program calls it."""
    kind: tuple[int, int]
    """To which of the pairs of opposites it belongs, and on which side."""
    batches: Batches | None = None
    """None for the parameter of a function that is interpreted on its own."""

    def differs(self, other: Domain) -> bool:
        """Whether two loaders give data of different distributions."""
        opposite = self.kind[0] == other.kind[0] and self.kind[1] != other.kind[1]
        return opposite and not _share_examples(self.batches, other.batches)


def is_data(values: Iterable[Value]) -> bool:
    """Whether no network computed any of the values."""
    return not any(isinstance(value, Node) and value.op in (Op.WEIGHTED, Op.NORM) for value in _flow(values))


def domains(values: Iterable[Value], trace: Trace) -> set[Domain] | None:
    """The domains of the data from which values are computed; None if some of it is of a domain that is not known."""
    known: dict[Value, Domain | None] = trace.facts.setdefault("domains", {})
    if "loaders" not in trace.facts:
        trace.facts["loaders"] = {each.value: each for each in trace.of(Batches)}
    loaders: dict[Value, Batches] = trace.facts["loaders"]
    found: set[Domain] = set()
    for value in _flow(values, loaders):
        if value not in known:
            known[value] = _domain(value, loaders.get(value), trace)
        domain = known[value]
        if domain is not None:
            found.add(domain)
        elif value in loaders:
            return None
    return found


def _flow(values: Iterable[Value], ends: Iterable[Value] = ()) -> Iterator[Value]:
    """What values are computed from, without what is only counted; not beyond some."""
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen or _name(value) in _SIZES:
            continue
        seen.add(value)
        yield value
        if value in ends:
            continue
        if isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            pending.extend(value.sources)
        elif isinstance(value, Node) and value.op != Op.VARIABLE:
            pending.extend(value.inputs)


def _name(value: Value) -> str:
    return maker(value).rpartition(".")[2]


def _domain(value: Value, batches: Batches | None, trace: Trace) -> Domain | None:
    if batches is not None:
        names = (
            *_called(batches.site, trace),
            *_dataset(batches, trace),
            *_given_away(batches.context.frame, trace),
        )
        return next((Domain(name, kind, batches) for name in names if (kind := _kind(name))), None)
    hint = value.hint if isinstance(value, Unknown) and not value.sources else ""
    kind = _kind(hint) if set(words(hint)) & _LOADERS else None
    return Domain(hint, kind) if kind is not None else None


def _kind(name: str) -> tuple[int, int] | None:
    """On which side of which opposites a name is; None if it speaks of none, or of both sides."""
    spoken = {word.removesuffix("loader") for word in words(name)}
    found = [
        (number, side)
        for number, pair in enumerate(OPPOSITES)
        for side, meant in enumerate(pair)
        if spoken & meant
    ]
    return found[0] if len(found) == 1 else None


def _given_away(frame: Frame, trace: Trace) -> Iterator[str]:
    """What the results of the functions are called in which something is made."""
    for each in frame.outwards():
        if each.site is not None:
            yield from _called(each.site, trace)


def _called(site: Location, trace: Trace) -> Iterator[str]:
    """The names under which a program keeps the result of a call."""
    written = source(site, trace)
    node: ast.AST | None = written.at(site, ast.Call) if written is not None else None
    index: int | None = None
    while written is not None and node is not None:
        holder = written.parent(node)
        match holder:
            case ast.Assign(targets=[ast.Tuple(elts=targets)]) if index is not None and index < len(targets):
                yield ast.unparse(targets[index])
                return
            case ast.Assign(targets=[ast.Tuple(elts=targets)]):
                told = [name for name in map(ast.unparse, targets) if _kind(name) is not None]
                yield from told if len(told) == 1 else ()
                return
            case ast.Assign(targets=targets):
                yield from map(ast.unparse, targets)
                return
            case ast.keyword(arg=str(name)):
                yield name
            case ast.Dict(keys=keys, values=values) if node in values:
                key = keys[values.index(node)]
                yield str(key.value) if isinstance(key, ast.Constant) else ast.unparse(key or node)
            case ast.Tuple(elts=items):
                index = items.index(node)  # type: ignore[arg-type]
            case ast.stmt():
                return
        node = holder


def _dataset(batches: Batches, trace: Trace) -> Iterator[str]:
    """How the examples are written from which batches are made."""
    site = batches.arguments.site("dataset")
    written = source(site, trace)
    node = written.at(site, ast.expr) if written is not None else None
    if node is not None:
        # Of what makes them, the name only: its parameters may be about anything, like ``target_transform``.
        yield ast.unparse(node.func if isinstance(node, ast.Call) else node)


def _share_examples(one: Batches | None, other: Batches | None) -> bool:
    """Whether two loaders may have the same examples, or parts of one set of examples."""
    if one is None or other is None:
        return False
    first, second = (each.arguments.value("dataset") for each in (one, other))
    if first is None or second is None or first is second:
        return True
    one_from, other_from = sources((one.value,)), sources((other.value,))
    are_parts = any(_name(value) in _PARTS for value in one_from | other_from)
    return are_parts and not one_from.isdisjoint(other_from)
