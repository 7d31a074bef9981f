"""A checkpoint that leaves the moving statistics of batch normalisation out.

## What it does

Reports a `tf.train.Saver` whose list of variables holds the scale and offset of batch-norm layers and not
their moving mean and variance, such as `tf.train.Saver(tf.trainable_variables())`. In PyTorch, reports a `torch.save`
of the parameters of a model, or of a `state_dict()` from which the moving statistics were filtered.

## Why it is bad

The moving statistics are variables that are not trainable; in PyTorch they are buffers, and no parameters. A
checkpoint without them restores the weights of the network next to a moving mean of 0 and a moving variance of 1, and
inference then is as good as unnormalised. In the process that trained the network everything still looks right.

## When it is not a bug

- Another checkpoint of the same program holds all variables.
- The saver only restores a part of a network that is then trained.
- The moving statistics were added to the list, or put among the trainable variables by
  `variables_collections`.
- The layers use batch statistics in every phase.
- `load_state_dict(strict=False)` alone is no evidence: a new head on an old network is loaded so.

## Example

```python
saver = tf.train.Saver(tf.trainable_variables())
```

```python
torch.save(dict(model.named_parameters()), "model.pt")
```

## Use instead

```python
saver = tf.train.Saver(tf.global_variables())
```

```python
torch.save(model.state_dict(), "model.pt")
```

## Fix safety

The fix lists the global variables in the place of the trainable ones, which are among them. It is unsafe because
checkpoints that were written before cannot be restored any more, and because scripts that write and read the same
checkpoint must agree. It is only shown where the list is made in another way. In PyTorch, a dictionary of the named
parameters becomes the `state_dict()`, which has the same names and more.

## Confirmed by

`bnlint run`: the variables that a checkpoint got or gave have none of the layer's moving statistics, no other
checkpoint was complete, and the statistics had moved or were used for inference (RP7).

## Known limits

A list that is not completely known, and Keras layers, are left alone.

## References

- TensorFlow 1.15, `tf.train.Saver`: `var_list`.
- https://github.com/tensorflow/skflow/issues/117
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.updates import updates_of, updates_run
from bnlint.analyses.uses import Use, uses
from bnlint.analyses.written import Source, source
from bnlint.dataflow import Const, Context, Node, Op
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, Location, ReplaceExpression, Step
from bnlint.phase import evaluations
from bnlint.rule import Rule
from bnlint.trace import NormCall, NormLayer, Save, Saved, Trace, TrainStep, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class CheckpointWithoutStatistics(Rule):
    """The saver has the trained parameters of the norms and not their statistics."""

    code = "BN501"
    name = "checkpoint-without-statistics"
    group = Group.ERROR
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each saver once."""
        if not trace.driven:
            return
        yield from self._parameters_alone(trace)
        for save in trace.of(Save) if not trace.incomplete else ():
            use = _use(save, trace)
            layer = _forgotten(save, trace) if use is not None else None
            if use is not None and layer is not None:
                yield self.finding(
                    save.site,
                    f"this checkpoint holds the scale and offset of `{layer.name}` but not its moving mean "
                    "and variance: a model restored from it infers with the initial statistics",
                    (
                        Step(
                            layer.site,
                            "the layer keeps its moving statistics in variables that are not trainable",
                        ),
                        Step(save.site, "its moving mean and variance are not in this list"),
                        Step(use.site, "saved here" if save.saves else "restored here"),
                    ),
                    _fix(save, trace),
                )

    def _parameters_alone(self, trace: Trace) -> Iterator[Finding]:
        """Report each ``torch.save`` once."""
        seen: set[Location] = set()
        for save in trace.of(Save):
            trained = _saved_alone(save, trace) if save.weights_of and save.site not in seen else None
            if trained is not None and (save.variables is None or _all_parameters(save, trace)):
                seen.add(save.site)
                yield self.finding(
                    save.site,
                    "this checkpoint holds the weights of batch norm but not its running mean and variance: a model "
                    "that is loaded from it evaluates with the initial statistics",
                    (
                        Step(trained.call.layer.site, "the layer keeps its running statistics in buffers"),
                        Step(trained.forward.site, "they move here"),
                        Step(save.site, "saved here without them"),
                    ),
                    _whole_state(save, trace),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each saver once."""
        from bnlint.runtime.lives import many, somewhere
        from bnlint.runtime.symptoms import missed

        if any(checkpoint.writes and not checkpoint.missing for checkpoint in observed.checkpoints):
            return
        seen: set[Location] = set()
        for checkpoint in observed.checkpoints:
            site = somewhere(observed, checkpoint.site)
            lives = missed(checkpoint, observed)
            if not lives or site in seen:
                continue
            seen.add(site)
            what = "written" if checkpoint.writes else "read"
            yield self.finding(
                site,
                f"a checkpoint was {what} that lacks the moving mean and variance of {many(len(lives), 'layer')}: a "
                "model restored from it infers with the initial statistics",
                (
                    Step(lives[0].site(observed), "the layer keeps its moving statistics in variables"),
                    Step(site, "its moving mean and variance are not in this checkpoint"),
                ),
            )


def _saved_alone(save: Save, trace: Trace) -> Use | None:
    """A use in which statistics move that are in no checkpoint, while the weights are in this one."""
    written = [other for other in trace.of(Save) if other.saves]
    if any(other.scope is Saved.UNKNOWN for other in written):
        return None
    kept = {layer for other in written for layer in other.statistics_of}
    moving = (
        use
        for layer in save.weights_of
        if layer not in kept
        for use in uses(layer, trace)
        if use.learns and use.order < save.order
    )
    return next(moving, None)


def _all_parameters(save: Save, trace: Trace) -> bool:
    """Whether the parameters are written out as all that a model has, where they are saved or given a name."""
    parts = list(_saved_parts(save, trace))
    chosen = any(part.ifs for part in parts if isinstance(part, ast.comprehension))
    return not chosen and any(
        isinstance(part, ast.Attribute) and part.attr in ("parameters", "named_parameters") for part in parts
    )


def _saved_parts(save: Save, trace: Trace) -> Iterator[ast.AST]:
    """The syntax of what is saved, and of what the names in it stand for."""
    written = source(save.site, trace)
    call = written.at(save.site, ast.Call) if written else None
    pending: list[ast.AST] = list(call.args[:1]) if call is not None else []
    seen: set[ast.AST] = set()
    while written is not None and pending and len(seen) < 20:
        outer = pending.pop()
        seen.add(outer)
        for part in ast.walk(outer):
            yield part
            made = written.assigned(part) if isinstance(part, ast.Name) else None
            if made is not None and made not in seen:
                pending.append(made)


def _whole_state(save: Save, trace: Trace) -> Fix:
    """``dict(model.named_parameters())`` becomes ``model.state_dict()``."""
    written = source(save.site, trace)
    found = [
        part for part in _saved_parts(save, trace) if isinstance(part, ast.Call) and _short(part) == "dict"
    ]
    inner = found[0].args[0] if len(found) == 1 and len(found[0].args) == 1 else None
    edits: tuple[Edit, ...] = ()
    if written is not None and isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        if inner.func.attr == "named_parameters" and not inner.args and not inner.keywords:
            text = f"{ast.unparse(inner.func.value)}.state_dict()"
            edits = (ReplaceExpression(written.locate(found[0]), text),)
    return Fix(
        Applicability.UNSAFE if edits else Applicability.DISPLAY,
        "save the `state_dict()` of the model, which has the buffers too; what loads it must expect them",
        edits,
    )


def _use(save: Save, trace: Trace) -> Context | None:
    """Where a checkpoint without statistics does harm: the only one, saved, or restored to infer."""
    used = [other for other in trace.of(Save) if other.saves or other.restores]
    others = [other for other in used if other.site != save.site]
    if any(other.listed is None or other.saves for other in others):
        return None
    if save.saves:
        return save.saves[0]
    if save.restores and not others and not any(True for _ in trace.of(TrainStep)) and evaluations(trace):
        return save.restores[0]
    return None


def _forgotten(save: Save, trace: Trace) -> NormLayer | None:
    """A layer whose parameters are listed, whose statistics are not, and that may be used for inference."""
    if save.listed is None:
        return None
    listed = set(save.listed)
    variables: dict[str, list[Node]] = {}
    for node in trace.nodes:
        name = node.attrs.get("name") if node.op == Op.VARIABLE and node.graph is save.graph else None
        if isinstance(name, str):
            variables.setdefault(name.rpartition("/")[0], []).append(node)
    for call in trace.of(NormCall):
        layer = call.layer
        if layer.name is None or layer.graph is not save.graph or not _matters(call, trace):
            continue
        own = variables.get(layer.name, ())
        learned = [node for node in own if not node.attrs.get("moving")]
        moving = [node for node in own if node.attrs.get("moving")]
        if moving and listed.intersection(learned) and not listed.intersection(moving):
            return layer
    return None


def _matters(call: NormCall, trace: Trace) -> bool:
    """Whether a layer has statistics that the program moves, or that it uses for inference."""
    if call.updates in (Updates.NONE, Updates.BY_HAND, Updates.RETURNED):
        return isinstance(call.phase, Const) and not call.phase.value and call.updates is Updates.NONE
    if "variables_collections" in call.arguments.named or call.arguments.open:
        return False
    if call.updates is Updates.IN_PLACE or updates_of(call.layer, trace) & updates_run(trace):
        return True
    return not (isinstance(call.phase, Const) and call.phase.value)


def _fix(save: Save, trace: Trace) -> Fix:
    edits = _all_variables(save, trace)
    return Fix(
        Applicability.UNSAFE if edits else Applicability.DISPLAY,
        "list the global variables; checkpoints that were written before cannot be restored with it",
        edits,
    )


def _all_variables(save: Save, trace: Trace) -> tuple[Edit, ...]:
    """The edit that makes the list of a saver one of all variables."""
    written = source(save.site, trace)
    given = written.at(save.arguments.site("var_list"), ast.expr) if written else None
    if written is None or given is None:
        return ()
    made = written.assigned(given) if isinstance(given, ast.Name) else given
    if made is None:
        return ()
    shared = made is not given and _is_used_elsewhere(given, written)
    reads = [node for node in ast.walk(made) if isinstance(node, ast.Call) and _reads_trainable(node)]
    if len(reads) == 1 and _is_all_of(made, reads[0]) and not shared:
        if _short(reads[0]) == "trainable_variables":
            return (ReplaceExpression(written.locate(reads[0].func), "{tf}.global_variables"),)
        return (ReplaceExpression(written.locate(reads[0].args[0]), "{tf}.GraphKeys.GLOBAL_VARIABLES"),)
    if not reads or isinstance(made, ast.DictComp | ast.ListComp | ast.GeneratorExp):
        return ()
    if any(len(read.args) + len(read.keywords) > (_short(read) == "get_collection") for read in reads):
        return ()
    # What was added to the trainable variables is a variable too, and none may be listed twice.
    return (ReplaceExpression(written.locate(given if shared else made), "{tf}.global_variables()"),)


def _is_used_elsewhere(given: ast.expr, written: Source) -> bool:
    """Whether a name stands for its value in more places than the saver."""
    name = given.id if isinstance(given, ast.Name) else None
    return sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(written.scope(given))) > 2


def _reads_trainable(call: ast.Call) -> bool:
    if _short(call) == "trainable_variables":
        return True
    key = call.args[0] if call.args and _short(call) == "get_collection" else None
    return isinstance(key, ast.Attribute) and key.attr == "TRAINABLE_VARIABLES"


def _short(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_all_of(made: ast.expr, read: ast.Call) -> bool:
    """Whether a list is what was read, or takes all of it in a comprehension."""
    if isinstance(made, ast.ListComp | ast.DictComp):
        return len(made.generators) == 1 and made.generators[0].iter is read and not made.generators[0].ifs
    return made is read
