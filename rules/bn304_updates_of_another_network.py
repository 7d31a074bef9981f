"""A train step that runs the update operations of a network which it does not train.

## What it does

Reports, where several optimizers train disjoint lists of variables, a train step that runs the whole content
of `tf.GraphKeys.UPDATE_OPS`, with the updates of the other network's layers in it.

## Why it is bad

The step of the discriminator moves the statistics of the generator, and the other way round: each layer's
average moves twice in a round, and some of it by batches that its own step never sees. Where the real and the
fake batch go through one network, its statistics are a mixture of the two.

## When it is not a bug

- It is mostly harmless: the statistics move by the data of the same distribution, only faster. That is why
  this rule is off by default.
- The collection is read with the `scope` of the network that the step trains.
- A literal `training=True` at the layer asks for batch statistics in every phase: nobody needs the others.

## Example

```python
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    d_step = tf.train.AdamOptimizer().minimize(d_loss, var_list=d_variables)
    g_step = tf.train.AdamOptimizer().minimize(g_loss, var_list=g_variables)
```

## Use instead

```python
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope="discriminator")):
    d_step = tf.train.AdamOptimizer().minimize(d_loss, var_list=d_variables)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope="generator")):
    g_step = tf.train.AdamOptimizer().minimize(g_loss, var_list=g_variables)
```

## Fix safety

Only shown: the statistics, and so the samples, change.

## Confirmed by

`bnlint run`: a train step moved the moving statistics of a layer (RP2) and not its scale or offset, which
another step trains together with the statistics.

## Known limits

A list of variables that is not completely known is left alone.

## References

- https://github.com/carpedm20/DCGAN-tensorflow/issues/289
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.runs import executions, runs_training
from bnlint.analyses.updates import always_batch, changes, runs_of
from bnlint.dataflow import Op, World, execution
from bnlint.findings import Applicability, Finding, Fix, Group, Step
from bnlint.rule import Rule
from bnlint.trace import CollectUpdates, NormCall, Trace, TrainStep

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class UpdatesOfAnotherNetwork(Rule):
    """A train step moves the statistics of a network that another one trains."""

    code = "BN304"
    name = "updates-of-another-network"
    group = Group.INFO
    frameworks = ("tensorflow1",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each unfiltered read of the collection once, at the last step that suffers from it."""
        steps = [step for step in trace.of(TrainStep) if step.listed is not None and runs_of(step, trace)]
        found: dict[CollectUpdates | None, tuple[TrainStep, NormCall, TrainStep]] = {}
        for step in steps:
            for call in _updated(step, trace):
                owner = next((other for other in steps if changes(other, call.layer)), None)
                if owner is not None and changes(step, call.layer) is False:
                    found[_read(call, trace)] = (step, call, owner)
                    break
        for read, (step, call, owner) in found.items():
            if read is not None:
                yield self.finding(
                    step.site,
                    "this train step also runs the updates of a network that it does not train: the moving "
                    "statistics of that network move with both steps",
                    (
                        Step(call.site, f"a layer of the other network: `{call.layer.name}`"),
                        Step(owner.site, "that network is trained here"),
                        Step(read.site, "the updates of all networks are collected here"),
                        Step(step.site, "and run with this step"),
                    ),
                    Fix(
                        Applicability.DISPLAY,
                        "read the collection with the `scope` of the network that is trained",
                    ),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report the last train step that suffers: a run does not show how often the collection was read."""
        from bnlint.runtime.lives import place_of_step
        from bnlint.runtime.symptoms import moved_by_others

        found = {
            place_of_step(other.run, observed): (life, own) for life, other, own in moved_by_others(observed)
        }
        for site in sorted(found)[-1:]:
            life, own = found[site]
            yield self.finding(
                site,
                f"this train step moved the moving statistics of `{life.layer.name}` and trained none of its weights: "
                "they move with both steps",
                (
                    Step(life.site(observed), f"a layer of the other network: `{life.layer.name}`"),
                    Step(place_of_step(own.run, observed), "that network is trained here"),
                    Step(site, "and its updates also run with this step"),
                ),
            )


def _updated(step: TrainStep, trace: Trace) -> list[NormCall]:
    """The normalisations whose updates certainly run with a train step, where somebody may need them."""
    nodes = set(execution([step.node], World(step.guards)).certain)
    for run in runs_training(step, trace):
        executed = executions(trace)[run]
        if all(node is step.node for node in executed.nodes if node.op == Op.TRAIN):
            nodes |= executed.certain
    calls = {node.attrs["call"] for node in nodes if node.op == Op.UPDATE}
    return sorted((call for call in calls if not always_batch(call)), key=lambda call: call.order)


def _read(call: NormCall, trace: Trace) -> CollectUpdates | None:
    nodes = set(call.update_nodes)
    for read in trace.of(CollectUpdates):
        if read.scope is None and nodes & set(read.contents):
            return read
    return None
