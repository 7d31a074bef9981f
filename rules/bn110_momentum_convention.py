"""A momentum that forgets at once, or one so high that a short training leaves the initial statistics.

## What it does

Reports a layer whose moving statistics keep a constant share of 0.2 or less at each update, and one whose
given constant is so high that at most a fifth of the statistics has been learned when the counted training
loops end.

## Why it is bad

In TensorFlow and Keras the momentum (`decay`) is the share of the old value that is kept; in PyTorch it is
the share of the new one. A momentum of 0.1 taken over from PyTorch makes the moving statistics those of the
last few batches. The other way round, after `n` updates with decay `d` the share `d**n` of the initial
zeros and ones is left.

## When it is not a bug

- A momentum of exactly 0 or 1, as meta-learning uses it on purpose.
- Averages with a warm-up (`num_updates`) or corrected for their start (`zero_debias`), for the second shape.
- Statistics restored from a checkpoint, for the second shape.

## Example

```python
x = tf.layers.batch_normalization(x, momentum=0.1, training=is_training)
```

## Use instead

```python
x = tf.layers.batch_normalization(x, momentum=0.9, training=is_training)
```

## Fix safety

Another momentum gives other moving statistics, so no fix is safe. Where the constant, or an expression for it, is
written as an argument or in the parameters of a normaliser, the fix turns it over and is unsafe. A momentum that is
too high for the schedule, and one that comes another way, is only shown.

## Confirmed by

`bnlint run`: the share of the moving statistics that one update keeps, as measured (RP6), is 0.2 or less; or
it is the declared one, which is not the API's default, and so high that the program, not stopped early, ended
with most of its initial statistics (RP5).

## Known limits

Only constants are looked at. The length of the training must follow from `for` loops over known ranges.

## References

- TensorFlow 1.15, `tf.layers.batch_normalization`: `momentum` of the moving average, 0.99 by default.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.handmade import Handmade, handmade, keeps
from bnlint.analyses.runs import executions, training_runs
from bnlint.analyses.written import Source, is_plain, keyword, parameters, source
from bnlint.dataflow import Const, Node, Value
from bnlint.findings import Applicability, Finding, Fix, Group, Location, ReplaceExpression, Step
from bnlint.phase import deliberate, in_unit_test
from bnlint.rule import Rule
from bnlint.trace import NormCall, NormLayer, Run, Save, Trace

if TYPE_CHECKING:
    from bnlint.runtime.lives import Life
    from bnlint.runtime.observed import Observed

_PARAMETERS = {
    "tf.layers.batch_normalization": "momentum",
    "tf.layers.BatchNormalization": "momentum",
    "tf.contrib.layers.batch_norm": "decay",
    "keras.layers.BatchNormalization": "momentum",
    "keras.layers.BatchNormalizationV1": "momentum",
    "keras.layers.BatchNormalizationV2": "momentum",
    "keras.layers.SyncBatchNormalization": "momentum",
}
"""APIs that count the share that is kept, and what they call it."""
_FORGETFUL = 0.2
_COLD = 0.8
_DEFAULTS = {0.99, 0.999}
"""What the APIs take if nothing is said: with those a short run is a trial, and no mistake about the momentum."""


class MomentumConvention(Rule):
    """A momentum in the other framework's convention, or too high for the schedule."""

    code = "BN110"
    name = "momentum-convention"
    group = Group.WARNING
    fixable = (Applicability.UNSAFE, Applicability.DISPLAY)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each place once."""
        by_hand = {layer.call: layer for layer in handmade(trace)}
        seen: set[Location] = set()
        yield from self._shares_of_the_new(trace)
        for call in trace.of(NormCall):
            kept = _kept(call, by_hand.get(call))
            constant_phase = isinstance(call.phase, Const) and not call.phase.value
            place = _place(call, kept[1] if kept else None)
            if kept is None or place in seen or constant_phase:
                continue
            if deliberate((call.context,)) or in_unit_test(call.context):
                continue
            share, site, literal = kept
            where = site or place
            if 0 < share <= _FORGETFUL:
                seen.add(place)
                yield self.finding(
                    place,
                    f"the moving statistics keep only {share:g} of their value at each update and follow the "
                    "last batches: here the momentum is the share of the old value",
                    (
                        Step(where, "the share that is kept"),
                        Step(place, "of this layer's moving statistics"),
                    ),
                    _fix(share, (_decay_of(by_hand.get(call), trace), site, literal), trace),
                )
            elif 0.9 <= share < 1:
                finding = self._cold(call, share, where, by_hand.get(call), trace)
                if finding is not None:
                    seen.add(place)
                    yield finding

    def _shares_of_the_new(self, trace: Trace) -> Iterator[Finding]:
        """PyTorch, where the momentum is what is taken of the batch."""
        seen: set[Location] = set()
        for layer in trace.of(NormLayer):
            value, site = layer.arguments.value("momentum"), layer.arguments.site("momentum")
            if layer.framework != "pytorch" or not isinstance(value, Const) or layer.site in seen:
                continue
            share = value.value
            if (
                not isinstance(share, float)
                or not 1 - _FORGETFUL <= share < 1
                or deliberate((layer.context,))
            ):
                continue
            seen.add(layer.site)
            edits = (ReplaceExpression(value.site, f"{1 - share:.6g}"),) if value.site is not None else ()
            yield self.finding(
                layer.site,
                f"the moving statistics keep only {1 - share:.3g} of their value at each update and follow the last "
                "batches: in PyTorch the momentum is the share of the new value",
                (
                    Step(site or layer.site, "the share that is taken from the batch"),
                    Step(layer.site, "of this layer's moving statistics"),
                ),
                Fix(
                    Applicability.UNSAFE if edits else Applicability.DISPLAY,
                    f"say {1 - share:.6g}, what is meant in PyTorch",
                    edits,
                ),
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each place once."""
        from bnlint.runtime.lives import lives, many, place_of_step
        from bnlint.runtime.symptoms import count_of_updates, is_meant, moving, share_kept

        seen: set[Location] = set()
        for life in lives(observed):
            site, share, name = life.site(observed), share_kept(life), life.layer.name
            if share is None or site in seen or life.layer.momentum in (0, 1) or is_meant(life):
                continue
            count = count_of_updates(life)
            if 0 < share <= _FORGETFUL:
                message = (
                    f"one update kept {share:.3g} of the moving statistics of `{name}`: they follow the last "
                    "batches"
                )
            elif _was_cold(life, share, count, observed):
                left = math.floor(100 * share**count)
                message = (
                    f"after {many(count, 'update')} {left} % of the moving statistics of `{name}` were still their "
                    f"initial values: one update keeps {share:.5g}"
                )
            else:
                continue
            seen.add(site)
            step = place_of_step(moving(life)[0].run, observed)
            yield self.finding(
                site, message, (Step(site, "this layer's moving statistics"), Step(step, "are updated here"))
            )

    def _cold(
        self, call: NormCall, share: float, where: Location, layer: Handmade | None, trace: Trace
    ) -> Finding | None:
        if not trace.driven or trace.incomplete or _warmed(call, layer):
            return None
        if any(save.restores or save.variables is not None for save in trace.of(Save)):
            return None
        runs = [run for run in training_runs(trace) if call.output in executions(trace)[run].certain]
        count = _rounds(runs, trace)
        evaluation = _inference(call, trace)
        if not count or evaluation is None or share**count < _COLD:
            return None
        left = math.floor(100 * share**count)
        return self.finding(
            _place(call, where),
            f"after the {count} training steps {left} % of the moving statistics are still their initial "
            f"values: a share of {share:g} is kept at each update",
            (
                Step(where, "the share that is kept"),
                Step(runs[0].site, f"trained here, {count} times in all"),
                Step(evaluation.site, "inference uses the moving statistics here"),
            ),
            Fix(Applicability.DISPLAY, "keep a smaller share, such as 0.9, or train longer"),
        )


def _place(call: NormCall, given: Location | None) -> Location:
    """Where the layer gets its momentum: a layer of Keras is often called, and sometimes made, far from there."""
    if call.layer.framework != "keras":
        return call.site
    made = call.layer.site
    if given is None:
        return made
    inside = given.path == made.path and made.line <= given.line <= made.end_line
    return made if inside else given


def _kept(call: NormCall, layer: Handmade | None) -> tuple[float, Location | None, Location | None] | None:
    """The constant share that the layer's moving statistics keep, where it is given, and where its literal stands."""
    value: Value | None = None
    site: Location | None = None
    if layer is not None:
        value = keeps(layer.updates[0]) if layer.updates else None
        site = value.site if isinstance(value, Const) else None
    else:
        parameter = _PARAMETERS.get(call.layer.api, "")
        for arguments in (call.layer.arguments, call.arguments):
            if parameter in arguments.named:
                value, site = arguments.value(parameter), arguments.site(parameter)
    if (
        isinstance(value, Const)
        and isinstance(value.value, float | int)
        and not isinstance(value.value, bool)
    ):
        return float(value.value), site, value.site
    return None


def _was_cold(life: Life, share: float, updates: int, observed: Observed) -> bool:
    """Whether most of the initial statistics was left at the end of a program that began with them and used them."""
    declared, first = life.layer.momentum, life.inference
    if declared is None and life.layer.updates == "by hand":
        declared = share
    elif declared is None or declared in _DEFAULTS or life.layer.framework == "pytorch":
        # PyTorch keeps 0.9 if nothing is said, and what it is given by mistake is seen as a share that is too small.
        return False
    if not 0.9 <= declared < 1 or observed.ended or observed.checkpoints:
        return False
    steady = abs(share - declared) < 0.1 * (1 - declared)  # otherwise the average is warmed up or corrected
    learned, batch = life.layer.last_mean, life.layer.batch_mean
    if not steady or first is None or not life.began_fresh or learned is None or batch is None:
        return False
    left = 1 - sum(map(abs, learned.first)) / max(sum(map(abs, batch.first)), 1e-12)
    return share**updates >= _COLD and left >= _COLD - 0.2


def _warmed(call: NormCall, layer: Handmade | None) -> bool:
    """Whether the average is corrected for its start."""
    if layer is not None:
        for update in layer.updates:
            attrs = update.attrs
            for word in ("num_updates", "zero_debias"):
                value = attrs.get(word)
                if value is not None and not (isinstance(value, Const) and not value.value):
                    return True
        return False
    value = call.arguments.value("zero_debias_moving_mean")
    return value is not None and not (isinstance(value, Const) and not value.value)


def _rounds(runs: list[Run], trace: Trace) -> int | None:
    """How many training steps the counted loops make at most; None when that is not known."""
    total = 0
    seen: set[tuple[Location, ...]] = set()
    for run in runs:
        place = tuple(frame.site for frame in run.context.frame.outwards() if frame.site is not None)
        if (run.site, *place) in seen:
            continue
        seen.add((run.site, *place))
        rounds = [trace.rounds.get(loop) for loop in run.context.loops]
        if run.declared is not None or None in rounds:
            return None
        total += math.prod(count for count in rounds if count is not None)
    return total


def _inference(call: NormCall, trace: Trace) -> Run | None:
    """A run that certainly uses the moving statistics of the layer."""
    for run, executed in executions(trace).items():
        for node in executed.certain:
            other = _applied(node)
            same = other is not None and (other is call or other.layer is call.layer)
            if same and other is not None and other.training(run.world()) is False:
                return run
    return None


def _applied(node: Node) -> NormCall | None:
    found = node.attrs.get("call") if node.op == "norm" else None
    return found if isinstance(found, NormCall) else None


def _fix(share: float, sites: Iterable[Location | None], trace: Trace) -> Fix:
    message = f"keep {1 - share:g} instead"
    for site in sites:
        written = source(site, trace)
        node = written.at(site, ast.expr) if written else None
        if site is not None and written is not None and node is not None and _is_argument(node, written):
            if isinstance(node, ast.Constant):
                return Fix(Applicability.UNSAFE, message, (ReplaceExpression(site, f"{1 - share:g}"),))
            passed_on = {parameter.arg for parameter in parameters(written.scope(node))}
            if is_plain(node) and ast.unparse(node) not in passed_on:
                return Fix(Applicability.UNSAFE, message, (ReplaceExpression(site, "1 - {old}"),))
    return Fix(Applicability.DISPLAY, message)


def _decay_of(layer: Handmade | None, trace: Trace) -> Location | None:
    """Where a hand-written layer's moving average is given its decay."""
    if layer is None:
        return None
    update = layer.updates[0]
    keeper = getattr(update.attrs.get("owner"), "site", update.site)
    written = source(keeper, trace)
    call = written.at(keeper, ast.Call) if written else None
    if written is None or call is None:
        return None
    position = 2 if keeper == update.site else 0
    given = keyword(call, "decay") or (call.args[position] if len(call.args) > position else None)
    return written.locate(given) if given is not None and "decay" in update.attrs else None


def _is_argument(node: ast.expr, written: Source) -> bool:
    """Whether an expression is given to a call, by a dictionary or as a default of a parameter."""
    return isinstance(written.parent(node), ast.keyword | ast.Call | ast.Dict | ast.arguments)
