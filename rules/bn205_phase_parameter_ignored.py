"""A function that takes the phase as a parameter and normalises without looking at it.

## What it does

Reports a parameter that tells training from inference (`is_training`, `train`, `phase`, …) of a function that
applies batch normalisation, when the function never reads the parameter and the layer's phase is a constant.

## Why it is bad

Every caller believes to switch the layer, and none does: the layer always trains, or never.

## When it is not a bug

- The method only implements a signature that others share, and the layer takes its phase from elsewhere.
- Keras layers: `training` reaches inner layers by the call context.

## Example

```python
def discriminator(image, train=True):
    return lrelu(tf.contrib.layers.batch_norm(conv(image)))
```

## Use instead

```python
def discriminator(image, train=True):
    return lrelu(tf.contrib.layers.batch_norm(conv(image), is_training=train))
```

## Fix safety

The fix hands the parameter on. It changes what the network computes in one of the phases, so it is unsafe.

## Confirmed by

The effective mode of the layer in each phase (RP1).

## Known limits

A parameter that is read for something else, but not for the layer, is left to BN203.

## References

- TensorFlow 1.15, `tf.contrib.layers.batch_norm`: `is_training` is True by default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.dataflow import Const
from bnlint.findings import Applicability, Finding, Fix, Group, SetKeyword, Step
from bnlint.phase import is_phase_name
from bnlint.rule import Rule
from bnlint.trace import NormCall, Origin, Trace

_PHASE_KEYWORDS = {"tf.layers.batch_normalization": "training", "tf.contrib.layers.batch_norm": "is_training"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef


class PhaseParameterIgnored(Rule):
    """A phase parameter that the normalisation never sees."""

    code = "BN205"
    name = "phase-parameter-ignored"
    group = Group.WARNING

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each parameter once."""
        seen: set[ast.arg] = set()
        for call in trace.of(NormCall):
            definition = call.context.frame.node
            if not isinstance(definition, Definition) or not _constant(call):
                continue
            for parameter in _unread(definition):
                if parameter in seen:
                    continue
                seen.add(parameter)
                site = call.context.frame.locate(parameter)
                yield self.finding(
                    site,
                    f"`{definition.name}` takes the phase as `{parameter.arg}` but never reads it: "
                    f"its batch norm is always in {_mode(call)} mode",
                    (Step(site, "the phase arrives here"), Step(call.site, "and this layer does not get it")),
                    _fix(call, parameter.arg),
                )


def _constant(call: NormCall) -> bool:
    return call.origin in (Origin.DEFAULT, Origin.ARGUMENT, Origin.SCOPE) and isinstance(call.phase, Const)


def _mode(call: NormCall) -> str:
    return "training" if isinstance(call.phase, Const) and call.phase.value else "inference"


def _unread(definition: Definition) -> list[ast.arg]:
    """The phase parameters that the body never mentions."""
    spec = definition.args
    read = {
        node.id for statement in definition.body for node in ast.walk(statement) if isinstance(node, ast.Name)
    }
    if "locals" in read:
        return []
    parameters = (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)
    return [
        parameter for parameter in parameters if is_phase_name(parameter.arg) and parameter.arg not in read
    ]


def _fix(call: NormCall, name: str) -> Fix | None:
    keyword = _PHASE_KEYWORDS.get(call.layer.api)
    if keyword is None or call.via or call.origin is not Origin.DEFAULT:
        return None
    return Fix(
        Applicability.UNSAFE, f"hand `{name}` on to the layer", (SetKeyword(call.site, keyword, name),)
    )
