"""What is trainable is changed after `compile`, and the model is trained on without compiling it again.

## What it does

Reports where `trainable` of a model or layer with batch normalisation is set although its model is compiled
already, if the model is then trained by `fit` or `train_on_batch` and the change has no effect on that training.

## Why it is bad

The trainer of Keras does not ask at every step what is trainable. Keras 2 takes note of it when the model is
compiled, Keras 3 when the compiled model is trained for the first time. A base that is frozen later is trained all
the same, and the moving statistics of its batch normalisation drift to the new data. One that is made trainable
later stays as it is. Neither says anything.

## When it is not a bug

- The model is compiled again before it is trained.
- With Keras 3 the change comes before the first training.
- The change is meant for another model that has the same layers and is compiled after it, as the frozen
  discriminator of a GAN is for the combined model.
- The value is back to what it was when the model is trained.
- With Keras 3 and `run_eagerly=True` freezing works at once.

## Example

```python
model.compile("adam", "mse")
model.fit(images, labels)
base.trainable = False
model.fit(images, labels)
```

## Use instead

```python
model.compile("adam", "mse")
model.fit(images, labels)
base.trainable = False
model.compile("adam", "mse")
model.fit(images, labels)
```

## Fix safety

Only shown: the call of `compile` needs an optimizer for what is to come, and its arguments are the author's to say.

## Confirmed by

`bnlint run`: in a training step the layer used the statistics of the batch and moved its own although it was frozen
when the step was called, or neither although it was trainable (RP2).

## Known limits

Where Keras 2 and Keras 3 disagree and the program does not tell which it is written for, the finding names the
generation and is information only. Keras 3 traces the training step anew for a batch of another shape; whether a
change gets in by that is not followed. A model that is compiled in one branch only is left alone.

## References

- Keras, `BatchNormalization`: "`trainable` … the model must be compiled again".
- Keras, `Model.compile` and the guide "Transfer learning & fine-tuning".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlint.analyses.freezing import (
    Noted,
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

GENERATIONS = (2, 3)


class TrainableChangedAfterCompile(Rule):
    """A change of `trainable` that the trainer does not heed."""

    code = "BN403"
    name = "trainable-changed-after-compile"
    group = Group.WARNING
    frameworks = ("keras",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each change once, at the first training that it has no effect on."""
        known = trace.generations.get("keras")
        seen: set[Location] = set()
        for run in trained_by_trainer(trace):
            for call in in_training(run, trace):
                ignoring: dict[int, tuple[Freeze, Noted]] = {}
                for generation in (known,) if known is not None else GENERATIONS:
                    found = _ignored(call, run, generation, trace)
                    if found is not None:
                        ignoring[generation] = found
                if not ignoring:
                    continue
                freeze, moment = ignoring[max(ignoring)]
                if freeze.site not in seen:
                    seen.add(freeze.site)
                    only = max(ignoring) if known is None and len(ignoring) == 1 else None
                    yield self._finding(freeze, moment, call, run, only)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each training once."""
        from bnlint.runtime.frozen import changed_in_vain
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import by_run

        for site, group in by_run(changed_in_vain(observed), observed).items():
            first = group[0]
            layers = many(len({each.life.layer.key for each in group}), "layer")
            stays = first.seen.passage.trainable is False
            yield self.finding(
                site,
                f"{layers} {first.because} in {many(first.seen.run.count, 'training step')}: what is trainable was "
                "changed, and the model not compiled again",
                (
                    Step(
                        first.life.site(observed),
                        "frozen, but trained" if stays else "trainable, but not trained",
                    ),
                    Step(place_of(first.seen.run, observed), "the model is trained here"),
                ),
            )

    def _finding(
        self, freeze: Freeze, moment: Noted, call: NormCall, run: Run, generation: int | None
    ) -> Finding:
        stays = frozen(call)
        with_ = f"with Keras {generation} " if generation is not None else ""
        effect = (
            "the batch norm goes on learning and moving its statistics"
            if stays
            else "the batch norm stays in inference mode, and nothing of it learns"
        )
        moments = [Step(moment.compile.site, "the model is compiled here")]
        if not isinstance(moment.moment, Compile) and moment.moment.site != run.site:
            moments.append(Step(moment.moment.site, "and trained here: this is what the trainer goes by"))
        found = self.finding(
            freeze.site,
            f"{'frozen' if stays else 'made trainable'} after the model was compiled, and not compiled again before "
            f"it is trained: {with_}the change has no effect, {effect}",
            (
                *moments,
                Step(freeze.site, "frozen here" if stays else "made trainable here"),
                Step(run.site, "trained here as if that had not happened"),
            ),
            Fix(Applicability.DISPLAY, "compile the model again after the change"),
        )
        return replace(found, group=Group.INFO) if generation is not None else found


def _ignored(call: NormCall, run: Run, generation: int, trace: Trace) -> tuple[Freeze, Noted] | None:
    """The change of a layer that the trainer does not heed, and what the trainer goes by instead."""
    owner = call.layer.owner
    moment = noted(run, generation, trace)
    if owner is None or moment is None or moment.trainable.get(owner) is not frozen(call):
        return None
    freeze = last_freeze(call, run, trace, moment.moment.order)
    if freeze is None or not set(freeze.guards) <= set(run.guards):
        return None
    if not in_order(trace, moment.compile, moment.moment, freeze, run):
        return None
    return None if shared_since(call, freeze, run, trace) is not None else (freeze, moment)
