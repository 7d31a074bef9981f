"""A copy of a model that gets its weights and not its moving statistics.

## What it does

Reports the place where a second model is given the learned weights of another one, as by a loop over `parameters()` or
with a dictionary of state from which the moving statistics were left out, while that model is used in evaluation mode
and its moving mean and variance are never written nor estimated.

## Why it is bad

`parameters()` has no buffers, and the moving statistics are buffers. The copy normalises with those that it began
with: a mean of 0 and a variance of 1, or those of the day on which it was copied, while its weights are those of a
trained model. Averages of weights, teachers, target networks and models that are averaged over clients all do that.

## When it is not a bug

- The copy runs in training mode on the same kind of data, as a mean teacher or a key encoder does: it has statistics of
  its own.
- The statistics are estimated for it, such as with `torch.optim.swa_utils.update_bn`.
- The buffers are copied somewhere else, or the whole state is, regularly.
- The statistics of the source do not move: it is trained in evaluation mode.
- Clients keep their own batch normalisation on purpose, and train it.

## Example

```python
for averaged, p in zip(ema_model.parameters(), model.parameters()):
    averaged.data.mul_(decay).add_(p.data, alpha=1 - decay)
```

## Use instead

```python
for averaged, p in zip(ema_model.parameters(), model.parameters()):
    averaged.data.mul_(decay).add_(p.data, alpha=1 - decay)
for averaged, buffer in zip(ema_model.buffers(), model.buffers()):
    averaged.copy_(buffer)
```

## Fix safety

The fix copies the buffers after the loop. It is unsafe because it changes what the copy predicts. Where weights are
averaged evenly over many steps, statistics that are estimated for the average are better. It is only shown where the
weights of several models come together, or where there is no such loop.

## Confirmed by

`bnlint run`: a layer that no optimizer trained and that was used in evaluation mode got weights of a trained one, and
its moving statistics stayed as they were (RP7). Weights are told by the scale of the layer.

## Known limits

Copies out of code that is not known are left alone, and so are those that are only saved.

## References

- https://github.com/pytorch/ignite/issues/2590
- https://github.com/DLR-RM/stable-baselines3/issues/996
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnlint.analyses.forwards import on_made_up_data
from bnlint.analyses.uses import Use, copied_layers, copies_into, uses
from bnlint.analyses.written import Source, bound, source
from bnlint.findings import Applicability, Edit, Finding, Fix, Group, InsertStatement, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Copy, NormLayer, Trace

if TYPE_CHECKING:
    from bnlint.runtime.lives import Life, Seen
    from bnlint.runtime.observed import Observed


class CopyWithoutStatistics(Rule):
    """The weights go from one model to another and the moving statistics stay behind."""

    code = "BN502"
    name = "copy-without-statistics"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place that writes weights once."""
        seen: set[Location] = set()
        for layer in copied_layers(trace) if trace.driven else ():
            found = _left_behind(layer, trace)
            if found is not None and found.copy.site not in seen:
                seen.update(copy.site for copy in copies_into(layer, trace))
                yield self._finding(layer, found, trace)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place that reads the weights once, or each that uses the copy."""
        from bnlint.runtime.lives import many, place_of, somewhere
        from bnlint.runtime.strangers import left_behind

        groups: dict[Location, list[tuple[Life, Seen]]] = {}
        for life, used, read in left_behind(observed):
            site = somewhere(observed, read, place_of(used.run, observed))
            groups.setdefault(site, []).append((life, used))
        for site, group in groups.items():
            life, used = group[0]
            what = "those that they were made with" if life.is_fresh else "old ones"
            steps = [Step(life.site(observed), "the layer keeps its moving statistics in buffers")]
            if site != place_of(used.run, observed):
                steps.append(Step(site, "its weights are read here, without the buffers"))
            steps.append(Step(place_of(used.run, observed), "the copy is used here in evaluation mode"))
            yield self.finding(
                site,
                f"{many(len(group), 'layer')} of a copy got learned weights and never the moving statistics: in "
                f"{many(used.run.count, 'run')} in evaluation mode they were {what}",
                steps,
            )

    def _finding(self, layer: NormLayer, found: _Stale, trace: Trace) -> Finding:
        steps = [Step(layer.site, "the layer keeps its moving statistics in buffers")]
        if found.since is not None:
            steps.append(Step(found.since.site, "the copy has the moving statistics of this moment"))
        steps += [
            Step(found.trained.forward.site, "those of the source move here"),
            Step(found.copy.site, "its weights are written to the copy here, without the buffers"),
            Step(found.used.forward.site, "the copy is used here in evaluation mode"),
        ]
        return self.finding(
            found.copy.site,
            "this copy of a model gets the weights and never the moving statistics: in evaluation mode its batch norm "
            f"uses {'those that it was made with' if found.since is None else 'old ones'}",
            steps,
            _fix(found.copy, layer, trace),
        )


@dataclass(frozen=True, slots=True)
class _Stale:
    """How statistics come to be left behind."""

    since: Copy | None
    """When they were written for the last time."""
    trained: Use
    copy: Copy
    used: Use


def _left_behind(layer: NormLayer, trace: Trace) -> _Stale | None:
    """Old statistics beside new weights: the source trains, its weights are written, and the copy infers."""
    own = uses(layer, trace)
    if any(use.training is not False for use in own):
        return None
    since: Copy | None = None
    for copy in copies_into(layer, trace):
        if copy.statistics:
            since = copy
    begun = since.order if since is not None else 0
    for copy in copies_into(layer, trace):
        if copy.weights and not copy.statistics and copy.order > begun:
            trained = next(
                (
                    use
                    for origin in copy.read_from
                    for use in uses(origin, trace)
                    if use.learns and begun < use.order < copy.order
                ),
                None,
            )
            used = next(
                (use for use in own if use.order > copy.order and not on_made_up_data(use.forward)), None
            )
            if trained is not None and used is not None:
                return _Stale(since, trained, copy, used)
    return None


def _fix(copy: Copy, layer: NormLayer, trace: Trace) -> Fix:
    sources = {each.source for each in copies_into(layer, trace) if each.site == copy.site}
    edits = _copy_buffers(copy, trace) if len(sources) == 1 else ()
    return Fix(
        Applicability.UNSAFE if edits else Applicability.DISPLAY,
        "copy the buffers too; averages of many models need statistics of their own, as `update_bn` estimates them",
        edits,
    )


def _copy_buffers(copy: Copy, trace: Trace) -> tuple[Edit, ...]:
    """A loop over the buffers behind the loop over the parameters of two models."""
    written = source(copy.site, trace)
    target = written.at(copy.site, ast.expr) if written else None
    loop = written.around(target, ast.For) if written and target is not None else None
    if written is None or target is None or loop is None or not isinstance(loop.target, ast.Tuple):
        return ()
    names = [name.id if isinstance(name, ast.Name) else None for name in loop.target.elts]
    models = _models(loop.iter)
    root = _root(target)
    if (
        len(names) != 2
        or len(models) != 2
        or root not in names
        or _is_bound(("target", "source"), loop, written)
    ):
        return ()
    into, other = models if names[0] == root else models[::-1]
    return (
        InsertStatement(
            written.locate(loop),
            f"for target, source in zip({into}.buffers(), {other}.buffers()):\n    target.copy_(source)",
            after=True,
        ),
    )


def _models(iterated: ast.expr) -> list[str]:
    """The two models whose parameters a loop goes over."""
    given = iterated.args if isinstance(iterated, ast.Call) else []
    return [
        ast.unparse(each.func.value)
        for each in given
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr == "parameters"
    ]


def _root(written: ast.expr) -> str | None:
    """The name at the beginning of ``p.data.mul_(decay).add_(…)``."""
    node: ast.expr = written
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_bound(names: tuple[str, ...], loop: ast.For, written: Source) -> bool:
    return any(bound(name, written.scope(loop)) for name in names)
