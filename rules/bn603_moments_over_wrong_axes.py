"""Feature maps of a convolution, normalised over the batch axis alone.

## What it does

Reports a hand-written batch norm whose moments run over axis 0 only, although its input is the output of a
convolution and so has positions as well.

## Why it is bad

A convolution is the same at every position, and batch norm must keep that: one mean and variance for each
channel, over batch and positions. Over axis 0 alone every position gets statistics of its own from a
handful of examples. They are noisy, tie the network to one image size, and make the layer treat the same
pattern differently at different places.

## When it is not a bug

- The input has no positions any more: after a global pooling or a flatten axis 0 is right.
- A mean image that is subtracted from input pixels.

## Example

```python
x = tf.layers.conv2d(x, 32, 3)
mean, variance = tf.nn.moments(x, [0])
x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
```

## Use instead

```python
mean, variance = tf.nn.moments(x, [0, 1, 2])
```

## Fix safety

The fix changes the shape of the statistics and with it that of stored checkpoints, so it is only shown.

## Confirmed by

`bnlint run`: a hand-written layer that normalised with the statistics of its batch (RP4) has one mean for
each element of three axes or more, not one for each channel (RP8). Maps with a single positional axis are
left alone, because a run does not show whether it is one.

## Known limits

Only inputs whose rank follows from a convolution and operations that keep it are looked at.

## References

- Ioffe and Szegedy, Batch Normalization, 2015, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.handmade import Handmade, handmade
from bnlint.dataflow import Choice, Node, Op, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_SPATIAL = {"conv1d": 1, "conv2d": 2, "conv3d": 3, "convolution2d": 2}
"""How many positional axes the output of a convolution has."""
_SAME_RANK = frozenset(
    "tf.nn.relu tf.nn.elu tf.nn.selu tf.nn.relu6 tf.nn.leaky_relu tf.nn.tanh tf.tanh tf.nn.sigmoid "
    "tf.sigmoid tf.nn.softplus tf.nn.bias_add tf.nn.dropout tf.layers.dropout tf.nn.max_pool tf.nn.avg_pool "
    "tf.layers.max_pooling2d tf.layers.average_pooling2d tf.pad tf.abs tf.square".split()
)
_SAME_RANK_IDENTITIES = frozenset({"tf.identity", "tf.cast", "tf.to_float", "tf.check_numerics", "tf.Print"})


class MomentsOverWrongAxes(Rule):
    """One mean for each position of a feature map."""

    code = "BN603"
    name = "moments-over-wrong-axes"
    group = Group.WARNING
    frameworks = ("tensorflow1",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        seen: set[Location] = set()
        for layer in handmade(trace):
            site = layer.call.site
            moments = min(layer.moments, key=lambda node: node.order)
            convolution = _convolution(layer.call.input)
            if site in seen or convolution is None or not _over_batch_alone(layer):
                continue
            seen.add(site)
            count = _spatial(convolution)
            axes = ", ".join(map(str, range(count + 1)))
            yield self.finding(
                site,
                "feature maps are normalised over the batch axis alone: every position gets statistics of "
                "its own instead of every channel",
                (
                    Step(convolution.site, f"this convolution makes maps with {count} positional axes"),
                    Step(moments.site, "the moments are taken over axis 0 alone"),
                    Step(site, "and the maps are normalised with them"),
                ),
                Fix(Applicability.DISPLAY, f"take the moments over `[{axes}]` (channels last)"),
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.lives import lives, place_of_step
        from bnlint.runtime.observed import Mode

        seen: set[Location] = set()
        for life in lives(observed):
            site, layer, steps = life.site(observed), life.layer, life.trained_by(Mode.BATCH)
            maps = layer.api.startswith("tf.nn.") and layer.axes[:1] == [1] and len(layer.axes) > 2
            if not maps or not steps or site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"`{layer.name}` normalised over the batch axis alone, with {layer.channels:,} means: every position "
                "gets statistics of its own instead of every channel",
                (
                    Step(site, "the maps are normalised here"),
                    Step(place_of_step(steps[0].run, observed), "and trained here"),
                ),
            )


def _over_batch_alone(layer: Handmade) -> bool:
    """Whether every moment is of the layer's own input and runs over axis 0 only."""
    return all(
        node.attrs["axes"] == (0,) and (node.attrs["of"] is layer.call.input or node.attrs["which"] == "mean")
        for node in layer.moments
    ) and any(node.attrs["of"] is layer.call.input for node in layer.moments)


def _convolution(value: Value) -> Node | None:
    """The convolution whose maps a value certainly is, through operations that keep the rank."""
    for _ in range(40):
        if isinstance(value, Choice) or not isinstance(value, Node):
            return None
        if value.op == Op.WEIGHTED:
            return value if _spatial(value) else None
        if value.op == Op.NORM:
            value = value.attrs["call"].input
        elif value.op in _SAME_RANK or (
            value.op == Op.IDENTITY and value.attrs.get("api") in _SAME_RANK_IDENTITIES
        ):
            if not value.inputs:
                return None
            value = value.inputs[0]
        elif value.op == "add":
            left, right = value.attrs["operands"]
            value = left if isinstance(left, Node) and left.op != Op.VARIABLE else right
        else:
            return None
    return None


def _spatial(node: Node) -> int:
    short = node.attrs["api"].rpartition(".")[2].lower().removesuffix("transpose").rstrip("_")
    for word in ("depthwise_", "separable_", "atrous_", "separable"):
        short = short.removeprefix(word)
    return _SPATIAL.get(short.removesuffix("_native"), 0)
