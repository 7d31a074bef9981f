"""A checkpoint that leaves the moving statistics of batch normalisation out.

## What it does

Reports a `tf.train.Saver` whose list of variables holds the scale and offset of batch-norm layers and not
their moving mean and variance, such as `tf.train.Saver(tf.trainable_variables())`.

## Why it is bad

The moving statistics are variables that are not trainable. A checkpoint without them restores the weights of
the network next to a moving mean of 0 and a moving variance of 1, and inference then is as good as
unnormalised. In the process that trained the network everything still looks right.

## When it is not a bug

- Another checkpoint of the same program holds all variables.
- The saver only restores a part of a network that is then trained.
- The moving statistics were added to the list, or put among the trainable variables by
  `variables_collections`.
- The layers use batch statistics in every phase.

## Example

```python
saver = tf.train.Saver(tf.trainable_variables())
```

## Use instead

```python
saver = tf.train.Saver(tf.global_variables())
```

## Fix safety

The fix leaves the list out, so that everything is saved. It is unsafe because checkpoints that were written
before cannot be restored any more.

## Confirmed by

A checkpoint is restored into a fresh model, which must compute the same (RP7).

## Known limits

A list that is not completely known, and Keras layers, are left alone.

## References

- TensorFlow 1.15, `tf.train.Saver`: `var_list`.
- https://github.com/tensorflow/skflow/issues/117
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.dataflow import Const, Context, Node, Op
from bnlint.findings import Applicability, Finding, Fix, Group, RemoveArgument, Step
from bnlint.phase import evaluations
from bnlint.rule import Rule
from bnlint.trace import NormCall, NormLayer, Save, Trace, TrainStep, Updates
from bnlint.updates import updates_of, updates_run


class CheckpointWithoutStatistics(Rule):
    """The saver has the trained parameters of the norms and not their statistics."""

    code = "BN501"
    name = "checkpoint-without-statistics"
    group = Group.ERROR

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each saver once."""
        if not trace.driven or trace.incomplete:
            return
        for save in trace.of(Save):
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
                    _fix(save),
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


def _fix(save: Save) -> Fix:
    site = save.arguments.site("var_list")
    edits = () if site is None else (RemoveArgument(site),)
    return Fix(
        Applicability.UNSAFE if edits else Applicability.DISPLAY,
        "save all variables; checkpoints that were written before cannot be restored with it",
        edits,
    )
