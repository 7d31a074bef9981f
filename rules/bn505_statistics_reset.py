"""Moving statistics that are set back, and not learned again before they are used.

## What it does

Reports where the running mean and variance of a layer that has learned some, in training or from a checkpoint, are set
back to 0 and 1, when the model is then called in evaluation mode without having been in training mode in between.

## Why it is bad

Evaluation uses the initial statistics, which belong to no data at all. `reset_parameters()` of a normalisation does
that too, next to its weights; an initialisation that is applied to all layers after the weights were loaded does it to
all of them.

## When it is not a bug

- The statistics are estimated again: the model is called in training mode before it is evaluated.
- The layer has not learned anything yet: it is initialised.
- What is shown is the effect of the missing statistics.

## Example

```python
model.load_state_dict(torch.load("model.pt"))
for layer in model.modules():
    if isinstance(layer, nn.BatchNorm2d):
        layer.reset_running_stats()
model.eval()
accuracy = test(model, test_loader)
```

## Use instead

```python
model.load_state_dict(torch.load("model.pt"))
torch.optim.swa_utils.update_bn(train_loader, model)
model.eval()
accuracy = test(model, test_loader)
```

## Fix safety

The fix is shown: whether the reset or the missing estimation is the mistake is not known.

## Confirmed by

`bnlint run`: a layer that had statistics other than the initial ones was set back, and was applied the next time in
evaluation mode, with a mean of 0 and a variance of 1, which it kept to the end (RP2).

## Known limits

Layers whose statistics are replaced by computed values are left alone.

## References

- PyTorch, `torch.nn.BatchNorm2d`: `reset_running_stats`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.forwards import on_made_up_data
from bnlint.analyses.uses import Use, copies_into, uses
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Event, NormLayer, Reset, Save, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_FIX = Fix(
    Applicability.DISPLAY,
    "leave the statistics as they are, or estimate them before the evaluation: `torch.optim.swa_utils.update_bn`",
)


class StatisticsReset(Rule):
    """What was learned is forgotten before it is used."""

    code = "BN505"
    name = "statistics-reset"
    group = Group.INFO
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place that sets statistics back once."""
        seen: set[Location] = set()
        for reset in trace.of(Reset) if trace.driven else ():
            for layer in reset.layers if reset.site not in seen else ():
                learned = _learned(layer, reset, trace)
                used = _used(layer, reset, trace)
                if learned is not None and used is not None:
                    seen.add(reset.site)
                    yield self._finding(layer, learned, reset, used)
                    break

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place that sets statistics back once."""
        from bnlint.runtime.lives import many, place_of, somewhere
        from bnlint.runtime.strangers import stale

        seen: set[Location] = set()
        for life, used in stale(observed, "reset"):
            site = somewhere(observed, life.layer.stale_site)
            if site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"the moving statistics that `{life.layer.name}` had learned were set back here, and a mean of 0 and a "
                f"variance of 1 were used in {many(used.run.count, 'run')} in evaluation mode",
                (
                    Step(life.site(observed), "the layer keeps moving statistics"),
                    Step(site, "they are set back here"),
                    Step(place_of(used.run, observed), "used here in evaluation mode"),
                ),
            )

    def _finding(self, layer: NormLayer, learned: Event, reset: Reset, used: Use) -> Finding:
        return self.finding(
            reset.site,
            "the running statistics are set back here and not learned again: evaluation uses a mean of 0 and a "
            "variance of 1",
            (
                Step(layer.site, "the layer keeps running statistics"),
                Step(
                    learned.site,
                    "they are loaded here" if isinstance(learned, Save) else "they are learned here",
                ),
                Step(reset.site, "they are set back here"),
                Step(used.forward.site, "the next use is this one, in evaluation mode"),
            ),
            _FIX,
        )


def _learned(layer: NormLayer, reset: Reset, trace: Trace) -> Event | None:
    """Where the statistics of a layer come from, before they are set back."""
    for use in uses(layer, trace):
        if use.learns and use.order < reset.order:
            return use.forward
    if layer.pretrained:
        return layer
    return next(
        (
            save
            for save in trace.of(Save)
            if layer in save.statistics_of and save.restores and save.order < reset.order
        ),
        None,
    )


def _used(layer: NormLayer, reset: Reset, trace: Trace) -> Use | None:
    """The next use, if it is one for inference and nothing was written in between."""
    later = next((use for use in uses(layer, trace) if use.order > reset.order), None)
    if later is None or later.training is not False or on_made_up_data(later.forward):
        return None
    written = (
        *copies_into(layer, trace),
        *(save for save in trace.of(Save) if save.restores and layer in save.statistics_of),
    )
    return None if any(reset.order < event.order < later.order for event in written) else later
