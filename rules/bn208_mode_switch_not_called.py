"""Something that looks like a switch of the mode of a PyTorch model, and is none.

## What it does

Reports `model.eval` and `model.train` on a line of their own, which name the method and do not call it; truth values
that are assigned to these names; and `model.training = False` before an evaluation, which reaches the model itself and
not the batch normalisation inside.

## Why it is bad

The mode stays what it was, without an error. An evaluation that was to be in evaluation mode normalises with the
statistics of the evaluated batch and learns from it, and dropout is on. After `model.eval = True` the method is gone:
the next `model.eval()` raises an error.

## When it is not a bug

- The method is called, or handed to something else.
- Another function takes the place of the method, as `model.train = keep_frozen` does.
- `training` is set for every module, in a loop over `modules()` or by `apply`, or beside a call of `eval()`.
- No batch normalisation is in the model, or the model is not known.

## Example

```python
model.eval
with torch.no_grad():
    predictions = [model(x) for x in test_loader]
```

## Use instead

```python
model.eval()
with torch.no_grad():
    predictions = [model(x) for x in test_loader]
```

## Fix safety

A method that is only named was meant to be called: the parentheses are safe. To replace an assignment by a call, with
all that assign to `training` of the same model, changes what is computed.

## Confirmed by

`bnlint run`: in an evaluation the outermost module was in evaluation mode, all modules inside were not, and the output
is the formula with the statistics of the batch (RP4), while nobody had called `eval()`. A method that is only named, or
replaced, leaves no trace: a run shows what comes of it, under BN206 or BN207.

## Known limits

Other attributes, such as `model.is_training`, may be the program's own and are left alone.

## References

- https://github.com/Han-Jia/UNICORN-MAML/issues/3
- PyTorch, `torch.nn.Module.train` and `torch.nn.Module.eval`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.modes import held_in_training, idle_switch, norm_modules
from bnlint.analyses.written import source
from bnlint.findings import (
    Applicability,
    Edit,
    Finding,
    Fix,
    Group,
    InsertStatement,
    Location,
    RemoveStatement,
    ReplaceExpression,
    Step,
)
from bnlint.phase import evaluations, meant
from bnlint.rule import Rule
from bnlint.trace import IdleSwitch, NormLayer, Origin, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class ModeSwitchNotCalled(Rule):
    """A switch of the mode that is written, and not made."""

    code = "BN208"
    name = "mode-switch-not-called"
    group = Group.ERROR
    frameworks = ("pytorch",)
    fixable = (Applicability.SAFE, Applicability.UNSAFE)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        seen: set[Location] = set()
        for switch in (*_by_name(trace), *_of_the_outside(trace)):
            if switch.site not in seen:
                seen.add(switch.site)
                yield self._finding(switch, trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each evaluation once in which `training` is False for the outermost module alone."""
        from bnlint.runtime.lives import many
        from bnlint.runtime.modules import left_in_training_mode
        from bnlint.runtime.symptoms import by_run

        found = [wrong for wrong in left_in_training_mode(observed) if wrong.life.layer.own_switch is None]
        for site, wrong in by_run(found, observed).items():
            first = wrong[0]
            layers = {each.life.layer.key for each in wrong}
            yield self.finding(
                site,
                f"`training` was False for the outermost module alone: {many(len(layers), 'layer')} inside used the "
                f"statistics of the batch in {many(first.seen.run.count, 'evaluation')}",
                (
                    Step(first.life.site(observed), "this layer stays in training mode"),
                    Step(site, f"evaluated here: {first.because}"),
                ),
            )

    def _finding(self, switch: IdleSwitch, trace: Trace) -> Finding:
        layer = next(layer for layer in trace.of(NormLayer) if layer.owner in switch.parts)
        mode = "training" if switch.training else "evaluation"
        if switch.written == "training":
            message = (
                "`training` is set for the outermost module alone: the batch norm inside stays in training mode, and "
                "is evaluated so"
            )
        elif switch.assigned:
            message = f"this replaces the method `{switch.written}` and switches nothing: the mode stays what it was"
        else:
            message = (
                f"`{switch.written}` is named here and not called: the model is not put into {mode} mode"
            )
        return self.finding(
            switch.site,
            message,
            (
                Step(layer.site, "the mode of this layer"),
                Step(switch.site, "does not change here"),
            ),
            _fix(switch, trace),
        )


def _by_name(trace: Trace) -> Iterator[IdleSwitch]:
    norms = norm_modules(trace)
    for switch in trace.of(IdleSwitch):
        if switch.written != "training" and norms & switch.parts.keys():
            yield switch


def _of_the_outside(trace: Trace) -> Iterator[IdleSwitch]:
    """The last switches before evaluations, that leave what is inside in training mode."""
    for run, _ in evaluations(trace):
        forward = run.forward
        for call in forward.norms[:1] if forward is not None else ():
            switch = idle_switch(call, forward, False, trace) if forward is not None else None
            if (
                switch is not None
                and switch.written == "training"
                and call.origin is Origin.MODE
                and call.training(run.world())
                and not meant(call, run, trace)
                and not held_in_training(call, trace)
            ):
                yield switch


def _fix(switch: IdleSwitch, trace: Trace) -> Fix:
    if not switch.assigned:
        edit = ReplaceExpression(switch.site, "{old}()")
        return Fix(Applicability.SAFE, f"call `{switch.written}()`", (edit,))
    method = "train()" if switch.training else "eval()"
    pairs = {
        each.site: each
        for each in trace.of(IdleSwitch)
        if each is switch or (each.written == switch.written == "training" and each.target is switch.target)
    }
    edits = [_called(each, trace) for each in pairs.values()]
    if not all(edits):
        return Fix(Applicability.DISPLAY, f"call `{method}` instead")
    return Fix(
        Applicability.UNSAFE, f"call `{method}` instead", tuple(edit for pair in edits for edit in pair)
    )


def _called(switch: IdleSwitch, trace: Trace) -> tuple[Edit, ...]:
    """The edits that put a call in the place of an assignment; none if it assigns to several things."""
    written = source(switch.site, trace)
    target = written.at(switch.site, ast.Attribute) if written is not None else None
    statement = written.statement(target) if written is not None and target is not None else None
    if target is None or not isinstance(statement, ast.Assign) or statement.targets != [target]:
        return ()
    text = f"{ast.unparse(target.value)}.{'train' if switch.training else 'eval'}()"
    return (InsertStatement(switch.site, text), RemoveStatement(switch.site))
