"""Moving statistics that evaluation updates as well.

## What it does

Reports the update of a hand-written batch norm's moving statistics that certainly runs while the layer
normalises with those statistics, that is in inference. Reports as well a layer with updates in place that is built
for both phases, outside of the functions of the `tf.cond` that chooses between the results: both are computed.

## Why it is bad

Every evaluation moves the averages towards the evaluation data: the model that is measured is not the model
that was trained, test data leak into it, and results depend on how often and in which order it was
evaluated. The usual cause: an operation that is created outside the branch functions of `tf.cond` runs
whichever branch is taken, even if only one branch depends on it.

## When it is not a bug

- The update writes back the old value when the phase is off.
- Statistics are re-estimated on purpose: then the layer runs in training mode.
- The update is only fetched in training.

## Example

```python
update = ema.apply([mean, variance])

def with_update():
    with tf.control_dependencies([update]):
        return tf.identity(mean), tf.identity(variance)

m, v = tf.cond(training, with_update, lambda: (ema.average(mean), ema.average(variance)))
```

```python
trained = batch_norm(x, updates_collections=None, is_training=True, scope="bn")
learned = batch_norm(x, updates_collections=None, is_training=False, scope="bn", reuse=True)
x = tf.cond(training, lambda: trained, lambda: learned)
```

## Use instead

```python
def with_update():
    with tf.control_dependencies([ema.apply([mean, variance])]):
        return tf.identity(mean), tf.identity(variance)
```

```python
x = batch_norm(x, updates_collections=None, is_training=training, scope="bn")
```

## Fix safety

Where an assignment is created before the choice, and only the function of the training branch uses it, the fix moves
it into that function. That is safe: training does the same as before, and in inference nothing used it. Moving
`apply` of an `ExponentialMovingAverage` is unsafe, because its averages get other names in checkpoints. Elsewhere
the fix is only shown: what fetches the update, or depends on it, may have other purposes.

## Confirmed by

`bnlint run`: an evaluation moved the moving statistics (RP2) while its output was the formula with them
(RP4), or while it was told to infer and fitted neither formula, because they moved in between.

## Known limits

The layers of `tf.layers`, contrib and slim keep their statistics when their phase is off; where nothing else is built
and the phase is on, it is BN201 that reports.

## References

- TensorFlow 1.15, `tf.cond`: operations defined outside of the branch functions are executed regardless.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.handmade import Handmade, handmade, ingredients
from bnlint.analyses.runs import executions
from bnlint.analyses.written import Function, Source, bound, source
from bnlint.dataflow import Execution, Node, Op, Value, World, sources
from bnlint.findings import Applicability, Finding, Fix, Group, Location, MoveStatement, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Run, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_SHOWN = Fix(
    Applicability.DISPLAY,
    "create the update inside the function of the training branch, or fetch it only in training",
)


class StatisticsUpdatedInEvaluation(Rule):
    """An update of moving statistics that runs in inference."""

    code = "BN210"
    name = "statistics-updated-in-evaluation"
    group = Group.WARNING
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once, at the first of its updates."""
        seen: set[Location] = set()
        layers = handmade(trace)
        for run, executed in executions(trace).items():
            if any(node.op == Op.TRAIN for node in executed.nodes):
                continue
            world = run.world()
            for layer in layers:
                update = next((node for node in layer.updates if node in executed.certain), None)
                if (
                    update is None
                    or layer.call.site in seen
                    or not _inference(layer, layers, executed, world)
                ):
                    continue
                reader = _reader(layer, executed, world, trace)
                if reader is None or _switched(update, layer.call.phase):
                    continue
                seen.add(layer.call.site)
                yield self.finding(
                    update.site, _MESSAGE, _steps(layer, update, reader, run), _fix(layer, trace)
                )
            for call, chosen in _outside_of_branches(executed, world, trace):
                if call.site not in seen:
                    seen.add(call.site)
                    yield self._outside(call, chosen, run)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each layer once."""
        from bnlint.runtime.lives import lives, many, place_of
        from bnlint.runtime.observed import Mode

        seen: set[Location] = set()
        for life in lives(observed):
            site = life.site(observed)
            for each in life.evaluations:
                # A run that moves them between reading the mean and the variance fits no formula.
                told = each.passage.declared is False and each.passage.mode is Mode.NEITHER
                in_inference = told or each.passage.mode is Mode.MOVING
                if in_inference and each.passage.moved and site not in seen:
                    seen.add(site)
                    runs = many(each.run.count, "evaluation")
                    yield self.finding(
                        site,
                        f"{runs} moved the moving statistics of `{life.layer.name}` while using them: they take in the "
                        "evaluation data",
                        (
                            Step(site, "normalised here with the moving statistics"),
                            Step(
                                place_of(each.run, observed), "evaluated here; the update runs all the same"
                            ),
                        ),
                    )

    def _outside(self, call: NormCall, chosen: Node, run: Run) -> Finding:
        return self.finding(
            call.site,
            "this runs in evaluation too, whichever side the condition takes, and moves the statistics: they take in "
            "the evaluation data",
            (
                Step(call.site, "normalised in training mode here, with updates in place"),
                Step(chosen.site, "the branches only return what was built outside of them"),
                Step(run.site, "evaluated here, with the other branch"),
            ),
            Fix(Applicability.DISPLAY, "build each layer inside the function of its branch"),
        )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these runs."""
        from bnlint.runtime.refutations import evaluation_moved_nothing

        return evaluation_moved_nothing(finding, observed)


_MESSAGE = (
    "this update runs in evaluation too: the moving statistics take in the evaluation data, and results "
    "depend on what was evaluated before"
)


def _outside_of_branches(executed: Execution, world: World, trace: Trace) -> Iterator[tuple[NormCall, Node]]:
    """The layers in training mode that a run executes although a condition takes the same layer in inference mode."""
    chosen = [node for node in executed.certain if node.op == Op.COND and len(node.inputs) == 3]
    for node in sorted(chosen, key=lambda node: node.order):
        outcome = world.truth(node.inputs[0])
        if outcome is None:
            continue
        taken, left = (sources((node.inputs[index],)) for index in ((1, 2) if outcome else (2, 1)))
        used = {
            call.layer
            for call in trace.of(NormCall)
            if call.output in taken and call.training(world) is False
        }
        for call in trace.of(NormCall):
            if call.updates is Updates.IN_PLACE and call.output in left and call.output not in taken:
                if call.layer in used and call.output in executed.certain and call.training(world) is True:
                    yield call, node


def _inference(layer: Handmade, layers: list[Handmade], executed: Execution, world: World) -> bool:
    """Whether a run certainly does not normalise with the moments of this layer's batch."""
    return all(
        other.call.output not in executed.nodes or other.call.training(world) is False
        for other in layers
        if other.moments & layer.moments
    )


def _reader(layer: Handmade, executed: Execution, world: World, trace: Trace) -> NormCall | None:
    """The normalisation that certainly uses the moving statistics of the layer in this run."""
    if layer.call.output in executed.certain and layer.kept:
        return layer.call
    for call in trace.of(NormCall):
        if call.mean is not None and call.variance is not None and call.output in executed.certain:
            kept = ingredients((call.mean, call.variance)).kept
            if kept & layer.targets and call.training(world) is False:
                return call
    return None


def _switched(update: Node, phase: Value | None) -> bool:
    """Whether what the update writes may depend on the phase itself."""
    written = update.attrs.get("value")
    if written is None or phase is None:
        return False
    return bool(ingredients((written,)).others)


def _steps(layer: Handmade, update: Node, reader: NormCall, run: Run) -> tuple[Step, ...]:
    return (
        Step(min(node.site for node in layer.moments), "the statistics of the batch"),
        Step(update.site, "enter the moving ones here, outside of the choice between the phases"),
        Step(reader.site, "which this normalisation uses in inference"),
        Step(run.site, "this run is in inference and executes the update all the same"),
    )


def _fix(layer: Handmade, trace: Trace) -> Fix:
    edits: list[MoveStatement] = []
    for update in layer.updates:
        written = source(update.site, trace)
        made = written.at(update.site, ast.Call) if written else None
        move = _move(written, made) if written and made else None
        if move is None:
            return _SHOWN
        if move not in edits:
            edits.append(move)
    message = "create the update inside the function of the training branch"
    if all(
        update.op == Op.ASSIGN and "moving_average" not in update.attrs["api"] for update in layer.updates
    ):
        return Fix(Applicability.SAFE, message, tuple(edits))
    message += "; in checkpoints the averages then have other names"
    return Fix(Applicability.UNSAFE, message, tuple(edits))


def _move(written: Source, made: ast.Call) -> MoveStatement | None:
    """The edit that moves an update to the dependencies which it is created for, if nothing else uses it."""
    statement = written.parent(made)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    scope = written.scope(made)
    if (
        not isinstance(statement, ast.Assign)
        or not isinstance(target, ast.Name)
        or bound(target.id, scope) != 1
    ):
        return None
    uses = _uses(target.id, scope)
    place = written.around(uses[0], ast.With) if len(uses) == 1 else None
    branch = written.scope(uses[0]) if uses else scope
    if (
        place is None
        or not isinstance(branch, Function)
        or branch not in getattr(written.parent(branch), "body", ())
        or written.scope(branch) is not scope
        or not any(written.inside(uses[0], item.context_expr) for item in place.items)
        or not all(_is_branch(written, use) for use in _uses(branch.name, scope))
        or not _same_inside(statement.value, scope, branch)
        or _reads_average(written, made, scope)
    ):
        return None
    return MoveStatement(written.locate(statement), written.locate(place))


def _uses(name: str, scope: ast.AST) -> list[ast.Name]:
    return [
        node
        for node in ast.walk(scope)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]


def _is_branch(written: Source, use: ast.Name) -> bool:
    holder = written.parent(use)
    if isinstance(holder, ast.keyword):
        holder = written.parent(holder)
    called = holder.func if isinstance(holder, ast.Call) else None
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) in _CONDITIONALS


_CONDITIONALS = {"cond", "smart_cond"}


def _same_inside(value: ast.expr, scope: ast.AST, branch: ast.AST) -> bool:
    """Whether the names in an expression mean the same inside the branch function."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return all(bound(name, scope) <= 1 and not bound(name, branch) for name in names)


def _reads_average(written: Source, made: ast.Call, scope: ast.AST) -> bool:
    """Whether the averages that an update makes are read outside of a branch: then they must exist before it."""
    if not isinstance(made.func, ast.Attribute) or made.func.attr != "apply":
        return False
    return any(
        isinstance(node, ast.Attribute) and node.attr == "average" and written.scope(node) is scope
        for node in ast.walk(scope)
    )
