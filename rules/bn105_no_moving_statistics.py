"""A hand-written batch norm that keeps no moving statistics, evaluated with the statistics of its batch.

## What it does

Reports a bare formula (`tf.nn.batch_normalization`, `tf.nn.fused_batch_norm`, …) that gets the mean and
variance of the batch in training and in evaluation, while nothing in the program averages them for
inference.

## Why it is bad

Without moving statistics there is nothing to normalise with but the batch that happens to be fed. The
output for an example then depends on the other examples of its batch, and a batch of one normalises every
activation of a dense layer to the same value. Results measured on large shuffled batches do not hold in
production.

## When it is not a bug

- Instance, layer and group normalisation: their moments leave the batch axis out.
- Style transfer, samplers of generative models, few-shot learning and test-time adaptation use batch
  statistics on purpose.
- The moments are averaged somewhere else, or fetched and kept by the program.

## Example

```python
mean, variance = tf.nn.moments(x, [0])
x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
```

## Use instead

```python
x = tf.layers.batch_normalization(x, training=is_training)
```

together with `tf.GraphKeys.UPDATE_OPS` as a dependency of the train step.

## Fix safety

Only shown: the layer needs variables, updates and a phase, and a checkpoint of the program as it is has none of them.

## Confirmed by

`bnlint run`: the layer keeps no moving statistics, and its output is the formula with the statistics of the
batch (RP4) in training and in a run that certainly evaluates. Arithmetic that is written out is not seen.

## Known limits

A normalisation that is written out as arithmetic is not recognised. Programs that never train nor restore a
checkpoint are left alone.

## References

- Ioffe and Szegedy, Batch Normalization, 2015, algorithm 2: inference uses population statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.handmade import Handmade, handmade
from bnlint.analyses.runs import executions, norms_reached
from bnlint.dataflow import Op
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.phase import Role, deliberate, role
from bnlint.rule import Rule
from bnlint.trace import Run, Save, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_FIX = Fix(
    Applicability.DISPLAY,
    "keep moving averages of the moments and choose them in inference, or use a layer that does so",
)


class NoMovingStatistics(Rule):
    """Batch statistics in training and in evaluation, and nothing else to use."""

    code = "BN105"
    name = "no-moving-statistics"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        if not trace.driven or trace.incomplete:
            return
        layers = [layer for layer in handmade(trace) if _keeps_nothing(layer, trace)]
        sites = {layer.call.site for layer in layers}
        trained = _trained(trace)
        learned = bool(trained) or any(save.restores for save in trace.of(Save))
        seen: set[Location] = set()
        for layer in layers:
            site = layer.call.site
            if site in seen or not learned or (trained and not sites & set(trained)):
                continue
            run = _evaluated(layer, trace)
            if run is None or deliberate((layer.call.context, run.context)):
                continue
            seen.add(site)
            steps = [
                Step(min(node.site for node in layer.moments), "these are the statistics of the batch"),
                Step(site, "the only ones that the normalisation has"),
            ]
            if site in trained:
                steps.append(Step(trained[site].site, "trained with them here"))
            steps.append(Step(run.site, f"evaluated with them here: {role(run, trace).because}"))
            yield self.finding(
                site,
                "this normalisation has no moving statistics: in evaluation the output for each example "
                "depends on the other examples of its batch",
                steps,
                _FIX,
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.lives import many, place_of, place_of_step
        from bnlint.runtime.symptoms import evaluated_without_statistics

        seen: set[Location] = set()
        for wrong, trained in evaluated_without_statistics(observed):
            site = wrong.life.site(observed)
            if site in seen:
                continue
            seen.add(site)
            steps = [Step(site, "the normalisation has no statistics but those of the batch")]
            if trained is not None:
                steps.append(Step(place_of_step(trained.run, observed), "trained with them here"))
            steps.append(
                Step(place_of(wrong.seen.run, observed), f"evaluated with them here: {wrong.because}")
            )
            yield self.finding(
                site,
                f"this normalisation has no moving statistics: in {many(wrong.seen.run.count, 'evaluation')} the "
                "output for each example depended on the other examples of its batch",
                steps,
            )


def _keeps_nothing(layer: Handmade, trace: Trace) -> bool:
    fetched = {value for run in trace.of(Run) for value in run.fetches}
    return (
        layer.known
        and not layer.kept
        and not layer.updates
        and all(node.attrs["batch"] for node in layer.moments)
        and not layer.moments & (trace.escaped | fetched)
    )


def _trained(trace: Trace) -> dict[Location, Run]:
    """Where a train step normalises, with a run of it."""
    found: dict[Location, Run] = {}
    for run, executed in executions(trace).items():
        if role(run, trace).role is Role.TRAIN:
            for node in executed.nodes:
                if node.op == Op.NORM:
                    found.setdefault(node.attrs["call"].site, run)
    return found


def _evaluated(layer: Handmade, trace: Trace) -> Run | None:
    """An evaluation that applies a layer, whatever its data."""
    for run in executions(trace):
        if role(run, trace).role is Role.EVALUATE and layer.call in norms_reached(run, trace):
            return run
    return None
