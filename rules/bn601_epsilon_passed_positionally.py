"""A second positional argument of PyTorch's batch normalisation, where epsilon stands.

## What it does

Reports `nn.BatchNorm1d(n, x)` and its kin where x is far too large for an epsilon, or is the number of features again.

## Why it is bad

The second parameter is `eps`, which is added to the variance. With 0.8, as in `nn.BatchNorm2d(128, 0.8)`, the layer
divides by the root of the variance plus 0.8: features of a small variance are hardly normalised. Nothing fails.

## When it is not a bug

- The value is as small as an epsilon.
- It is given by its name, `eps=`: then it was meant.

## Example

```python
nn.BatchNorm2d(128, 0.8)
```

## Use instead

```python
nn.BatchNorm2d(128, momentum=0.2)  # what Keras calls a momentum of 0.8
```

## Fix safety

Whether a momentum was meant, and in whose convention, only the author knows: the fix is shown.

## Confirmed by

`bnlint run`: the output of the layer is the formula with an epsilon of 0.01 or more (RP1), which it was given by
position.

## Known limits

Values below 0.01 are left alone.

## References

- https://github.com/eriklindernoren/PyTorch-GAN/issues/116
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.dataflow import Const, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormLayer, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_LARGE = 0.01
"""A thousand times the default."""


class EpsilonPassedPositionally(Rule):
    """Something else than an epsilon in its place."""

    code = "BN601"
    name = "epsilon-passed-positionally"
    group = Group.ERROR
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once."""
        seen: set[Location] = set()
        for layer in trace.of(NormLayer):
            if layer.framework != "pytorch" or "eps" not in layer.arguments.positional or layer.site in seen:
                continue
            value = layer.arguments.value("eps")
            written = _text(value, layer.arguments.value("num_features"))
            if written is not None:
                seen.add(layer.site)
                place = layer.arguments.site("eps") or layer.site
                yield self.finding(
                    layer.site,
                    f"the second argument of `{layer.api.rpartition('.')[2]}` is `eps`: {written} is added to the "
                    "variance, and the layer hardly normalises",
                    (
                        Step(place, "this stands in the place of `eps`"),
                        Step(layer.site, "and reaches this layer"),
                    ),
                    Fix(Applicability.DISPLAY, "say by its name what is meant, `momentum=` or `eps=`"),
                )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each layer once."""
        from bnlint.runtime.lives import lives, place_of
        from bnlint.runtime.observed import Mode

        fits = (Mode.BATCH, Mode.MOVING, Mode.BOTH)
        seen: set[Location] = set()
        for life in lives(observed):
            layer, site = life.layer, life.site(observed)
            used = next((each for each in life.runs if each.passage.mode in fits), None)
            if site in seen or used is None or "eps" not in layer.given or layer.epsilon < _LARGE:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"`{layer.name}` added {layer.epsilon:g} to the variance: it stands in the place of `eps`",
                (
                    Step(site, "given by position here"),
                    Step(place_of(used.run, observed), "the output of this run is the formula with it"),
                ),
            )


def _text(value: Value | None, features: Value | None) -> str | None:
    if (
        isinstance(value, Const)
        and isinstance(value.value, int | float)
        and not isinstance(value.value, bool)
    ):
        return f"{value.value:g}" if value.value >= _LARGE else None
    return "the number of features" if value is not None and value is features else None
