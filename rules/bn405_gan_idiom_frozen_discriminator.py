"""The discriminator of a GAN is frozen for the combined model, and with Keras 3 it never trains.

## What it does

Reports where a compiled model is frozen for another model, which is compiled next, if the first is then trained by
itself for the first time while it is still frozen.

## Why it is bad

The idiom relies on Keras 2, which goes by what was trainable when a model was compiled: the discriminator trains by
itself and stays as it is in the combined model. Keras 3 looks when the model is trained for the first time. By then
everything in it is frozen: no weight changes, its batch normalisation stays in inference mode and never moves its
statistics, and the generator learns to fool a network of random weights. All that Keras says is a warning about a
model without trainable weights.

## When it is not a bug

- The program runs with Keras 2.
- The discriminator is made trainable before its own training step, and frozen before that of the combined model.
- It was trained by itself before it was frozen.
- The first model is only used, not trained.

## Example

```python
discriminator.compile("adam", "binary_crossentropy")
discriminator.trainable = False
combined = keras.Model(noise, discriminator(generator(noise)))
combined.compile("adam", "binary_crossentropy")
discriminator.train_on_batch(images, labels)
```

## Use instead

```python
discriminator.trainable = True
discriminator.train_on_batch(images, labels)
discriminator.trainable = False
combined.train_on_batch(noise, valid)
```

Each of the two takes note of what is trainable in its first step, with Keras 3; with Keras 2 this changes nothing.

## Fix safety

Only shown: the steps of a GAN are written in many ways.

## Confirmed by

`bnlint run`: in all training steps of the discriminator its layers stay in inference mode, are not trainable and do
not move (RP2), although the model was compiled while they were trainable.

## Known limits

Where the program does not tell the generation of Keras that it is written for, the finding is information only.
A discriminator that is frozen layer by layer is left alone.

## References

- Keras 3, `keras.src.backend.tensorflow.trainer`: the training step is traced when it is first run.
- Keras 2, `Model.compile`: what is trainable is taken note of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnlint.analyses.freezing import (
    frozen,
    in_order,
    in_training,
    last_freeze,
    noted,
    shared_since,
    trained_by_trainer,
)  # fmt: skip
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Compile, Freeze, NormCall, Run, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class GanIdiomFrozenDiscriminator(Rule):
    """A model that Keras 3 never trains, because it is frozen for another one."""

    code = "BN405"
    name = "gan-idiom-frozen-discriminator"
    group = Group.WARNING
    frameworks = ("keras",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each freeze once."""
        known = trace.generations.get("keras")
        seen: set[Location] = set()
        for run in trained_by_trainer(trace) if known != 2 else ():
            found = [_idiom(call, run, trace) for call in in_training(run, trace)]
            if found and all(found):
                idiom = found[0]
                assert idiom is not None
                if idiom.freeze.site not in seen:
                    seen.add(idiom.freeze.site)
                    yield self._finding(idiom, run, known)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each training once."""
        from bnlint.runtime.frozen import frozen_before_training
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import by_run

        for site, group in by_run(frozen_before_training(observed), observed).items():
            first = group[0]
            yield self.finding(
                site,
                f"{many(len({each.life.layer.key for each in group}), 'layer')} of a model that was compiled trainable "
                f"never trained in {many(first.seen.run.count, 'training step')}: all of it was frozen at the first",
                (
                    Step(first.life.site(observed), "frozen, and in inference mode"),
                    Step(place_of(first.seen.run, observed), "the model is trained here, and nothing learns"),
                ),
            )

    def _finding(self, idiom: _Idiom, run: Run, generation: int | None) -> Finding:
        found = self.finding(
            idiom.freeze.site,
            "this model is frozen for another one before it is trained by itself: with Keras 3 it never trains, and "
            "its batch norm stays in inference mode",
            (
                Step(idiom.compile.site, "compiled here, while it is trainable"),
                Step(idiom.freeze.site, "frozen here"),
                Step(idiom.other.site, "for the model that is compiled here"),
                Step(run.site, "trained by itself here for the first time: Keras 3 finds nothing to train"),
            ),
            Fix(
                Applicability.DISPLAY,
                "set `trainable = True` before its own training step and False before that of the other model",
            ),
        )
        return found if generation == 3 else replace(found, group=Group.INFO)


@dataclass(frozen=True, slots=True)
class _Idiom:
    """The places that make a layer one of a discriminator that is frozen for a combined model."""

    compile: Compile
    freeze: Freeze
    other: Compile


def _idiom(call: NormCall, run: Run, trace: Trace) -> _Idiom | None:
    """How a layer came to be frozen when its model is trained for the first time; None if it did not."""
    at_compile, at_first = noted(run, 2, trace), noted(run, 3, trace)
    owner = call.layer.owner
    if owner is None or at_compile is None or at_first is None or at_first.moment is not run:
        return None
    if not frozen(call) or at_compile.trainable.get(owner) is not True:
        return None
    freeze = last_freeze(call, run, trace, at_compile.moment.order)
    if freeze is None or freeze.target is not run.target or not set(freeze.guards) <= set(run.guards):
        return None
    other = shared_since(call, freeze, run, trace)
    if other is None or not in_order(trace, at_compile.compile, freeze, other, run):
        return None
    return _Idiom(at_compile.compile, freeze, other)
