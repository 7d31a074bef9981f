"""A model that is exported with its batch norm in training mode.

## What it does

Reports an export (`simple_save`, `convert_variables_to_constants`, `freeze_graph`, the converter of
TensorFlow Lite, a `SavedModelBuilder`) of a graph that was built with batch normalisation fixed in training
mode.

## Why it is bad

The exported graph normalises with the statistics of the batch that it is given: the answer for one example
depends on the others in its batch, and for a batch of one a normalised vector is the offset, whatever the
input. The moving statistics are not even in a frozen graph.

## When it is not a bug

- The graph that is exported was built again in inference mode.
- The phase is a placeholder, which the exported graph still has.
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

## Fix safety

Only shown: the graph must be built a second time, in inference mode, and the checkpoint restored into it.

## Confirmed by

`bnlint run`: the graph that was exported holds the layer with a phase that is fixed in training mode (RP1).

## Known limits

When only the names of the outputs are known, the rule speaks only if every norm of the graph is in training
mode.

## References

- https://github.com/tensorflow/tensorflow/issues/16895
- https://github.com/tensorflow/tensorflow/issues/26075
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


class ExportedInTrainingMode(Rule):
    """The exported graph normalises with batch statistics."""

    code = "BN801"
    name = "exported-in-training-mode"
    group = Group.WARNING
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each export once."""
        for export in trace.of(Export):
            calls = _exported(export, trace)
            if calls and all(_always_trains(call) for call in calls):
                first = calls[0]
                if deliberate((export.context, first.context)) is None:
                    yield self.finding(
                        export.site,
                        "the exported graph has its batch norm fixed in training mode: it normalises with "
                        "the statistics of the batch that it is given",
                        (
                            Step(first.site, "normalised here, in training mode for ever"),
                            Step(export.site, "exported here"),
                        ),
                        Fix(Applicability.DISPLAY, "export a graph that is built anew in inference mode"),
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
                f"the exported graph has {many(len(fixed), 'layer')} fixed in training mode: it normalises with the "
                "statistics of the batch that it is given",
                (
                    Step(fixed[0].site(observed), "normalised here, in training mode for ever"),
                    Step(site, "exported here"),
                ),
            )


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
    return call.updates is not Updates.BY_HAND and isinstance(call.phase, Const) and bool(call.phase.value)
