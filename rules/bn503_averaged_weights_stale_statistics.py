"""Averaged weights that are evaluated with the moving statistics of the last ones.

## What it does

Reports a `torch.optim.swa_utils.AveragedModel` that keeps a plain average of weights and is used in evaluation mode
while nobody estimates the moving statistics of its batch normalisation anew.

## Why it is bad

The average is another network than each of those that it was made of: its activations have other means and variances.
`AveragedModel` averages the parameters and copies the buffers, so that the moving mean and variance are those of the
model that was added last. The accuracy of the average may be far below that of any of them.

## When it is not a bug

- `torch.optim.swa_utils.update_bn` is called before, or the program estimates the statistics in its own way: the model
  is called in training mode.
- The average is an exponential one (`avg_fn`, `multi_avg_fn`), which stays near the last weights, or it has averages of
  the buffers too (`use_buffers=True`).
- The model has no layer with moving statistics.

## Example

```python
swa_model.update_parameters(model)
swa_model.eval()
accuracy = test(swa_model, test_loader)
```

## Use instead

```python
swa_model.update_parameters(model)
torch.optim.swa_utils.update_bn(train_loader, swa_model)
swa_model.eval()
accuracy = test(swa_model, test_loader)
```

## Fix safety

The fix is shown: which data the statistics are to be estimated from is not known, and a pass over it takes time.

## Confirmed by

`bnlint run`: the moving statistics that `update_parameters` had copied were used in evaluation mode as they were, while
training moved those of the model (RP5). Executed with torch 2.13: the moving mean of the average equals that of the
last model, and differs from that of its own activations.

## Known limits

Averages that a program computes by itself are left alone here; those that leave the buffers out are reported by BN502.
So is an average that is only saved.

## References

- https://github.com/timgaripov/swa/issues/7
- https://github.com/mosaicml/composer/issues/624
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.forwards import on_made_up_data
from bnlint.analyses.uses import Use, copied_layers, copies_into, uses
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Copy, NormLayer, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_FIX = Fix(
    Applicability.DISPLAY,
    "call `torch.optim.swa_utils.update_bn(loader, model)` with training data before the average is evaluated",
)


class AveragedWeightsStaleStatistics(Rule):
    """The average of weights infers with the statistics of the last ones."""

    code = "BN503"
    name = "averaged-weights-stale-statistics"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place that adds to an average once."""
        seen: set[Location] = set()
        for layer in copied_layers(trace) if trace.driven else ():
            added = _added(layer, trace)
            used = _used(layer, added, trace) if added is not None else None
            if added is not None and used is not None and added.site not in seen:
                seen.add(added.site)
                yield self._finding(layer, added, used, trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place that adds to an average once."""
        from bnlint.runtime.lives import many, place_of, somewhere
        from bnlint.runtime.strangers import stale

        seen: set[Location] = set()
        for life, used in stale(observed, "averaged"):
            site = somewhere(observed, life.layer.stale_site)
            if site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"`{life.layer.name}` of averaged weights was used with the moving statistics of the last ones in "
                f"{many(used.run.count, 'run')} in evaluation mode: nothing estimated its own",
                (
                    Step(life.site(observed), "the layer keeps moving statistics"),
                    Step(
                        site, "the weights are averaged here, and the statistics are not those of the average"
                    ),
                    Step(place_of(used.run, observed), "the average is used here in evaluation mode"),
                ),
            )

    def _finding(self, layer: NormLayer, added: Copy, used: Use, trace: Trace) -> Finding:
        made = next((copy for copy in copies_into(layer, trace) if not copy.averaged), None)
        steps = [Step(layer.site, "the layer keeps moving statistics")]
        if made is not None:
            steps.append(Step(made.site, "the averaged model is made here"))
        steps += [
            Step(added.site, "weights are averaged here, and the statistics of the last model are copied"),
            Step(used.forward.site, "the average is used here in evaluation mode"),
        ]
        return self.finding(
            added.site,
            "the averaged weights are evaluated with the moving statistics of the model that was added last: they were "
            "never estimated for the average",
            steps,
            _FIX,
        )


def _added(layer: NormLayer, trace: Trace) -> Copy | None:
    """The first time that a trained model is added to the average that a layer belongs to."""
    for copy in copies_into(layer, trace):
        if copy.averaged:
            before = (
                use for origin in copy.read_from for use in uses(origin, trace) if use.order < copy.order
            )
            if any(use.learns for use in before):
                return copy
    return None


def _used(layer: NormLayer, added: Copy, trace: Trace) -> Use | None:
    """A use for inference, if nothing gives the layer other statistics than those of the last model."""
    later = [use for use in uses(layer, trace) if use.order > added.order]
    written = any(
        copy.statistics and not copy.averaged and copy.order > added.order
        for copy in copies_into(layer, trace)
    )
    if written or any(use.training is not False for use in later):
        return None
    return next((use for use in later if not on_made_up_data(use.forward)), None)
