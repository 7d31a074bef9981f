"""An evaluation whose batch norm has statistics of its own, which nothing trains.

## What it does

Reports a normalisation that an evaluation runs, where training runs the layer of the same place on the same
weights with other variables: the second call made a second layer (`BatchNorm_1`) instead of sharing the first.

## Why it is bad

The second layer keeps its initial values for ever: scale 1, offset 0, mean 0, variance 1. Evaluation uses the
trained weights of the network and the untrained layer between them.

## When it is not a bug

- The scope is entered again with `reuse=True` or `tf.AUTO_REUSE`, or the call is inside a template.
- Training and evaluation are built in separate graphs and meet in a checkpoint.
- The second layer is trained as well: two networks, or two domains.

## Example

```python
def hidden(x, is_training):
    return tf.contrib.layers.batch_norm(tf.matmul(x, w), is_training=is_training)

train_logits = hidden(x, True)
valid_logits = hidden(x_valid, False)
```

## Use instead

```python
def hidden(x, is_training):
    return tf.contrib.layers.batch_norm(
        tf.matmul(x, w), is_training=is_training, scope="hidden_bn", reuse=tf.AUTO_REUSE
    )
```

## Fix safety

Where the weights are shared and only the layer between them is not, the fix gives the layer the name that it has in
training, which existing checkpoints know, and `reuse=tf.AUTO_REUSE`. It is safe in a script that no other program of
the project imports: then all calls of the layer are seen, and make that one layer. In a module that others import it
is unsafe, because a program may use the same call for several layers. The fix is only shown where the weights are not
shared either, where the layer has a name already, and where it is an object.

## Confirmed by

`bnlint run`: an evaluation used a layer that no training step ran and whose moving statistics are 0 and 1 to
the end, while the one that training ran, of the same name but for the number at its end, was not executed
(RP7).

## Known limits

A layer whose scope name is computed from something unknown is left alone.

## References

- TensorFlow 1.15, `tf.compat.v1.variable_scope`: default names are made unique.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.paths import parting, segment_behind
from bnlint.analyses.runs import executions, runs_training, training_runs
from bnlint.dataflow import Node, Op, World
from bnlint.findings import Applicability, Finding, Fix, Group, Location, SetKeyword, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Run, Save, Trace, TrainStep, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class EvaluationBuildsOwnStatistics(Rule):
    """The evaluation's batch norm does not share the trained layer's variables."""

    code = "BN302"
    name = "evaluation-builds-own-statistics"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report the second layer, once for each place."""
        trained = _trained(trace)
        layers = {call.layer for call in trained}
        if not layers:
            return
        names = {layer.name for layer in layers}
        for run, executed in executions(trace).items():
            if any(node.op == Op.TRAIN for node in executed.nodes) or not _means_training(
                run, trained, trace
            ):
                continue
            for node in sorted(executed.nodes, key=lambda node: node.order):
                call = _call_of(node)
                if call is None or call.layer in layers or call.layer.name is None:
                    continue
                if call.layer.name in names:
                    # Graphs of modes that exclude each other: a checkpoint brings the variables of this name.
                    continue
                if call.forward is not None:
                    # Where layers are objects, their names do not tell which are the same.
                    continue
                twin = _twin(call, run.world(), trained)
                if twin is not None:
                    yield self._finding(call, twin, run, trace)
                    break

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report the second layer, once for each place."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import untrained_twins

        seen: set[Location] = set()
        for life, evaluated, twin in untrained_twins(observed):
            site = life.site(observed)
            if site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"{many(evaluated.run.count, 'evaluation')} used a second layer, `{life.layer.name}`, that was never "
                f"trained and has its initial statistics; training uses `{twin.layer.name}`",
                (
                    Step(twin.site(observed), f"trained here as `{twin.layer.name}`"),
                    Step(site, f"built again as `{life.layer.name}`"),
                    Step(place_of(evaluated.run, observed), "evaluated here"),
                ),
            )

    def _finding(self, call: NormCall, twin: NormCall, run: Run, trace: Trace) -> Finding:
        steps = [
            Step(twin.site, f"trained here as `{twin.layer.name}`"),
            Step(call.site, f"built again as `{call.layer.name}`"),
            Step(run.site, "evaluated here"),
        ]
        place = parting(call.context, twin.context)
        if place != call.site:
            steps.insert(1, Step(place, "the second network is built here"))
        return self.finding(
            call.site,
            f"the evaluation's batch norm is a second layer, `{call.layer.name}`, that is never trained; "
            f"training uses `{twin.layer.name}`",
            steps,
            _fix(call, twin, run, trace),
        )


_NAMES = {"tf.layers.batch_normalization": "name", "tf.contrib.layers.batch_norm": "scope"}
_SHOWN = Fix(Applicability.DISPLAY, "give both calls one `scope` and `reuse=tf.AUTO_REUSE`")


def _fix(call: NormCall, twin: NormCall, run: Run, trace: Trace) -> Fix:
    keyword = _NAMES.get(call.layer.api)
    if keyword is None or not _shares_weights(run, trace) or not _can_share(call, twin, trace):
        return _SHOWN
    name = (twin.layer.name or "").rpartition("/")[2]
    edits = tuple(
        edit
        for site in dict.fromkeys((twin.site, call.site))
        for edit in (SetKeyword(site, keyword, repr(name)), SetKeyword(site, "reuse", "{tf}.AUTO_REUSE"))
    )
    own = all(site.path == trace.entry for site in (twin.site, call.site))
    alone = own and not trace.imported and not trace.incomplete
    return Fix(
        Applicability.SAFE if alone else Applicability.UNSAFE,
        f"share the layer `{name}` with `{keyword}` and `reuse`",
        edits,
    )


def _can_share(call: NormCall, twin: NormCall, trace: Trace) -> bool:
    """Whether the calls at the places of the two layers make nothing but those, and leave the names to the API."""
    scope = (twin.layer.name or "").rpartition("/")[0]
    if (call.layer.name or "").rpartition("/")[0] != scope:
        return False
    for other in trace.of(NormCall):
        if other.site not in (call.site, twin.site) or other.layer.api != call.layer.api:
            continue
        if other.via or other.arguments.open or {"name", "scope", "reuse"} & set(other.arguments.named):
            return False
        same_scope = (other.layer.name or "").rpartition("/")[0] == scope
        if (
            same_scope
            and other.layer.graph is call.layer.graph
            and other.layer not in (call.layer, twin.layer)
        ):
            return False
    return True


def _shares_weights(run: Run, trace: Trace) -> bool:
    """Whether all weights that a run uses are trained."""
    return _weights([run], trace) <= _weights(training_runs(trace), trace)


def _weights(runs: Iterable[Run], trace: Trace) -> set[Node]:
    return {
        weight
        for run in runs
        for node in executions(trace)[run].nodes
        if node.op == Op.WEIGHTED
        for weight in node.attrs["weights"]
    }


Trained = dict[NormCall, World]


def _trained(trace: Trace) -> Trained:
    """The layer calls that training executes, in order, each with the world of a training run."""
    found: Trained = {}
    for step in trace.of(TrainStep):
        for run in runs_training(step, trace):
            for node in sorted(executions(trace)[run].nodes, key=lambda node: node.order):
                call = _call_of(node)
                if call is not None:
                    found.setdefault(call, run.world())
    return found


def _means_training(run: Run, trained: Trained, trace: Trace) -> bool:
    """Whether a run is meant to evaluate what was trained: it uses trained weights, or weights that nothing ever
    sets, neither a train step nor an assignment nor a checkpoint."""
    weights = {
        weight
        for node in executions(trace)[run].certain
        if node.op == Op.WEIGHTED
        for weight in node.attrs["weights"]
    }
    learned = {
        weight
        for training in training_runs(trace)
        for node in executions(trace)[training].nodes
        if node.op == Op.WEIGHTED
        for weight in node.attrs["weights"]
    }
    if weights & learned:
        return True
    restored = any(save.restores for save in trace.of(Save))
    later = any(run.order > training.order for training in training_runs(trace))
    return bool(weights) and later and not restored and not any(weight.inputs for weight in weights)


def _call_of(node: Node) -> NormCall | None:
    if node.op != Op.NORM:
        return None
    call: NormCall = node.attrs["call"]
    return None if call.updates is Updates.BY_HAND else call


def _twin(call: NormCall, world: World, trained: Trained) -> NormCall | None:
    """The trained layer that this one should have been: made at the same place, or for the same weights or input."""
    before = segment_behind((call.input,), world)
    for other, theirs in trained.items():
        if other.layer.graph is not call.layer.graph or other.layer.name is None:
            continue
        if other.site == call.site or (
            other.input is call.input and other.output.branch and call.output.branch
        ):
            return other
        if other.context.frame.node is call.context.frame.node and before.weights:
            there = segment_behind((other.input,), theirs)
            if there.weights == before.weights and there.layers == before.layers:
                return other
    return None
