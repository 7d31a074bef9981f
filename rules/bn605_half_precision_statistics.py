"""Batch normalisation is trained with its statistics in half precision.

## What it does

Reports `half()`, `to(torch.float16)`, `bfloat16()` and the like on a PyTorch model whose batch normalisation is
trained afterwards without having been put back to `float32`.

## Why it is bad

The moving averages, too, have 11 bits of precision then, or 8. A `bfloat16` average of values around 10 stays at 9.6,
and with a momentum of 0.001 at 4, because the steps are too small to be counted; a `float16` variance above 65504 is
infinite. Evaluation, which uses the averages, is wrong by that much, and training does not show it.

## When it is not a bug

- The model is only evaluated in half precision.
- The layers are put back: `for m in model.modules(): if isinstance(m, nn.BatchNorm2d): m.float()`.
- `torch.autocast` and Apex leave the layers in `float32`.

## Example

```python
model = Net().cuda().half()
for images, labels in loader:
    loss = criterion(model(images.half()), labels)
    loss.backward()
```

## Use instead

```python
model = Net().cuda()
for images, labels in loader:
    with torch.autocast("cuda"):
        loss = criterion(model(images), labels)
    scaler.scale(loss).backward()
```

## Fix safety

The fix is shown: whether the layers are put back, or the model is trained with `torch.autocast`, is the author's
choice.

## Confirmed by

`bnlint run`: a training step moved averages of half precision (RP2).

## Known limits

Models that code of others converts are left alone, and so are types that are not known.

## References

- https://github.com/NVIDIA/apex/pull/144
- https://github.com/pytorch/pytorch/issues/115500
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.runs import optimized
from bnlint.dataflow import Const, Value, World
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_HALF = ("float16", "bfloat16")
_FIX = Fix(
    Applicability.DISPLAY,
    "put the batch norms back with `float()`, or leave the model in float32 and train it under `torch.autocast`",
)


class HalfPrecisionStatistics(Rule):
    """The moving averages are rounded to half precision."""

    code = "BN605"
    name = "half-precision-statistics"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each conversion once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            if call.dtype is None or call.updates is not Updates.IN_PLACE or call not in optimized(trace):
                continue
            half = _half(call.dtype, call)
            if (
                half is None
                or half.site is None
                or half.site in seen
                or call.training(_world(call)) is not True
            ):
                continue
            seen.add(half.site)
            yield self.finding(
                half.site,
                f"the moving averages of batch norm become {half.value}, and the model is trained so: they lose what a "
                "step adds, and evaluation uses them",
                (
                    Step(call.layer.site, "this layer is built here, in float32"),
                    Step(half.site, f"put into {half.value} here"),
                    Step(call.site, "trained so here"),
                ),
                _FIX,
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each conversion once."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.symptoms import trained_in_half_precision

        seen: set[Location] = set()
        for life, trained in trained_in_half_precision(observed):
            passage, built = trained.passage, life.site(observed)
            site = passage.converted or built
            if site in seen:
                continue
            seen.add(site)
            steps = [Step(built, "this layer is built here")]
            if passage.converted is not None:
                steps.append(Step(site, f"put into {passage.statistics_type} here"))
            steps.append(Step(place_of(trained.run, observed), "trained so here"))
            yield self.finding(
                site,
                f"the moving averages of `{life.layer.name}` were {passage.statistics_type} in "
                f"{many(trained.run.count, 'training step')}: they lose what a step adds, and evaluation uses them",
                steps,
            )


def _world(call: NormCall) -> World:
    return World(call.guards)


def _half(dtype: Value, call: NormCall) -> Const | None:
    """The conversion to half precision that a layer may have when it is called."""
    for option in _world(call).alternatives(dtype):
        if isinstance(option, Const) and option.value in _HALF:
            return option
    return None
