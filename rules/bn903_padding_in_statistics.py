"""Padding of sequences that counts in the statistics of batch norm.

## What it does

Reports a batch norm over sequences that are padded, where the steps of the padding are not left out. In Keras: the
mask that tells the padding does not reach the layer, because a convolution or a pooling on the way does not hand it on,
or because there never was one. In PyTorch: the layer normalises what `pad_packed_sequence` or `pad_sequence` has
padded, or what `pack_padded_sequence` packs only afterwards.

## Why it is bad

The mean and the variance are taken over all steps, those of the padding too. How much of a batch is padding changes
from batch to batch and between training and inference, and with it what the layer does to the real steps.

## When it is not a bug

- The mask reaches the layer: batch norm of Keras leaves masked steps out, and dense and recurrent layers,
  activations and dropout hand a mask on.
- The real steps are selected before (`x[mask]`), or what is packed is normalised (`packed.data`).
- There is one vector for each sequence: its last state, its last step, or a mean over its steps.
- All sequences have the same length.

## Example

```python
x = layers.Embedding(1000, 32, mask_zero=True)(tokens)
x = layers.Conv1D(32, 3, padding="same")(x)
x = layers.BatchNormalization()(x)
```

In PyTorch:

```python
x = self.norm(x.transpose(1, 2)).transpose(1, 2)
packed = pack_padded_sequence(x, lengths, batch_first=True)
```

## Use instead

```python
embedding = layers.Embedding(1000, 32, mask_zero=True)
x = layers.Conv1D(32, 3, padding="same")(embedding(tokens))
x = layers.BatchNormalization()(x, mask=embedding.compute_mask(tokens))
```

```python
packed = pack_padded_sequence(x, lengths, batch_first=True)
packed = packed._replace(data=self.norm(packed.data))
```

Or layer normalisation, which looks at no other step.

## Fix safety

Only shown: what the mask is after the layers in between is the author's to say.

## Confirmed by

Nothing: where the mask is lost, or there is none, a run cannot tell padding from data.

## Known limits

In Keras, layers that are given the padded sequences by `fit`, or that follow a `Masking` or an `Embedding` with
`mask_zero=True`. What a layer in between does itself with the mask is not known.

In PyTorch, sequences are not followed through sums over directions, through residual connections before they are
packed, or through a view whose sizes do not tell what becomes of the steps; padding that a `collate_fn` adds is seen
only where the batch is packed. That lengths are the same is known only of lists of equal numbers and of what is
computed of a shape alone.

## References

- Keras 2.15 and 3.15: `BatchNormalization.call` takes `mask`; `Conv1D` and pooling do not support masking.
- PyTorch 2.13: `BatchNorm1d` takes no mask, and its statistics are those of all steps that it is given.
- https://github.com/pytorch/pytorch/issues/70529
- https://github.com/SeanNaren/deepspeech.pytorch/issues/312
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.analyses.layout import normalised_axis
from bnlint.analyses.padding import padding
from bnlint.dataflow import Const, Node, Op, Value, sources
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Made, NormCall, Trace

_LOSES = frozenset(
    f"keras.layers.{name}"
    for name in "Conv1D Convolution1D SeparableConv1D DepthwiseConv1D MaxPooling1D MaxPool1D AveragePooling1D "
    "ZeroPadding1D UpSampling1D Cropping1D".split()
)
"""Layers that keep the axis of the steps and do not hand a mask on."""
_KEEPS = frozenset(
    f"keras.layers.{name}"
    for name in "Dense Activation ReLU LeakyReLU ELU PReLU Dropout SpatialDropout1D GaussianNoise "
    "LayerNormalization".split()
)
_RECURRENT = frozenset(f"keras.layers.{name}" for name in ("LSTM", "GRU", "SimpleRNN"))
_MASKING, _EMBEDDING = "keras.layers.Masking", "keras.layers.Embedding"
_PADS = "keras.utils.pad_sequences"
_IN_KERAS = (
    "nothing tells the layer which steps are padding",
    "give the layer a `mask`, or use layer normalisation",
)
_IN_PYTORCH = (
    "batch norm of PyTorch takes no mask",
    "normalise the real steps alone (`x[mask]`, `packed.data`), or use layer normalisation",
)
"""Why the padding counts, and what to do."""
_RANK = 3
"""Sequences of vectors."""


class PaddingInStatistics(Rule):
    """The statistics are those of the data and of its padding."""

    code = "BN903"
    name = "padding-in-statistics"
    group = Group.INFO
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            site = call.layer.site
            steps = () if site in seen else _padding(call, trace)
            if steps:
                seen.add(site)
                cause, remedy = _IN_PYTORCH if call.layer.framework == "pytorch" else _IN_KERAS
                yield self.finding(
                    site,
                    f"the statistics are taken over padded sequences and {cause}: they depend on how much of a batch "
                    "is filled up",
                    (*steps, Step(call.site, "normalised here, over all steps")),
                    Fix(Applicability.DISPLAY, remedy),
                )


def _padding(call: NormCall, trace: Trace) -> tuple[Step, ...]:
    """What brings padding into the statistics; empty if nothing is known to."""
    if call.layer.framework == "pytorch":
        return padding(call, trace)
    takes_steps = normalised_axis(call.layer, _RANK) == _RANK - 1 and "mask" not in call.arguments.named
    return _without_mask(call.input) if takes_steps else ()


def _without_mask(value: Value) -> tuple[Step, ...]:
    """Where sequences are padded and what loses the mask, if there is one; empty if the layer gets a mask, or if it
    is not known to get padding."""
    loses: Node | None = None
    while isinstance(value, Node):
        api = _api(value)
        if api in _LOSES:
            loses = value
        elif api == _MASKING:
            return _lost(value, loses)
        elif api == _EMBEDDING:
            return _lost(value, loses) if _is_true(value, "mask_zero") else _unmasked(value)
        elif value.op != Op.NORM and api not in _KEEPS and not _keeps_steps(value, api):
            return ()
        data = [each for each in value.inputs if not (isinstance(each, Node) and each.op == Op.VARIABLE)]
        if value.op == Op.NORM:
            data = [value.attrs["call"].input]
        if len(data) != 1:
            return ()
        value = data[0]
    return ()


def _api(node: Node) -> str:
    api: str = node.attrs["api"] if node.op == Op.WEIGHTED else node.op
    return api.removesuffix(".__call__").removesuffix(".call")


def _keeps_steps(node: Node, api: str) -> bool:
    return api in _RECURRENT and _is_true(node, "return_sequences")


def _is_true(node: Node, name: str) -> bool:
    made: Made = node.attrs["made"]
    value = made.arguments.value(name)
    return isinstance(value, Const) and value.value is True


def _lost(masked: Node, loses: Node | None) -> tuple[Step, ...]:
    if loses is None:
        return ()
    return (
        Step(masked.site, "the steps of the padding are masked here"),
        Step(loses.site, "this layer does not hand the mask on"),
    )


def _unmasked(embedding: Node) -> tuple[Step, ...]:
    """The steps for an embedding without a mask of sequences that a trainer was given, if they are padded."""
    made: Made = embedding.attrs["made"]
    if made.arguments.open or "mask_zero" in made.arguments.named:
        return ()
    for data in embedding.inputs:
        given = data.attrs.get("given") if isinstance(data, Node) else None
        for source in sources((given,)) if isinstance(given, Value) else ():
            if isinstance(source, Node) and source.op == _PADS:
                return (
                    Step(source.site, "the sequences are padded here"),
                    Step(embedding.site, "this layer makes no mask of them"),
                )
    return ()
