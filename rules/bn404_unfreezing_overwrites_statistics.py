"""A pretrained network is unfrozen with its batch normalisation, and training overwrites the statistics.

## What it does

Reports where a pretrained network, which was frozen while the layers on top of it were trained, is made trainable
together with its batch normalisation, if it is then trained on in training mode.

## Why it is bad

The moving statistics describe the data of the pretraining, and the weights were learned with them. In training mode
the first steps replace the normalisation that all later layers rely on by that of small batches, and the moving
statistics follow. What the frozen phase has learned on top of them no longer fits, and much of what was pretrained is
destroyed before the weights can follow.

## When it is not a bug

- The layers of batch normalisation are frozen again after everything was made trainable.
- The network is called with `training=False`, which Keras 2 keeps under `fit`. Keras 3 replaces it.
- The network is trained from scratch: there are no statistics to lose.
- Large batches of similar data, as in a second pretraining: then new statistics may be wanted.

## Example

```python
base.trainable = False
model.compile("adam", "mse")
model.fit(images, labels)
base.trainable = True
model.compile(keras.optimizers.Adam(1e-5), "mse")
model.fit(images, labels)
```

## Use instead

```python
base.trainable = True
for layer in base.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = False
model.compile(keras.optimizers.Adam(1e-5), "mse")
model.fit(images, labels)
```

## Fix safety

The fix freezes the layers of batch normalisation again after the network was made trainable, which is what the
guides of Keras say. It changes what is trained, so it is unsafe. Where the network is not written as a plain name or
the module of Keras has no name in the file, it is only shown.

## Confirmed by

`bnlint run`: layers that did not begin with the statistics of new ones first stayed in inference mode in training
steps, and then used the statistics of the batch and moved their own in later ones (RP2).

## Known limits

A network of which only a part is unfrozen is left alone, because it is not known which layers that are. So is one of
which it is not known whether its weights are pretrained.

## References

- Keras, guide "Transfer learning & fine-tuning": batch normalisation is kept in inference mode.
- Keras, `BatchNormalization`: what `trainable = False` means for the layer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.freezing import compiled, frozen, in_order, in_training, last_freeze
from bnlint.analyses.runs import training_runs
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Declared, Freeze, NormCall, NormLayer, Overruled, Run, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class UnfreezingOverwritesStatistics(Rule):
    """A pretrained network is fine-tuned with its batch normalisation in training mode."""

    code = "BN404"
    name = "unfreezing-overwrites-statistics"
    group = Group.WARNING
    frameworks = ("keras",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place that unfreezes a network once."""
        rested: dict[NormLayer, Run] = {}
        seen: set[Location] = set()
        overruled = {call for event in trace.of(Overruled) for call in event.norms}
        for run in training_runs(trace):
            for call in in_training(run, trace):
                layer = call.layer
                if frozen(call):
                    rested.setdefault(layer, run)
                elif layer.pretrained and layer in rested and call not in overruled:
                    freeze = last_freeze(call, run, trace, rested[layer].order)
                    if freeze is None or freeze.site in seen or not _heeded(freeze, run, trace):
                        continue
                    if in_order(trace, rested[layer], freeze, run):
                        seen.add(freeze.site)
                        fix = _fix(remedies.freezing.keep_frozen(freeze, call, trace))
                        yield self._finding(freeze, call, rested[layer], run, fix)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each training that overwrites statistics once."""
        from bnlint.runtime.frozen import overwritten
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import by_run

        found = list(overwritten(observed))
        rests = {id(wrong): rest for wrong, rest in found}
        for site, group in by_run((wrong for wrong, _ in found), observed).items():
            first = group[0]
            layers = many(len({each.life.layer.key for each in group}), "layer")
            yield self.finding(
                site,
                f"{layers} with statistics that were learned before moved them in "
                f"{many(first.seen.run.count, 'training step')}, after a training that had left them alone",
                (
                    Step(first.life.site(observed), "a layer that was trained before"),
                    Step(
                        place_of(rests[id(first)].run, observed),
                        "in inference mode while this trained others",
                    ),
                    Step(
                        place_of(first.seen.run, observed),
                        "here it normalises with the batch and moves its statistics",
                    ),
                ),
            )

    def _finding(self, freeze: Freeze, call: NormCall, rest: Run, run: Run, fix: Fix) -> Finding:
        return self.finding(
            freeze.site,
            "this makes a pretrained network trainable with its batch norm: training on overwrites the statistics "
            "that the network was trained with",
            (
                Step(call.layer.site, "the network is pretrained"),
                Step(rest.site, "it is frozen while this trains what is on top of it"),
                Step(freeze.site, "made trainable here, its batch norm too"),
                Step(run.site, "trained here with the statistics of the batch"),
            ),
            fix,
        )


def _fix(edits: tuple[Edit, ...]) -> Fix:
    if edits:
        return Fix(Applicability.UNSAFE, "keep the batch norm of the network frozen", edits)
    return Fix(
        Applicability.DISPLAY, "set `trainable = False` again for each layer of batch norm in the network"
    )


def _heeded(freeze: Freeze, run: Run, trace: Trace) -> bool:
    """Whether a training certainly goes by a change: a trainer whose model was compiled since, or a loop of its own."""
    if not set(freeze.guards) <= set(run.guards):
        return False
    if run.declared is Declared.TRAIN:
        compile = compiled(run, trace)
        return compile is not None and compile.order > freeze.order
    return not any(_is_traced(frame.node) for frame in run.context.frame.outwards())


def _is_traced(definition: object) -> bool:
    """Whether a function is compiled when it is called for the first time, and then knows no change."""
    if not isinstance(definition, ast.FunctionDef):
        return False
    return any(
        ast.unparse(each).rpartition("tf.")[2].startswith("function") for each in definition.decorator_list
    )
