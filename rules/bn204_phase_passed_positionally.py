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

The fix names the argument, and those after it. It is safe: the flag can mean nothing else, and what else the call
says stays as it is. It is only shown where the call gives the phase twice, or where a value after the flag
stands in the wrong place too.

## Confirmed by

`bnlint run`: where the flag became the decay, contrib's layer keeps all of its statistics, with a decay of
exactly 1 and `is_training` left at its default, and no training step moved them (RP2, RP6). Where it became
the axis, the layer was trained in inference mode, which is reported as BN107.

## Known limits

A flag whose name does not tell a phase and whose value is not known is left alone.

## References

- TensorFlow 1.15: the signatures of `tf.layers.batch_normalization` and `tf.contrib.layers.batch_norm`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.written import source
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, Location, NameArgument, Step
from bnlint.phase import misplaced_flag
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_PHASES = {"tf.layers.batch_normalization": "training", "tf.contrib.layers.batch_norm": "is_training"}
_NUMBERS = frozenset({"momentum", "epsilon"})
_FLAGS = frozenset({"center", "scale"})
_MEANINGS = {"axis": "the axis", "decay": "the decay", "momentum": "the momentum", "epsilon": "the epsilon"}


class PhasePassedPositionally(Rule):
    """A flag in the place of a number."""

    code = "BN204"
    name = "phase-passed-positionally"
    group = Group.ERROR
    frameworks = ("tensorflow1",)
    fixable = (Applicability.SAFE, Applicability.DISPLAY)

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
            outcome = "is given besides" if phase in call.arguments.named else "keeps its default"
            yield self.finding(
                call.site,
                f"the phase is passed by position and becomes {meaning}: `{phase}` {outcome}",
                (Step(where, f"this flag arrives as `{parameter}`"), Step(call.site, f"not as `{phase}`")),
                _fix(call, parameter, phase, trace),
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each call once, of those where the flag became the decay."""
        from bnlint.runtime.symptoms import Standstill, by_site, neglected, never_moved

        for neglect in neglected(observed, Standstill.KEEPS_ALL):
            for site, lives in by_site(neglect.lives, observed).items():
                yield self.finding(
                    site,
                    f"{never_moved(lives, neglect.count)}: the decay is exactly 1, as `True` is, and `is_training` "
                    "keeps its default",
                    (Step(site, "the decay is 1 here"), Step(neglect.site, "trained here")),
                )


def _fix(call: NormCall, parameter: str, phase: str, trace: Trace) -> Fix:
    if phase in call.arguments.named:
        return Fix(Applicability.DISPLAY, f"say the phase once, as `{phase}`")
    edits = _named(call, parameter, phase, trace)
    if not edits:
        return Fix(Applicability.DISPLAY, f"pass it as `{phase}`, and by name what follows it")
    return Fix(Applicability.SAFE, f"pass it as `{phase}`", edits)


def _named(call: NormCall, parameter: str, phase: str, trace: Trace) -> tuple[Edit, ...]:
    """The edits that name the flag and what follows it, if all of that is written in the call."""
    written = source(call.site, trace)
    node = written.at(call.site, ast.Call) if written else None
    if written is None or node is None or any(isinstance(given, ast.Starred) for given in node.args):
        return ()
    places = {written.locate(given) for given in node.args}
    names = call.arguments.positional
    edits: list[Edit] = []
    for name in names[names.index(parameter) :]:
        argument = call.arguments.named[name]
        site = argument.site
        if site is None or site not in places or (name != parameter and not _fits(name, argument.value)):
            return ()
        edits.append(NameArgument(site, phase if name == parameter else name))
    return tuple(reversed(edits))


def _fits(parameter: str, value: object) -> bool:
    """Whether a value after the flag is certainly one for the parameter in whose place it stands."""
    if not isinstance(value, Const) or value.value is None:
        return False
    number = isinstance(value.value, int | float) and not isinstance(value.value, bool)
    return number if parameter in _NUMBERS else isinstance(value.value, bool) and parameter in _FLAGS
