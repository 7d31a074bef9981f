"""Dropout before a batch norm: the moving variance is not that of inference.

## What it does

Reports a dropout whose output goes into batch norm, directly or through dense layers, convolutions and activations
alone.

## Why it is bad

Dropout keeps the mean of what it puts out and makes its variance larger. It is at work in training, where the moving
variance is learned, and not in inference, where it is used: the layer then divides by a deviation that is too large,
and the network sees values that are smaller than those it was trained on. The shift adds up from layer to layer.

## When it is not a bug

- Dropout after the last batch norm, the usual place for it.
- Dropout that stays at work in inference (`training=True`), or that keeps the variance (`AlphaDropout`).
- A network that was found to predict better with it: the shift is smaller for small rates and wide layers.

## Example

```python
x = layers.Dropout(0.5)(x)
x = layers.Dense(64)(x)
x = layers.BatchNormalization()(x)
```

## Use instead

```python
x = layers.Dense(64)(x)
x = layers.BatchNormalization()(x)
x = layers.ReLU()(x)
x = layers.Dropout(0.5)(x)
```

## Fix safety

Only shown: where dropout goes instead, and at which rate, is a matter of design.

## Confirmed by

Nothing: a run tells the formula of each layer, and that one is right.

## Known limits

Only rates that are known to be between 0 and 1. A pooling, a sum or a flatten in between ends the search, although
the shift may get through.

## References

- Li, Chen, Hu and Yang, Understanding the Disharmony between Dropout and Batch Normalization by Variance Shift, 2018,
  sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.dataflow import Const, Node, Op, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Made, NormCall, Run, Trace, Updates

_OF_KERAS = frozenset(
    f"keras.layers.{name}" for name in ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
)
_OF_TORCH = frozenset(f"torch.nn.Dropout{rank}" for rank in ("", "1d", "2d", "3d"))
_WITH_PHASE = {"tf.layers.dropout": "training", "tf.contrib.layers.dropout": "is_training"}
"""Dropout that is told whether values are dropped, and by which parameter."""
_WITHOUT_PHASE = "tf.nn.dropout"
"""Dropout that a rate of 0, or a probability of 1, turns off."""
_LAYERS = ("dense", "conv", "fully_connected", "matmul", "xw_plus_b", "torch.nn.linear")
_ACTIVATIONS = frozenset(
    [
        f"keras.layers.{name}"
        for name in ("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "ThresholdedReLU")
    ]
    + [
        f"tf.nn.{name}"
        for name in ("relu", "relu6", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "bias_add")
    ]
    + ["tf.tanh", "tf.sigmoid"]
    + [
        f"torch.nn.{name}"
        for name in ("ReLU", "ReLU6", "LeakyReLU", "ELU", "GELU", "SiLU", "Tanh", "Sigmoid")
    ]
    + [f"torch.{module}{name}" for module in ("", "nn.functional.") for name in ("relu", "tanh", "sigmoid")]
)
_FARTHEST = 6
"""How many operations there may be in between."""


class DropoutBeforeNorm(Rule):
    """Inference normalises with a variance that dropout made larger."""

    code = "BN902"
    name = "dropout-before-norm"
    group = Group.INFO
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each dropout once, with the first norm after it."""
        seen: set[Location] = set()
        always = _always(trace)
        for call in trace.of(NormCall):
            dropout = _dropout(call.input, trace) if _learns(call) else None
            site = _place(dropout) if dropout is not None else None
            if site is not None and site not in seen | always:
                seen.add(site)
                yield self._finding(site, call)

    def _finding(self, site: Location, call: NormCall) -> Finding:
        return self.finding(
            site,
            "dropout before batch norm: the moving variance is learned with values dropped and used without, so "
            "inference normalises by too large a deviation",
            (
                Step(site, "this makes the variance larger, in training only"),
                Step(call.site, "this learns it, and uses it in inference"),
            ),
            Fix(Applicability.DISPLAY, "put the dropout after the last batch norm, or leave it out"),
        )


def _learns(call: NormCall) -> bool:
    """Whether a norm may learn the moving variance in one call and use it in another."""
    literal = isinstance(call.phase, Const) and call.forward is None
    return not (call.layer.pretrained or call.updates is Updates.NONE or literal)


def _place(dropout: Node) -> Location:
    made: Made = dropout.attrs["made"]
    return made.site


def _always(trace: Trace) -> set[Location]:
    """Where layers of Keras are made that drop values whenever they are called, as far as is known."""
    calls: dict[Location, list[Value | None]] = {}
    for node in trace.nodes:
        if node.op in _OF_KERAS:
            calls.setdefault(_place(node), []).append(node.attrs.get("training"))
    return {
        site
        for site, told in calls.items()
        if all(isinstance(each, Const) and each.value is True for each in told)
    }


def _dropout(value: Value, trace: Trace) -> Node | None:
    """The dropout whose output a norm gets, as it is or weighted, shifted and activated."""
    for _ in range(_FARTHEST):
        if not isinstance(value, Node):
            return None
        if value.op in (*_OF_KERAS, *_OF_TORCH, *_WITH_PHASE, _WITHOUT_PHASE):
            return value if _drops(value, trace) else None
        weighted = value.op == Op.WEIGHTED and _is_linear(value)
        if not weighted and value.op not in _ACTIVATIONS and value.op != "add":
            return None
        data = [each for each in value.inputs if not (isinstance(each, Node) and each.op == Op.VARIABLE)]
        if len(data) != 1:
            return None
        value = data[0]
    return None


def _is_linear(node: Node) -> bool:
    api = node.attrs["api"].lower()
    return "lstm" not in api and any(word in api for word in _LAYERS)


def _drops(node: Node, trace: Trace) -> bool:
    """Whether values are certainly dropped at times, and not always."""
    made: Made | None = node.attrs["made"]
    if made is None or made.wrapper or made.arguments.open:
        return False
    if node.op == _WITHOUT_PHASE:
        rate = made.arguments.value("keep_prob") or made.arguments.value("rate")
        return isinstance(rate, Node) and any(_is_rate(run.world().constant(rate)) for run in trace.of(Run))
    if node.op in _WITH_PHASE:
        told = made.arguments.value(_WITH_PHASE[node.op])
        if told is None or isinstance(told, Const):
            return False
        rate = made.arguments.value("rate") or made.arguments.value("keep_prob")
        return rate is None or _is_rate(rate)
    rate = made.arguments.value("rate") or made.arguments.value("p")
    return (rate is None and node.op in _OF_TORCH) or _is_rate(rate)


def _is_rate(value: Value | None) -> bool:
    return isinstance(value, Const) and isinstance(value.value, float) and 0 < value.value < 1
