"""A PyTorch model that is evaluated in training mode.

## What it does

Reports the call of a model in an evaluation while batch normalisation in it is in training mode, because nobody
called `eval()` on the way there, or because `train()` was called instead.

## Why it is bad

The layer normalises with the statistics of the evaluated batch, so that a prediction depends on the other samples of
its batch, and it goes on learning from the test data. `torch.no_grad()` changes nothing about that. Dropout is on, too.

## When it is not a bug

- `eval()` or `train(False)` was called on the model, or on one that it is part of, wherever that is.
- The result is learned from, or nobody looks at it: statistics are estimated anew.
- GAN samplers, style transfer, meta-learning and domain adaptation use batch statistics on purpose.
- The momentum is 0 or 1, as in transductive few-shot learning: no average is kept that evaluation could use.
- There is no layer in the model that has a mode, or the model is not known.

## Example

```python
def test(model, loader):
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(1) == y).sum()
```

## Use instead

```python
def test(model, loader):
    model.eval()
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(1) == y).sum()
```

## Fix safety

Another mode changes what is measured, so the fix is unsafe. `eval()` comes before the outermost loop of the function
that evaluates; if the model is trained afterwards without another `train()`, the fix goes back to training mode. Where
the model has no name, the fix is only shown.

## Confirmed by

`bnlint run`: in a run that changed no weights, and that is an evaluation by its lines, its place or its batch, the
output of a module in training mode is the formula with the statistics of the batch (RP4). It says as well whether the
moving statistics moved.

## Known limits

A run counts as an evaluation only on evidence: its function, its data, its place. Models out of code that is not
known are left alone.

## References

- https://github.com/lucidrains/denoising-diffusion-pytorch/issues/327
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlint import remedies
from bnlint.analyses.modes import held_in_training, idle_switch, in_either_mode, is_registered, switches, to
from bnlint.analyses.sampling import sampling_switch
from bnlint.dataflow import Const, Value
from bnlint.findings import Applicability, Finding, Group, Location, Step
from bnlint.phase import Verdict, evaluations, meant
from bnlint.rule import Rule
from bnlint.trace import Forward, NormCall, Origin, Run, Trace, Updates

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed
    from bnlint.runtime.symptoms import Wrong


class EvaluatedWithoutEvalMode(Rule):
    """A model in training mode is evaluated."""

    code = "BN206"
    name = "evaluated-without-eval-mode"
    group = Group.ERROR
    frameworks = ("pytorch",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each call once."""
        seen: set[Location] = set()
        shown: set[tuple[Value, ast.AST | None]] = set()
        for run, verdict in evaluations(trace):
            forward = run.forward
            if forward is None:
                continue
            place = (forward.target, forward.context.frame.node)
            if forward.site in seen or (place in shown and place[1] is not None):
                continue
            call = _in_training_mode(forward, run, trace)
            if call is not None:
                seen.add(forward.site)
                shown.add(place)
                yield self._finding(forward, call, verdict, trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each call once."""
        from bnlint.runtime.lives import many
        from bnlint.runtime.modules import is_sampling
        from bnlint.runtime.surroundings import is_on_made_up_data
        from bnlint.runtime.symptoms import Source, by_run, evaluated_by_batch

        found = [
            wrong
            for wrong in evaluated_by_batch(observed, Source.MODE)
            if _follows_the_model(wrong)
            and (wrong.seen.passage.phase_site is None or not is_sampling(wrong.seen.run))
            and not is_on_made_up_data(wrong.seen.run.site)
        ]
        for site, wrong in by_run(found, observed).items():
            first = wrong[0]
            layers = {each.life.layer.key for each in wrong}
            learned = any(each.seen.passage.moved for each in wrong)
            steps = [Step(first.life.site(observed), "this layer is built here, in training mode")]
            switched = first.seen.passage.phase_site
            if switched is not None:
                steps.append(Step(switched, "put into training mode here"))
            steps.append(Step(site, f"evaluated here: {first.because}"))
            yield self.finding(
                site,
                f"{many(len(layers), 'layer')} in training mode in {many(first.seen.run.count, 'evaluation')}: the "
                "output depended on the rest of the evaluated batch"
                + (", and the moving statistics learned from it" if learned else ""),
                steps,
            )

    def contradict(self, finding: Finding, observed: Observed) -> str:
        """Look at what the layers did in these evaluations."""
        from bnlint.runtime.refutations import evaluated_by_moving

        return evaluated_by_moving(finding, observed)

    def _finding(self, forward: Forward, call: NormCall, verdict: Verdict, trace: Trace) -> Finding:
        found = self._shown(forward, call, verdict, trace)
        before = switches(call, forward, trace)
        told = bool(before) and before[-1].context.frame.node is forward.context.frame.node is not None
        # Who writes `train()` into an evaluation may have a reason.
        return replace(found, group=Group.WARNING) if told else found

    def _shown(self, forward: Forward, call: NormCall, verdict: Verdict, trace: Trace) -> Finding:
        on = [switch for switch in switches(call, forward, trace) if to(switch)]
        steps = [Step(call.layer.site, "this layer is built here, in training mode")]
        if on:
            steps.append(Step(on[-1].site, "put into training mode here"))
        steps.append(Step(forward.site, f"evaluated here: {verdict.because}"))
        return self.finding(
            forward.site,
            "the model is evaluated in training mode: its batch norm uses the statistics of the evaluated batch, and "
            "learns from it",
            steps,
            remedies.modes.evaluated(call, forward, trace),
        )


def _follows_the_model(wrong: Wrong) -> bool:
    """Whether `eval()` on the model would have reached the layer, as far as a run shows."""
    layer = wrong.life.layer
    return wrong.seen.run.training is not False and layer.registered is not False and not layer.in_forward


def _in_training_mode(forward: Forward, run: Run, trace: Trace) -> NormCall | None:
    """A layer that is certainly in training mode, if none of the model is in evaluation mode."""
    calls = [
        call
        for call in forward.norms
        if call.origin is Origin.MODE and call.updates is Updates.IN_PLACE and is_registered(call, trace)
    ]
    modes = {call.training(run.world()) for call in calls}
    if (
        modes != {True}
        or any(meant(call, run, trace) for call in calls[:1])
        or any(map(_keeps_no_average, calls))
        or idle_switch(calls[0], forward, False, trace) is not None
        or held_in_training(calls[0], trace)
        or in_either_mode(forward, calls[0], trace)
        or sampling_switch(run, trace) is not None
    ):
        return None
    return calls[0]


def _keeps_no_average(call: NormCall) -> bool:
    """Whether the statistics are those of the last batch, or of none: then each batch is meant to have its own."""
    momentum = call.layer.arguments.value("momentum")
    return isinstance(momentum, Const) and momentum.value in (0, 1)
