"""A hand-written layer whose moving statistics are not what they have to be.

## What it does

Looks at the layers of a program (`keras.layers.Layer`, `keras.Model`, `tf.Module`) that keep moving averages of the
mean and the variance of the batch, and reports averages

- that are plain attributes and not variables,
- that are trainable variables,
- that move at every call, because the layer's `call` takes no phase.

## Why it is bad

An attribute is no state: a compiled function, such as `fit` makes, computes it once, while it is traced, and fails or
goes on with old values; and no checkpoint holds it. A
trainable average gets gradients and weight decay, and is counted and averaged like a weight. Averages that always move
take in the data of the evaluation.

## When it is not a bug

- Weights that are set once from the first batch (weight normalisation, ActNorm): that is no average.
- A layer that makes its averages with `add_weight(…, trainable=False)` or `tf.Variable(…, trainable=False)` and assigns
  to them in training only.
- Instance, layer and group normalisation, which keep nothing.

## Example

```python
def call(self, x, training=None):
    if training:
        mean, variance = tf.nn.moments(x, axes=[0])
        self.mean = 0.9 * self.mean + 0.1 * mean
        self.variance = 0.9 * self.variance + 0.1 * variance
```

## Use instead

```python
def build(self, shape):
    self.mean = self.add_weight(name="mean", shape=shape[-1:], initializer="zeros", trainable=False)
    self.variance = self.add_weight(name="variance", shape=shape[-1:], initializer="ones", trainable=False)

def call(self, x, training=None):
    if training:
        mean, variance = tf.nn.moments(x, axes=[0])
        self.mean.assign(0.9 * self.mean + 0.1 * mean)
        self.variance.assign(0.9 * self.variance + 0.1 * variance)
```

## Fix safety

For a weight that is made without a word about it the fix says `trainable=False`. It is unsafe, because checkpoints
may list their weights in another order afterwards. All else is only shown.

## Confirmed by

Nothing: a run sees a hand-written layer by its formula and not by its attributes. What follows from it, such as an
evaluation that depends on the batch, is reported as BN105.

## Known limits

Only averages of `tf.nn.moments`, `tf.reduce_mean` and `tf.math.reduce_variance` over an axis of the batch are
recognised, and only those whose shares are constants. A layer that keeps nothing at all is BN105. Swapped branches
are not looked for.

## References

- https://github.com/d2l-ai/d2l-en/issues/2086
- https://github.com/keras-team/keras/pull/5709
- Keras: `Layer.add_weight`, and "Making new layers and models via subclassing".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.analyses.handmade import ingredients, keeps
from bnlint.analyses.written import Source, parameters, source
from bnlint.dataflow import Node, Op, World
from bnlint.findings import Applicability, Finding, Fix, Group, Location, SetKeyword, Step
from bnlint.rule import Rule
from bnlint.trace import Trace
from bnlint.words import is_phase_name

_LAYERS = frozenset({"Layer", "Model", "Module"})
_STATE = "keep it in a variable: `add_weight(…, trainable=False)` in `build`, and `assign` in `call`"
_SWITCH = "give `call` the parameter `training=None`, and let the statistics move if it is true"


class CustomNormUnfinished(Rule):
    """A moving average that is no state, is trained, or moves in evaluation."""

    code = "BN608"
    name = "custom-norm-unfinished"
    group = Group.WARNING
    frameworks = ("keras",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once for each of the mistakes."""
        by_layer: dict[ast.ClassDef, list[_Average]] = {}
        for average in _averages(trace):
            by_layer.setdefault(average.owner, []).append(average)
        for averages in by_layer.values():
            if {average.of_variance for average in averages} == {False, True}:
                yield from self._unfinished(averages, trace)

    def _unfinished(self, averages: list[_Average], trace: Trace) -> Iterator[Finding]:
        attribute = next((average for average in averages if average.variable is None), None)
        if attribute is not None:
            yield self.finding(
                attribute.site,
                f"the moving statistics are kept in `{attribute.name}`, which is no variable: they are lost in a "
                "compiled function, and no checkpoint holds them",
                (
                    Step(attribute.moments, "the statistics of the batch"),
                    Step(attribute.site, "averaged here"),
                ),
                Fix(Applicability.DISPLAY, _STATE),
            )
            return
        for average in averages:
            variable = average.variable
            if variable is not None and World().truth(variable.attrs["trainable"]) is True:
                yield self.finding(
                    variable.site,
                    "the moving statistics are a trainable weight, which the optimizer changes too",
                    (
                        Step(variable.site, "the weight is made here, without `trainable=False`"),
                        Step(average.site, "a moving average is assigned to it here"),
                    ),
                    _fix(variable, trace),
                )
                return
        first = averages[0]
        if all(average.always for average in averages):
            yield self.finding(
                first.site,
                "the moving statistics move at every call, in evaluation too: the layer knows no phase",
                (
                    Step(first.moments, "the statistics of the batch"),
                    Step(first.site, "averaged here, always"),
                ),
                Fix(Applicability.DISPLAY, _SWITCH),
            )


@dataclass(frozen=True, slots=True)
class _Average:
    """A moving average of the batch's statistics in a layer's method."""

    owner: ast.ClassDef
    site: Location
    moments: Location
    of_variance: bool
    name: str
    variable: Node | None
    """Where it is kept; None for an attribute."""
    always: bool
    """Whether it moves at every call of the layer, whatever the phase."""


def _averages(trace: Trace) -> Iterator[_Average]:
    seen: set[Location] = set()
    for node in trace.nodes:
        found = None
        if node.op == Op.ASSIGN and node.site not in seen:
            found = _assigned(node, trace)
        elif node.op == "add" and node.site not in seen:
            found = _in_attribute(node, trace)
        if found is not None:
            seen.add(node.site)
            yield found


def _assigned(node: Node, trace: Trace) -> _Average | None:
    """An average that is assigned to a variable."""
    variable, share = node.attrs["variable"], keeps(node)
    if (
        not isinstance(variable, Node)
        or variable.op != Op.VARIABLE
        or share is None
        or not 0 < share.value < 1
    ):
        return None
    return _average(node, variable, "", source(node.site, trace))


def _in_attribute(node: Node, trace: Trace) -> _Average | None:
    """An average that takes the place of an attribute from which it is computed."""
    written = source(node.site, trace)
    total = written.at(node.site, ast.BinOp) if written else None
    statement = written.parent(total) if written and total else None
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or total is None:
        return None
    target = statement.targets[0]
    if not isinstance(target, ast.Attribute) or ast.unparse(target.value) != "self":
        return None
    name = ast.unparse(target)
    sides = (total.left, total.right)
    products = all(isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult) for side in sides)
    again = sum(any(ast.unparse(part) == name for part in ast.walk(side)) for side in sides) == 1
    return _average(node, None, name, written) if products and again else None


def _average(node: Node, variable: Node | None, name: str, written: Source | None) -> _Average | None:
    moments = [each for each in ingredients(node.inputs).moments if each.attrs["batch"] is True]
    call = written.at(node.site, ast.expr) if written else None
    if not moments or written is None or call is None:
        return None
    method, owner = written.around(call, ast.FunctionDef), written.around(call, ast.ClassDef)
    if method is None or owner is None or not _is_layer(owner):
        return None
    first = min(moments, key=lambda each: each.order)
    of_variance = any(each.attrs["which"] == "variance" or _is_squared(each) for each in moments)
    always = _knows_no_phase(method) and not node.branch and not node.context.guards
    return _Average(owner, node.site, first.site, of_variance, name, variable, always)


def _is_squared(mean: Node) -> bool:
    """Whether a mean is one of squares, as a variance is computed by hand."""
    of = mean.attrs["of"]
    return isinstance(of, Node) and of.op in ("tf.square", "pow", "tf.pow")


def _is_layer(owner: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] in _LAYERS for base in owner.bases)


def _knows_no_phase(method: ast.FunctionDef) -> bool:
    """Whether it is the `call` of a layer that is told no phase and decides nothing."""
    told = method.args.kwarg is not None or any(is_phase_name(each.arg) for each in parameters(method))
    decides = any(isinstance(part, ast.If | ast.IfExp) for part in ast.walk(method))
    return method.name in ("call", "__call__") and not told and not decides


def _fix(variable: Node, trace: Trace) -> Fix:
    written = source(variable.site, trace)
    call = written.at(variable.site, ast.Call) if written else None
    if call is None or len(call.args) > 2 or any(given.arg is None for given in call.keywords):
        return Fix(Applicability.DISPLAY, "make the weight with `trainable=False`")
    edit = SetKeyword(variable.site, "trainable", "False")
    return Fix(Applicability.UNSAFE, "make the weight with `trainable=False`", (edit,))
