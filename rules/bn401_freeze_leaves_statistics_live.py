"""A pretrained network is frozen, but its batch normalisation still uses the statistics of each batch.

## What it does

Reports where a pretrained network with batch normalisation is frozen in a way that only concerns the weights
(`requires_grad = False` in PyTorch, `trainable = False` in TensorFlow 1 and in Keras before 2.4), if the network is
then in training mode while what is on top of it is trained.

## Why it is bad

The layers keep to the phase, whether their weights learn or not: they go on to normalise with the mean and variance
of each batch while the rest is trained. Inference uses the moving statistics. What was trained on top of the network
has never seen such values, and the accuracy of validation stays below that of training. In PyTorch and in Keras before
2.1.3 the statistics of the "frozen" network even go on moving.

## When it is not a bug

- The network is put into evaluation mode after the last `train()`, or called with `training=False`.
- The versions are TensorFlow 2 or Keras 2.4 and later: a frozen layer is in inference mode.
- The network is trained from scratch, as a frozen discriminator in a GAN, or follows another one by averaging.
- The affine weights of the layers are left to learn, as test-time adaptation does.

## Example

```python
model = torchvision.models.resnet50(weights="DEFAULT")
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc = nn.Linear(2048, 10)
for x, y in loader:
    model.train()
    step(model, x, y)
```

## Use instead

```python
model = torchvision.models.resnet50(weights="DEFAULT")
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc = nn.Linear(2048, 10)
for x, y in loader:
    model.eval()
    model.fc.train()
    step(model, x, y)
```

## Fix safety

Only shown: how a network is told to infer depends on how it is made and on the version.

## Confirmed by

`bnlint run`: layers that are not trainable and did not begin with the statistics of new ones normalised with those
of the batch while other weights were trained (RP4). In PyTorch their moving statistics moved, too (RP2).

## Known limits

Whether the network starts from weights that were trained elsewhere must be told by the program. Where neither the
requirements nor the names that the program uses tell the version of Keras, it is left alone. A flag that hides the
method which would freeze the layers is reported, too; parameters that are only kept from the optimizer are not.

## References

- https://github.com/pytorch/pytorch/issues/86590
- Keras 2.1.2, 2.1.3 and 2.3.1, `keras/layers/normalization.py` and `keras/engine/topology.py`.
- TensorFlow 2, `tf.keras.layers.BatchNormalization`: "setting `layer.trainable = False` on a batch normalisation".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.forwards import apart_from_learning
from bnlint.analyses.freezing import in_order, in_training, last_freeze, puts_norms_into_evaluation_mode
from bnlint.analyses.modes import switches, to, trained_in_training_mode
from bnlint.analyses.runs import training_runs
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import (
    Copy,
    Forward,
    Freeze,
    Hidden,
    ModeSwitch,
    NormCall,
    NormLayer,
    Run,
    Trace,
    TrainStep,
)

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
        yield from self._hidden(trace)
        seen: set[Location] = set()
        for forward, step, calls in trained_in_training_mode(trace):
            for call in calls:
                freeze = _only_of_weights(call, forward, trace)
                if (
                    freeze is not None
                    and not {freeze.site, call.layer.site} & seen
                    and in_order(trace, freeze, forward)
                ):
                    seen.update((freeze.site, call.layer.site))
                    yield self._module(freeze, call, forward, step, trace)
                elif call.layer.pretrained and call.layer.site not in seen and freeze is None:
                    place = apart_from_learning(call, forward)
                    if place is not None and not last_freeze(call, forward, trace):
                        seen.add(call.layer.site)
                        yield self._apart(place, call, forward, step, trace)
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
        from bnlint.runtime.frozen import frozen_by_batch, frozen_in_training_mode
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import by_run

        found = [*frozen_by_batch(observed), *frozen_in_training_mode(observed)]
        for site, group in by_run(found, observed).items():
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

    def _hidden(self, trace: Trace) -> Iterator[Finding]:
        """A method that freezes the layers, which nobody can call because a flag of the same name is in its place."""
        seen: set[Location] = set()
        for hidden in trace.of(Hidden):
            if hidden.site in seen or not puts_norms_into_evaluation_mode(hidden.function) or _pinned(trace):
                continue
            seen.add(hidden.site)
            yield self.finding(
                hidden.site,
                f"this takes the place of the method `{hidden.name}`, which would put the batch norm of the frozen "
                "network into evaluation mode: nobody can call it",
                (
                    Step(hidden.definition, f"`{hidden.name}` is a method here"),
                    Step(hidden.site, "and a value from here on"),
                ),
                Fix(
                    Applicability.DISPLAY,
                    "give the value another name, and call the method after each `train()`",
                ),
            )

    def _module(
        self, freeze: Freeze, call: NormCall, forward: Forward, step: TrainStep, trace: Trace
    ) -> Finding:
        before = switches(call, forward, trace)
        steps = [
            Step(call.layer.site, "the network is pretrained"),
            Step(freeze.site, "frozen here, which does not concern the mode"),
            *(Step(switch.site, "put into training mode here") for switch in before[-1:]),
            Step(forward.site, "called here with the statistics of the batch"),
            Step(step.site, "while the rest is trained"),
        ]
        return self.finding(
            freeze.site,
            "this freezes the weights of a pretrained network, but its batch norm stays in training mode: it "
            "normalises with the statistics of each batch, and its average goes on moving",
            steps,
            Fix(Applicability.DISPLAY, "call `eval()` on the frozen network after each `train()`"),
        )

    def _apart(
        self, place: Location, call: NormCall, forward: Forward, step: TrainStep, trace: Trace
    ) -> Finding:
        before = switches(call, forward, trace)
        return self.finding(
            place,
            "a pretrained network is kept from learning here by switching gradients off, but its batch norm stays in "
            "training mode: it normalises with the statistics of each batch, and its average goes on moving",
            (
                Step(call.layer.site, "the network is pretrained"),
                *(Step(switch.site, "put into training mode here") for switch in before[-1:]),
                Step(place, "called here without gradients"),
                Step(step.site, "while the rest is trained"),
            ),
            Fix(Applicability.DISPLAY, "call `eval()` on the frozen network after each `train()`"),
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


def _only_of_weights(call: NormCall, forward: Forward, trace: Trace) -> Freeze | None:
    """The freeze that is in force for a layer, if it certainly is one of weights that learned elsewhere."""
    layer = call.layer
    freeze = last_freeze(call, forward, trace)
    if (
        freeze is None
        or not layer.pretrained
        or not isinstance(freeze.trainable, Const)
        or freeze.trainable.value
        or not set(freeze.guards) <= set(forward.guards)
    ):
        return None
    follows = any(layer in copy.written_to for copy in trace.of(Copy))
    toggled = any(
        layer.owner in other.parts and other.context.loops and other.trainable is not freeze.trainable
        and not (isinstance(other.trainable, Const) and not other.trainable.value)
        for other in trace.of(Freeze)
    )  # fmt: skip
    return None if follows or toggled else freeze


def _pinned(trace: Trace) -> bool:
    """Whether normalisations are put into evaluation mode one by one."""
    owners = {layer.owner for layer in trace.of(NormLayer)}
    return any(switch.target in owners and to(switch) is False for switch in trace.of(ModeSwitch))


def _leaves_live(freeze: Freeze, call: NormCall, run: Run) -> bool:
    """Whether a layer is certainly frozen in a run, and yet normalises with the statistics of the batch."""
    world = run.world()
    return (
        freeze.infers is False
        and world.truth(freeze.trainable) is False
        and set(freeze.guards) <= set(run.guards)
        and call.training(world) is True
    )
