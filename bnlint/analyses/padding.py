"""Whether a normalisation takes its statistics over padded sequences, in an eager program that pads them itself.

What it normalises is followed back to where the sequences are padded, and the tensors that are packed are followed
back to what was normalised before: what is packed with lengths was padded until then. Each axis is followed, too: a
layer that mixes the steps, and one vector for each sequence, end the search, as does everything that is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bnlint.analyses.batches import batch_size
from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value, World, maker, sources
from bnlint.eager import Padded, Rearranged
from bnlint.findings import Step
from bnlint.trace import NormCall, Trace

_DEEPEST = 60
_BATCH, _STEPS, _FEATURES, _MERGED = "batch", "steps", "features", "steps of all examples"
Axes = tuple[str, ...]

_SAME = frozenset("to cuda cpu float double half detach clone type".split())
_RECURRENT = frozenset(f"torch.nn.{kind}" for kind in ("LSTM", "GRU", "RNN"))
_KEEPS = frozenset(
    [
        f"torch.nn.{name}"
        for name in "ReLU ReLU6 LeakyReLU ELU PReLU GELU SiLU SELU Softplus Tanh Sigmoid Hardtanh Hardswish Identity "
        "Dropout Dropout1d Dropout2d AlphaDropout LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d".split()
    ]
    + [
        f"torch.nn.functional.{name}"
        for name in "relu relu6 leaky_relu elu gelu silu selu softplus tanh sigmoid hardtanh dropout dropout1d "
        "layer_norm".split()
    ]
    + "torch.relu torch.tanh torch.sigmoid torch.dropout".split()
)
_LINEAR = "torch.nn.Linear"
_EMBEDDING = "torch.nn.Embedding"
_OVER_STEPS = frozenset(f"torch.nn.{name}" for name in "Conv1d MaxPool1d AvgPool1d".split())
"""Layers that go along the last of three axes."""
_MAPS = frozenset(f"torch.nn.{name}" for name in "Conv2d MaxPool2d AvgPool2d".split())
_OF_MAPS = ("torch.nn.BatchNorm2d", "torch.nn.BatchNorm3d")
_SUMS = frozenset("add sub mult div".split())
_SHAPE = frozenset({"size", "shape"})
_FULL = frozenset("full full_like new_full ones ones_like new_ones empty".split())
_ORDERS = frozenset("sort argsort".split())


@dataclass(slots=True)
class _Moves:
    """What the program pads and rearranges."""

    padded: dict[Value, Padded] = field(default_factory=dict)
    rearranged: dict[Value, Rearranged] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Sequences:
    """Padded sequences."""

    source: Padded
    axes: Axes
    certain: bool
    """Whether there certainly is an axis of features."""


def padding(call: NormCall, trace: Trace) -> tuple[Step, ...]:
    """How padding comes into the statistics of a normalisation; empty if it is not known to."""
    moves, packed = _moves(trace)
    known = batch_size(call, trace) if moves.padded else None
    if not moves.padded or call.training(World(call.guards)) is False or (known and known[0] == 1):
        return ()
    pack = packed.get(call)
    if pack is not None:
        return (Step(pack.site, "the same sequences are packed only here: until then they are padded"),)
    found = _sequences(call.input, moves, _DEEPEST)
    if found is None or not found.certain or not {_STEPS, _MERGED} & set(found.axes):
        return ()
    told = "the sequences that are packed here are padded" if found.source.packed else "padded here"
    return (Step(found.source.site, told),)


def _moves(trace: Trace) -> tuple[_Moves, dict[NormCall, Padded]]:
    """What is known of a program, and the normalisations of what is packed later."""
    known: tuple[_Moves, dict[NormCall, Padded]] | None = trace.facts.get("padded sequences")
    if known is None:
        events = [each for each in trace.of(Padded) if not _equally_long(each.value, each.lengths)]
        moves = _Moves({each.value: each for each in events})
        if events:
            moves.rearranged = {each.result: each for each in trace.of(Rearranged)}
        packed = {
            call: each
            for each in events
            if each.packed and (beginning := _beginning(each)) is not None
            for call in _normalised(each.value, beginning.axes, (), moves, _DEEPEST)
        }
        known = trace.facts["padded sequences"] = (moves, packed)
    return known


def _equally_long(padded: Value, lengths: Value) -> bool:
    """Whether lengths are certainly all the same, or are computed of nothing but the shape of a padded tensor."""
    items = getattr(lengths, "items", None)
    if isinstance(items, tuple):
        values = {each.value if isinstance(each, Const) else each for each in items}
        return len(values) == 1 and (isinstance(items[0], Const) or padded in sources(items))
    name = _name(lengths)
    if name in _FULL or name in _SHAPE or (name == "len" and padded in sources((lengths,))):
        return True
    inside = lengths.sources if isinstance(lengths, Unknown) else ()
    return bool(inside) and all(_equally_long(padded, each) for each in inside)


def _name(value: Value) -> str:
    return maker(value).rpartition(".")[2]


# -- from the padding to a normalisation ---------------------------------------------------------------


def _sequences(value: Value, moves: _Moves, depth: int) -> _Sequences | None:
    """The padded sequences that a value certainly is."""
    if depth == 0:
        return None
    source = moves.padded.get(value)
    if source is not None:
        return _beginning(source)
    if isinstance(value, Choice):
        options = [_sequences(option, moves, depth // 2) for _, option in value.options]
        return options[0] if None not in options else None
    rearranged = moves.rearranged.get(value)
    if rearranged is not None:
        before = _sequences(rearranged.value, moves, depth - 1)
        return None if before is None else _after(rearranged, before)
    if isinstance(value, Unknown):
        inside = value.sources if _name(value) in _SAME else ()
        return next((found for each in inside if (found := _sequences(each, moves, depth - 1))), None)
    if not isinstance(value, Node):
        return None
    if value.op in _SUMS:
        return next(
            (found for each in value.attrs["operands"] if (found := _sequences(each, moves, depth // 2))),
            None,
        )
    data = _data(value)
    before = _sequences(data, moves, depth - 1) if data is not None else None
    return None if before is None else _computed(value, before)


def _beginning(source: Padded) -> _Sequences | None:
    first = source.batch_first.value if isinstance(source.batch_first, Const) else None
    if not isinstance(first, bool):
        return None
    axes = (_BATCH, _STEPS, _FEATURES) if first else (_STEPS, _BATCH, _FEATURES)
    return _Sequences(source, axes, source.vectors)


def _data(node: Node) -> Value | None:
    """The one tensor that an operation computes with."""
    if node.op == Op.NORM:
        call: NormCall = node.attrs["call"]
        return call.input
    if node.op == "item" and _is_order(node.attrs["key"]):
        return node.inputs[0]
    tensors = [each for each in node.inputs if not (isinstance(each, Node) and each.op == Op.VARIABLE)]
    if len(tensors) > 1 and _api(node) in _RECURRENT:
        # The state that it begins with is given, too.
        tensors = tensors[:1]
    return tensors[0] if len(tensors) == 1 else None


def _is_order(key: Value) -> bool:
    """Whether an index is the order that a sort gives: it takes the same sequences in another order."""
    while isinstance(key, Node) and key.op in ("part", "item"):
        key = key.inputs[0]
    return _name(key) in _ORDERS


def _api(node: Node) -> str:
    api: str = node.attrs["api"] if node.op == Op.WEIGHTED else node.op
    return api.removesuffix(".__call__").removesuffix(".forward")


def _computed(node: Node, before: _Sequences) -> _Sequences | None:
    api, axes = _api(node), before.axes
    if node.op == Op.NORM or api in _KEEPS or api in _RECURRENT:
        return replace(before, certain=before.certain or api in _RECURRENT)
    if _is_first(node) or (node.op == "item" and _is_order(node.attrs["key"])):
        return before
    if api == _LINEAR:
        return before if before.certain and axes[-1] == _FEATURES else None
    if api == _EMBEDDING and not before.certain:
        return replace(before, certain=True)
    if api in _OVER_STEPS or api in _MAPS:
        rank = 3 if api in _OVER_STEPS else 4
        return replace(before, certain=True) if len(axes) == rank and axes[1] == _FEATURES else None
    return None


def _is_first(node: Node) -> bool:
    """Whether a value is all outputs of a recurrent layer, and not its last state."""
    key = node.attrs.get("key")
    first = node.attrs.get("index") == 0 if node.op == "part" else isinstance(key, Const) and key.value == 0
    made_by = node.inputs[0] if node.op in ("part", "item") and first else None
    return isinstance(made_by, Node) and _api(made_by) in _RECURRENT


def _after(move: Rearranged, before: _Sequences) -> _Sequences | None:
    """The sequences with their axes rearranged."""
    axes, numbers = before.axes, _numbers(move.given)
    match move.by:
        case "transpose" | "permute":
            order = _order(move, len(axes))
            certain = before.certain or (numbers is not None and max(numbers) >= 2)
            if order is None:
                return None
            return replace(before, axes=tuple(axes[index] for index in order), certain=certain)
        case "unsqueeze" if numbers is not None and numbers[0] in (1, 2):
            return replace(before, axes=(*axes[: numbers[0]], _FEATURES, *axes[numbers[0] :]))
        case "view" | "reshape" | "flatten" | "unsqueeze":
            merged = axes[-1] == _FEATURES and before.certain and _merges(move)
            return replace(before, axes=(_MERGED, *axes[2:])) if merged and len(axes) == 3 else None
    return before


def _order(move: Rearranged, rank: int) -> tuple[int, ...] | None:
    """From where each axis is taken; None if that is not known."""
    numbers = _numbers(move.given)
    if numbers is None or any(not -rank <= number < rank for number in numbers):
        return None
    found = [number % rank for number in numbers]
    if move.by == "permute":
        return tuple(found) if sorted(found) == list(range(rank)) else None
    order = list(range(rank))
    if len(found) == 2:
        order[found[0]], order[found[1]] = found[1], found[0]
    return tuple(order)


def _numbers(given: tuple[Value, ...]) -> list[int] | None:
    found = [each.value for each in given if isinstance(each, Const) and type(each.value) is int]
    return found if found and len(found) == len(given) else None


def _merges(move: Rearranged) -> bool:
    """Whether the first two axes certainly become one: ``view(b * t, -1)``, ``view(-1, x.size(2))``."""
    if move.by == "flatten":
        return _numbers(move.given) == [0, 1]
    if len(move.given) != 2:
        return False
    first, second = move.given
    if isinstance(first, Const) and first.value == -1:
        return _is_size(second)
    return isinstance(first, Unknown) and not first.hint and len(first.sources) == 2


def _is_size(value: Value) -> bool:
    """Whether a value is one entry of a shape, and not a product of several."""
    for _ in range(3):
        if not isinstance(value, Unknown):
            return _name(value) in _SHAPE
        if _name(value) in _SHAPE:
            return True
        if len(value.sources) != 1:
            return False
        value = value.sources[0]
    return False


# -- from a normalisation to where its sequences are packed --------------------------------------------


def _normalised(
    value: Value, axes: Axes | None, doubtful: tuple[NormCall, ...], moves: _Moves, depth: int
) -> Iterator[NormCall]:
    """The normalisations of all steps of what is packed later.

    ``axes`` is None where a view has hidden them; until something shows that the steps of all examples are there,
    normalisations are in doubt.
    """
    if depth == 0:
        return
    if isinstance(value, Choice):
        for _, option in value.options:
            yield from _normalised(option, axes, doubtful, moves, depth // 2)
        return
    if isinstance(value, Unknown) and value not in moves.rearranged:
        for each in value.sources if _name(value) in _SAME else ():
            yield from _normalised(each, axes, doubtful, moves, depth - 1)
        return
    step = _before(value, axes, moves)
    if step is None:
        return
    if isinstance(value, Node) and value.op == Op.NORM:
        call: NormCall = value.attrs["call"]
        doubtful = (*doubtful, call)
        step = replace(step, shown=axes is not None or call.layer.api in _OF_MAPS)
    if step.shown:
        yield from doubtful
        doubtful = ()
    yield from _normalised(step.value, step.axes, doubtful, moves, depth - 1)


@dataclass(frozen=True, slots=True)
class _Back:
    """One operation further back."""

    value: Value
    axes: Axes | None
    shown: bool = False
    """Whether the operation shows that the steps of all examples are there."""


def _before(value: Value, axes: Axes | None, moves: _Moves) -> _Back | None:
    """What an operation was given; None if that need not be the same steps."""
    move = moves.rearranged.get(value)
    if move is not None:
        return _moved_back(move, axes)
    data = _data(value) if isinstance(value, Node) else None
    if not isinstance(value, Node) or data is None:
        return None
    api = _api(value)
    if value.op in (Op.NORM, "item") or api in _KEEPS:
        return _Back(data, axes)
    if api == _LINEAR:
        return _Back(data, axes) if axes is None or axes[-1] == _FEATURES else None
    if api in _OVER_STEPS:
        return _Back(data, axes, True) if axes in (None, (_BATCH, _FEATURES, _STEPS)) else None
    return _Back(data, axes, True) if api in _MAPS and axes is None else None


def _moved_back(move: Rearranged, axes: Axes | None) -> _Back | None:
    numbers = _numbers(move.given)
    match move.by:
        case "transpose" | "permute" if axes is None:
            return _Back(move.value, None, numbers is not None and max(numbers) >= 2)
        case "transpose" | "permute" if axes is not None:
            order = _order(move, len(axes))
            if order is None:
                return None
            return _Back(move.value, tuple(axes[order.index(index)] for index in range(len(axes))))
        case "unsqueeze":
            return None
        case "view" | "reshape" | "flatten":
            merges = _merges(move)
            return _Back(move.value, None, merges) if merges or _separates(move) else None
    return _Back(move.value, axes)


def _separates(move: Rearranged) -> bool:
    """Whether the result of a view has the axes of the examples and of the steps, or more of them."""
    return len(move.given) > 2 if move.by != "flatten" else (_numbers(move.given) or [0])[0] >= 2
