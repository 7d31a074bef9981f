"""Batch-norm update operations that nothing in the program runs.

## What it does

Reports a train step (`minimize`, `apply_gradients`, …) of a graph-mode program that trains through batch
normalisation whose update operations go to a collection that nobody reads.

## Why it is bad

`tf.layers.batch_normalization`, `tf.contrib.layers.batch_norm` and slim's `batch_norm` do not move their
statistics themselves: in training mode they add update operations to `tf.GraphKeys.UPDATE_OPS` and leave it
to the program to run them. If nothing does, the moving mean stays 0 and the moving variance 1. Training looks
fine, because it uses the statistics of each batch; inference then passes the data on as good as unnormalised,
and the accuracy in production is near chance.

## When it is not a bug

- `updates_collections=None`: the layer updates its statistics in place.
- `slim.learning.create_train_op`, `tf.contrib.training.create_train_op`, `tf.contrib.layers.optimize_loss`
  and the trainer of Keras run the updates themselves.
- The updates are fetched together with the train step, or grouped with it.
- A literal `training=True` at the layer asks for batch statistics in every phase: nobody needs the others.
- In a GAN, each step answers for the layers in its own list of variables.

## Example

```python
x = tf.layers.batch_normalization(x, training=is_training)
loss = tf.losses.softmax_cross_entropy(labels, tf.layers.dense(x, 10))
train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Use instead

```python
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Fix safety

The fix wraps the statement of the train step. Where the collection is read with a misspelt key or with a scope
that matches nothing, it corrects that instead, and it takes `update_ops=[]` out of `create_train_op`. Where the
statement builds the layers too, or the train step stands in a lambda or a condition, it groups the updates with
the step.

It is safe when the step comes after all layers, executes and trains every layer whose updates are in the
collection, and nothing of that is inside a conditional or a loop of the graph. Where several networks share the
collection it is unsafe if the updates of this step's network can be told by the name of its variable scope: which
step moves which statistics changes how the networks learn. Otherwise the fix is only shown.

## Confirmed by

`bnlint run`: the output of the training steps is the formula with the statistics of the batch (RP4), no run
moved the moving ones (RP2), and what the program read of the collection of their updates, if it read it at
all, did not hold them. A constant `training=True` beside a sign of intent is left alone.

## Known limits

When the collection is read but the operations are not run, BN102 or BN103 says so. Programs whose training
loop lives in a library that is not known are left alone, and so are layers that a literal keeps in training mode where
the program has a sign that batch statistics are meant (image translation, generators, meta-learning).

## References

- TensorFlow 1.15, `tf.compat.v1.layers.batch_normalization`: the note on `UPDATE_OPS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.updates import Fate, Neglect, first_of_each_place, neglected, runs_of
from bnlint.findings import Applicability, Finding, Fix, Group, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class UpdateOpsNeverRun(Rule):
    """The update operations of batch normalisation are never run."""

    code = "BN101"
    name = "update-ops-never-run"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each train step once."""
        for neglect in neglected(trace):
            if neglect.fate is Fate.NEVER_READ:
                message = _message(neglect)
            elif neglect.fate is Fate.FILTERED_OUT:
                message = _filtered(neglect)
            else:
                continue
            yield self.finding(neglect.step.site, message, _steps(neglect, trace), _fix(neglect, trace))

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each train step once."""
        from bnlint.runtime.symptoms import Standstill, neglected

        for neglect in neglected(observed, Standstill.NEVER_READ):
            steps = neglect.steps(
                observed,
                "built here; the layer leaves its updates in the collection",
                "trained here without the updates",
            )
            yield self.finding(
                neglect.site, neglect.message("nothing runs the update operations in their collection"), steps
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import statistics_moved

        return statistics_moved(finding, observed)


def _fix(neglect: Neglect, trace: Trace) -> Fix:
    if neglect.fate is Fate.FILTERED_OUT:
        preferred = (
            "read the collection without the scope",
            remedies.collection.without_filter(neglect, trace),
        )
        return remedies.collection.repair(neglect, trace, preferred)
    given_none = remedies.collection.every_update(neglect, trace)
    if given_none and remedies.collection.rivals(neglect.step, trace):
        return Fix(
            Applicability.DISPLAY,
            "give each train step the updates of its own network: `update_ops=[]` keeps all of them from running",
        )
    return remedies.collection.repair(
        neglect,
        trace,
        ("let the function run the updates that are in the collection", given_none),
        ("read the collection that the layers fill", remedies.collection.right_key(neglect, trace)),
    )


def _message(neglect: Neglect) -> str:
    count = len({id(call.layer) for call in neglect.calls})
    layers = "1 batch-norm layer is" if count == 1 else f"{count} batch-norm layers are"
    collection = neglect.calls[0].collection
    name = "tf.GraphKeys.UPDATE_OPS" if collection == "update_ops" else f"the collection {collection!r}"
    return (
        f"{layers} trained here, but nothing runs the update operations in {name}: "
        "the moving statistics never move"
    )


def _filtered(neglect: Neglect) -> str:
    return (
        "the scope that filters the collection leaves the update operations of the trained layers out: "
        "their moving statistics never move"
    )


def _steps(neglect: Neglect, trace: Trace) -> tuple[Step, ...]:
    steps = [Step(call.site, _normalised(call)) for call in first_of_each_place(neglect.calls)[:3]]
    steps.extend(Step(read.site, "the collection is read here with a scope") for read in neglect.reads[:1])
    steps.append(Step(neglect.step.site, "trained here without the updates"))
    for run in runs_of(neglect.step, trace)[:1]:
        steps.append(Step(run.site, "the train step runs here"))
    return tuple(steps)


def _normalised(call: NormCall) -> str:
    return "normalised here; the layer leaves its updates in the collection"
