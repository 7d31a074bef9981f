"""Updates of Keras layers that a TensorFlow 1 training loop never runs.

## What it does

Reports a train step of a session or an Estimator that trains through a Keras batch normalisation in training
mode while nothing runs the updates that hang on the layer.

## Why it is bad

A Keras layer in a graph keeps its updates in `layer.updates` and never adds them to
`tf.GraphKeys.UPDATE_OPS`. Only the trainer of Keras (`fit`, `train_on_batch`) runs them. In a loop of one's
own, the usual `tf.get_collection(tf.GraphKeys.UPDATE_OPS)` silently returns a list without them: the moving
mean stays 0 and the moving variance 1.

## When it is not a bug

- The program runs `layer.updates` or `model.updates` itself, or adds them to the collection.
- Keras trains the model, or `model_to_estimator` wraps it.
- The layer is in inference mode while it is trained: that is BN107.

## Example

```python
x = tf.keras.layers.BatchNormalization()(x, training=is_training)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Use instead

```python
norm = tf.keras.layers.BatchNormalization()
x = norm(x, training=is_training)
with tf.control_dependencies(norm.updates):
    train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Fix safety

Where a layer or model whose `updates` are those of the trained layers has a name at the train step, the fix makes
the step depend on them. Else it gives the layer a name if need be, adds its updates to `tf.GraphKeys.UPDATE_OPS` where
it is called, and makes the step depend on that collection if it does not yet.

It is safe when the step comes after all layers and executes every layer whose updates it would run, which leaves
out models that hold updates tied to a placeholder of their own; otherwise, or where nobody feeds the learning
phase, it is only shown.

## Confirmed by

`bnlint run`: no run moved the moving statistics (RP2) of a Keras layer in a graph, which was trained with the
statistics of the batch (RP4) or waited for a learning phase that no run fed.

## Known limits

A program that mentions `updates`, `get_updates_for` or the trainer of Keras anywhere is left alone unless the
updates are seen to run.

## References

- https://github.com/tensorflow/tensorflow/issues/19643
- https://github.com/tensorflow/tensorflow/issues/23873
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.updates import Fate, Neglect, first_of_each_place, neglected, runs_of
from bnlint.findings import Applicability, Finding, Group, Step
from bnlint.rule import Rule
from bnlint.trace import CollectUpdates, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class KerasUpdatesNeverRun(Rule):
    """The updates of Keras layers are never run by a loop that is not Keras' own."""

    code = "BN104"
    name = "keras-updates-never-run"
    group = Group.ERROR
    frameworks = ("tensorflow1", "keras")
    fixable = (Applicability.SAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each train step once."""
        for neglect in neglected(trace):
            if neglect.fate is Fate.LEFT_ON_LAYER:
                yield self.finding(
                    neglect.step.site,
                    "Keras batch norm is trained here, but nothing runs the layers' `updates`, which are "
                    "in no collection: the moving statistics never move",
                    _steps(neglect, trace),
                    remedies.keras.repair(neglect, trace),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each train step once."""
        from bnlint.runtime.symptoms import Standstill, neglected

        for neglect in neglected(observed, Standstill.ON_LAYER):
            steps = neglect.steps(
                observed, "built here; the updates stay on the layer", "trained here without the updates"
            )
            yield self.finding(
                neglect.site,
                neglect.message("they are Keras layers, and nothing runs their `updates`"),
                steps,
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import statistics_moved

        return statistics_moved(finding, observed)


def _steps(neglect: Neglect, trace: Trace) -> tuple[Step, ...]:
    steps = [
        Step(call.site, "normalised here; the updates stay on the layer")
        for call in first_of_each_place(neglect.calls)[:3]
    ]
    for read in trace.of(CollectUpdates):
        if read.collection == "update_ops" and read.graph is neglect.calls[0].layer.graph:
            steps.append(Step(read.site, "this collection holds no updates of Keras layers"))
            break
    steps.append(Step(neglect.step.site, "trained here without the updates"))
    steps.extend(Step(run.site, "the train step runs here") for run in runs_of(neglect.step, trace)[:1])
    return tuple(steps)
