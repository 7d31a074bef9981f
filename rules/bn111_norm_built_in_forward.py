"""Batch normalisation that is built anew whenever the model is called.

## What it does

Reports a batch-norm layer of PyTorch that is made in the `forward` of a module, or in a function that `forward` calls,
and applied in the same call.

## Why it is bad

The layer has new weights in each call and is no part of the model: the optimizer never sees the weights, a checkpoint
does not hold them, `eval()` and `to()` do not reach them. It is always in training mode, so that an evaluation depends
on the rest of its batch, and what it learned about the data is thrown away with it.

## When it is not a bug

- The layer is made in the first call only and kept: under `hasattr`, `is None` or `not in`.
- It follows the mode of the module by `.train(self.training)`.
- It has neither weights nor statistics (`affine=False, track_running_stats=False`) and is used as an operation.

## Example

```python
class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x):
        x = self.conv(x)
        return nn.BatchNorm2d(x.size(1))(x)
```

## Use instead

```python
class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))
```

## Fix safety

Only shown: how many channels there are in `__init__` is the author's to say, and a model that was trained so has to be
trained anew.

## Confirmed by

`bnlint run`: the same line built the layer anew for each of several forward passes, in all of which the output is the
formula with the statistics of the batch (RP4), and no training step changed its weights.

## Known limits

A layer that is kept under a condition of any kind is left alone.

## References

- PyTorch, `torch.nn.Module`: submodules are registered when they are assigned to attributes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.written import Source, source
from bnlint.dataflow import Const, Frame
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import ModeSwitch, NormCall, NormLayer, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_KEEPS = ("setattr", "add_module", "register_module", "append", "setdefault", "update")
_FIX = Fix(Applicability.DISPLAY, "build the layer in `__init__`, keep it in an attribute, and call that")


class NormBuiltInForward(Rule):
    """A layer that does not outlive the call."""

    code = "BN111"
    name = "norm-built-in-forward"
    group = Group.ERROR
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place where layers are made once."""
        seen: set[Location] = set()
        for call in trace.of(NormCall):
            forward = _forward(call)
            if forward is None or _is_operation(call.layer) or _follows_mode(call, trace):
                continue
            steps = list(_steps(call.layer, forward))
            if steps[0] not in seen and not _is_kept(steps, trace):
                seen.add(steps[0])
                yield self._finding(steps, call, forward)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place where layers are made once."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.modules import built_in_each_call

        seen: set[Location] = set()
        for life, step in built_in_each_call(observed):
            site = life.site(observed)
            if site not in seen:
                seen.add(site)
                steps = [Step(site, "this makes a new layer")]
                if life.layer.callers:
                    steps.append(Step(life.layer.callers[0], "from here, whenever the model is called"))
                yield self.finding(
                    site,
                    f"this layer was built anew in {many(life.layer.rebuilt + 1, 'call')} of a model, was in training "
                    "mode in all of them, and no optimizer ever had its weights",
                    (*steps, Step(place_of(step.run, observed), "the model is trained here")),
                )

    def _finding(self, places: list[Location], call: NormCall, forward: Frame) -> Finding:
        site = places[0]
        steps = [Step(site, "this makes a new layer")]
        if places[-1] != site:
            steps.append(Step(places[-1], f"`{forward.function}` calls it, whenever the model is called"))
        steps.append(Step(call.site, "it is applied here, and then lost"))
        return self.finding(
            site,
            "batch norm is built anew in every call of `forward`: its weights and statistics are lost with the call, "
            "and `eval()` does not reach it",
            steps,
            _FIX,
        )


def _forward(call: NormCall) -> Frame | None:
    """The ``forward`` that makes a layer and applies it in the same call."""
    if call.layer.framework != "pytorch" or call.layer.owner is None:
        return None
    applied = set(call.context.frame.outwards())
    for frame in call.layer.context.frame.outwards():
        method = isinstance(frame.node, ast.FunctionDef) and "." in frame.function
        if method and frame.node.name == "forward" and frame in applied:
            return frame
    return None


def _steps(layer: NormLayer, forward: Frame) -> Iterator[Location]:
    """Where the layer, or the module that it belongs to, is made, and the calls that lead there from ``forward``."""
    site = layer.site
    within = True
    for frame in layer.context.frame.outwards():
        within = within and isinstance(frame.node, ast.FunctionDef) and frame.node.name == "__init__"
        if not within:
            yield site
        if frame is forward or frame.site is None:
            return
        site = frame.site


def _is_operation(layer: NormLayer) -> bool:
    """Whether a layer has nothing that could be lost."""
    given = [layer.arguments.value(name) for name in ("affine", "track_running_stats")]
    return all(isinstance(value, Const) and value.value is False for value in given)


def _follows_mode(call: NormCall, trace: Trace) -> bool:
    """Whether a layer is put into a mode after it is made."""
    return any(
        call.layer.owner in switch.parts and call.layer.order < switch.order < call.order
        for switch in trace.of(ModeSwitch)
    )


def _is_kept(places: list[Location], trace: Trace) -> bool:
    """Whether a layer goes into an attribute or a container under a condition: perhaps it is made only once."""
    conditional = stored = False
    for place in places:
        written = source(place, trace)
        made = written.at(place, ast.Call) if written else None
        if written is None or made is None:
            return True
        function = written.scope(made)
        conditional = conditional or _is_conditional(made, function, written)
        stored = stored or _is_stored(made, function, written)
    return conditional and stored


def _is_conditional(made: ast.Call, function: ast.AST, written: Source) -> bool:
    """Whether a function may leave a call out."""
    around = (outer for outer in written.outwards(made) if outer is not function)
    return any(
        isinstance(outer, ast.If | ast.IfExp | ast.Try | ast.While) and written.inside(outer, function)
        for outer in around
    ) or any(
        isinstance(node, ast.Return) and node.lineno < made.lineno and written.scope(node) is function
        for node in ast.walk(function)
    )


def _is_stored(made: ast.Call, function: ast.AST, written: Source) -> bool:
    """Whether a value, or what it is assigned to, goes into an attribute, a container or a module."""
    statement = written.statement(made)
    names = {
        target.id
        for target in (statement.targets if isinstance(statement, ast.Assign) else ())
        if isinstance(target, ast.Name)
    }

    def holds(node: ast.AST) -> bool:
        return any(
            part is made or (isinstance(part, ast.Name) and part.id in names) for part in ast.walk(node)
        )

    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets
        ):
            if holds(node.value):
                return True
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in _KEEPS and any(
                holds(given) for given in (*node.args, *(k.value for k in node.keywords))
            ):
                return True
    return False
