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

The fix feeds the placeholder, True where a train step runs and False in an evaluation, or gives it to the layers that
do not get it. It decides about the phase of a run, so it is unsafe. It is only shown where a run's part is not known,
where the feed is not written as `{...}` for that run alone, or where the placeholder has no name there.

## Confirmed by

`bnlint run`: the phase comes from a placeholder that the run did not feed, and the output is the formula with
the moving statistics in training, or that with the statistics of the batch in a run that certainly evaluates
(RP1, RP4); or the program ended with the exception that names the placeholder. A placeholder that is fed but
reaches no layer leaves these with a constant phase, which is reported as BN107 or BN203.

## Known limits

Feeds that are not known in full are taken to feed everything.

## References

- TensorFlow 1.15, `tf.compat.v1.placeholder`: must be fed by every run that needs it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.constants import built_in, misdirected, untold
from bnlint.analyses.handmade import ingredients
from bnlint.analyses.runs import executions, norms_reached, training_runs
from bnlint.analyses.written import Source, is_plain, keyword, source
from bnlint.dataflow import Choice, Const, Node, Op, Unknown, Value, World, sources
from bnlint.findings import AddItem, Applicability, Edit, Finding, Fix, Group, Location, Step
from bnlint.phase import Role, evaluations, role
from bnlint.rule import Rule
from bnlint.trace import NormCall, Run, Trace, Updates
from bnlint.words import is_phase_name

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class PhaseNeverFed(Rule):
    """A phase placeholder that a run, or every run, forgets."""

    code = "BN214"
    name = "phase-never-fed"
    group = Group.WARNING
    frameworks = ("tensorflow1",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

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

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report a placeholder that no run feeds at its line, a run that forgets it at the run."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import Source, evaluated_by_batch, trained_in_inference

        if observed.ended == "exception" and observed.error_site is not None and _was_missing(observed):
            yield self.finding(
                observed.error_site,
                "this run does not feed the phase placeholder that it needs and that has no default: it failed",
                (Step(observed.error_site, "not fed here"),),
            )
        seen: set[Location] = set()
        trained = [(wrong, "training step") for wrong in trained_in_inference(observed, Source.FORGOTTEN)]
        evaluated = [(wrong, "evaluation") for wrong in evaluated_by_batch(observed, Source.FORGOTTEN)]
        for wrong, what in (*trained, *evaluated):
            run = place_of(wrong.seen.run, observed)
            placeholder = wrong.seen.passage.phase_site or run
            fed = any(each.run.fed for each in wrong.life.runs)
            site = run if fed else placeholder
            if site in seen:
                continue
            seen.add(site)
            which = "this run does not feed" if fed else "no run feeds"
            mode = "inference" if what == "training step" else "training"
            yield self.finding(
                site,
                f"{which} the phase placeholder: `{wrong.life.layer.name}` was in {mode} mode in "
                f"{many(wrong.seen.run.count, what)}",
                (
                    Step(placeholder, "the phase placeholder"),
                    Step(wrong.life.site(observed), "tells this layer its phase"),
                    Step(run, "not fed here"),
                ),
            )

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
                        _feed_too([run], placeholder, runs, trace),
                    )
            elif forgetting:
                yield self.finding(
                    placeholder.site,
                    "no run feeds the phase placeholder, which has no default: every run that needs it fails",
                    (*steps, Step(forgetting[0].site, "needed here, but not fed")),
                    _feed_too(forgetting, placeholder, runs, trace),
                )
            return
        if fed:
            return
        trains = [run for run in training_runs(trace) if _needs(run, placeholder, trace)]
        evaluates = [run for run, _ in evaluations(trace) if _needs(run, placeholder, trace)]
        if trains and evaluates:
            default = World().truth(placeholder)
            others = evaluates if default else trains
            yield self.finding(
                placeholder.site,
                "no run feeds the phase placeholder: training and evaluation both use its default",
                (
                    *steps,
                    Step(trains[0].site, "not fed in training"),
                    Step(evaluates[0].site, "nor in this evaluation"),
                ),
                _SHOWN if default is None else _feed_too(others, placeholder, runs, trace),
            )

    def _dead(self, placeholder: Node, runs: list[Run], trace: Trace) -> Iterator[Finding]:
        """A placeholder that is fed and switches nothing, beside layers that are always in one mode."""
        if placeholder in trace.escaped or placeholder in _used(trace):
            return
        fed = [
            run for run in runs if _feeds(run, placeholder) and not isinstance(_fed(run, placeholder), Choice)
        ]
        values = {_truth(run, placeholder) for run in fed}
        if fed and placeholder.attrs.get("default") is not None:
            # The other runs use the default.
            values.add(World().truth(placeholder))
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
                _connect(placeholder, calls, trace),
            )


def _was_missing(observed: Observed) -> bool:
    """Whether the program ended because a flag was not fed that is the phase of its layers."""
    found = _UNFED.search(observed.error)
    if found is None or not observed.layers:
        return False
    name = found.group(1)
    tells = any(
        name in run.fed and any(passage.fixed is False for passage in run.passages) for run in observed.runs
    )
    return tells or is_phase_name(name.rpartition("/")[2])


_UNFED = re.compile(r"You must feed a value for placeholder tensor '([^']+)' with dtype bool")


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


_SHOWN = Fix(Applicability.DISPLAY, "feed True where the network is trained, and False where it is evaluated")


def _connect(placeholder: Node, calls: Iterable[NormCall], trace: Trace) -> Fix:
    """The fix that gives the placeholder to the layers that should follow it."""
    edits: list[Edit] = []
    for call in {call.site: call for call in calls}.values():
        phase = remedies.flags.placeholder_phase(placeholder, call.order, trace)
        own = remedies.flags.told(call, phase, trace) if phase is not None else ()
        if not own:
            return Fix(Applicability.DISPLAY, "give the placeholder to the layers")
        edits.extend(edit for edit in own if edit not in edits)
    return Fix(Applicability.UNSAFE, "give the placeholder to the layers", tuple(edits))


def _feed_too(forgetting: Iterable[Run], placeholder: Node, runs: list[Run], trace: Trace) -> Fix:
    """The fix that makes runs feed the placeholder as their part demands."""
    edits: list[Edit] = []
    for run in forgetting:
        part = role(run, trace).role
        display = _display(run, runs, trace)
        key = _key(display, run, placeholder, runs, trace) if display is not None else None
        if part is Role.UNKNOWN or display is None or key is None:
            return _SHOWN
        edit = AddItem(display, key, repr(part is Role.TRAIN))
        if edit not in edits:
            edits.append(edit)
    if len({edit.location for edit in edits if isinstance(edit, AddItem)}) < len(edits):
        return _SHOWN
    values = sorted({edit.value for edit in edits if isinstance(edit, AddItem)}, reverse=True)
    return Fix(Applicability.UNSAFE, f"feed {' and '.join(values)} here", tuple(edits))


def _display(run: Run, runs: list[Run], trace: Trace) -> Location | None:
    """Where the feed of a run is written, if no run at another place takes anything from there."""
    written = source(run.site, trace)
    called = written.at(run.site, ast.Call) if written else None
    if written is None or called is None:
        return None
    position = 0 if run.api.startswith("Tensor.") else 1
    given = keyword(called, "feed_dict") or (called.args[position] if len(called.args) > position else None)
    if isinstance(given, ast.Name):
        given = written.assigned(given)
    if not isinstance(given, ast.Dict):
        return None
    values = {written.locate(value) for value in given.values}
    if any(feed.site in values for other in runs if other.site != run.site for feed in other.feeds):
        return None
    return written.locate(given)


def _key(display: Location, run: Run, placeholder: Node, runs: list[Run], trace: Trace) -> str | None:
    """How the placeholder is called where a feed is written: by its own name, as the feed of another run in the same
    function says it, or as an attribute of the object whose other placeholders are fed."""
    written = source(display, trace)
    node = written.at(display, ast.Dict) if written else None
    if written is None or node is None:
        return None
    phase = remedies.flags.placeholder_phase(placeholder, run.order, trace)
    if phase is not None and phase.visible(written, node):
        return phase.text
    for other in runs:
        for feed in other.feeds:
            value = written.at(feed.site, ast.expr) if feed.key is placeholder else None
            fed = written.parent(value) if value is not None else None
            if value is not None and isinstance(fed, ast.Dict) and written.scope(fed) is written.scope(node):
                key = fed.keys[fed.values.index(value)]
                if key is not None and is_plain(key):
                    return ast.unparse(key)
    return _attribute(node, run, phase.text if phase else "", written, trace)


def _attribute(node: ast.Dict, run: Run, text: str, written: Source, trace: Trace) -> str | None:
    """The attribute ``text``, such as ``self.phase``, of the object of which the feed has another attribute."""
    owner, _, name = text.rpartition(".")
    for feed in run.feeds:
        value = written.at(feed.site, ast.expr)
        if not owner or not isinstance(feed.key, Node) or value not in node.values:
            continue
        key = node.keys[node.values.index(value)]
        other = remedies.flags.placeholder_phase(feed.key, run.order, trace)
        if isinstance(key, ast.Attribute) and is_plain(key) and other and other.text == f"{owner}.{key.attr}":
            return f"{ast.unparse(key.value)}.{name}"
    return None
