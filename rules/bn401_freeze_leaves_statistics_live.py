"""A pretrained network is frozen, but its batch normalisation still uses the statistics of each batch.

## What it does

Reports where a pretrained network with batch normalisation is frozen in a framework, or a version of it, in which
that only concerns the weights, if the network is then in training mode while what is on top of it is trained.

## Why it is bad

The layers of TensorFlow 1 and of Keras before 2.4 keep to the phase when `trainable` is False: they go on to
normalise with the mean and variance of each batch while the rest is trained. Inference uses the statistics of the
pretraining. What was trained on top of the network has never seen such values, and the accuracy of validation stays
far below that of training. Keras before 2.1.3 even goes on moving the statistics of the frozen network.

## When it is not a bug

- The versions are TensorFlow 2 or Keras 2.4 and later: a frozen layer is in inference mode.
- The network is called with `training=False`, or built while the learning phase is 0.
- The network is trained from scratch, as a frozen discriminator in a GAN.

## Example

```python
base = tf.keras.applications.ResNet50(include_top=False)
for layer in base.layers:
    layer.trainable = False
outputs = tf.keras.layers.Dense(10)(pool(base(inputs)))
```

## Use instead

```python
base = tf.keras.applications.ResNet50(include_top=False)
for layer in base.layers:
    layer.trainable = False
outputs = tf.keras.layers.Dense(10)(pool(base(inputs, training=False)))
```

## Fix safety

Only shown: how a network is told to infer depends on how it is made and on the version.

## Confirmed by

`bnlint run`: layers that are not trainable and did not begin with the statistics of new ones normalised with those
of the batch while other weights were trained (RP4).

## Known limits

Whether the network starts from weights that were trained elsewhere must be told by the program. Where neither the
requirements nor the names that the program uses tell the version, it is left alone.

## References

- Keras 2.1.2, 2.1.3 and 2.3.1, `keras/layers/normalization.py` and `keras/engine/topology.py`.
- TensorFlow 2, `tf.keras.layers.BatchNormalization`: "setting `layer.trainable = False` on a batch normalisation".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.freezing import in_order, in_training, last_freeze
from bnlint.rule import Rule
from bnlint.runs import training_runs
from bnlint.trace import Freeze, NormCall, Run, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class FreezeLeavesStatisticsLive(Rule):
    """Frozen weights, but batch statistics."""

    code = "BN401"
    name = "freeze-leaves-statistics-live"
    group = Group.WARNING
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each freeze once, at the first training in which it leaves a layer in training mode."""
        seen: set[Location] = set()
        for run in training_runs(trace):
            for call in in_training(run, trace):
                freeze = last_freeze(call, run, trace)
                if (
                    freeze is not None
                    and freeze.site not in seen
                    and call.layer.pretrained
                    and in_order(trace, freeze, run)
                    and _leaves_live(freeze, call, run)
                ):
                    seen.add(freeze.site)
                    yield self._finding(freeze, call, run)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each training once."""
        from bnlint.runtime.frozen import frozen_by_batch
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import by_run

        for site, group in by_run(frozen_by_batch(observed), observed).items():
            first = group[0]
            layers = many(len({each.life.layer.key for each in group}), "frozen layer")
            yield self.finding(
                site,
                f"{layers} with statistics that were learned before normalised with those of the batch in "
                f"{many(first.seen.run.count, 'training step')}",
                (
                    Step(first.life.site(observed), "not trainable, but in training mode"),
                    Step(place_of(first.seen.run, observed), "this trains what is around it"),
                ),
            )

    def _finding(self, freeze: Freeze, call: NormCall, run: Run) -> Finding:
        return self.finding(
            freeze.site,
            "this freezes the weights of a pretrained network, but here its batch norm stays in training mode: it "
            "normalises with the statistics of each batch, and inference with those of the pretraining",
            (
                Step(call.layer.site, "the network is pretrained"),
                Step(freeze.site, "frozen here, which does not concern the phase"),
                Step(run.site, "trained through here with the statistics of the batch"),
            ),
            Fix(Applicability.DISPLAY, "call the network with `training=False`"),
        )


def _leaves_live(freeze: Freeze, call: NormCall, run: Run) -> bool:
    """Whether a layer is certainly frozen in a run, and yet normalises with the statistics of the batch."""
    world = run.world()
    return (
        freeze.infers is False
        and world.truth(freeze.trainable) is False
        and set(freeze.guards) <= set(run.guards)
        and call.training(world) is True
    )
