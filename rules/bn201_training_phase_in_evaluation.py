"""A phase flag that says training where the program evaluates.

## What it does

Reports a True that reaches batch normalisation in an evaluation: a feed entry such as `is_training: True` of
a run that evaluates, or an argument of the call that builds a graph which only evaluations use.

## Why it is bad

The layer normalises with the mean and variance of the evaluated batch instead of the learned ones. The
prediction for one sample then depends on the other samples of its batch, a batch of one gives nonsense, and
the measured accuracy is not that of the deployed model. Layers that update in place also learn from the test
data.

## When it is not a bug

- The loss or a summary is read again with the batch of the train step: that is monitoring.
- Statistics are re-estimated after training by running the update operations alone.
- GAN samplers, style transfer, meta-learning and domain adaptation use batch statistics on purpose.

## Example

```python
valid_error = sess.run(loss, feed_dict={x: valid_x, y: valid_y, is_training: True})
```

## Use instead

```python
valid_error = sess.run(loss, feed_dict={x: valid_x, y: valid_y, is_training: False})
```

## Fix safety

The fix turns the value over. It changes what the evaluation computes, so it is unsafe.

## Confirmed by

In inference the output must be the formula with the moving statistics (RP4), must not depend on the rest of
the batch (RP3), and must not move the statistics (RP2).

## Known limits

A run counts as an evaluation only on evidence: its data, its function, its place after the training loop.
Feeds that are built by code that is not known are left alone.

## References

- Ioffe and Szegedy 2015, *Batch Normalization*, section 3.1: inference uses the population statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.constants import built_in, passed
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Finding, Fix, Group, Location, ReplaceExpression, Step
from bnlint.phase import Verdict, evaluations, meant, switched
from bnlint.rule import Rule
from bnlint.runs import norms_in, norms_reached, optimized
from bnlint.trace import Feed, NormCall, Run, Trace


class TrainingPhaseInEvaluation(Rule):
    """The phase flag is on in an evaluation."""

    code = "BN201"
    name = "training-phase-in-evaluation"
    group = Group.ERROR

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each wrong value once."""
        seen: set[Location] = set()
        for run, verdict in evaluations(trace):
            for finding in (*self._fed(run, verdict, trace), *self._passed(run, verdict, trace)):
                if finding.location not in seen:
                    seen.add(finding.location)
                    yield finding

    def _fed(self, run: Run, verdict: Verdict, trace: Trace) -> Iterator[Finding]:
        for feed in run.feeds:
            call = _switched_on(feed, run, trace)
            if call is None or meant(call, run, trace, feed.text):
                continue
            literal = feed.value
            site = (literal.site if isinstance(literal, Const) else None) or feed.site
            steps = [Step(call.site, "this layer then uses the statistics of the evaluated batch")]
            if site != feed.site:
                steps.append(Step(feed.site, "the value is fed here"))
            steps.append(Step(run.site, _evaluates(verdict)))
            yield self.finding(
                site, _message(f"is fed {_text(literal)} in an evaluation"), steps, _turn_over(literal)
            )

    def _passed(self, run: Run, verdict: Verdict, trace: Trace) -> Iterator[Finding]:
        for call in norms_in(run, trace):
            phase = built_in(call, run.world())
            if phase is None or not phase.value or call in optimized(trace) or meant(call, run, trace):
                continue
            argument = passed(call, phase, trace)
            if argument is not None:
                yield self.finding(
                    argument.site,
                    _message("is on in a graph that only evaluations use"),
                    (
                        Step(argument.site, f"the phase is handed to `{argument.function}`"),
                        Step(call.site, "this layer then uses the statistics of the evaluated batch"),
                        Step(run.site, _evaluates(verdict)),
                    ),
                    _turn_over(phase),
                )


def _message(what: str) -> str:
    return (
        f"the training phase {what}: batch norm uses the statistics of the evaluated batch, "
        "not the learned ones"
    )


def _evaluates(verdict: Verdict) -> str:
    return f"this run evaluates: {verdict.because}"


def _switched_on(feed: Feed, run: Run, trace: Trace) -> NormCall | None:
    """The first layer that is in training mode because of a feed entry."""
    for call in norms_reached(run, trace):
        if call.training(run.world()) is True and switched(call, feed, run, trace):
            return call
    return None


def _text(value: object) -> str:
    return repr(value.value) if isinstance(value, Const) else "True"


def _turn_over(value: object) -> Fix | None:
    if not isinstance(value, Const) or value.site is None:
        return None
    text = repr(type(value.value)(not value.value))
    return Fix(Applicability.UNSAFE, f"say {text} in the evaluation", (ReplaceExpression(value.site, text),))
