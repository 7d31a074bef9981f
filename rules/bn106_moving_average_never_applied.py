"""Moving statistics of a hand-written batch norm whose update nobody runs.

## What it does

Reports a bare formula (`tf.nn.batch_normalization`, …) that is trained with the statistics of the batch,
when the operations that should bring them into the moving statistics exist but no run reaches them, or when
the new average is computed and never assigned.

## Why it is bad

In a graph an operation does nothing until a run asks for it. `ema.apply(...)` and `tf.assign(...)` return
that operation; when it is dropped, or is the dependency of nothing, the moving statistics keep their
initial values. Training looks fine, because it uses the statistics of each batch; inference uses zeros and
ones.

## When it is not a bug

- The operation is fetched, grouped with the train step or a dependency of it, perhaps by way of a collection.
- It is stored and run elsewhere.
- The average is over weights or a loss, not over a layer's statistics.

## Example

```python
mean, variance = tf.nn.moments(x, [0])
ema = tf.train.ExponentialMovingAverage(0.99)
ema.apply([mean, variance])
```

## Use instead

```python
def with_update():
    with tf.control_dependencies([ema.apply([mean, variance])]):
        return tf.identity(mean), tf.identity(variance)

m, v = tf.cond(training, with_update, lambda: (ema.average(mean), ema.average(variance)))
```

## Fix safety

Where the updates are dropped, kept under a name or put into a collection that nobody reads, the fix runs them with
the train step: it makes its statement depend on the name or on the collection, to which it adds what is dropped.
Where a block of dependencies on the updates returns what was there before it, the fix returns identities that are
created inside.

It is safe when a single train step comes after the updates, executes all layers whose updates it would run, and
nothing of that is inside a conditional or a loop of the graph. Otherwise, and for an average that is never assigned,
it is only shown.

## Confirmed by

`bnlint run`: the training steps normalise with the statistics of the batch (RP4), and no run moved the
variables that inference uses (RP2).

## Known limits

Programs that fetch something unknown are left alone. Whether each of several updates runs is not told
apart: one that runs is enough for silence.

## References

- TensorFlow 1.15, `tf.train.ExponentialMovingAverage.apply`: the operation must be run after each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.handmade import Handmade, handmade, ingredients, trained_in, updates_run
from bnlint.dataflow import Const, Node, Op, Unknown, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Run, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_ASSIGN = Fix(
    Applicability.DISPLAY, "assign the new average to the variable, and run that with the train step"
)


class MovingAverageNeverApplied(Rule):
    """Updates of hand-written statistics that never run."""

    code = "BN106"
    name = "moving-average-never-applied"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        if not trace.driven or trace.incomplete or any(_opaque(run) for run in trace.of(Run)):
            return
        seen: set[Location] = set()
        layers = handmade(trace)
        for layer in layers:
            site = layer.call.site
            run = trained_in(layer, trace)
            if site in seen or run is None:
                continue
            if layer.updates:
                if updates_run(layer, trace):
                    continue
                lost: Node | None = layer.updates[0]
                clause = "the update is built here, but no run reaches it"
            else:
                lost = _rebound(layer, trace)
                clause = "this only computes a new tensor; the variable keeps its value"
            if lost is None:
                continue
            seen.add(site)
            steps = (
                Step(min(node.site for node in layer.moments), "the statistics of the batch"),
                Step(lost.site, clause),
                Step(site, "normalised with the batch's statistics in training"),
                Step(run.site, "trained here without the update"),
            )
            yield self.finding(
                site,
                "nothing runs the update of this layer's moving statistics: inference normalises with their "
                "initial values",
                steps,
                remedies.byhand.repair(layer, layers, run, trace) if layer.updates else _ASSIGN,
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.symptoms import Standstill, by_site, neglected, never_moved

        for neglect in neglected(observed, Standstill.BY_HAND):
            for site, lives in by_site(neglect.lives, observed).items():
                yield self.finding(
                    site,
                    f"{never_moved(lives, neglect.count)}: nothing runs their update",
                    (
                        Step(site, "normalised with the batch's statistics in training"),
                        Step(neglect.site, "trained here without the update"),
                    ),
                )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import statistics_moved

        return statistics_moved(finding, observed)


def _opaque(run: Run) -> bool:
    """Whether nobody knows what a run fetches."""
    return any(isinstance(fetched, Unknown) and not fetched.sources for fetched in run.fetches)


def _rebound(layer: Handmade, trace: Trace) -> Node | None:
    """Arithmetic that mixes the batch's statistics with moving ones that nothing ever assigns."""
    read: set[Value] = {
        kept
        for node in trace.nodes
        if node.op == Op.NORM and node.attrs["call"].mean is not None
        for kept in ingredients((node.attrs["call"].mean, node.attrs["call"].variance)).kept
    }
    for node in trace.nodes:
        if node.op == "add":
            used = ingredients((node,))
            if used.moments and used.moments <= layer.moments and len(used.kept) == 1:
                (kept,) = used.kept
                if kept in read and _never_assigned(kept):
                    return node
    return None


def _never_assigned(kept: Node) -> bool:
    trainable = kept.attrs.get("trainable")
    return (
        kept.op == Op.VARIABLE
        and not kept.inputs
        and isinstance(trainable, Const)
        and trainable.value is False
    )
