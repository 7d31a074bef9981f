"""A phase flag that says inference while the program trains.

## What it does

Reports a False that reaches batch normalisation in a train step: a feed entry such as `is_training: False` of
a run that trains the layer, or an argument of the call that builds the trained graph.

## Why it is bad

The layer normalises with its stored statistics, which are 0 and 1 at the start and do not move: it is a
learnable scale and shift, nothing is normalised, and the statistics that inference needs are never learned.

## When it is not a bug

- A pretrained network is fine-tuned with its statistics frozen.
- Another run of the same train step says True: the statistics are frozen in a late stage.
- The layer belongs to a network that the step does not train (a teacher, a target network, a generator).

## Example

```python
sess.run(train_op, feed_dict={x: batch_x, y: batch_y, is_training: False})
```

## Use instead

```python
sess.run(train_op, feed_dict={x: batch_x, y: batch_y, is_training: True})
```

## Fix safety

The fix turns the value over, or compares the `mode` of an Estimator with the mode of training. It changes what is
trained, so it is unsafe. It is only shown where the value is computed, or where the same literal also serves an
evaluation.

## Confirmed by

`bnlint run`: in all training steps the output is the formula with the moving statistics (RP4), which are 0
and 1 to the end (RP2), and the runs fed the phase. A False that was handed to the function which built the
graph is a constant at run time and is reported as BN107.

## Known limits

Programs that may start from a checkpoint of another program are left alone when the graph is built for
inference, because freezing the statistics is common there. A layer whose own call says False is BN107.

## References

- Ioffe and Szegedy 2015, *Batch Normalization*, algorithm 2: training normalises with batch statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.constants import (
    Passed,
    built_in,
    misdirected,
    passed,
    pretrained,
    steps_of,
    trained_by,
    trained_in_mode,
)
from bnlint.analyses.runs import training_runs
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, Location, Step
from bnlint.phase import evaluations, switched
from bnlint.rule import Rule
from bnlint.trace import Feed, NormCall, Run, Trace, TrainStep

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class InferencePhaseInTraining(Rule):
    """The phase flag is off in a train step."""

    code = "BN202"
    name = "inference-phase-in-training"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each wrong value once."""
        seen: set[Location] = set()
        for run in training_runs(trace):
            for step in steps_of(run, trace):
                calls = [call for call in trained_by(step, run) if not trained_in_mode(call, trace)]
                for finding in (*self._fed(run, step, calls, trace), *self._passed(run, step, calls, trace)):
                    if finding.location not in seen:
                        seen.add(finding.location)
                        yield finding

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each run once."""
        from bnlint.runtime.lives import many
        from bnlint.runtime.symptoms import Source, by_run, trained_in_inference

        for site, wrong in by_run(trained_in_inference(observed, Source.FED), observed).items():
            first = wrong[0]
            yield self.finding(
                site,
                f"the inference phase was fed in {many(first.seen.run.count, 'training step')} ({first.fed}): "
                f"{many(len(wrong), 'layer')} neither normalised nor learned the statistics",
                (
                    Step(
                        first.life.site(observed),
                        "this layer then uses its stored statistics, which did not move",
                    ),
                    Step(site, "this run trains the layer"),
                ),
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import trained_by_batch

        return trained_by_batch(finding, observed)

    def _fed(self, run: Run, step: TrainStep, calls: list[NormCall], trace: Trace) -> Iterator[Finding]:
        for feed in run.feeds:
            call = _switched_off(feed, run, calls, trace)
            if call is not None and isinstance(feed.value, Const):
                site = feed.value.site or feed.site
                steps = [Step(call.site, "this layer then uses its stored statistics, which do not move")]
                if site != feed.site:
                    steps.append(Step(feed.site, "the value is fed here"))
                steps.append(Step(run.site, "this run trains the layer"))
                said = repr(feed.value.value)
                yield self.finding(
                    site, _message(f"is fed {said}"), steps, _fed_otherwise(feed, feed.value, trace)
                )

    def _passed(self, run: Run, step: TrainStep, calls: list[NormCall], trace: Trace) -> Iterator[Finding]:
        if pretrained(run, trace):
            return
        for call in calls:
            phase = built_in(call, run.world())
            if phase is None or phase.value or misdirected(call):
                continue
            argument = passed(call, phase, trace)
            if argument is not None:
                yield self.finding(
                    argument.site,
                    _message("is off in the graph that is trained"),
                    (
                        Step(argument.site, f"the phase is handed to `{argument.function}`"),
                        Step(call.site, "this layer then uses its stored statistics, which do not move"),
                        Step(step.site, "and is trained here"),
                    ),
                    _passed_otherwise(call, phase, argument, trace),
                )


def _message(what: str) -> str:
    return (
        f"the training phase {what} in a train step: batch norm neither normalises nor learns its statistics"
    )


def _switched_off(feed: Feed, run: Run, calls: list[NormCall], trace: Trace) -> NormCall | None:
    """The first trained layer that is in inference mode because of a feed entry."""
    for call in calls:
        if call.training(run.world()) is False and switched(call, feed, run, trace):
            return call
    return None


def _fed_otherwise(feed: Feed, literal: Const, trace: Trace) -> Fix:
    text, edits = remedies.flags.turned_over(literal)
    shared = any(
        isinstance(other.value, Const) and other.value.site == literal.site
        for run, _ in evaluations(trace)
        for other in run.feeds
    )
    return _fix(f"say {text} while training", () if shared else edits)


def _passed_otherwise(call: NormCall, phase: Const, argument: Passed, trace: Trace) -> Fix:
    text, edits = remedies.flags.turned_over(phase)
    if edits:
        return _fix(f"say {text} while training", edits)
    return _fix(
        "compare the mode with `ModeKeys.TRAIN`", remedies.flags.compared_mode(call, argument.site, trace)
    )


def _fix(message: str, edits: tuple[Edit, ...]) -> Fix:
    if not edits:
        return Fix(Applicability.DISPLAY, "switch the phase on in the train step")
    return Fix(Applicability.UNSAFE, message, edits)
