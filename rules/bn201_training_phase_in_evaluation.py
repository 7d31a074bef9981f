"""A phase flag that says training where the program evaluates.

## What it does

Reports a True that reaches batch normalisation in an evaluation: a feed entry such as `is_training: True` of
a run that evaluates, an argument of the call that builds a graph which only evaluations use, or `training=True` in
the call of a Keras model.

## Why it is bad

The layer normalises with the mean and variance of the evaluated batch instead of the learned ones. The
prediction for one sample then depends on the other samples of its batch, a batch of one gives nonsense, and
the measured accuracy is not that of the deployed model. Layers that update in place also learn from the test
data, as those of Keras do.

## When it is not a bug

- The loss or a summary is read again with the batch of the train step: that is monitoring.
- Statistics are re-estimated after training by running the update operations alone.
- Nobody looks at the result of the call: it builds the weights, or estimates the statistics anew.
- Dropout is kept on in predictions, to see how sure they are.
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

The fix turns the value over; where the same feed also serves the training, it sets the entry anew before the
evaluation. It changes what the evaluation computes, so it is unsafe. It is only shown where the value is computed,
or where one literal serves both phases and the evaluation cannot be told apart.

## Confirmed by

`bnlint run`: in a run that certainly evaluates the output is the formula with the statistics of the batch
(RP4), and the run fed the phase. A True that was handed to the function which built the graph is a constant
at run time and is reported as BN203. A run certainly evaluates if it comes after the last training step with
another batch, or if its own line or function says so and that of the training does not.

## Known limits

A run counts as an evaluation only on evidence: its data, its function, its place after the training loop.
Feeds that are built by code that is not known are left alone.

## References

- Ioffe and Szegedy 2015, *Batch Normalization*, section 3.1: inference uses the population statistics.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.constants import built_in, passed
from bnlint.analyses.forwards import default_of, told_by
from bnlint.analyses.runs import norms_in, norms_reached, optimized, training_runs
from bnlint.analyses.written import is_plain, source
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, InsertStatement, Location, Step
from bnlint.phase import Verdict, evaluations, meant, switched
from bnlint.rule import Rule
from bnlint.trace import Feed, Forward, NormCall, Run, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class TrainingPhaseInEvaluation(Rule):
    """The phase flag is on in an evaluation."""

    code = "BN201"
    name = "training-phase-in-evaluation"
    group = Group.ERROR
    frameworks = ("tensorflow1", "keras")
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each wrong value once."""
        seen: set[Location] = set()
        for run, verdict in evaluations(trace):
            found = (self._fed, self._passed, self._called)
            for finding in (each for ask in found for each in ask(run, verdict, trace)):
                if finding.location not in seen:
                    seen.add(finding.location)
                    yield finding

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each run once."""
        from bnlint.runtime.lives import many
        from bnlint.runtime.symptoms import Source, by_run, evaluated_by_batch

        for site, wrong in by_run(evaluated_by_batch(observed, Source.FED), observed).items():
            first = wrong[0]
            layers = len({each.life.layer.key for each in wrong})
            yield self.finding(
                site,
                f"the training phase was fed in {many(first.seen.run.count, 'evaluation')} ({first.fed}): "
                f"{many(layers, 'layer')} used the statistics of the evaluated batch, not the learned ones",
                (
                    Step(
                        first.life.site(observed),
                        "this layer then uses the statistics of the evaluated batch",
                    ),
                    Step(site, f"this run evaluates: {first.because}"),
                ),
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import evaluated_by_moving

        return evaluated_by_moving(finding, observed)

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
                site, _message(f"is fed {_text(literal)} in an evaluation"), steps, _fix(feed, run, trace)
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
                    _turned_over(phase),
                )

    def _called(self, run: Run, verdict: Verdict, trace: Trace) -> Iterator[Finding]:
        forward = run.forward
        literal = forward.training if forward is not None else None
        if forward is None or not isinstance(literal, Const) or not literal.value:
            return
        parameter = default_of(literal, forward.context.frame)
        for call in forward.norms:
            if call.updates is Updates.NONE or call.training(run.world()) is False:
                continue
            if told_by(call) is not forward or meant(call, run, trace, parameter):
                continue
            site = literal.site or forward.site
            steps = [
                Step(call.site, "this layer then uses the statistics of the evaluated batch, and learns them")
            ]
            if site.line != forward.site.line:
                steps.append(Step(forward.site, "the model is called with it here"))
            steps.append(Step(forward.site, _evaluates(verdict)))
            yield self.finding(site, _message("is given to a model in an evaluation"), steps, _told(forward))
            return


def _told(forward: Forward) -> Fix:
    edits = remedies.forwards.told(forward, training=False)
    return Fix(Applicability.UNSAFE, "call it with `training=False`", edits) if edits else _SHOWN


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


def _fix(feed: Feed, run: Run, trace: Trace) -> Fix:
    literal = feed.value
    if not isinstance(literal, Const):
        return _SHOWN
    if not any(_same(other, feed) for training in training_runs(trace) for other in training.feeds):
        return _turned_over(literal)
    text, _ = remedies.flags.turned_over(literal)
    edits = _set_anew(feed, run, text, trace)
    return Fix(Applicability.UNSAFE, f"feed {text} before the evaluation", edits) if edits else _SHOWN


def _same(other: Feed, feed: Feed) -> bool:
    one, two = (value.site if isinstance(value, Const) else None for value in (other.value, feed.value))
    return (one or other.site) == (two or feed.site)


def _turned_over(literal: Const) -> Fix:
    text, edits = remedies.flags.turned_over(literal)
    return Fix(Applicability.UNSAFE, f"say {text} in the evaluation", edits) if edits else _SHOWN


_SHOWN = Fix(Applicability.DISPLAY, "switch the phase off in the evaluation")


def _set_anew(feed: Feed, run: Run, text: str, trace: Trace) -> tuple[Edit, ...]:
    """The edit that writes an entry of a feed anew before a run; none where both are not in the same function."""
    written = source(run.site, trace)
    value, called = (
        (written.at(place, ast.expr) for place in (feed.site, run.site)) if written else (None, None)
    )
    if written is None or value is None or not isinstance(called, ast.Call):
        return ()
    statement = written.parent(value)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    names = {given.id for given in _arguments(called) if isinstance(given, ast.Name)}
    if (
        not isinstance(target, ast.Subscript)
        or not isinstance(target.value, ast.Name)
        or target.value.id not in names
        or not is_plain(target.slice)
        or written.scope(value) is not written.scope(called)
    ):
        return ()
    return (InsertStatement(run.site, f"{ast.unparse(target)} = {text}"),)


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]
