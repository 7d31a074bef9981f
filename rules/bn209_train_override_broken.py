"""A PyTorch model whose own `train()` or `eval()` does not do what the inherited one does.

## What it does

Reports a method `train(self, mode=True)` or `eval(self)` of a module with batch normalisation that returns nothing, or
that does not pass the mode on, so that `eval()` leaves the batch normalisation inside in training mode.

## Why it is bad

`eval()` calls `train(False)`, of the module itself and of all modules inside. If the method passes nothing on, the
model is evaluated with the statistics of the evaluated batch, although `eval()` was called. If it returns nothing,
`model = Net().eval()` is None.

## When it is not a bug

- The method calls `super().train(mode)` and returns `self`, whatever else it does: frozen layers that it keeps in
  evaluation mode are a reason to write it.
- It switches the modules inside one by one.
- It says literally that they stay in training mode: `super().train(True)`.
- It is no switch but a training loop: it takes data, or it trains.

## Example

```python
class Net(nn.Module):
    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
```

## Use instead

```python
class Net(nn.Module):
    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self
```

## Fix safety

`return self` at the end of a method that returns nothing is safe. What is to be passed on where is not written by a
fix.

## Confirmed by

`bnlint run`: in an evaluation the model was in evaluation mode, all modules inside were not, and the output is the
formula with the statistics of the batch (RP4); its class has a `train` or `eval` of its own, and that of PyTorch never
reached it. A method that calls the inherited one without the mode, or returns nothing, is not confirmed: the first may
be meant so, and a run does not follow what is returned.

## Known limits

The method is tried out on the models that the program makes, as far as they are known. One that switches some of the
layers is left alone.

## References

- PyTorch, `torch.nn.Module.train` and `torch.nn.Module.eval`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlint.analyses.modes import norm_modules, not_passed_on
from bnlint.analyses.written import parameters
from bnlint.dataflow import Const
from bnlint.findings import Applicability, Finding, Fix, Group, InsertStatement, Location, Step
from bnlint.rule import Rule
from bnlint.trace import NormLayer, OwnSwitch, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class TrainOverrideBroken(Rule):
    """A ``train()`` or ``eval()`` that does less than the inherited one."""

    code = "BN209"
    name = "train-override-broken"
    group = Group.ERROR
    frameworks = ("pytorch",)
    fixable = (Applicability.SAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each method once."""
        seen: set[ast.AST] = set()
        for switch in trace.of(OwnSwitch):
            if switch.definition in seen:
                continue
            if not_passed_on(switch, trace):
                seen.add(switch.definition)
                yield self._not_passed_on(switch, trace)
            elif _returns_nothing(switch, trace):
                seen.add(switch.definition)
                yield self._returns_nothing(switch)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each method once after which only the model itself was in evaluation mode."""
        from bnlint.runtime.lives import many, place_of
        from bnlint.runtime.modules import left_in_training_mode

        seen: set[Location] = set()
        for wrong in left_in_training_mode(observed):
            head = wrong.life.layer.own_switch
            if head is not None and head not in seen:
                seen.add(head)
                yield self.finding(
                    head,
                    f"this did not pass the mode on: `{wrong.life.layer.name}` used the statistics of the batch in "
                    f"{many(wrong.seen.run.count, 'evaluation')}, while the model was in evaluation mode",
                    (
                        Step(wrong.life.site(observed), "this layer is built here, in training mode"),
                        Step(head, "and a switch of the model does not reach it"),
                        Step(place_of(wrong.seen.run, observed), f"evaluated here: {wrong.because}"),
                    ),
                )

    def _not_passed_on(self, switch: OwnSwitch, trace: Trace) -> Finding:
        layer = next(layer for layer in trace.of(NormLayer) if layer.owner in switch.left)
        head, name = _head(switch), switch.definition.name
        return self.finding(
            head,
            f"this `{name}` does not pass the mode on: `eval()` leaves the batch norm inside in training mode",
            (
                Step(layer.site, "this layer is built here, in training mode"),
                Step(head, "and `eval()` does not reach it"),
            ),
            Fix(Applicability.DISPLAY, f"call `super().{name}({'mode' if name == 'train' else ''})`"),
        )

    def _returns_nothing(self, switch: OwnSwitch) -> Finding:
        head, last = _head(switch), switch.locate(switch.definition.body[-1])
        return self.finding(
            head,
            f"this `{switch.definition.name}` returns nothing, so `model.eval()` is None instead of the model",
            (Step(head, "PyTorch's own returns the module"),),
            Fix(Applicability.SAFE, "return the module", (InsertStatement(last, "return self", after=True),)),
        )


def _returns_nothing(switch: OwnSwitch, trace: Trace) -> bool:
    """Whether a method of a model with batch norm ends without a value, and says so nowhere else."""
    nothing = isinstance(switch.returns, Const) and switch.returns.value is None
    returns = any(isinstance(node, ast.Return) for node in ast.walk(switch.definition))
    norms = norm_modules(trace)
    return (
        nothing
        and not returns
        and switch.switched
        and bool(norms & (switch.reached.keys() | switch.left.keys()))
    )


def _head(switch: OwnSwitch) -> Location:
    """The definition from its beginning to its last parameter."""
    locate = switch.locate
    begin, end = locate(switch.definition), locate(parameters(switch.definition)[-1])
    return replace(begin, end_line=end.end_line, end_column=end.end_column)
