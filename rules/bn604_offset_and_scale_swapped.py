"""The offset and the scale of a bare batch norm in each other's place, or a standard deviation as variance.

## What it does

Reports a call of `tf.nn.batch_normalization`, `tf.nn.batch_norm_with_global_normalization` or
`tf.nn.fused_batch_norm` that gets the scale variable as offset and the offset variable as scale, or whose
variance is a square root.

## Why it is bad

`tf.nn.batch_normalization` takes the offset before the scale, `tf.nn.fused_batch_norm` the scale before the
offset. With both swapped the normalised values are multiplied by what starts at zero, so the layer puts out
a constant and passes hardly any gradient. A standard deviation in the place of the variance is rooted once
more: the output does not have unit variance.

## When it is not a bug

- Variables with odd names that start as their place demands.
- A scale that starts at zero on purpose, as in the last norm of a residual block.
- A stored standard deviation that is squared before the call.

## Example

```python
x = tf.nn.batch_normalization(x, mean, variance, gamma, beta, 1e-3)
```

## Use instead

```python
x = tf.nn.batch_normalization(x, mean, variance, offset=beta, scale=gamma, variance_epsilon=1e-3)
```

## Fix safety

The fix passes the offset and the scale by their names, with what follows them, or exchanges the values of the two
keywords. It changes what the network computes and what its checkpoints mean, so it is unsafe. For a standard
deviation it is only shown: which of the kept values are roots is a decision.

## Confirmed by

`bnlint run`: the output of the training steps is the formula with the root of the variance in its place, and
not the right one (RP4); or the scale began as zeros and the offset as ones.

## Known limits

What a variable is for follows from how it starts (zeros or ones) and, where that is random, from its name.
Values computed from variables are left alone.

## References

- TensorFlow 1.15: the signatures of `tf.nn.batch_normalization` and `tf.nn.fused_batch_norm`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.handmade import ingredients
from bnlint.analyses.written import is_plain, source
from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value
from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    Location,
    NameArgument,
    ReplaceExpression,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace, Updates
from bnlint.words import words

if TYPE_CHECKING:
    from bnlint.runtime.lives import Life
    from bnlint.runtime.observed import Observed

_SCALES = frozenset({"gamma", "scale", "gain"})
_OFFSETS = frozenset({"beta", "offset", "shift"})
_SLOTS = {"tf.nn.batch_norm_with_global_normalization": ("beta", "gamma")}
"""What an API calls its offset and its scale."""
_ROOTS = frozenset({"tf.sqrt", "tf.reduce_std", "tf.math.sqrt", "tf.math.reduce_std"})


class OffsetAndScaleSwapped(Rule):
    """Arguments of the bare formula in each other's place."""

    code = "BN604"
    name = "offset-and-scale-swapped"
    group = Group.WARNING
    frameworks = ("tensorflow1",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            if call.updates is not Updates.BY_HAND or call.site in seen:
                continue
            finding = self._swapped(call, trace) or self._rooted(call)
            if finding is not None:
                seen.add(call.site)
                yield finding

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.lives import lives

        seen: set[Location] = set()
        for life in lives(observed):
            site, message = life.site(observed), _seen_wrong(life)
            if message and site not in seen:
                seen.add(site)
                yield self.finding(site, message, (Step(site, "normalised here"),))

    def _swapped(self, call: NormCall, trace: Trace) -> Finding | None:
        first, second = _SLOTS.get(call.layer.api, ("offset", "scale"))
        offset, scale = (_variable(call.arguments.value(name)) for name in (first, second))
        if offset is None or scale is None or not (_is_scale(offset) is True and _is_scale(scale) is False):
            return None
        return self.finding(
            call.site,
            "the scale is passed as offset and the offset as scale: the layer multiplies by what should be "
            "added",
            (
                Step(offset.site, "this is the scale"),
                Step(scale.site, "this is the offset"),
                Step(call.site, f"passed here as `{first}` and `{second}`"),
            ),
            _fix(call, first, second, trace),
        )

    def _rooted(self, call: NormCall) -> Finding | None:
        root = _root(call.variance) if call.variance is not None else None
        if root is None:
            return None
        return self.finding(
            call.site,
            "a standard deviation is passed as variance: the formula takes its root once more, and the "
            "output does not have unit variance",
            (Step(root.site, "this is a standard deviation"), Step(call.site, "passed here as the variance")),
            Fix(Applicability.DISPLAY, "pass the variance itself"),
        )


def _seen_wrong(life: Life) -> str:
    """What is wrong with a layer that was trained, if it is one of these mistakes."""
    from bnlint.runtime.observed import Mode

    layer = life.layer
    for seen in life.trained_by(Mode.NEITHER):
        if seen.passage.suspect == "BN604":
            return f"`{layer.name}` does not compute the formula: {seen.passage.instead}"
    scale, offset = layer.initial_scale, layer.initial_offset
    if life.training and scale is not None and offset is not None:
        if scale.least == scale.most == 0 and offset.least == offset.most == 1:
            return (
                f"`{layer.name}` began with a scale of 0 and an offset of 1: they are in each other's place, and the "
                "layer multiplies by what should be added"
            )
    return ""


def _fix(call: NormCall, first: str, second: str, trace: Trace) -> Fix:
    message = f"pass them as `{first}` and `{second}` the other way round"
    edits = _exchanged(call, first, second, trace)
    return Fix(Applicability.UNSAFE if edits else Applicability.DISPLAY, message, edits)


def _exchanged(call: NormCall, first: str, second: str, trace: Trace) -> tuple[Edit, ...]:
    """The edits that exchange two arguments, if these are written in the call."""
    written = source(call.site, trace)
    node = written.at(call.site, ast.Call) if written else None
    if written is None or node is None or any(isinstance(given, ast.Starred) for given in node.args):
        return ()
    names = call.arguments.positional
    if first in names and second in names:
        other = {first: second, second: first}
        begin = min(names.index(first), names.index(second))
        pairs = zip(names[begin:], node.args[begin:], strict=False)
        return tuple(NameArgument(written.locate(given), other.get(name, name)) for name, given in pairs)[
            ::-1
        ]
    values = [written.at(call.arguments.site(name), ast.expr) for name in (first, second)]
    one, two = values
    if one is None or two is None or not is_plain(one) or not is_plain(two):
        return ()
    return (
        ReplaceExpression(written.locate(one), ast.unparse(two)),
        ReplaceExpression(written.locate(two), ast.unparse(one)),
    )


def _variable(value: Value | None) -> Node | None:
    """The variable that a value is, perhaps through an identity or a reshape."""
    for _ in range(6):
        if not isinstance(value, Node):
            return None
        if value.op == Op.VARIABLE:
            return value
        if value.op != Op.IDENTITY or not value.inputs:
            return None
        value = value.inputs[0]
    return None


def _is_scale(variable: Node) -> bool | None:
    """Whether a variable is a scale (True) or an offset (False), by its start and its name."""
    start, name = variable.attrs.get("start"), variable.attrs.get("name")
    by_start = {0: False, 1: True}.get(start.value) if isinstance(start, Const) else None
    by_name = None
    if isinstance(name, str):
        parts = set(words(name.rpartition("/")[2]))
        if bool(parts & _SCALES) != bool(parts & _OFFSETS):
            by_name = bool(parts & _SCALES)
    if by_start is None or by_name is None:
        return by_name if by_start is None else by_start
    return by_start if by_start == by_name else None


def _root(value: Value, depth: int = 8) -> Node | None:
    """A square root of a variance that a value may be."""
    if isinstance(value, Choice):
        options = [option for _, option in value.options]
    elif isinstance(value, Node) and value.op in _ROOTS:
        under = value.inputs[0] if value.inputs else None
        squared = isinstance(under, Node) and under.op == "tf.square"
        if value.op.endswith("std"):
            return value
        used = ingredients(value.inputs)
        return value if not squared and (used.moments or used.kept) else None
    elif isinstance(value, Node) and value.op == Op.COND:
        options = list(value.inputs[1:])
    elif isinstance(value, Node) and value.op == Op.IDENTITY:
        options = list(value.inputs)
    else:
        return None
    found = [_root(option, depth - 1) for option in options if depth and not isinstance(option, Unknown)]
    return next((root for root in found if root is not None), None)
