"""Update operations that are collected and still do not run.

## What it does

Reports a train step where the program reads `tf.GraphKeys.UPDATE_OPS` after the layers are made, and then
nothing that runs depends on what it read.

## Why it is bad

`tf.control_dependencies` changes only operations that are created inside its block. A train operation that
was built before, a `pass`, a `return train_op`, or an identity of the loss that no gradient needs leave the
updates without anybody who runs them. The program looks right, and the moving mean stays 0 and the moving
variance 1.

## When it is not a bug

- `compute_gradients` or `apply_gradients` alone is inside the block: one of them is enough.
- The updates are grouped with the train step, tied to it by `tf.tuple` or `with_dependencies`, or fetched
  beside it.
- A helper that is called inside the block creates the operation that is run.

## Example

```python
train_op = tf.train.AdamOptimizer().minimize(loss)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = train_op
```

## Use instead

```python
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.AdamOptimizer().minimize(loss)
```

## Fix safety

The fix moves the statement of the train step into the block of the updates that follows it, or wraps it in a block
of its own, with the updates that were collected before it or else with the collection.

It is safe when the step comes after all layers, executes and trains every layer whose updates are in the
collection, and nothing of that is inside a conditional or a loop of the graph. Where several networks share the
collection it is unsafe if the updates of this step's network can be told by the name of its variable scope, and
otherwise only shown.

## Confirmed by

`bnlint run`: the training steps normalise with the statistics of the batch (RP4) and no run moved the moving
ones (RP2), although the updates were in what was read from the collection.

## Known limits

Updates that are handed to code which is not known count as run.

## References

- TensorFlow 1.15, `tf.control_dependencies`: control dependencies apply only to operations constructed within
  the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.updates import Fate, Neglect, first_of_each_place, neglected, runs_of
from bnlint.findings import Applicability, Finding, Fix, Group, Step
from bnlint.rule import Rule
from bnlint.trace import Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class UpdateOpsNotADependency(Rule):
    """The update operations are collected, but nothing that runs depends on them."""

    code = "BN103"
    name = "update-ops-not-a-dependency"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each train step once."""
        for neglect in neglected(trace):
            if neglect.fate is Fate.UNUSED:
                yield self.finding(
                    neglect.step.site,
                    "the update operations are collected, but neither this train step nor anything else "
                    "that runs depends on them: the moving statistics never move",
                    _steps(neglect, trace),
                    _fix(neglect, trace),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each train step once."""
        from bnlint.runtime.symptoms import Standstill, neglected

        for neglect in neglected(observed, Standstill.UNUSED):
            steps = neglect.steps(
                observed,
                "built here; the layer leaves its updates in the collection",
                "trained here without them",
            )
            yield self.finding(
                neglect.site,
                neglect.message("their updates were collected, but nothing that ran depends on them"),
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
        (
            "take the train step inside the block of the updates",
            remedies.collection.into_block(neglect, trace),
        ),
        (
            "run the collected updates before the train step",
            remedies.collection.with_what_was_read(neglect, trace),
        ),
    )


def _steps(neglect: Neglect, trace: Trace) -> tuple[Step, ...]:
    read = next((read for read in reversed(neglect.reads) if read.contents), neglect.reads[-1])
    steps = [
        Step(call.site, "normalised here; the layer leaves its updates in the collection")
        for call in first_of_each_place(neglect.calls)[:2]
    ]
    steps.append(Step(read.site, "collected here"))
    steps.append(Step(neglect.step.site, "trained here without them"))
    steps.extend(Step(run.site, "this runs the train step alone") for run in runs_of(neglect.step, trace)[:1])
    return tuple(steps)
