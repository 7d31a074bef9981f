"""Arithmetic on whole states of models that leaves batch normalisation a variance that may be negative.

## What it does

Reports where a state is computed from those of several models, the moving variances included, with a weight that is
negative, and written to a model: a task vector that is subtracted, or a step that goes beyond another model.

## Why it is bad

Weights may be extrapolated, variances may not: `2 * a - b` is negative where `b` is more than twice `a`. The square
root in batch normalisation then gives NaN, or a huge scale where the variance is just above 0, for whole channels.

## When it is not a bug

- All weights are positive, as in the averages of federated learning and in model soups: such a mean of variances is no
  variance of the mixture, but a positive number that is used widely.
- The moving statistics are left out, or are clamped.
- The weights are not known.

## Example

```python
vector = {key: tuned[key] - base[key] for key in base}
model.load_state_dict({key: base[key] - vector[key] for key in base})
```

## Use instead

```python
vector = {key: tuned[key] - base[key] for key in base if "running_" not in key}
model.load_state_dict({key: base[key] - vector[key] if key in vector else base[key] for key in base})
torch.optim.swa_utils.update_bn(train_loader, model)
```

## Fix safety

The fix is shown: the statistics have to be estimated anew from data that only the author knows.

## Confirmed by

`bnlint run`: a layer was used in evaluation mode with a moving variance that is negative, which no average of variances
is (RP2). Executed with torch 2.13: the output has NaN.

## Known limits

In-place arithmetic with fractions on the whole state is not reported: it raises for `num_batches_tracked`, which is an
integer. The out-of-place average of that counter is cut to an integer when it is loaded, which does no harm.

## References

- https://github.com/timgaripov/swa/issues/8
- https://github.com/pytorch/ignite/pull/2098
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bnlint.dataflow import Const, Node, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Copy, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_FIX = Fix(
    Applicability.DISPLAY,
    "leave the running statistics out of the arithmetic, and estimate them with `torch.optim.swa_utils.update_bn`",
)


class AveragedStatisticsInvalid(Rule):
    """A moving variance is a difference of variances."""

    code = "BN504"
    name = "averaged-statistics-invalid"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place of arithmetic once."""
        seen: set[Location] = set()
        for copy in trace.of(Copy):
            value = copy.variance
            if isinstance(value, Node) and value.site not in seen and _is_difference(value):
                seen.add(value.site)
                yield self._finding(copy, value)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each run once."""
        from bnlint.runtime.lives import place_of
        from bnlint.runtime.strangers import negative

        seen: set[Location] = set()
        for life, used in negative(observed):
            site = place_of(used.run, observed)
            found = (life.layer.initial_variance, life.layer.last_variance)
            least = min(each.least for each in found if each is not None)
            if site in seen:
                continue
            seen.add(site)
            yield self.finding(
                site,
                f"a moving variance of `{life.layer.name}` is {least:.3g}, which no data have: it was computed with a "
                "negative weight, and evaluation normalises with it",
                (
                    Step(life.site(observed), "the layer keeps a moving variance"),
                    Step(site, "it is used here in evaluation mode"),
                ),
            )

    def _finding(self, copy: Copy, value: Node) -> Finding:
        return self.finding(
            value.site,
            "a moving variance is computed here with a negative weight, as all of the state is: it may become "
            "negative, and the outputs NaN",
            (
                Step(copy.written_to[0].site, "the layer keeps a moving variance"),
                Step(value.site, "one variance is subtracted from another here"),
                Step(copy.site, "the result is written to a model here"),
            ),
            _FIX,
        )


def _is_difference(value: Node) -> bool:
    """Whether one of several variances certainly has a negative weight."""
    found = _weights(value)
    return found is not None and len(found) > 1 and any(weight < 0 for weight in found.values())


def _weights(value: Value, depth: int = 0) -> Mapping[Node, float] | None:
    """How much of each tensor a sum of tensors has; None if that is not known or it is no sum."""
    operands = value.attrs.get("operands") if isinstance(value, Node) else None
    if not isinstance(value, Node) or depth > 20:
        return None
    if operands is None:
        return {value: 1.0} if not value.inputs else None
    left, right = operands
    if value.op in ("add", "sub"):
        sign = 1.0 if value.op == "add" else -1.0
        one, other = _weights(left, depth + 1), _weights(right, depth + 1)
        if one is None or other is None:
            return None
        return {key: one.get(key, 0.0) + sign * other.get(key, 0.0) for key in {**one, **other}}
    scale, scaled = (left, right) if isinstance(left, Const) and value.op == "mult" else (right, left)
    inner = _weights(scaled, depth + 1) if value.op in ("mult", "div") else None
    if (
        inner is None
        or not isinstance(scale, Const)
        or not isinstance(scale.value, int | float)
        or not scale.value
    ):
        return None
    factor = scale.value if value.op == "mult" else 1 / scale.value
    return {key: weight * factor for key, weight in inner.items()}
