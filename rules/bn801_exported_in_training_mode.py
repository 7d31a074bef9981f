"""A model that is exported with its batch norm in training mode.

## What it does

Reports an export (`simple_save`, `convert_variables_to_constants`, `freeze_graph`, the converter of
TensorFlow Lite, a `SavedModelBuilder`) of a graph that was built with batch normalisation fixed in training
mode, and of a Keras model (`export`, `save`, `tf.saved_model.save`, the converter) whose layers are told
`training=True` whoever calls it. With PyTorch, reports what `torch.jit.trace` and `torch.export.export` make of a
model in training mode, if it is saved, and `torch.onnx.export` with `training=TrainingMode.TRAINING`.

## Why it is bad

The exported graph normalises with the statistics of the batch that it is given: the answer for one example
depends on the others in its batch, and for a batch of one a normalised vector is the offset, whatever the
input. The moving statistics are not even in a frozen graph.

## When it is not a bug

- The graph that is exported was built again in inference mode.
- The phase is a placeholder, which the exported graph still has.
- A model of Keras whose layers take the phase of the call: it is exported in inference mode.
- In Keras 3, `training=True` in a graph of layers, for a model that is saved or converted: who calls it overrules that.
  Not so for `export` and `tf.saved_model.save`, which do not say a phase.
- `torch.jit.script` keeps the switch, and `torch.onnx.export` asks for evaluation unless it is told otherwise; its
  new exporter (`dynamo=True`) does so even then.
- A traced PyTorch model that nobody saves: it is looked at, as in TensorBoard, or counted.
- A PyTorch layer that keeps no statistics (`track_running_stats=False`) has no other mode.
- Style transfer and image translation use the statistics of the single image on purpose.

## Example

```python
logits = network(images, is_training=True)
...
tf.saved_model.simple_save(sess, "model", {"images": images}, {"logits": logits})
```

## Use instead

```python
with tf.Graph().as_default(), tf.Session() as sess:
    images = tf.placeholder(tf.float32, [None, 224, 224, 3])
    logits = network(images, is_training=False)
    tf.train.Saver().restore(sess, checkpoint)
    tf.saved_model.simple_save(sess, "model", {"images": images}, {"logits": logits})
```

With PyTorch, `model.eval()` comes before the export; on what was traced it has no effect any more.

## Fix safety

Only shown: the graph must be built a second time, in inference mode, and the checkpoint restored into it; a model of
Keras must hand on the phase that it is given. Another mode of a PyTorch model is the author's to choose.

## Confirmed by

`bnlint run`: the graph that was exported, or a function that a SavedModel of Keras serves, holds the layer with a phase
that is fixed in training mode, and no other function that is exported with it holds it in inference mode (RP1). Files
of Keras (`.keras`, `.h5`) hold no functions: there only the graphs of layers of Keras 2 are looked at.
In PyTorch, layers with moving statistics were in training mode when the model was traced, and what was traced was
saved; or `torch.onnx.export` was told so. Executed with torch 2.13: what was traced so answers by the rest of the
batch, also after `eval()`, and after it was saved and loaded.

## Known limits

When only the names of the outputs are known, the rule speaks only if every norm of the graph is in training mode.
Models of Keras with signatures of their own, and functions of a `tf.Module`, are not looked into. Which exporter
`torch.onnx.export` uses is known from `dynamo=False`, or from requirements that ask for a torch before 2.9.

## References

- https://github.com/tensorflow/tensorflow/issues/16895
- https://github.com/tensorflow/tensorflow/issues/26075
- https://github.com/microsoft/onnxruntime/issues/3873
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.dataflow import Const, Op, World, execution
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.phase import deliberate
from bnlint.rule import Rule
from bnlint.trace import Export, NormCall, Origin, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


_REBUILD = "export a graph that is built anew in inference mode"
_TELL = "let the layer take the phase of the call, and export again"
_EVAL = "call `eval()` on the model before it is exported"
_FIXES = {"keras": _TELL, "pytorch": _EVAL}


class ExportedInTrainingMode(Rule):
    """The exported graph normalises with batch statistics."""

    code = "BN801"
    name = "exported-in-training-mode"
    group = Group.WARNING
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each export once."""
        seen: set[Location] = set()
        for export in trace.of(Export):
            first = _fixed(export, trace)
            if first is None or export.site in seen or _comes_from_elsewhere(first, export, trace):
                continue
            if deliberate((export.context, first.context, first.layer.context)) is None:
                seen.add(export.site)
                fix = _FIXES.get(first.layer.framework)
                yield self.finding(
                    export.site,
                    f"the exported {'model' if fix else 'graph'} has its batch norm fixed in training mode: it "
                    "normalises with the statistics of the batch that it is given",
                    (
                        Step(first.site, "normalised here, in training mode for ever"),
                        Step(export.site, "exported here"),
                    ),
                    Fix(Applicability.DISPLAY, fix or _REBUILD),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each export once."""
        from bnlint.runtime.lives import lives, many, somewhere
        from bnlint.runtime.symptoms import is_meant

        known = {life.layer.key: life for life in lives(observed)}
        seen: set[Location] = set()
        for export in observed.checkpoints:
            site = somewhere(observed, export.site)
            fixed = [known[key] for key in export.training_mode if key in known]
            if not fixed or site in seen or any(map(is_meant, fixed)):
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"the exported model has {many(len(fixed), 'layer')} fixed in training mode: it normalises with the "
                "statistics of the batch that it is given",
                (
                    Step(fixed[0].site(observed), "normalised here, in training mode for ever"),
                    Step(site, "exported here"),
                ),
            )


def _comes_from_elsewhere(call: NormCall, export: Export, trace: Trace) -> bool:
    """Whether a function of which no call is known exports a module that it has not built: its mode is not known."""
    if trace.driven or call.origin is not Origin.MODE:
        return False
    *_, outermost = [frame.node for frame in export.context.frame.outwards() if frame.node is not None] or [
        None
    ]
    return outermost not in [frame.node for frame in call.layer.context.frame.outwards()]


def _fixed(export: Export, trace: Trace) -> NormCall | None:
    """The first layer that trains for ever, if all do, or if the export has asked them for inference."""
    calls = _exported(export, trace)
    fixed = [call for call in calls if _always_trains(call)]
    asked = bool(export.outputs) and export.graph is None
    return fixed[0] if fixed and (asked or len(fixed) == len(calls)) else None


def _exported(export: Export, trace: Trace) -> list[NormCall]:
    """The layers of an exported graph that have a switch, in the order in which they were called."""
    calls: list[NormCall]
    if export.outputs:
        nodes = execution(export.outputs, World(export.guards)).certain
        calls = [node.attrs["call"] for node in nodes if node.op == Op.NORM]
    else:
        calls = [call for call in trace.of(NormCall) if call.layer.graph is export.graph]
    calls = [call for call in calls if call.origin is not Origin.NONE and call.order < export.order]
    return sorted(calls, key=lambda call: call.order)


def _always_trains(call: NormCall) -> bool:
    keeps = call.updates is not Updates.BY_HAND and (
        call.origin is not Origin.MODE or call.updates is Updates.IN_PLACE
    )
    return keeps and isinstance(call.phase, Const) and bool(call.phase.value)
