"""A collection of update operations that is read before the layers fill it.

## What it does

Reports a train step that runs the content of `tf.GraphKeys.UPDATE_OPS` where the collection was read before
the batch-norm layers existed: the list does not hold their updates.

## Why it is bad

`tf.get_collection` copies the collection at the time of the call. Layers that are made later add their
updates to the collection and not to the copy, which stays empty without an error. The moving mean stays 0 and
the moving variance 1, exactly as if nobody had read the collection.

## When it is not a bug

- `tf.get_collection_ref` returns the collection itself: what is added later is in it.
- The collection is read again after the layers are made.
- The order of the text is not the order of execution: a model may be built before the function that reads it
  runs.

## Example

```python
update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
logits = network(images, is_training)
loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
with tf.control_dependencies(update_ops):
    train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Use instead

```python
logits = network(images, is_training)
loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Fix safety

The fix moves the statement that reads the collection to where its result is first used, if that comes after all
layers; a model inside the block of a list that was still empty is moved out of it. Else the block around the
train step reads the collection anew, or a block around its statement does, or the updates are grouped with it.

It is safe when the step comes after all layers, executes and trains every layer whose updates are in the
collection, and nothing of that is inside a conditional or a loop of the graph. Where several networks share the
collection it is unsafe if the updates of this step's network can be told by the name of its variable scope, and
otherwise only shown.

## Confirmed by

`bnlint run`: the training steps normalise with the statistics of the batch (RP4), no run moved the moving
ones (RP2), and the collection was read only when the layer was not built yet.

## Known limits

A collection that is read both too early and in time counts as read in time.

## References

- TensorFlow 1.15, `tf.compat.v1.layers.batch_normalization`: "be sure to add any batch_normalization ops
  before getting the update_ops collection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.updates import Fate, Neglect, first_of_each_place, neglected
from bnlint.findings import Applicability, Finding, Fix, Group, Step
from bnlint.rule import Rule
from bnlint.trace import Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class UpdateOpsReadTooEarly(Rule):
    """The update operations were collected before the layers made them."""

    code = "BN102"
    name = "update-ops-read-too-early"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each train step once."""
        for neglect in neglected(trace):
            if neglect.fate is Fate.READ_TOO_EARLY:
                yield self.finding(
                    neglect.step.site, _message(neglect), _steps(neglect), _fix(neglect, trace)
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each train step once."""
        from bnlint.runtime.symptoms import Standstill, neglected

        for neglect in neglected(observed, Standstill.TOO_EARLY):
            steps = neglect.steps(
                observed,
                "built here; only now does the layer add its updates",
                "trained here with what was read before",
            )
            yield self.finding(
                neglect.site,
                neglect.message("their collection was read before their updates were in it"),
                steps,
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import statistics_moved

        return statistics_moved(finding, observed)


def _fix(neglect: Neglect, trace: Trace) -> Fix:
    return remedies.collection.repair(
        neglect,
        trace,
        ("read the collection after the layers are made", remedies.collection.read_later(neglect, trace)),
        ("build the model before the collection is read", remedies.collection.model_before(neglect, trace)),
        ("read the collection where it is used", remedies.collection.read_there(neglect, trace)),
    )


def _message(neglect: Neglect) -> str:
    count = len({call.layer for call in neglect.calls})
    layers = "the batch-norm layer exists" if count == 1 else f"{count} batch-norm layers exist"
    return (
        f"the update operations that run with this train step were collected before {layers}: "
        "the moving statistics never move"
    )


def _steps(neglect: Neglect) -> tuple[Step, ...]:
    return (
        Step(neglect.reads[-1].site, "the collection is read here"),
        *(
            Step(call.site, "normalised here; only now does the layer add its updates")
            for call in first_of_each_place(neglect.calls)[:3]
        ),
        Step(neglect.step.site, "trained here with what was read before"),
    )
