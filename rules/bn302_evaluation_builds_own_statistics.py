"""An evaluation whose batch norm has statistics of its own, which nothing trains.

## What it does

Reports a normalisation that an evaluation runs, where training runs the layer of the same place on the same
weights with other variables: the second call made a second layer (`BatchNorm_1`) instead of sharing the first.

## Why it is bad

The second layer keeps its initial values for ever: scale 1, offset 0, mean 0, variance 1. Evaluation uses the
trained weights of the network and the untrained layer between them.

## When it is not a bug

- The scope is entered again with `reuse=True` or `tf.AUTO_REUSE`, or the call is inside a template.
- Training and evaluation are built in separate graphs and meet in a checkpoint.
- The second layer is trained as well: two networks, or two domains.

## Example

```python
def hidden(x, is_training):
    return tf.contrib.layers.batch_norm(tf.matmul(x, w), is_training=is_training)

train_logits = hidden(x, True)
valid_logits = hidden(x_valid, False)
```

## Use instead

```python
def hidden(x, is_training):
    return tf.contrib.layers.batch_norm(
        tf.matmul(x, w), is_training=is_training, scope="hidden_bn", reuse=tf.AUTO_REUSE
    )
```

## Fix safety

Not fixed automatically: the name that both calls should share is the author's to choose.

## Confirmed by

The training and the inference graph must share the layer's variables (RP7).

## Known limits

A layer whose scope name is computed from something unknown is left alone.

## References

- TensorFlow 1.15, `tf.compat.v1.variable_scope`: default names are made unique.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.dataflow import Node, Op, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Step
from bnlint.paths import parting
from bnlint.phase import executions, runs_training
from bnlint.rule import Rule
from bnlint.trace import NormCall, Origin, Trace, TrainStep


class EvaluationBuildsOwnStatistics(Rule):
    """The evaluation's batch norm does not share the trained layer's variables."""

    code = "BN302"
    name = "evaluation-builds-own-statistics"
    group = Group.ERROR

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report the second layer, once for each place."""
        trained = _trained_calls(trace)
        layers = {call.layer for call in trained}
        weights = _trained_weights(trace)
        if not trained:
            return
        for run, executed in executions(trace).items():
            if any(node.op == Op.TRAIN for node in executed.nodes):
                continue
            if not any(
                weight in weights for node in executed.certain for weight in node.attrs.get("weights", ())
            ):
                continue
            for node in sorted(executed.nodes, key=lambda node: node.order):
                call = _call_of(node)
                if call is None or call.layer in layers or call.layer.name is None:
                    continue
                twin = _twin(call, trained)
                if twin is not None:
                    yield self.finding(
                        parting(call.context, twin.context),
                        f"this makes a second batch-norm layer, `{call.layer.name}`, that is never trained; "
                        f"training uses `{twin.layer.name}`",
                        (
                            Step(twin.site, f"trained here as `{twin.layer.name}`"),
                            Step(call.site, f"built again as `{call.layer.name}`"),
                            Step(run.site, "evaluated here"),
                        ),
                        Fix(Applicability.DISPLAY, "give both calls one `scope` and `reuse=tf.AUTO_REUSE`"),
                    )
                    break


def _trained_calls(trace: Trace) -> list[NormCall]:
    found: dict[NormCall, None] = {}
    for step in trace.of(TrainStep):
        for run in runs_training(step, trace):
            for node in executions(trace)[run].nodes:
                call = _call_of(node)
                if call is not None:
                    found[call] = None
    return sorted(found, key=lambda call: call.order)


def _trained_weights(trace: Trace) -> set[Value]:
    return {
        weight
        for step in trace.of(TrainStep)
        for run in runs_training(step, trace)
        for node in executions(trace)[run].certain
        if node.op == Op.WEIGHTED
        for weight in node.attrs["weights"]
    }


def _call_of(node: Node) -> NormCall | None:
    if node.op != Op.NORM:
        return None
    call: NormCall = node.attrs["call"]
    return None if call.origin is Origin.NONE else call


def _twin(call: NormCall, trained: list[NormCall]) -> NormCall | None:
    """The trained layer that this one should have been: made at the same place, or for the same input."""
    for other in trained:
        if other.layer.graph is call.layer.graph and other.layer.name is not None:
            if other.site == call.site or (
                other.input is call.input and other.output.branch and call.output.branch
            ):
                return other
    return None
