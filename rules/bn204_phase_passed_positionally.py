"""The phase given by position lands in another parameter.

## What it does

Reports a flag that is passed by position to `tf.layers.batch_normalization`, `tf.contrib.layers.batch_norm`
or slim's `batch_norm` and becomes the axis, the decay or another parameter that is no flag.

## Why it is bad

The second parameter of `tf.layers.batch_normalization` is the axis, that of `tf.contrib.layers.batch_norm`
the decay. `True` is the number 1 in Python, so nothing complains: the layer normalises another axis, or
keeps its moving statistics at their initial values for ever (a decay of 1), and its phase stays at the
default.

## When it is not a bug

- A function of the program's own with the same name, whose second parameter is the phase.
- A layer object: the second argument of its call is the phase.
- Parameters that are flags, such as `center` and `scale`.

## Example

```python
x = tf.layers.batch_normalization(x, is_training)
```

## Use instead

```python
x = tf.layers.batch_normalization(x, training=is_training)
```

## Fix safety

The fix names the argument. It is safe: the flag can mean nothing else.

## Confirmed by

The effective mode of the layer (RP1), and the convergence of its statistics (RP5).

## Known limits

A flag whose name does not tell a phase and whose value is not known is left alone.

## References

- TensorFlow 1.15: the signatures of `tf.layers.batch_normalization` and `tf.contrib.layers.batch_norm`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.findings import Applicability, Finding, Fix, Group, Location, NameArgument, Step
from bnlint.phase import misplaced_flag
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace

_PHASES = {"tf.layers.batch_normalization": "training", "tf.contrib.layers.batch_norm": "is_training"}
_MEANINGS = {"axis": "the axis", "decay": "the decay", "momentum": "the momentum", "epsilon": "the epsilon"}


class PhasePassedPositionally(Rule):
    """A flag in the place of a number."""

    code = "BN204"
    name = "phase-passed-positionally"
    group = Group.ERROR

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each call once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            phase = _PHASES.get(call.layer.api)
            parameter = misplaced_flag(call)
            if phase is None or parameter is None or call.site in seen:
                continue
            seen.add(call.site)
            argument = call.arguments.named[parameter]
            where = argument.site or call.site
            meaning = _MEANINGS.get(parameter, f"`{parameter}`")
            fixable = argument.site is not None and phase not in call.arguments.named
            yield self.finding(
                call.site,
                f"the phase is passed by position and becomes {meaning}: `{phase}` keeps its default",
                (Step(where, f"this flag arrives as `{parameter}`"), Step(call.site, f"not as `{phase}`")),
                Fix(Applicability.SAFE, f"pass it as `{phase}`", (NameArgument(argument.site, phase),))
                if fixable and argument.site is not None
                else None,
            )
