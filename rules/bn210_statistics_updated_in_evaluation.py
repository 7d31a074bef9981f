"""Moving statistics that evaluation updates as well.

## What it does

Reports the update of a hand-written batch norm's moving statistics that certainly runs while the layer
normalises with those statistics, that is in inference.

## Why it is bad

Every evaluation moves the averages towards the evaluation data: the model that is measured is not the model
that was trained, test data leak into it, and results depend on how often and in which order it was
evaluated. The usual cause: an operation that is created outside the branch functions of `tf.cond` runs
whichever branch is taken, even if only one branch depends on it.

## When it is not a bug

- The update writes back the old value when the phase is off.
- Statistics are re-estimated on purpose: then the layer runs in training mode.
- The update is only fetched in training.

## Example

```python
update = ema.apply([mean, variance])

def with_update():
    with tf.control_dependencies([update]):
        return tf.identity(mean), tf.identity(variance)

m, v = tf.cond(training, with_update, lambda: (ema.average(mean), ema.average(variance)))
```

## Use instead

```python
def with_update():
    with tf.control_dependencies([ema.apply([mean, variance])]):
        return tf.identity(mean), tf.identity(variance)
```

## Fix safety

The fix moves the update into the branch function. It is only shown: the operation may be used elsewhere.

## Confirmed by

An evaluation must not move the moving statistics (RP2).

## Known limits

The layers of `tf.layers`, contrib and slim keep their statistics when their phase is off; with the phase on
it is BN201 that reports.

## References

- TensorFlow 1.15, `tf.cond`: operations defined outside of the branch functions are executed regardless.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.dataflow import Execution, Node, Op, Value, World
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.handmade import Handmade, handmade, ingredients
from bnlint.rule import Rule
from bnlint.runs import executions
from bnlint.trace import NormCall, Run, Trace

_FIX = Fix(
    Applicability.DISPLAY,
    "create the update inside the function of the training branch, or fetch it only in training",
)


class StatisticsUpdatedInEvaluation(Rule):
    """An update of moving statistics that runs in inference."""

    code = "BN210"
    name = "statistics-updated-in-evaluation"
    group = Group.WARNING

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once, at the first of its updates."""
        seen: set[Location] = set()
        layers = handmade(trace)
        for run, executed in executions(trace).items():
            if any(node.op == Op.TRAIN for node in executed.nodes):
                continue
            world = run.world()
            for layer in layers:
                update = next((node for node in layer.updates if node in executed.certain), None)
                if (
                    update is None
                    or layer.call.site in seen
                    or not _inference(layer, layers, executed, world)
                ):
                    continue
                reader = _reader(layer, executed, world, trace)
                if reader is None or _switched(update, layer.call.phase):
                    continue
                seen.add(layer.call.site)
                yield self.finding(update.site, _MESSAGE, _steps(layer, update, reader, run), _FIX)


_MESSAGE = (
    "this update runs in evaluation too: the moving statistics take in the evaluation data, and results "
    "depend on what was evaluated before"
)


def _inference(layer: Handmade, layers: list[Handmade], executed: Execution, world: World) -> bool:
    """Whether a run certainly does not normalise with the moments of this layer's batch."""
    return all(
        other.call.output not in executed.nodes or other.call.training(world) is False
        for other in layers
        if other.moments & layer.moments
    )


def _reader(layer: Handmade, executed: Execution, world: World, trace: Trace) -> NormCall | None:
    """The normalisation that certainly uses the moving statistics of the layer in this run."""
    if layer.call.output in executed.certain and layer.kept:
        return layer.call
    for call in trace.of(NormCall):
        if call.mean is not None and call.variance is not None and call.output in executed.certain:
            kept = ingredients((call.mean, call.variance)).kept
            if kept & layer.targets and call.training(world) is False:
                return call
    return None


def _switched(update: Node, phase: Value | None) -> bool:
    """Whether what the update writes may depend on the phase itself."""
    written = update.attrs.get("value")
    if written is None or phase is None:
        return False
    return bool(ingredients((written,)).others)


def _steps(layer: Handmade, update: Node, reader: NormCall, run: Run) -> tuple[Step, ...]:
    return (
        Step(min(node.site for node in layer.moments), "the statistics of the batch"),
        Step(update.site, "enter the moving ones here, outside of the choice between the phases"),
        Step(reader.site, "which this normalisation uses in inference"),
        Step(run.site, "this run is in inference and executes the update all the same"),
    )
