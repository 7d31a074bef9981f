"""A layer with a bias right before a batch norm that has an offset of its own.

## What it does

Reports a dense layer or a convolution with a bias, and without an activation, of which the output goes into batch
norm and nowhere else.

## Why it is bad

Batch norm subtracts the mean of its input, and with it the bias, whatever that is. In training the bias gets no
gradient but that of rounding; in inference the moving mean holds it. What remains is a vector of weights for each
layer that is stored, loaded and decayed for nothing.

## When it is not a bug

- The norm has no offset (`center=False`, `affine=False`), or the layer's output is used elsewhere as well.
- The weights come from another program, which has the bias.

## Example

```python
x = layers.Conv2D(64, 3)(x)
x = layers.BatchNormalization()(x)
```

## Use instead

```python
x = layers.Conv2D(64, 3, use_bias=False)(x)
x = layers.BatchNormalization()(x)
```

In PyTorch, `nn.Conv2d(32, 64, 3, bias=False)`.

## Fix safety

The fix makes the layer without a bias. The network computes what it did, but checkpoints of the old one have a weight
more and do not fit, and other random numbers may be drawn for what is made later; it is unsafe.

## Confirmed by

Nothing: the bias does no harm that a run could show.

## Known limits

A program that loads weights, or that does not train, is left alone. So are layers that are also applied without the
norm.

## References

- Ioffe and Szegedy, Batch Normalization, 2015, section 3.2: the bias is subsumed by the offset.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.analyses.consumers import consumers
from bnlint.analyses.layout import layout, normalised_axis
from bnlint.dataflow import Const, Node, Op, Value
from bnlint.findings import (
    Applicability,
    Finding,
    Fix,
    Group,
    Location,
    ReplaceExpression,
    SetKeyword,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import Made, NormCall, Save, Trace, TrainStep

_LOADS = ("load_weights", "set_weights", "load_model", "init_from_checkpoint", "warm_start_from")
_TORCH = "torch.nn."
_APIS = ("keras.layers.", "tf.layers.", "tf.contrib.layers.", _TORCH)
_KINDS = ("dense", "conv", "fully_connected", "linear")
_NEITHER = ("lstm", "einsum", "bilinear")


class BiasBeforeNorm(Rule):
    """A bias that the next layer takes away."""

    code = "BN901"
    name = "bias-before-norm"
    group = Group.INFO
    fixable = (Applicability.UNSAFE,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place where a layer is made once, if all that is made there is normalised."""
        for site, nodes in _by_place(trace).items():
            norms = [_norm_after(node, trace) for node in nodes]
            if norms[0] is not None and None not in norms and all(map(_has_plain_bias, nodes)):
                yield self._finding(site, nodes[0].attrs["made"], norms[0])

    def _finding(self, site: Location, made: Made, norm: NormCall) -> Finding:
        return self.finding(
            site,
            "the bias of this layer does nothing: the batch norm after it subtracts the mean and adds an offset of "
            "its own",
            (
                Step(site, "this layer adds a bias"),
                Step(norm.site, "and this one takes it away; nothing else gets the output"),
            ),
            _fix(site, made, norm.layer.framework == "pytorch"),
        )


def _by_place(trace: Trace) -> dict[Location, list[Node]]:
    """What layers with weights make, by where these are made; nothing if the program does not train them, or if
    weights come from another program."""
    if not any(trace.of(TrainStep)) or any(trace.mentions(word) for word in _LOADS):
        return {}
    if any(save.restores and not save.saves for save in trace.of(Save)):
        return {}
    found: dict[Location, list[Node]] = {}
    for node in trace.nodes:
        if node.op == Op.WEIGHTED and isinstance(node.attrs.get("made"), Made):
            found.setdefault(node.attrs["made"].site, []).append(node)
    return found


def _has_plain_bias(node: Node) -> bool:
    """Whether a layer certainly adds a bias, and does nothing to the sum."""
    made: Made = node.attrs["made"]
    api = node.attrs["api"].removesuffix(".__call__").removesuffix(".call").removesuffix(".apply")
    kind = api.rpartition(".")[2].lower()
    if (
        not api.startswith(_APIS)
        or not any(word in kind for word in _KINDS)
        or any(word in kind for word in _NEITHER)
    ):
        return False
    arguments = made.arguments
    if arguments.open or made.wrapper:
        return False
    if api.startswith(_TORCH):
        return _is_true(arguments.value("bias"))
    if "bias" in arguments.named:
        return False
    if api.startswith("tf.contrib."):
        plain = _is_none(arguments.value("activation_fn"), False) and _is_none(
            arguments.value("normalizer_fn"), True
        )
        return plain and "biases_initializer" not in arguments.named
    biased = arguments.value("use_bias")
    return _is_none(arguments.value("activation"), True) and _is_true(biased)


def _is_true(value: Value | None) -> bool:
    """Whether a switch that is on by default is on."""
    return value is None or (isinstance(value, Const) and value.value is True)


def _is_none(value: Value | None, default: bool) -> bool:
    return default if value is None else isinstance(value, Const) and value.value in (None, "linear")


def _norm_after(node: Node, trace: Trace) -> NormCall | None:
    """The batch norm that is the only one to get what a layer makes, and that has an offset for each of its biases."""
    takers = consumers(node, trace)
    calls = {taker.attrs.get("call") if isinstance(taker, Node) else None for taker in takers}
    call = calls.pop() if len(calls) == 1 else None
    if not isinstance(call, NormCall) or call.input is not node or call.layer.pretrained:
        return None
    arguments = call.layer.arguments
    of_torch = call.layer.framework == "pytorch"
    if arguments.open or not _is_true(arguments.value("affine" if of_torch else "center")):
        return None
    if of_torch:
        return call
    maps = layout(node)
    rank, channels = (maps.rank, maps.channels) if maps is not None else (2, 1)
    if maps is not None and channels is None:
        channels = rank - 1
    # The number of axes that a dense layer gets is not known, only that its biases are along the last one.
    if maps is None and _says_axis(call):
        return None
    return call if normalised_axis(call.layer, rank) == channels else None


def _says_axis(call: NormCall) -> bool:
    given = call.layer.arguments.value("axis")
    return given is not None and not (isinstance(given, Const) and given.value == -1)


def _fix(site: Location, made: Made, of_torch: bool) -> Fix:
    arguments = made.arguments
    name, value = "bias" if of_torch else "use_bias", "False"
    if "activation_fn" in arguments.named:
        name, value = "biases_initializer", "None"
    given = arguments.site(name) if name in arguments.positional else None
    edit = SetKeyword(site, name, value) if given is None else ReplaceExpression(given, value)
    return Fix(Applicability.UNSAFE, f"make it with `{name}={value}`", (edit,))
