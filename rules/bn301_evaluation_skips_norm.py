"""An evaluation path that uses the trained weights but leaves out the batch norm between them.

## What it does

Compares the dataflow paths over the same weights: where training normalises between two uses of weights and an
evaluation of the same weights does not, the first operation of the evaluation path that goes without is reported.
A layer that is only built while training (`if is_training: x = batch_norm(x)`) is the same bug in one function.

## Why it is bad

The weights were learned for normalised inputs. Without the layer they get inputs of another scale and mean, and
the outputs have nothing to do with those in training: accuracy falls to chance although the loss was fine.

## When it is not a bug

- The condition is a design switch (`if use_batch_norm`), not the phase.
- The second path is trained too, so it is a network of its own (siamese branches, discriminators).

## Example

```python
hidden = tf.nn.relu(tf.contrib.layers.batch_norm(tf.matmul(x, w1)))
loss = cost(tf.matmul(hidden, w2))
train_step = tf.train.AdamOptimizer().minimize(loss)
valid_hidden = tf.nn.relu(tf.matmul(valid_x, w1))
valid_prediction = tf.nn.softmax(tf.matmul(valid_hidden, w2))
```

## Use instead

Build training and evaluation with one function, sharing the layer's variables, and tell it the phase:

```python
def network(x, is_training):
    hidden = tf.contrib.layers.batch_norm(tf.matmul(x, w1), is_training=is_training, scope="bn", reuse=tf.AUTO_REUSE)
    return tf.matmul(tf.nn.relu(hidden), w2)
```

## Fix safety

Only shown: the evaluation has to be built with other layers, and with which statistics is a decision.

## Confirmed by

`bnlint run`: an evaluation executed operations with trained weights, and what training has between these
weights and those before them was there, without the batch norm (RP7).

## Known limits

Paths with operations that the analysis does not know are left alone, and so are separate checkpointed programs.

## References

- Ioffe and Szegedy 2015, *Batch Normalization*, section 3.1: inference uses the population statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.paths import Segment, enclosing_if, identity, parting, segment_before
from bnlint.analyses.runs import executions, runs_training, training_runs
from bnlint.dataflow import Choice, Node, Op, Value, World
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Run, Save, Trace, TrainStep
from bnlint.words import training_outcome

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class EvaluationSkipsNorm(Rule):
    """An evaluation path over trained weights goes without their batch norm."""

    code = "BN301"
    name = "evaluation-skips-norm"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each evaluation path once, at its first operation that goes without."""
        yield from self._compared(trace)
        yield from self._built_for_training_only(trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each evaluation path once, at its first operation that goes without, if that is known."""
        from bnlint.runtime.lives import lives, many, place_of, somewhere
        from bnlint.runtime.symptoms import by_site

        seen: set[Location] = set()
        trained = {life.layer.key: life for life in lives(observed) if life.training}
        for run in observed.evaluations():
            skipped = [trained[key] for key in run.skipped if key in trained]
            site = somewhere(observed, run.skips, run.site)
            if not skipped or site in seen:
                continue
            seen.add(site)
            layers = many(len(skipped), "batch-norm layer")
            yield self.finding(
                site,
                f"{many(run.count, 'evaluation')} used the trained weights but skipped {layers} that "
                "training has before them",
                (
                    *(
                        Step(place, "training normalises here")
                        for place in list(by_site(skipped, observed))[:3]
                    ),
                    Step(site, "the same weights, without the normalisation"),
                    Step(place_of(run, observed), "which this run evaluates"),
                ),
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import evaluation_goes_through

        return evaluation_goes_through(finding, observed)

    def _compared(self, trace: Trace) -> Iterator[Finding]:
        training = _training_uses(trace)
        trained = {node for uses in training.values() for node, _ in uses}
        restored = {save.graph for save in trace.of(Save) if save.restores}
        for run, executed in executions(trace).items():
            if not training or any(node.op == Op.TRAIN for node in executed.nodes):
                continue
            skipping: set[Node] = set()
            for node in sorted(executed.certain, key=lambda node: node.order):
                if node.op != Op.WEIGHTED or node in trained:
                    continue
                here = segment_before(node, run.world())
                counterpart = _counterpart(node, here, training, restored)
                if counterpart is not None:
                    if not here.before & skipping:
                        yield self._finding(run, node, here, *counterpart)
                    skipping.add(node)

    def _finding(self, run: Run, node: Node, here: Segment, use: Node, norm: Node) -> Finding:
        first = node if here.norms else min((node, *here.before), key=lambda other: other.order)
        place = first.site
        if node.site == use.site:
            place = parting(node.context, use.context)
            if norm.context.frame.node is node.context.frame.node:
                place = enclosing_if(norm.context) or first.site
        steps = [
            Step(norm.site, "training normalises here"),
            Step(use.site, "and passes the result on to these weights"),
            Step(node.site, "the same weights, without the normalisation"),
            Step(run.site, "which this run evaluates"),
        ]
        return self.finding(
            place,
            "evaluation uses the trained weights but skips the batch norm that training has before them",
            steps,
            Fix(
                Applicability.DISPLAY,
                "build both with one function, sharing the layer, and tell it the phase",
            ),
        )

    def _built_for_training_only(self, trace: Trace) -> Iterator[Finding]:
        for node in trace.nodes:
            for value in node.inputs:
                if isinstance(value, Choice):
                    for norm in _only_in_training(value):
                        place = enclosing_if(norm.context)
                        if place is not None:
                            yield self._one_sided(
                                place, norm, Step(node.site, "inference arrives here without it")
                            )
            if node.op == Op.COND:
                skipped = _one_branch(node, trace)
                if skipped is not None:
                    yield self._one_sided(
                        node.site, skipped, Step(node.site, "the other branch returns the input as it is")
                    )

    def _one_sided(self, place: Location, norm: NormCall, other: Step) -> Finding:
        return self.finding(
            place,
            "the batch norm is only built while training: inference passes the input on unnormalised",
            (Step(norm.site, "normalised here, in training only"), other),
            Fix(Applicability.DISPLAY, "normalise in both phases, and tell the layer which one it is"),
        )


Uses = dict[object, list[tuple[Node, World]]]


def _training_uses(trace: Trace) -> Uses:
    """Where training uses each variable, with the world of the training run."""
    found: Uses = {}
    for step in trace.of(TrainStep):
        for run in runs_training(step, trace):
            for node in executions(trace)[run].certain:
                if node.op == Op.WEIGHTED:
                    for weight in node.attrs["weights"]:
                        found.setdefault(identity(weight), []).append((node, run.world()))
    return found


def _counterpart(
    node: Node, here: Segment, training: Uses, restored: set[object]
) -> tuple[Node, Node] | None:
    """The use of the same weights in training before which there is a norm that is missing here, and that norm."""
    uses = [
        (use, world)
        for weight in node.attrs["weights"]
        for use, world in training.get(identity(weight), ())
        if use.graph is node.graph or node.graph in restored
    ]
    if not uses or not here.known:
        return None
    segments = [(use, segment_before(use, world)) for use, world in uses]
    if not all(
        there.known and here.layers < there.layers and there.weights == here.weights for _, there in segments
    ):
        return None
    use, there = segments[0]
    missing = [norm for norm in there.norms if norm.attrs["call"].layer not in here.layers]
    return use, min(missing, key=lambda norm: norm.order)


def _only_in_training(value: Choice) -> Iterator[NormCall]:
    """The norms of a choice whose other alternative is their own input, taken when the phase is not training."""
    for guards, option in value.options:
        norm = _norm_of(option)
        if norm is None:
            continue
        for others, other in value.options:
            if other is norm.input and any(
                training_outcome(condition) == outcome and (condition, not outcome) in others
                for condition, outcome in guards
            ):
                yield norm


def _one_branch(node: Node, trace: Trace) -> NormCall | None:
    """The norm in one branch of a graph-level conditional that training takes while an evaluation takes the other,
    where its input passes unchanged."""
    predicate, *sides = node.inputs
    if len(sides) != 2:
        return None
    for outcome, side, other in ((True, sides[0], sides[1]), (False, sides[1], sides[0])):
        norm = _norm_of(side)
        if norm is not None and norm.input is other and _divides(predicate, outcome, trace):
            return norm
    return None


def _divides(predicate: Value, outcome: bool, trace: Trace) -> bool:
    """Whether training runs have a predicate so, and other runs otherwise."""
    trains = {run.world().truth(predicate) for run in training_runs(trace)}
    others = {run.world().truth(predicate) for run in trace.of(Run) if run not in training_runs(trace)}
    return trains == {outcome} and (not outcome) in others


def _norm_of(value: Value) -> NormCall | None:
    if isinstance(value, Node) and value.op == Op.NORM:
        call: NormCall = value.attrs["call"]
        return call
    return None
