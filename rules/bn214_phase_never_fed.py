"""A phase placeholder that is not fed.

## What it does

Reports a boolean placeholder that tells batch normalisation its phase and that no run feeds, a run that
forgets to feed it when it has no default, and a placeholder that is fed but reaches no layer.

## Why it is bad

Without a default the run fails. With a default, training and evaluation share one mode: either the network is
trained in inference mode, or it is evaluated on the statistics of the evaluated batch. A placeholder that
reaches nothing makes every caller believe to switch the layer, and none does.

## When it is not a bug

- The default serves the evaluation and the train step feeds the other value.
- The run does not need the phase: an initialiser, a counter, an input pipeline.
- The feed is built by code that is not known, by a hook, or under the tensor's name.

## Example

```python
is_training = tf.placeholder_with_default(False, [])
x = tf.layers.batch_normalization(x, training=is_training)
sess.run(train_op, feed_dict={inputs: batch})
```

## Use instead

```python
sess.run(train_op, feed_dict={inputs: batch, is_training: True})
```

## Fix safety

There is no automatic fix: what to feed depends on the run.

## Confirmed by

The effective mode of the layer in each phase (RP1).

## Known limits

Feeds that are not known in full are taken to feed everything.

## References

- TensorFlow 1.15, `tf.compat.v1.placeholder`: must be fed by every run that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.constants import built_in, misdirected, untold
from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value, sources
from bnlint.findings import Finding, Group, Location, Step
from bnlint.handmade import ingredients
from bnlint.phase import Role, evaluations, role
from bnlint.rule import Rule
from bnlint.runs import executions, norms_reached, training_runs
from bnlint.trace import NormCall, Run, Trace, Updates
from bnlint.words import is_phase_name


class PhaseNeverFed(Rule):
    """A phase placeholder that a run, or every run, forgets."""

    code = "BN214"
    name = "phase-never-fed"
    group = Group.WARNING

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report a placeholder that is never fed at its call, a run that forgets it at the run."""
        if not trace.driven or trace.incomplete:
            return
        runs = list(executions(trace))
        seen: set[Location] = set()
        for placeholder in [node for node in trace.nodes if _is_flag(node)]:
            calls = [call for call in trace.of(NormCall) if _follows(call, placeholder)]
            if calls:
                findings = self._needed(placeholder, calls[0], runs, trace)
            else:
                findings = self._dead(placeholder, runs, trace)
            for finding in findings:
                if finding.location not in seen:
                    seen.add(finding.location)
                    yield finding

    def _needed(self, placeholder: Node, call: NormCall, runs: list[Run], trace: Trace) -> Iterator[Finding]:
        if placeholder in trace.escaped or any(_feeds_otherwise(run, placeholder) for run in runs):
            return
        fed = [run for run in runs if _feeds(run, placeholder)]
        steps = [
            Step(placeholder.site, "the phase placeholder"),
            Step(call.site, "tells this layer its phase"),
        ]
        if placeholder.attrs.get("default") is None:
            forgetting = [run for run in runs if run not in fed and _needs(run, placeholder, trace)]
            if fed:
                for run in forgetting:
                    yield self.finding(
                        run.site,
                        "this run does not feed the phase placeholder that it needs and that has no default: it fails",
                        (*steps, Step(fed[0].site, "fed here"), Step(run.site, "not fed here")),
                    )
            elif forgetting:
                yield self.finding(
                    placeholder.site,
                    "no run feeds the phase placeholder, which has no default: every run that needs it fails",
                    (*steps, Step(forgetting[0].site, "needed here, but not fed")),
                )
            return
        if fed:
            return
        trains = [run for run in training_runs(trace) if _needs(run, placeholder, trace)]
        evaluates = [run for run, _ in evaluations(trace) if _needs(run, placeholder, trace)]
        if trains and evaluates:
            yield self.finding(
                placeholder.site,
                "no run feeds the phase placeholder: training and evaluation both use its default",
                (
                    *steps,
                    Step(trains[0].site, "not fed in training"),
                    Step(evaluates[0].site, "nor in this evaluation"),
                ),
            )

    def _dead(self, placeholder: Node, runs: list[Run], trace: Trace) -> Iterator[Finding]:
        """A placeholder that is fed and switches nothing, beside layers that are always in one mode."""
        if placeholder in trace.escaped or placeholder in _used(trace):
            return
        fed = [
            run for run in runs if _feeds(run, placeholder) and not isinstance(_fed(run, placeholder), Choice)
        ]
        values = {_truth(run, placeholder) for run in fed}
        calls = [
            call
            for run in fed
            if role(run, trace).role is not Role.UNKNOWN
            for call in norms_reached(run, trace)
            if _unswitched(call, run, trace)
        ]
        if values == {True, False} and calls:
            yield self.finding(
                placeholder.site,
                "the phase placeholder is fed but reaches no layer: batch norm stays in one mode",
                (
                    Step(placeholder.site, "the phase placeholder"),
                    Step(calls[0].site, "this layer is not connected to it"),
                    Step(fed[0].site, "fed here, without any effect"),
                ),
            )


def _unswitched(call: NormCall, run: Run, trace: Trace) -> bool:
    """Whether nothing can switch a layer: its phase is a constant, or it has one kind of statistics for good."""
    if call.updates is not Updates.BY_HAND:
        constant = built_in(call, run.world()) is not None
        return constant and not misdirected(call) and untold(call, trace) is None
    used = ingredients((call.mean or Unknown(), call.variance or Unknown()))
    batch = all(node.attrs["batch"] is True for node in used.moments)
    return used.known and not used.others and batch and bool(used.moments) != bool(used.kept)


def _is_flag(node: Node) -> bool:
    if node.op != Op.PLACEHOLDER:
        return False
    name = node.attrs.get("name")
    return node.attrs.get("dtype") == "bool" or (isinstance(name, str) and is_phase_name(name))


def _follows(call: NormCall, placeholder: Node) -> bool:
    return call.phase is not None and placeholder in sources((call.phase,))


def _needs(run: Run, placeholder: Node, trace: Trace) -> bool:
    """Whether a run certainly needs the placeholder's value and certainly does not feed it."""
    return placeholder in executions(trace)[run].certain and run.feeds_known and not _feeds(run, placeholder)


def _feeds(run: Run, placeholder: Node) -> bool:
    return any(feed.key is placeholder for feed in run.feeds)


def _fed(run: Run, placeholder: Node) -> Value:
    return next(feed.value for feed in run.feeds if feed.key is placeholder)


def _truth(run: Run, placeholder: Node) -> bool | None:
    value = _fed(run, placeholder)
    return bool(value.value) if isinstance(value, Const) else None


def _feeds_otherwise(run: Run, placeholder: Node) -> bool:
    """Whether a run may feed the placeholder in a way that does not show: by name, or by code not known."""
    return not run.feeds_known or any(
        not isinstance(feed.key, Node) and run.graph is placeholder.graph for feed in run.feeds
    )


def _used(trace: Trace) -> set[Value]:
    """Everything that some node or normalisation consumes."""
    found: set[Value] | None = trace.facts.get("used values")
    if found is None:
        consumed: list[Value] = []
        for node in trace.nodes:
            consumed.extend((*node.inputs, *node.control, *(predicate for predicate, _ in node.branch)))
        found = trace.facts["used values"] = sources(consumed)
    return found
