"""Batch normalisation that a model uses and that is no part of it.

## What it does

Reports batch-norm layers of PyTorch that a module keeps in a plain list, tuple or dictionary and applies in its
`forward`, and running statistics of a hand-written norm that are plain tensors.

## Why it is bad

A module knows what is assigned to its attributes: modules, parameters and buffers. What is inside a plain list it does
not know. `parameters()` does not have the weights, so the optimizer never trains them; `state_dict()` does not have the
weights and statistics; `to()` does not move them; and `eval()` does not reach the layers, which stay in training mode
for ever. Statistics in plain tensors are learned, and are not in the checkpoint: the loaded model begins with zeros and
ones.

## When it is not a bug

- The list is made into a `nn.ModuleList` or a `nn.Sequential` that is kept, or each layer is registered by
  `add_module` or `setattr`.
- The program takes care itself: it calls `eval()` on the layers, or hands their parameters to the optimizer.
- The tensors are made anew from something that is registered.

## Example

```python
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = [nn.BatchNorm1d(8) for _ in range(3)]
```

## Use instead

```python
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(8) for _ in range(3)])
```

For statistics, `self.register_buffer("running_mean", torch.zeros(8))`.

## Fix safety

The fix wraps the list where it is made, or registers the tensor. The model then has weights that it did not have, and
checkpoints of the old one do not fit: it is unsafe. Where the list is not made at one place it is only shown.

## Confirmed by

`bnlint run`: the model that was called does not have the layer among its modules, no training step changed its weights,
and in all runs its output is the formula with the statistics of the batch (RP4); or `F.batch_norm` moved and used
statistics (RP2) that the model has neither as buffers nor as parameters. A norm that is written out by hand is not
seen.

## Known limits

A class that mentions `add_module`, `setattr`, `state_dict` or `parameters` is left alone: it may take care itself.

## References

- PyTorch, `torch.nn.ModuleList` and `torch.nn.Module.register_buffer`.
- https://github.com/vlomonaco/ar1-pytorch/pull/1
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.learning import PARAMETERS_OF
from bnlint.analyses.modes import reached
from bnlint.analyses.plain_statistics import Statistic, plain_statistics
from bnlint.analyses.written import source
from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    Location,
    ReplaceExpression,
    Step,
)
from bnlint.rule import Rule
from bnlint.trace import NormCall, Trace, Unregistered

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class NormNotRegistered(Rule):
    """A layer, or its statistics, that the model does not know of."""

    code = "BN112"
    name = "norm-not-registered"
    group = Group.ERROR
    frameworks = ("pytorch",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each list once, at the first layer in it."""
        handled = _given_to_optimizers(trace)
        seen: set[object] = set()
        for event in trace.of(Unregistered):
            call = event.calls[0]
            site = _made(call, event)
            key = (event.holder, event.attribute)
            if not {key, site} & seen and event.item not in handled:
                own = call.layer.context.frame.outwards()
                if any(frame.site == getattr(event.holder, "site", None) for frame in own) and not any(
                    reached(one.layer.owner, trace) for one in event.calls
                ):
                    yield self._finding(event, site, trace)
                seen |= {key, site}
        for mean, variance in plain_statistics(trace):
            yield self._plain(mean, variance)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place where layers are made, or statistics are used, once."""
        from bnlint.runtime.lives import place_of
        from bnlint.runtime.modules import statistics_unknown_to_the_model, unknown_to_the_model

        seen: set[tuple[str, int]] = set()
        for life, step in unknown_to_the_model(observed):
            site = life.site(observed)
            # One list is often written in one line.
            if (site.path, site.line) not in seen:
                seen.add((site.path, site.line))
                yield self.finding(
                    site,
                    "the model that runs this layer does not have it among its parts: no optimizer trained its "
                    "weights, and it was always in training mode",
                    (
                        Step(site, "this layer is made here"),
                        Step(
                            place_of(step.run, observed),
                            "and is used here by a model that does not know of it",
                        ),
                    ),
                )
        for life in statistics_unknown_to_the_model(observed):
            site = life.site(observed)
            if (site.path, site.line) not in seen:
                seen.add((site.path, site.line))
                yield self.finding(
                    site,
                    f"`{life.layer.name}` learned running statistics and used them, and the model has them neither "
                    "among its buffers nor among its parameters: no checkpoint holds them",
                    (
                        Step(site, "the statistics are learned and used here"),
                        Step(place_of(life.training[0].run, observed), "in the training of this model"),
                    ),
                )

    def _plain(self, mean: Statistic, variance: Statistic) -> Finding:
        names = f"`{mean.name}` and `{variance.name}`"
        return self.finding(
            mean.made,
            f"the running statistics {names} are plain tensors and no buffers: no checkpoint holds them, and `to()` "
            "does not move them",
            (
                Step(mean.made, "the tensor is made here, and is not registered"),
                Step(variance.moved, "the statistics are learned here"),
                Step(variance.used, "and used here"),
            ),
            Fix(Applicability.DISPLAY, f'make them by `self.register_buffer("{mean.name}", …)`'),
        )

    def _finding(self, event: Unregistered, site: Location, trace: Trace) -> Finding:
        call = event.calls[0]
        kept, edits = _list(event, site, trace)
        steps = [Step(site, "this layer is made here")]
        if kept is not None and kept.line != site.line:
            steps.append(Step(kept, f"`{event.attribute}` keeps it, and is no container of modules"))
        steps += [
            Step(call.site, "it is applied here"),
            Step(event.site, "in this call of the model, which does not know of it"),
        ]
        return self.finding(
            site,
            f"batch norm is kept in the plain container `{event.attribute}`, of which the model knows nothing: the "
            "layer is neither trained nor saved, and `eval()` does not reach it",
            steps,
            Fix(Applicability.UNSAFE, "keep it in a container of modules", edits)
            if edits
            else Fix(Applicability.DISPLAY, "keep it in a `nn.ModuleList` or a `nn.ModuleDict`"),
        )


def _given_to_optimizers(trace: Trace) -> set[object]:
    """The modules whose parameters the program asks for one by one."""
    return {node.attrs[PARAMETERS_OF] for node in trace.nodes if PARAMETERS_OF in node.attrs}


def _made(call: NormCall, event: Unregistered) -> Location:
    """Where the module that holds the list, or a function of it, makes what a layer is a part of."""
    holder = getattr(event.holder, "site", None)
    site = call.layer.site
    for frame in call.layer.context.frame.outwards():
        constructor = isinstance(frame.node, ast.FunctionDef) and frame.node.name == "__init__"
        if not constructor or frame.site is None or frame.site == holder:
            break
        site = frame.site
    return site


def _list(event: Unregistered, site: Location, trace: Trace) -> tuple[Location | None, tuple[Edit, ...]]:
    """Where the list is made, and the edits that make it a container of modules; none if that is not one place."""
    written = source(site, trace)
    made = written.at(site, ast.Call) if written else None
    owner = written.around(made, ast.ClassDef) if written and made is not None else None
    values = [] if owner is None else list(_assigned(event.attribute, owner))
    if written is None or owner is None or len(values) != 1:
        return None, ()
    location, library, kind = written.locate(values[0]), _library(owner), _kind(values[0])
    if not library or not kind:
        return location, ()
    return location, (ReplaceExpression(location, f"{library}.{kind}({{old}})"),)


def _assigned(attribute: str, owner: ast.ClassDef) -> Iterator[ast.expr]:
    """What a class assigns to an attribute."""
    for node in ast.walk(owner):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Attribute) and target.attr == attribute for target in targets
        ):
            yield node.value


def _library(owner: ast.ClassDef) -> str:
    """How the program calls the module of the library in which the containers are."""
    for base in owner.bases:
        if isinstance(base, ast.Attribute) and base.attr == "Module":
            return ast.unparse(base.value)
    return ""


def _kind(value: ast.expr) -> str:
    """The container of modules that takes what a plain one is made of."""
    if isinstance(value, ast.List | ast.ListComp):
        return "ModuleList"
    named = isinstance(value, ast.Dict) and all(
        isinstance(key, ast.Constant) and isinstance(key.value, str) for key in value.keys
    )
    return "ModuleDict" if named else ""
