"""Is this code training or evaluating, and how do we know?

The one place that weighs evidence: what a run executes and is fed, where it stands, and, last and least,
what things are called. Rules ask for a verdict and print its reasons; they never look at names themselves.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bnlint.analyses.forwards import (
    given_data,
    in_test_function,
    in_vain,
    inside_a_model,
    is_held_out,
    learned_from,
    named,
    on_made_up_data,
    own_frames,
    results,
    without_gradients,
)
from bnlint.analyses.runs import executions, norms_in, optimized, training_runs
from bnlint.dataflow import (
    Choice,
    Const,
    Context,
    Frame,
    Node,
    Op,
    Unknown,
    Value,
    World,
    execution,
    sources,
)
from bnlint.eager import Derivative
from bnlint.findings import Location
from bnlint.trace import Declared, Feed, Forward, NormCall, NormLayer, Run, Save, Trace, TrainStep
from bnlint.words import DELIBERATE, EVALUATING, PREDICTING, TRAINING, is_phase_name, words


class Role(enum.Enum):
    """What a piece of the program is for."""

    TRAIN = "training"
    EVALUATE = "evaluation"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """One piece of evidence: positive weights speak for evaluation."""

    weight: int
    text: str
    site: Location


@dataclass(frozen=True, slots=True)
class Verdict:
    """A role and the reasons for it, the weightiest first."""

    role: Role
    reasons: tuple[Reason, ...] = ()

    @property
    def because(self) -> str:
        """The reasons as a clause."""
        return " and ".join(reason.text for reason in self.reasons[:2])


ENOUGH = 2
"""The weight from which a run without a train step counts as an evaluation."""


def role(run: Run, trace: Trace) -> Verdict:
    """Whether a run trains or evaluates."""
    verdicts: dict[Run, Verdict] = trace.facts.setdefault("verdicts", {})
    found = verdicts.get(run)
    if found is None:
        found = verdicts[run] = _verdict(run, trace)
    return found


def _verdict(run: Run, trace: Trace) -> Verdict:
    if run.declared is not None:
        trains = run.declared is Declared.TRAIN
        reason = Reason(0, f"`{run.api.rpartition('.')[2]}` declares it", run.site)
        return Verdict(Role.TRAIN if trains else Role.EVALUATE, (reason,))
    execution = executions(trace)[run]
    if run.forward is not None and (
        learned_from(run.forward, trace)
        or in_vain(run, trace)
        or in_test_function(run)
        or on_made_up_data(run.forward)
        or inside_a_model(run.forward)
        or any(frame.node in trace.hooks for frame in run.context.frame.outwards())
        or _cut_off(run, trace)
        or _differentiated(run.forward, trace)
    ):
        return Verdict(Role.UNKNOWN)
    for node in execution.nodes:
        if node.op == Op.TRAIN:
            step = node.attrs["step"]
            if node in execution.certain:
                return Verdict(Role.TRAIN, (Reason(0, "it runs a train step", step.site),))
            return Verdict(Role.UNKNOWN)
    if run.forward is None and any(isinstance(fetched, Unknown) for fetched in run.fetches):
        return Verdict(Role.UNKNOWN)
    if _only_moves_state(run.fetches):
        return Verdict(Role.UNKNOWN)
    reasons = [reason for reason in _evidence(run, trace) if reason.weight]
    total = sum(reason.weight for reason in reasons)
    if total < ENOUGH:
        return Verdict(Role.UNKNOWN, tuple(reasons))
    reasons.sort(key=lambda reason: -reason.weight)
    return Verdict(Role.EVALUATE, tuple(reason for reason in reasons if reason.weight > 0))


def _differentiated(forward: Forward, trace: Trace) -> bool:
    """Whether the program asks for derivatives of what a call of a model gave: nobody knows what it does with them."""
    found: set[Value] | None = trace.facts.get("differentiated")
    if found is None:
        outputs = (value for event in trace.of(Derivative) for value in event.outputs)
        found = trace.facts["differentiated"] = sources(outputs)
    return any(value in found for value in results(forward, trace))


def _cut_off(run: Run, trace: Trace) -> bool:
    """Whether the analysis ended in the function that makes a run: what comes after it there is not known."""
    if not trace.incomplete or not trace.events:
        return False
    last = trace.events[-1].context.frame
    return any(frame is run.context.frame for frame in last.outwards())


def _only_moves_state(fetches: Iterable[Value]) -> bool:
    """Whether a run is made for its effects alone, such as one that estimates the statistics anew."""
    found = list(fetches)
    while any(isinstance(value, Node) and value.op == Op.GROUP for value in found):
        found = [
            inner
            for value in found
            for inner in (value.inputs if isinstance(value, Node) and value.op == Op.GROUP else (value,))
        ]
    effects = (Op.UPDATE, Op.ASSIGN, Op.AVERAGE_APPLY)
    return bool(found) and all(isinstance(value, Node) and value.op in effects for value in found)


def evaluations(trace: Trace) -> list[tuple[Run, Verdict]]:
    """The runs that evaluate, each with the reasons for that."""
    verdicts = [(run, role(run, trace)) for run in executions(trace)]
    return [(run, verdict) for run, verdict in verdicts if verdict.role is Role.EVALUATE]


def _evidence(run: Run, trace: Trace) -> Iterator[Reason]:
    trainings = training_runs(trace)
    yield from _by_names(run, trace)
    if run.forward is not None and without_gradients(run):
        yield Reason(1, "no gradients are kept", run.site)
    yield from _by_data(run, trainings, trace)
    yield from _by_results(run, trainings, trace)
    if not trainings and not any(True for _ in trace.of(TrainStep)) and not _trained_elsewhere(run, trace):
        restores = [context for save in trace.of(Save) for context in save.restores]
        if restores and (trace.driven or run.forward is None):
            yield Reason(2, "the program restores a checkpoint and never trains", restores[0].site)
        elif trace.driven:
            yield Reason(1, "the program never trains", run.site)
    yield from _by_network(run, trace)
    for training in trainings:
        if run.order > training.order and not set(training.context.loops) <= set(run.context.loops):
            yield Reason(1, "it comes after the training loop", training.site)
            break


_TRAINERS = (
    "Trainer",
    "fit",
    "backward",
    "training_step",
    "Accelerator",
    "apply_gradients",
    "train_step",
    "optim",
)


def _trained_elsewhere(run: Run, trace: Trace) -> bool:
    """Whether an eager program speaks of training that was not seen: a trainer of a library, perhaps."""
    return run.forward is not None and any(map(trace.mentions, _TRAINERS))


def _by_network(run: Run, trace: Trace) -> Iterator[Reason]:
    """A second network over trained layers, that no train step runs; nothing where each call is a network."""
    if run.forward is not None:
        return
    own = norms_in(run, trace)
    trained = optimized(trace)
    layers = {call.layer for call in trained}
    maybe = {node.attrs["call"] for node in executions(trace)[run].nodes if node.op == Op.NORM}
    if own and not trained & maybe and all(call.layer in layers for call in own):
        yield Reason(2, "it runs a second network over the trained layers", own[0].site)


def _by_names(run: Run, trace: Trace) -> Iterator[Reason]:
    if run.said is not None:
        name, text = run.said
        said = set(words(text))
        if said & EVALUATING and not said & TRAINING:
            yield Reason(2, f"`{name}` is {text!r}", run.site)
        elif said & TRAINING:
            return
    for frame in own_frames(run, trace):
        if frame.node is None and frame.site is not None:
            continue
        parts = (
            words(frame.function.rpartition(".")[2]) if frame.node is not None else words(_stem(frame.module))
        )
        evaluates = any(word in EVALUATING for word in parts)
        trains = any(word in TRAINING for word in parts)
        where = f"`{frame.function}`" if frame.node is not None else f"`{frame.module}`"
        if evaluates and not trains:
            # A step of a training may well be said to predict something.
            sure = run.forward is None or any(word in EVALUATING - PREDICTING for word in parts)
            yield Reason(2 if sure else 1, f"it runs in {where}", frame.site or run.site)
            return
        if trains:
            return


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _by_data(run: Run, trainings: list[Run], trace: Trace) -> Iterator[Reason]:
    for name in given_data(run.forward) if run.forward is not None else ():
        if is_held_out(name) or (set(words(name)) & EVALUATING and not set(words(name)) & TRAINING):
            yield Reason(2, f"it is given `{name}`", run.site)
            break
    feed = _evaluation_data(run)
    if feed is not None:
        text = f"it is fed `{feed.text}`" if feed.text else "it is fed evaluation data"
        yield Reason(2, text, feed.site)
    fed = _data(run)
    if any(fed.get(key) is value for training in trainings for key, value in _data(training).items()):
        needed = execution(run.fetches, World(run.guards)).nodes
        fed = {key: value for key, value in fed.items() if not isinstance(key, Node) or key in needed}
    same = other = None
    for training in trainings:
        theirs = _data(training)
        common = [key for key in fed if key in theirs]
        if common and all(fed[key] is theirs[key] for key in common):
            same = training
        elif common and all(fed[key] is not theirs[key] for key in common):
            other = training
    if same is not None:
        yield Reason(-3, "it is fed the training batch", same.site)
    elif other is not None and not _written_alike(run, other):
        yield Reason(1, "it is fed other data than the train step", other.site)
        theirs = _data(other)
        if not any(_alike(value, theirs[key]) for key, value in fed.items() if key in theirs):
            yield from _by_siblings(run, trace)


def _by_results(run: Run, trainings: list[Run], trace: Trace) -> Iterator[Reason]:
    """What the results of a run are called: ``val_loss``, ``test_acc``; but not ``loss_val``, a value.

    Where results of training are called the same, or nothing trains, the word may mean something else.
    """
    found = {name: first for name in _results(run, trace) if (first := _first_word(name)) in _EVALUATED}
    used = {_first_word(name) for training in trainings for name in _results(training, trace)}
    for name, first in found.items():
        if trainings and first not in used and not TRAINING & set(words(name)):
            yield Reason(2, f"its result is `{name}`", run.site)
            return


def _first_word(name: str) -> str:
    """The first of several words."""
    found = words(name)
    return found[0] if len(found) > 1 else ""


_EVALUATED = frozenset("test val vali valid validation eval dev".split())


def _results(run: Run, trace: Trace) -> tuple[str, ...]:
    """The names to which the results of a run are assigned."""
    frame = run.context.frame
    cache: dict[str, dict[Location, tuple[str, ...]]] = trace.facts.setdefault("results by file", {})
    if frame.module not in cache:
        found = cache[frame.module] = {}
        for path, tree in zip(trace.files, trace.trees, strict=False):
            for node in ast.walk(tree) if path == frame.module else ():
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                    names = [part for target in node.targets for part in ast.walk(target)]
                    found[frame.locate(node.value)] = tuple(
                        part.id
                        for part in names
                        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                    )
    return cache[frame.module].get(run.site, ())


def _by_siblings(run: Run, trace: Trace) -> Iterator[Reason]:
    """A run beside this one that fetches the same and is an evaluation."""
    for sibling in executions(trace):
        if (
            sibling is not run
            and set(sibling.fetches) == set(run.fetches)
            and sibling.context.frame is run.context.frame
            and sibling.context.loops == run.context.loops
            and sibling.site != run.site
            and (_evaluation_data(sibling) is not None or _differ_in_flag(run, sibling))
        ):
            yield Reason(1, "it computes the same as the evaluation beside it", sibling.site)
            return


def _differ_in_flag(run: Run, sibling: Run) -> bool:
    """Whether two runs feed one key with True and with False: the program knows both phases outside training."""
    flags = {
        feed.key: feed.value.value for feed in sibling.feeds
        if isinstance(feed.value, Const) and isinstance(feed.value.value, bool)
    }  # fmt: skip
    return any(
        isinstance(feed.value, Const) and feed.key in flags and feed.value.value is not flags[feed.key]
        for feed in run.feeds
    )


def _evaluation_data(run: Run) -> Feed | None:
    """What is fed to a run and is called evaluation data."""
    for feed in run.feeds:
        if not _is_flag(feed.value):
            hint = feed.value.hint if isinstance(feed.value, Unknown) else ""
            parts = {*words(feed.text), *words(hint)}
            if parts & EVALUATING and not parts & TRAINING:
                return feed
    return None


def _data(run: Run) -> dict[Value, Value]:
    return {feed.key: feed.value for feed in run.feeds if not _is_flag(feed.value)}


def _written_alike(run: Run, training: Run) -> bool:
    """Whether all data that both runs are fed has the same names: another batch of the same kind, perhaps."""
    theirs = {feed.key: feed.text for feed in training.feeds if not _is_flag(feed.value)}
    texts = [(feed.text, theirs[feed.key]) for feed in run.feeds if feed.key in theirs]
    return bool(texts) and all(one and one == other for one, other in texts)


def _alike(one: Value, other: Value) -> bool:
    """Whether two unknown values come from the same function, such as ``next_batch``."""
    return (
        isinstance(one, Unknown) and isinstance(other, Unknown) and bool(one.hint) and one.hint == other.hint
    )


def _is_flag(value: Value) -> bool:
    return isinstance(value, Const)


def in_unit_test(context: Context) -> bool:
    """Whether a place belongs to a module of unit tests, whose numbers are chosen for speed."""
    stems = (_stem(frame.module) for frame in context.frame.outwards())
    return any(stem.startswith("test_") or stem.endswith("_test") for stem in stems)


def deliberate(contexts: Iterable[Context], names: Iterable[str] = ()) -> str | None:
    """A sign that batch statistics at inference are meant: GAN samplers, style transfer, meta-learning,
    re-estimated statistics. The word that says so, or None."""
    for context in contexts:
        for frame in context.frame.outwards():
            found = _deliberate_word(frame)
            if found:
                return found
    for name in names:
        parts = words(name)
        if "batchstat" in "".join(parts):
            return "batch statistics"
        for word in parts:
            if _is_deliberate(word):
                return word
    return None


def _is_deliberate(word: str) -> bool:
    return word in DELIBERATE or word.endswith("gan")


def meant(call: NormCall, run: Run, trace: Trace, text: str = "") -> bool:
    """Whether a layer is meant to use batch statistics in an evaluation.

    The signs of :func:`deliberate` do not count for a network that is only built to be evaluated, in a program
    that elsewhere, outside training, runs the same layer with the learned statistics.
    """
    names = (call.layer.name or "", text, named(run, trace) if run.target is not None else "")
    if deliberate((run.context, call.context), names) is None:
        return False
    if call in optimized(trace) or run.forward is not None:
        return True
    for other, executed in executions(trace).items():
        if other is not run and not any(node.op == Op.TRAIN for node in executed.nodes):
            for same in norms_in(other, trace):
                if same.site == call.site and same.training(other.world()) is False:
                    return False
    return True


def _deliberate_word(frame: Frame) -> str | None:
    parts = (*frame.function.split("."), _stem(frame.module))
    for part in parts:
        joined = "".join(words(part))
        # What a file is for stands first in its name: `feature_gen` makes features.
        for word in (*words(part)[: 1 if part is parts[-1] else None], joined):
            if _is_deliberate(word):
                return word
    return None


def switched(call: NormCall, feed: Feed, run: Run, trace: Trace) -> bool:
    """Whether one entry of a feed puts a layer into the phase that it has in a run.

    Fed the opposite, this call would be in the other phase, or the other branch of a graph-level conditional would
    call the layer in it, or normalise the same input.
    """
    now = call.training(run.world())
    if now is None or not isinstance(feed.value, Const) or not isinstance(feed.value.value, bool | int):
        return False
    fed = {other.key: other.value for other in run.feeds}
    turned = World(run.guards, {**fed, feed.key: Const(not feed.value.value)})
    if turned.allows(call.output.branch):
        return call.training(turned) is (not now)
    return any(
        turned.allows(other.output.branch) and other.training(turned) is (not now)
        for other in (*_calls_of(call.layer, trace), *_calls_of(call.input, trace))
    )


def _calls_of(key: NormLayer | Value, trace: Trace) -> list[NormCall]:
    """The calls of a layer, or on an input."""
    found: dict[NormLayer | Value, list[NormCall]] | None = trace.facts.get("calls of layers")
    if found is None:
        found = trace.facts["calls of layers"] = {}
        for call in trace.of(NormCall):
            found.setdefault(call.layer, []).append(call)
            found.setdefault(call.input, []).append(call)
    return found.get(key, [])


_FLAGS = frozenset(
    "center scale training is_training trainable reuse renorm fused zero_debias_moving_mean".split()
)


def misplaced_flag(call: NormCall) -> str | None:
    """The parameter of a normalisation, itself no flag, that got a phase by position; None when all is well."""
    for name in call.arguments.positional[1:]:
        argument = call.arguments.named.get(name)
        if argument is not None and name not in _FLAGS and _is_phase(argument.value):
            return name
    return None


def _is_phase(value: Value) -> bool:
    """Whether a value certainly is a flag."""
    if isinstance(value, Const):
        return isinstance(value.value, bool)
    if isinstance(value, Node):
        if value.op == Op.IDENTITY and value.inputs:
            return _is_phase(value.inputs[0])
        if value.op == Op.PLACEHOLDER:
            return value.attrs.get("dtype") == "bool"
        return value.op in (Op.NOT, Op.AND, Op.OR, Op.EQUAL, Op.NOT_EQUAL)
    if isinstance(value, Choice):
        return all(_is_phase(option) for _, option in value.options)
    return isinstance(value, Unknown) and is_phase_name(value.hint.rpartition(".")[2])
