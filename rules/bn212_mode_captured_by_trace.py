"""A phase that a traced function reads from an attribute or a global variable, which the program then changes.

## What it does

Reports a layer inside a `tf.function` whose phase the function reads from outside its arguments (an attribute, a
global variable, an entry of a dictionary), where the program calls the function with different values there.

## Why it is bad

TensorFlow runs the Python code of the function once and keeps the graph. A later call with arguments of the same kind
runs that graph: the flag counts as it was in the first call, and changing it does nothing. A model that was first
called in training mode is evaluated in training mode, and goes on learning its statistics from the test data.

## When it is not a bug

- The flag is an argument: then there is one graph for True and one for False.
- Training and evaluation have a function each.
- `tf.config.run_functions_eagerly(True)` lets Python run each time.

## Example

```python
class Trainer:
    @tf.function
    def forward(self, x):
        return self.model(x, training=self.training)
```

## Use instead

```python
class Trainer:
    @tf.function
    def forward(self, x, training):
        return self.model(x, training=training)
```

## Fix safety

The callers have to say the phase, and what the program computes changes, so the fix is only shown.

## Confirmed by

Not at run time: a run sees which phase a function was traced with, and not what it should have been.

## Known limits

A call with a batch of another size makes a new graph, with the flag as it is then: such a program may be right by
chance, and is reported. Flags whose values are not known are left alone.

## References

- TensorFlow, guide "Better performance with tf.function": Python side effects, and changing globals.
- Executed: Keras 3.15 and tf-keras 2.21 on TensorFlow 2.21.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.analyses.written import keyword, source
from bnlint.dataflow import Const, Frame
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace, Traced


class ModeCapturedByTrace(Rule):
    """A traced function keeps the phase that it has read first."""

    code = "BN212"
    name = "mode-captured-by-trace"
    group = Group.WARNING
    frameworks = ("keras",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each traced function once."""
        if next(trace.of(Traced), None) is None or trace.mentions("run_functions_eagerly"):
            return
        phases = list(_phases(trace))
        several = _several(phases)
        seen: set[ast.AST] = set()
        first: dict[object, tuple[NormCall, Traced]] = {}
        for call, traced in phases:
            known, before = first.setdefault((traced.graph, call.site, call.layer), (call, traced))
            if before is traced or traced.definition in seen or {before, traced} & several:
                continue
            if _phase(known) is not _phase(call):
                seen.add(traced.definition)
                yield self._finding(known, before, traced, trace)

    def _finding(self, call: NormCall, first: Traced, later: Traced, trace: Trace) -> Finding:
        place, text = _read(call, first, trace)
        then, now = ("training", "inference") if _phase(call) else ("inference", "training")
        what = f"`{text}`" if text else "the phase"
        return self.finding(
            place,
            f"{what} is read when the function is traced, not when it is called: batch norm stays in {then} mode when "
            "the program changes it",
            (
                Step(place, "the phase comes from outside the arguments of the traced function"),
                Step(first.site, f"called here first, in {then} mode: this graph is kept"),
                Step(later.site, f"called here to run in {now} mode, and runs the same graph"),
            ),
            Fix(Applicability.DISPLAY, "hand the phase to the traced function as an argument"),
        )


def _phases(trace: Trace) -> Iterator[tuple[NormCall, Traced]]:
    """The normalisations with a known phase, with each call of a traced function that they are in."""
    calls: dict[tuple[Frame, Location], list[Traced]] = {}
    for event in trace.events:
        if isinstance(event, Traced):
            calls.setdefault((event.context.frame, event.site), []).append(event)
        elif isinstance(event, NormCall) and _phase(event) is not None:
            for frame in event.context.frame.outwards():
                if frame.parent is not None and frame.site is not None:
                    begun = calls.get((frame.parent, frame.site), ())
                    made = [each for each in begun if each.definition is frame.node]
                    if made:
                        yield event, made[-1]


def _phase(call: NormCall) -> bool | None:
    return bool(call.phase.value) if isinstance(call.phase, Const) else None


def _several(phases: list[tuple[NormCall, Traced]]) -> set[Traced]:
    """The calls of traced functions that apply a layer in both phases at one place."""
    found: dict[tuple[Traced, Location], set[bool | None]] = {}
    for call, traced in phases:
        found.setdefault((traced, call.site), set()).add(_phase(call))
    return {traced for (traced, _), modes in found.items() if len(modes) > 1}


def _read(call: NormCall, traced: Traced, trace: Trace) -> tuple[Location, str]:
    """Where the phase is read, and how that is written; or else the place in the traced function that leads to the
    layer."""
    inside = call.site
    for frame in call.context.frame.outwards():
        last = frame.node is traced.definition
        written = source(inside, trace)
        node = written.at(inside, ast.Call) if written is not None else None
        flag = keyword(node, "training") if node is not None else None
        kinds = (ast.Attribute, ast.Subscript, ast.Name) if last else (ast.Attribute, ast.Subscript)
        if written is not None and isinstance(flag, kinds):
            return written.locate(flag), ast.unparse(flag)
        if last:
            break
        inside = frame.site or inside
    return inside, ""
