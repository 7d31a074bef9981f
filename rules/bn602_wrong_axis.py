"""Batch normalisation over another axis than that of the channels.

## What it does

Reports a layer whose `axis` is not where the convolution before it puts the channels: the default, -1, after one with
`data_format="channels_first"`, or `axis=1` after one with the channels last. With PyTorch, reports `BatchNorm1d` of
the outputs of a recurrent layer if its `num_features` is not the size of that layer: it normalises the second axis.

## Why it is bad

The layer takes the last or the first positional axis for the channels. Every column or row of the maps gets a mean,
a variance, a scale and an offset of its own, and the channels are mixed. The weights have the length of the picture's
width and not the number of channels, so the network is tied to one size of picture. Nothing fails. Sequences of
PyTorch's recurrent layers have their features last: with `num_features` set to the number of steps, so that the error
goes away, each step is normalised instead.

## When it is not a bug

- The maps are flattened, pooled to a vector, permuted or passed through a dense layer in between.
- `axis` follows from `keras.backend.image_data_format()`.
- Statistics for each frequency of a spectrogram, as audio networks take them of their input.
- The last step alone (`outputs[:, -1]`), or sequences that are transposed before.

## Example

```python
x = layers.Conv2D(32, 3, data_format="channels_first")(x)
x = layers.BatchNormalization()(x)
```

## Use instead

```python
x = layers.BatchNormalization(axis=1)(x)
```

With PyTorch: `norm(outputs.transpose(1, 2)).transpose(1, 2)`, and `num_features` is the size of the layer.

## Fix safety

The fix says the right axis. It changes the shapes of the layer's weights, so that checkpoints of the old network
cannot be loaded; it is unsafe. A layer that is also used where its axis is right is left to the author. For PyTorch
the fix is shown.

## Confirmed by

`bnlint run`: the axis of the layer is not the one in which the convolution or the recurrent layer that makes its input
puts the channels (RP8).

## Known limits

Where a layer of Keras does not say its format, it comes from a file of the user's, `keras.json`. Such a
convolution counts as one with the channels last only where the shape of the network's input shows it. Spectrograms
that are normalised for each frequency after a convolution look like the bug. A run sees only layers of Keras whose
input a convolution makes directly, and in PyTorch those that autograd follows to a recurrent layer. Where as many
steps as features make PyTorch normalise the wrong axis in silence, the rule is silent, too.

## References

- Ioffe and Szegedy, Batch Normalization, 2015, section 3.2.
- Keras: `BatchNormalization`, argument `axis`.
- https://github.com/xieyulai/LSTM-for-Human-Activity-Recognition-using-2D-Pose_Pytorch/issues/2
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.layout import Layout, axis_parameter, layout, normalised_axis
from bnlint.analyses.sequences import Sequences, sequences
from bnlint.dataflow import Const
from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    Location,
    ReplaceExpression,
    SetKeyword,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import Argument, NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_TRANSPOSE = "normalise `x.transpose(1, 2)`, and give the layer the number of features"


class WrongAxis(Rule):
    """The statistics are those of columns or rows, not of channels."""

    code = "BN602"
    name = "wrong-axis"
    group = Group.WARNING
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        maps = {call: layout(call.input) for call in trace.of(NormCall)}
        wrong = {call: found for call, found in maps.items() if found is not None and _is_wrong(call, found)}
        right = {call.layer.site for call in maps if call not in wrong}
        seen: set[Location] = set()
        for call, found in wrong.items():
            if call.layer.site not in seen:
                seen.add(call.layer.site)
                yield self._finding(call, found, _fix(call, found, call.layer.site not in right))
        for call in trace.of(NormCall):
            steps = sequences(call.input) if call.layer.api == "torch.nn.BatchNorm1d" else None
            size = call.layer.arguments.value("num_features")
            if steps is None or not isinstance(size, Const) or type(size.value) is not int:
                continue
            if size.value != steps.features and call.layer.site not in seen:
                seen.add(call.layer.site)
                yield self._of_steps(call, steps)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.lives import lives

        seen: set[Location] = set()
        for life in lives(observed):
            site, layer = life.site(observed), life.layer
            if (
                site in seen
                or not layer.channels_in
                or layer.axes == layer.channels_in
                or len(layer.axes) != 1
            ):
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"`{layer.name}` took axis {layer.axes[0]} for the channels, and the layer before it puts them in axis "
                f"{layer.channels_in[0]}",
                (Step(site, f"normalised with {layer.channels:,} means"),),
            )

    def _of_steps(self, call: NormCall, found: Sequences) -> Finding:
        axis = "steps" if found.batch_first else "examples"
        return self.finding(
            call.layer.site,
            f"the features come last and the layer normalises the axis after the first: each of the {axis} gets "
            "statistics of its own instead of each feature",
            (
                Step(found.layer.site, f"this layer gives {found.features} features, in the last axis"),
                Step(
                    call.layer.arguments.site("num_features") or call.layer.site, "this is not their number"
                ),
                Step(call.site, "normalised here, without being transposed"),
            ),
            Fix(Applicability.DISPLAY, _TRANSPOSE),
        )

    def _finding(self, call: NormCall, found: Layout, fix: Fix) -> Finding:
        first = found.channels == 1
        place = "first" if first else "last"
        axis = call.layer.arguments.site(axis_parameter(call.layer)) or call.layer.site
        return self.finding(
            call.layer.site,
            f"the channels come {place} and the layer normalises the {'last' if first else 'first positional'} axis: "
            "every column or row gets statistics of its own instead of every channel",
            (
                Step(
                    found.convolution.site,
                    f"this convolution puts the channels {place}, in axis {found.channels}",
                ),
                Step(
                    axis, f"this layer takes axis {normalised_axis(call.layer, found.rank)} for the channels"
                ),
            ),
            fix,
        )


def _is_wrong(call: NormCall, found: Layout) -> bool:
    return {normalised_axis(call.layer, found.rank), found.channels} == {1, found.rank - 1}


def _fix(call: NormCall, found: Layout, always: bool) -> Fix:
    name = axis_parameter(call.layer)
    if name == "data_format":
        formats = (
            {1: "NCW", 2: "NCHW", 3: "NCDHW"} if found.channels == 1 else {1: "NWC", 2: "NHWC", 3: "NDHWC"}
        )
        right = f'"{formats[found.positions]}"'
    else:
        right = "1" if found.channels == 1 else "-1"
    message = f"say `{name}={right}`: the layer's weights get another shape"
    edits = () if call.via or not always else _edits(call, name, right)
    return Fix(Applicability.UNSAFE if edits else Applicability.DISPLAY, message, edits)


def _edits(call: NormCall, name: str, right: str) -> tuple[Edit, ...]:
    made = call.layer.arguments
    given: Argument | None = made.named.get(name)
    if name in made.positional:
        return (ReplaceExpression(given.site, right),) if given is not None and given.site is not None else ()
    return (SetKeyword(call.layer.site, name, right),)
