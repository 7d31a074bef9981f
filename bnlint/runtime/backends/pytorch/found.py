"""Which layers of a model normalise, told by a pass in training and one in evaluation mode.

Names are not enough: a module that keeps a mean and a variance may be a fixed scaling of the input, and one that
normalises may be made in each pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnlint.runtime.backends.pytorch.parts import (
    Part,
    Place,
    Tree,
    api_of,
    find,
    part_of,
    tensors,
)
from bnlint.runtime.backends.pytorch.watch import Seen, Stranger, Watch
from bnlint.runtime.diagnosis import explain
from bnlint.runtime.differences import same_bits
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import judge_mode
from bnlint.runtime.subject import Application, Fault, Norm

_DOES_MORE = "its output is that of neither formula, in training or in inference: it does more than normalise"
_MADE_ANEW = "it is made anew in each pass, so that it neither learns nor is told the mode"


def discover(known: Tree, run: Callable[[bool, Watch], set[int]]) -> list[Part]:
    """The layers that normalise. ``run`` makes a pass, and returns the ids of the modules that are in training mode."""
    parts = find(known)
    watches = {}
    stuck: set[int] = set()
    for training in (True, False):
        watch = watches[training] = Watch(known, parts, whole=True)
        modes = run(training, watch)
        stuck = modes if not training else stuck
    trained, inferred = watches[True], watches[False]
    parts = [part for part in parts if _normalises(part, _of(part, trained), _of(part, inferred))]
    parts.extend(_strangers(known, trained.strangers, inferred.strangers))
    for part in parts:
        _describe(part, _of(part, trained), _of(part, inferred))
        around = known.around(part.path)
        part.norm.aside = around is not None and id(around) not in inferred.ran
        if id(part.owner) in stuck:
            _blame_override(part, known)
    return parts


def _of(part: Part, watch: Watch) -> list[Seen]:
    return [seen for seen in watch.seen if seen.part is part]


def _normalises(part: Part, trained: list[Seen], inferred: list[Seen]) -> bool:
    """Whether it is a batch norm, or claims to be one."""
    if not part.by_name or part.by_formula:
        return True
    if not trained:
        return False
    _choose_axis(part, [seen.application for seen in (*trained, *inferred)])
    moved = any(
        not all(same_bits(old, new) for old, new in zip(_before(seen), seen.after or (), strict=False))
        for seen in trained
    )
    return moved or any(_fits(part, seen.application)[0] for seen in trained)


def _before(seen: Seen) -> tuple[Any, Any]:
    return seen.application.mean, seen.application.variance


def _choose_axis(part: Part, applications: list[Application]) -> None:
    """Take the axis of the channels that explains the outputs best."""
    usable = [one for one in applications if one.x.shape == one.y.shape]
    if not usable:
        return
    candidates = part.candidates(usable[0].x.shape)

    def misfit(axis: int) -> float:
        return sum(min(_errors(part, one, axis)) for one in usable)

    if len(candidates) > 1:
        part.axis = min(candidates, key=misfit)


def _errors(part: Part, one: Application, axis: int) -> tuple[float, float]:
    epsilons = part.norm.epsilons or (part.norm.seen.epsilon,)
    judged = [
        judge_mode(
            one.x,
            one.y,
            one.mean,
            one.variance,
            one.gamma,
            one.beta,
            epsilon,
            (axis,),
            one.dtype,
            one_pass=part.norm.one_pass,
        )
        for epsilon in epsilons
    ]
    return min(each.batch_error for each in judged), min(each.moving_error for each in judged)


def _fits(part: Part, one: Application) -> tuple[bool, bool]:
    """Whether the output is that of the batch's statistics, and of the moving ones."""
    if one.x.shape != one.y.shape:
        return False, False
    batch, moving = _errors(part, one, part.axes(one.x.shape)[0])
    return batch <= 1, moving <= 1


def _describe(part: Part, trained: list[Seen], inferred: list[Seen]) -> None:
    """What the passes say of the layer."""
    seen = part.norm.seen
    if trained:
        scales = [place for place in (part.gamma, part.beta) if place is not None]
        parameters = [place.parameter() for place in scales]
        parameters = [each for each in parameters if each is not None]
        part.norm.frozen = not any(each.training for each in trained) or (
            bool(parameters) and not any(each.requires_grad for each in parameters)
        )
        seen.trainable = not part.norm.frozen
    if any(each.said and not each.training for each in inferred) and seen.has_statistics:
        part.norm.phase_is_fed = False
    told = (*trained, *inferred)
    if told:
        part.norm.unseen = ""
    if not part.by_formula and not part.norm.why_not and part.mean is not None and told:
        fits = any(any(_fits(part, each.application)) for each in told)
        known = (
            [explain(part.norm, each.application, each in trained)[1] for each in told] if not fits else []
        )
        if not fits and not any(known):
            part.norm.why_not = _DOES_MORE


def _blame_override(part: Part, known: Tree) -> None:
    """The module on the way to a layer whose own ``train()`` or ``eval()`` left it in training mode."""
    if id(part.owner) in known.hidden:
        return
    steps = part.path.split(".") if part.path else []
    module = known.root
    for step in ["", *steps]:
        module = getattr(module, step) if step else module
        for name in ("eval", "train"):
            method = getattr(type(module), name, None)
            if not getattr(method, "__module__", "torch").startswith("torch."):
                clause = f"{type(module).__qualname__}.{name}() does not pass the mode on to it"
                part.norm.faults.insert(0, Fault("BN209", clause, frozenset({2, 4, 8})))
                return


def _strangers(known: Tree, trained: list[Stranger], inferred: list[Stranger]) -> list[Part]:
    """Layers for the uses of the formula that belong to no known module."""
    others = {stranger.key: stranger for stranger in inferred}
    found = {}
    for one in trained:
        other = others.get(one.key)
        if one.module is not None:
            part = _of_stranger_module(known, one, other)
        else:
            part = _of_stranger_tensors(known, one, other)
        if part is not None:
            found[id(part.owner), part.norm.seen.key] = part
    return list(found.values())


def _of_stranger_module(known: Tree, one: Stranger, other: Stranger | None) -> Part | None:
    if other is None or other.module is None:
        return None
    if other.module is one.module:
        # A global variable, or an attribute of something that is no module.
        known.add(one.key, one.module, hidden=True)
        return next((part for part in find(known) if part.owner is one.module), None)
    kind = one.module
    seen = LayerSeen(
        one.key,
        one.key,
        api_of(kind),
        "pytorch",
        None,
        epsilon=one.epsilon,
        momentum=1 - one.momentum,
        has_statistics=one.moments is not None,
    )
    norm = Norm(seen, faults=[Fault("BN111", _MADE_ANEW, frozenset({2, 3, 8, 10}))])
    if one.moments is not None:
        seen.channels = int(one.moments[0].size)
    return Part(norm, None, one.path, by_formula=True, initial=one.moments)


def _of_stranger_tensors(known: Tree, one: Stranger, other: Stranger | None) -> Part | None:
    lasts = other is None or other.mean is one.mean
    if one.mean is not None and lasts:
        places = _places(known, one)
        if places is None:
            return None
        part = part_of(
            known,
            places[0].owner,
            f"{known.name(places[0].owner)}.{places[0].name}",
            "torch.nn.functional.batch_norm",
            *places,
            epsilon=one.epsilon,
            momentum=1 - one.momentum,
        )
        part.by_formula = True
        return part
    if not one.said and one.mean is not None:
        return None
    seen = LayerSeen(
        one.key,
        one.key,
        "torch.nn.functional.batch_norm",
        "pytorch",
        None,
        epsilon=one.epsilon,
        has_statistics=False,
    )
    return Part(Norm(seen), one.owner, one.path, by_formula=True)


def _places(known: Tree, one: Stranger) -> tuple[Place, Place] | None:
    found = {}
    for module in known.modules.values():
        for place, tensor in tensors(module):
            for name, wanted in (("mean", one.mean), ("variance", one.variance)):
                if tensor is wanted:
                    found[name] = place
    return (found["mean"], found["variance"]) if len(found) == 2 else None
