"""What each rule says about a program that was run: hand-made observations, one that confirms the bug and some that
only look like it. Whatever is confirmed is confirmed by one rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bnlint.findings import Finding, Location
from bnlint.registry import rules
from bnlint.runtime.observed import (
    CheckpointSeen,
    Figures,
    LayerSeen,
    Mode,
    Observed,
    Passage,
    Purpose,
    RunSeen,
    SwitchSeen,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"
TRAINED, RAN, TESTED, SAVED, PHASE, FIRST = 50, 60, 70, 80, 5, 40


def at(line: int, path: str = "model.py") -> Location:
    return Location(path, line, 1, line, 20)


def same(value: float) -> Figures:
    return Figures(value, value, value, [value] * 4)


def layer(key: str = "bn", line: int = 10, *, moved: bool = True, **more: object) -> LayerSeen:
    """A collected layer; its statistics were 0 and 1 at first, and 2 and 4 at last if they moved."""
    seen = LayerSeen(
        key=key,
        name=key,
        api="tf.contrib.layers.batch_norm",
        framework="tensorflow",
        site=at(line),
        channels=8,
        axes=[1],
        momentum=0.99,
        updates="collected",
        initial_mean=same(0.0),
        initial_variance=same(1.0),
        last_mean=same(2.0 if moved else 0.0),
        last_variance=same(4.0 if moved else 1.0),
        batch_mean=same(2.0),
        batch_variance=same(4.0),
    )
    return replace(seen, **more)  # type: ignore[arg-type]


def train(*passages: Passage, **more: object) -> RunSeen:
    run = RunSeen(
        "train", at(RAN), "tf.Session.run", Purpose.TRAIN, count=3001, passages=list(passages), order=1,
        last=3001, step=at(TRAINED),
    )  # fmt: skip
    return replace(run, **more)  # type: ignore[arg-type]


def fit(passage: Passage, order: int, **more: object) -> RunSeen:
    run = train(passage, key=f"fit {order}", order=order, last=order + 1, api="keras.Model.fit")
    return replace(run, **more)  # type: ignore[arg-type]


def evaluate(*passages: Passage, **more: object) -> RunSeen:
    run = RunSeen(
        "test", at(TESTED), "tf.Session.run", Purpose.EVALUATE, count=7, passages=list(passages), order=3002,
        last=3008,
    )  # fmt: skip
    return replace(run, **more)  # type: ignore[arg-type]


def learns(key: str = "bn", **more: object) -> Passage:
    """In training: by the batch, and the statistics move."""
    passage = Passage(
        key, Mode.BATCH, declared=True, origin="argument", fixed=False, trained=True, moved=True, momentum=0.99,
        updates=1, samples=40,
    )  # fmt: skip
    return replace(passage, **more)  # type: ignore[arg-type]


def stays(key: str = "bn", **more: object) -> Passage:
    """In training: by the batch, and the statistics do not move."""
    return replace(learns(key, moved=False, momentum=None, updates=0), **more)  # type: ignore[arg-type]


def asleep(key: str = "bn", **more: object) -> Passage:
    """In training: by the moving statistics."""
    return replace(stays(key, mode=Mode.MOVING, declared=False), **more)  # type: ignore[arg-type]


def rests(**more: object) -> Passage:
    """In the training of others with Keras: by the moving statistics, and nothing of it changes."""
    return replace(asleep(trained=False, origin="context", declared=True), **more)  # type: ignore[arg-type]


def infers(key: str = "bn", **more: object) -> Passage:
    """In an evaluation: by the moving statistics, as it should be."""
    passage = Passage(
        key, Mode.MOVING, declared=False, origin="argument", fixed=False, moved=False, samples=5
    )
    return replace(passage, **more)  # type: ignore[arg-type]


def by_batch(key: str = "bn", **more: object) -> Passage:
    """In an evaluation: by the batch."""
    return replace(infers(key, mode=Mode.BATCH, declared=True), **more)  # type: ignore[arg-type]


def observed(layers: list[LayerSeen], *runs: RunSeen, **more: object) -> Observed:
    found = Observed("train.py", {"tensorflow": "2.21"}, layers, list(runs), train_steps=3001)
    return replace(found, **more)  # type: ignore[arg-type]


def confirmed(seen: Observed) -> list[Finding]:
    return [finding for rule in rules() for finding in rule.confirm(seen)]


def codes(seen: Observed) -> list[str]:
    return [finding.code for finding in confirmed(seen)]


STILL = {"moved": False}
UNTOLD = {"suspect": "BN108", "origin": "default", "fixed": None, "phase_site": at(PHASE)}
REPLACED = {"suspect": "BN211", "origin": "context", "phase_site": at(PHASE)}
IN_PLACE = {"updates": "in place"}
LEARNED = {**IN_PLACE, "initial_mean": same(1.5), "initial_variance": same(3.0)}
"""A layer of Keras with the statistics of another training."""
ON_BATCH = {"api": "keras.Model.train_on_batch"}
FED, FED_OFF = {"is_training": "True"}, {"is_training": "False"}
OPERATION = "TypeError: Got an unexpected keyword argument '{}'"
LAYER = "TypeError: ('Keyword argument not understood:', '{}')"
SAVES = CheckpointSeen(at(SAVED), "tf.train.Saver", writes=True)
READS = CheckpointSeen(at(SAVED), "tf.train.Saver", writes=False)


def standing(*passages: Passage, **more: object) -> Observed:
    return observed([layer(moved=False, **more)], train(*passages or (stays(),)))


def bare(**more: object) -> LayerSeen:
    """A formula over the batch, written by hand, without statistics."""
    return layer(
        moved=False, api="tf.nn.batch_normalization", has_statistics=False, updates="none", initial_mean=None,
        initial_variance=None, last_mean=None, last_variance=None, **more,
    )  # fmt: skip


def by_hand(**more: object) -> LayerSeen:
    return layer(api="tf.nn.batch_normalization", updates="by hand", **more)


NO_STATISTICS = {"origin": "none", "fixed": True, "moved": None, "momentum": None, "updates": None}
FIXED = {"fixed": True}
FORGOTTEN = {"fixed": False, "phase_site": at(PHASE)}
MODE = {"origin": "mode", "fixed": None, "phase_site": at(PHASE)}

ALONE = {"origin": "mode", "fixed": None, "trained": False}
"""Nobody switched it, and no optimizer has it."""
LEARNS = {"momentum": 0.9}
STATELESS = {"has_statistics": False, "initial_mean": None, "initial_variance": None}
KEPT = {"momentum": 0.9}
"""What a layer of PyTorch keeps."""
TWICE = {**MODE, **KEPT, "updates": 2, "recomputed": True}
PENALISED = {"penalised": at(12), "batch": 16}
MIXED = {"mixed": 2.5, "mixed_with": at(30), "mixed_at": at(31)}
SINGLE = "ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, 8])"
UNFED = "InvalidArgumentError: You must feed a value for placeholder tensor '{}' with dtype bool"


def module(**more: object) -> LayerSeen:
    """A layer of PyTorch."""
    return layer(
        **{"api": "torch.nn.BatchNorm1d", "framework": "pytorch", "momentum": 0.9, **IN_PLACE, **more}
    )


def switched_off(**more: object) -> RunSeen:
    """The steps of ``train``, after somebody has put the model into evaluation mode."""
    return train(asleep(**{**MODE, "phase_site": at(SAVED)}), key="later", order=3010, last=4000, **more)


def source(**more: object) -> LayerSeen:
    """A layer of PyTorch whose scale was trained."""
    return module(key="source", initial_scale=same(1.0), last_scale=same(1.3), **more)


def copied(**more: object) -> LayerSeen:
    """Another one of the same lines, with the statistics that it was made with."""
    return module(**{"moved": False, "initial_scale": same(1.0), "last_scale": same(1.2), **more})


def switch(line: int, training: bool, own: bool = False, kind: str = "Net") -> SwitchSeen:
    return SwitchSeen(at(line), training, kind, own, layers=["bn"], count=1)


FROZEN = {
    "initial_mean": same(1.5), "initial_variance": same(3.0), "initial_scale": same(1.0), "last_scale": same(1.0),
    "trainable": False,
}  # fmt: skip
"""A layer of PyTorch with what it learned in another training."""
LIVE = {**MODE, "trained": False, "trainable": False}
NET, NORM = (switch(PHASE, True), switch(SAVED, False, own=True, kind="BatchNorm1d"))


def written(name: str, code: str) -> Location:
    """A piece of code in a fixture."""
    path = FIXTURES / name
    line, text = next(each for each in enumerate(path.read_text("utf-8").splitlines(), 1) if code in each[1])
    column = text.index(code) + 1
    return Location(str(path), line, column, line, column + len(code))


ZEROS = written("bn215/bad_shape_after_restore.py", "model(torch.zeros(1, 3, 8, 8))")
IMAGES = written("bn215/bad_shape_after_restore.py", "model(test_images)")
TRIED = {"key": "tried", "order": 3002, "last": 3002, "purpose": Purpose.UNKNOWN}
AFTER = {"key": "after", "order": 3100, "last": 3101}

GOOD = observed([layer()], train(learns(), fed=FED), evaluate(infers(), fed=FED_OFF))
"""A program that is right in every respect."""

CONFIRM: dict[str, list[Callable[[], tuple[Observed, int]]]] = {
    "BN101": [
        lambda: (standing(updates_read="never"), TRAINED),
        lambda: (standing(), TRAINED),
        lambda: (observed([layer(**STILL)], train(stays(), step=None)), RAN),
        lambda: (observed([layer(name="generator/bn", **STILL)], train(stays(**FIXED))), TRAINED),
    ],
    "BN102": [lambda: (standing(updates_read="too early"), TRAINED)],
    "BN103": [lambda: (standing(updates_read="unused"), TRAINED)],
    "BN104": [
        lambda: (standing(updates="attribute"), TRAINED),
        lambda: (standing(asleep(origin="context"), updates="attribute"), TRAINED),
    ],
    "BN105": [
        lambda: (observed([bare()], train(learns(**NO_STATISTICS)), evaluate(by_batch(**NO_STATISTICS))), 10),
        lambda: (observed([bare()], evaluate(by_batch(**NO_STATISTICS)), checkpoints=[READS]), 10),
    ],
    "BN106": [lambda: (observed([by_hand(**STILL)], train(stays()), evaluate(infers())), 10)],
    "BN107": [
        lambda: (standing(asleep(**FIXED)), 10),
        lambda: (standing(asleep(fixed=None, origin="default")), 10),
    ],
    "BN108": [lambda: (standing(asleep(**UNTOLD)), PHASE)],
    "BN110": [
        lambda: (observed([layer(momentum=0.1)], train(learns(momentum=0.1)), evaluate(infers())), 10),
        lambda: (
            observed(
                [layer(momentum=0.9997, last_mean=same(0.1))],
                train(learns(momentum=0.99971), count=200),
                evaluate(infers()),
            ),
            10,
        ),
    ],
    "BN113": [lambda: (observed([layer(trainable=False, **STILL)], train(stays()), evaluate(infers())), 10)],
    "BN114": [
        lambda: (standing(asleep(origin="context", fixed=True, phase_site=at(PHASE))), PHASE),
        lambda: (
            observed(
                [layer()],
                train(learns(origin="context", fixed=True)),
                evaluate(by_batch(origin="context", fixed=True, phase_site=at(PHASE))),
            ),
            PHASE,
        ),
    ],
    "BN201": [lambda: (observed([layer()], train(learns()), evaluate(by_batch(), fed=FED)), TESTED)],
    "BN202": [lambda: (observed([layer(**STILL)], train(asleep(), fed=FED_OFF)), RAN)],
    "BN203": [
        lambda: (observed([layer()], train(learns(**FIXED)), evaluate(by_batch(**FIXED))), 10),
        lambda: (
            observed(
                [layer("a", 10), layer("b", 20)],
                train(learns("a", fixed=True, origin="scope"), learns("b", fixed=True, origin="scope")),
                evaluate(
                    by_batch("a", fixed=True, origin="scope"), by_batch("b", fixed=True, origin="scope")
                ),
            ),
            10,
        ),
    ],
    "BN204": [lambda: (standing(stays(origin="default", updates=1), momentum=1.0), 10)],
    "BN206": [
        lambda: (observed([module()], train(learns(**MODE)), evaluate(by_batch(**MODE))), TESTED),
        lambda: (
            observed(
                [module()], train(learns(**MODE)), evaluate(by_batch(moved=True, **MODE), training=True)
            ),
            TESTED,
        ),
    ],
    "BN207": [
        lambda: (
            observed(
                [module()],
                train(learns(**MODE)),
                evaluate(infers(**{**MODE, "phase_site": at(SAVED)})),
                switched_off(),
            ),
            SAVED,
        ),
    ],
    "BN210": [
        lambda: (observed([by_hand()], train(learns()), evaluate(infers(moved=True))), 10),
        lambda: (observed([by_hand()], train(learns()), evaluate(infers(moved=True, mode=Mode.NEITHER))), 10),
    ],
    "BN211": [
        lambda: (observed([layer()], train(learns()), evaluate(infers(**REPLACED))), PHASE),
        lambda: (observed([layer(initial_mean=same(3.0))], train(learns(**REPLACED))), PHASE),
        lambda: (
            observed([layer()], train(learns()), train(learns(**REPLACED), key="tune", order=3002)),
            PHASE,
        ),
    ],
    "BN214": [
        lambda: (standing(asleep(**FORGOTTEN)), PHASE),
        lambda: (
            observed([layer()], train(learns(**FORGOTTEN)), evaluate(by_batch(**FORGOTTEN))),
            PHASE,
        ),
        lambda: (observed([layer()], train(learns(), fed=FED), evaluate(by_batch(**FORGOTTEN))), TESTED),
        lambda: (
            observed(
                [layer()],
                train(learns(), fed={"net/flag": "True"}),
                ended="exception",
                error=UNFED.format("net/flag"),
                error_site=at(TESTED),
            ),
            TESTED,
        ),
        lambda: (
            observed([layer()], ended="exception", error=UNFED.format("is_training"), error_site=at(RAN)),
            RAN,
        ),
    ],
    "BN301": [
        lambda: (observed([layer()], train(learns()), evaluate(skipped=["bn"], skips=at(FIRST))), FIRST),
        lambda: (observed([layer()], train(learns()), evaluate(skipped=["bn"])), TESTED),
    ],
    "BN302": [
        lambda: (
            observed([layer(), layer("bn_1", 20, moved=False)], train(learns()), evaluate(infers("bn_1"))),
            20,
        )
    ],
    "BN304": [
        lambda: (
            observed(
                [layer("g"), layer("d", 20)],
                train(learns("d"), learns("g", trained=False)),
                train(learns("g"), learns("d", trained=False), step=at(TRAINED + 1), key="other"),
            ),
            TRAINED + 1,
        )
    ],
    "BN501": [
        lambda: (
            observed([layer()], train(learns()), checkpoints=[replace(SAVES, missing=["bn"])]),
            SAVED,
        ),
        lambda: (
            observed([layer(**STILL)], evaluate(infers()), checkpoints=[replace(READS, missing=["bn"])]),
            SAVED,
        ),
    ],
    "BN502": [
        lambda: (
            observed([source(), copied()], train(learns("source", **MODE)), evaluate(infers(**MODE))),
            TESTED,
        ),
        # The weights are those of the last step.
        lambda: (
            observed(
                [source(), copied(initial_scale=same(1.3), last_scale=same(1.3))],
                train(learns("source", **MODE)),
                evaluate(infers(**MODE)),
            ),
            TESTED,
        ),
        lambda: (
            observed(
                [source(), copied()],
                train(learns("source", **MODE)),
                evaluate(infers(**MODE)),
                checkpoints=[replace(READS, missing=["bn"])],
            ),
            SAVED,
        ),
    ],
    "BN503": [
        lambda: (
            observed(
                [source(), module(copy_of="source", stale="averaged", stale_site=at(SAVED))],
                train(learns("source", **MODE)),
                evaluate(infers(**MODE)),
            ),
            SAVED,
        ),
    ],
    "BN504": [
        lambda: (
            observed([module(last_variance=same(-0.5))], train(learns(**MODE)), evaluate(infers(**MODE))),
            TESTED,
        ),
    ],
    "BN505": [
        lambda: (
            observed(
                [module(stale="reset", stale_site=at(SAVED), moved=False)],
                train(learns(**MODE)),
                evaluate(infers(**MODE)),
            ),
            SAVED,
        ),
    ],
    "BN601": [
        lambda: (observed([module(epsilon=0.8, given=["num_features", "eps"])], train(learns(**MODE))), 10),
        lambda: (
            observed([module(epsilon=8.0, given=["num_features", "eps"])], evaluate(infers(**MODE))),
            10,
        ),
    ],
    "BN111": [
        lambda: (
            observed(
                [module(in_forward=True, rebuilt=3)], train(learns(**ALONE)), evaluate(by_batch(**ALONE))
            ),
            10,
        )
    ],
    "BN112": [
        lambda: (
            observed([module(registered=False)], train(learns(**ALONE)), evaluate(by_batch(**ALONE))),
            10,
        )
    ],
    "BN208": [
        lambda: (
            observed(
                [module(left_behind=True, registered=True)],
                train(learns(**ALONE, **LEARNS)),
                evaluate(by_batch(**ALONE), training=False),
            ),
            TESTED,
        ),
    ],
    "BN209": [
        lambda: (
            observed(
                [module(left_behind=True, registered=True, own_switch=at(SAVED))],
                train(learns(**ALONE, **LEARNS)),
                evaluate(by_batch(**ALONE), training=False),
            ),
            SAVED,
        ),
    ],
    "BN213": [
        lambda: (observed([module()], train(learns(**MODE)), evaluate(by_batch(**MODE), repeats=5)), PHASE)
    ],
    "BN904": [
        lambda: (
            observed(
                [module(**STATELESS)],
                train(learns(**ALONE, **LEARNS)),
                evaluate(by_batch(**ALONE, declared=False)),
            ),
            10,
        ),
    ],
    "BN602": [
        lambda: (observed([layer(axes=[3], channels_in=[1])], train(learns())), 10),
        lambda: (observed([layer(axes=[1], channels_in=[3])], train(learns()), evaluate(infers())), 10),
    ],
    "BN603": [lambda: (observed([by_hand(axes=[1, 2, 3])], train(learns())), 10)],
    "BN604": [
        lambda: (observed([by_hand(initial_scale=same(0), initial_offset=same(1))], train(learns())), 10),
        lambda: (
            observed(
                [by_hand()], train(learns(mode=Mode.NEITHER, suspect="BN604", instead="it takes a root"))
            ),
            10,
        ),
    ],
    "BN605": [
        lambda: (
            observed(
                [module()],
                train(learns(**MODE, **KEPT, statistics_type="bfloat16", converted=at(12))),
                evaluate(infers(**MODE)),
            ),
            12,
        ),
        lambda: (observed([module()], train(learns(**MODE, **KEPT, statistics_type="float16"))), 10),
    ],
    "BN606": [
        lambda: (
            observed(
                [],
                ended="exception",
                error="TypeError: batch_norm() got an unexpected keyword argument 'updates_collection'",
                error_site=at(12),
            ),
            12,
        )
    ],
    "BN703": [
        lambda: (
            observed([], ended="exception", error=SINGLE, error_site=at(12), train_steps=0),
            12,
        ),
    ],
    "BN704": [lambda: (observed([module()], train(learns(**TWICE, checkpoint=at(12)))), 12)],
    "BN705": [lambda: (observed([module()], train(learns(**MODE, **KEPT, **PENALISED))), 12)],
    "BN707": [lambda: (observed([module()], train(learns(**MODE, **KEPT, batch=4), gathered=8)), RAN)],
    "BN801": [
        lambda: (
            observed([layer()], train(learns()), checkpoints=[replace(SAVES, training_mode=["bn"])]),
            SAVED,
        )
    ],
    "BN215": [
        lambda: (
            observed(
                [module()],
                train(learns(**MODE)),
                evaluate(by_batch(moved=True, **MODE), **{**TRIED, "purpose": Purpose.EVALUATE}, site=ZEROS),
                evaluate(infers(**MODE), **AFTER),
            ),
            ZEROS.line,
        ),
        # It was read from a file.
        lambda: (
            observed(
                [module(initial_mean=same(1.5))],
                evaluate(by_batch(moved=True, **MODE), **TRIED, site=ZEROS),
                evaluate(infers(**MODE), **AFTER),
            ),
            ZEROS.line,
        ),
    ],
    "BN303": [
        lambda: (
            observed([module()], train(learns(**MODE, site=at(20)), learns(**MODE, site=at(21), apart=1.5))),
            21,
        ),
        lambda: (observed([module()], train(learns(**MODE, **MIXED)), evaluate(infers(**MODE))), 31),
    ],
    "BN401": [
        lambda: (observed([layer(**{**LEARNED, "trainable": False})], train(stays(trained=False))), RAN),
        lambda: (
            observed([layer(**{**LEARNED, "updates": "attribute"})], fit(stays(trained=False), 1)),
            RAN,
        ),
        lambda: (observed([module(**FROZEN)], train(learns(**LIVE))), RAN),
    ],
    "BN402": [
        lambda: (observed([module()], train(learns(**MODE)), switches=[NORM, NET]), PHASE),
        # The part that they are in was frozen as a whole.
        lambda: (
            observed(
                [module(**FROZEN)],
                train(learns(**LIVE)),
                switches=[switch(SAVED, False, kind="Base"), NET],
            ),
            PHASE,
        ),
    ],
    "BN403": [
        lambda: (
            observed(
                [layer(**IN_PLACE)],
                fit(learns(trainable=True), 1, site=at(9)),
                fit(learns(trainable=False), 5),
            ),
            RAN,
        ),
        lambda: (observed([layer(**IN_PLACE, **STILL)], fit(rests(trainable=True), 1)), RAN),
    ],
    "BN404": [lambda: (observed([layer(**LEARNED)], fit(rests(), 1, site=at(9)), fit(learns(), 5)), RAN)],
    "BN405": [
        lambda: (
            observed(
                [layer(**IN_PLACE, **STILL, trainable=False)],
                fit(rests(trainable=False), 1, purpose=Purpose.UNKNOWN, **ON_BATCH),
                fit(rests(trainable=False), 5, **ON_BATCH),
            ),
            RAN,
        ),
    ],
}
"""For each rule, programs in which it finds one bug, and the line of it. No other rule finds anything."""

LOOK_ALIKES: dict[str, list[Callable[[], Observed]]] = {
    "BN111": [
        # It is built once, or switched with the model.
        lambda: observed([module(in_forward=True)], train(learns(**MODE)), evaluate(infers(**MODE))),
        lambda: observed(
            [module(in_forward=True, rebuilt=3)], train(learns(**MODE)), evaluate(infers(**MODE))
        ),
    ],
    "BN112": [
        lambda: observed([module(registered=True)], train(learns(**MODE)), evaluate(infers(**MODE))),
        # The program trains and switches it by itself.
        lambda: observed([module(registered=False)], train(learns(**MODE)), evaluate(infers(**MODE))),
    ],
    "BN208": [
        lambda: observed(
            [module(registered=True)], train(learns(**MODE)), evaluate(infers(**MODE), training=False)
        ),
        lambda: observed(
            [module(left_behind=True, registered=True)],
            train(learns(**MODE)),
            evaluate(infers(**MODE), training=False),
        ),
    ],
    "BN209": [
        lambda: observed(
            [module(own_switch=at(SAVED), registered=True)],
            train(learns(**MODE)),
            evaluate(infers(**MODE), training=False),
        ),
        lambda: observed(
            [module(left_behind=True, registered=True, own_switch=at(SAVED))],
            train(learns(**MODE)),
            evaluate(infers(**MODE), training=False),
        ),
    ],
    "BN213": [
        # Only the dropout was switched on.
        lambda: observed([module()], train(learns(**MODE)), evaluate(infers(**MODE), repeats=5)),
        lambda: observed([module()], train(learns(**MODE)), evaluate(infers(**MODE))),
    ],
    "BN904": [
        lambda: observed([module()], train(learns(**MODE)), evaluate(infers(**MODE))),
        # A layer over each example.
        lambda: observed(
            [module(**STATELESS, axes=[0, 1])],
            train(learns(**ALONE)),
            evaluate(by_batch(**ALONE, declared=False)),
        ),
    ],
    "BN101": [
        # A run of its own makes the updates.
        lambda: observed(
            [layer()],
            train(stays()),
            RunSeen("u", at(61), "tf.Session.run", Purpose.UNKNOWN, passages=[learns()]),
        ),
        lambda: observed([layer(**STILL)], train(stays(), count=1)),
        # Nobody looked.
        lambda: standing(stays(moved=None)),
        # The statistics that are stored are those of the batch.
        lambda: standing(stays(mode=Mode.BOTH)),
        lambda: observed(
            [layer(key="metatrain/bn", **STILL)], train(stays("metatrain/bn", fixed=True, origin="default"))
        ),
    ],
    "BN102": [
        lambda: observed([layer(updates_read="too early")], train(learns())),
        lambda: standing(asleep(origin="none"), updates_read="too early"),
    ],
    "BN103": [
        lambda: observed([layer(updates_read="unused")], train(learns())),
        lambda: standing(stays(updates=1), updates_read="unused"),
    ],
    "BN104": [
        lambda: observed([layer(updates="attribute")], train(learns())),
        lambda: observed(
            [layer(updates="attribute", initial_mean=same(3.0), last_mean=same(3.0), **STILL)],
            train(asleep(origin="context")),
        ),
    ],
    "BN105": [
        # Instance normalisation: the batch axis is among those of the statistics.
        lambda: observed(
            [bare(axes=[0, 3])], train(learns(**NO_STATISTICS)), evaluate(by_batch(**NO_STATISTICS))
        ),
        lambda: observed([bare()], train(learns(**NO_STATISTICS))),
        # Between the training steps, and nothing says that it evaluates.
        lambda: observed(
            [bare()], train(learns(**NO_STATISTICS)), evaluate(by_batch(**NO_STATISTICS), order=9)
        ),
        lambda: observed(
            [bare(name="stylize/norm")], train(learns(**NO_STATISTICS)), evaluate(by_batch(**NO_STATISTICS))
        ),
    ],
    "BN106": [
        lambda: observed([by_hand()], train(learns()), evaluate(infers())),
        lambda: observed([by_hand(axes=[0, 1], **STILL)], train(stays()), evaluate(infers())),
    ],
    "BN107": [
        # Fine-tuning: the statistics come from elsewhere.
        lambda: standing(asleep(**FIXED), initial_mean=same(3.0), last_mean=same(3.0)),
        lambda: replace(standing(asleep(**FIXED)), checkpoints=[READS]),
        lambda: standing(asleep(**FIXED), trainable=False),
        # A teacher, which the step does not train.
        lambda: standing(asleep(fixed=True, trained=False)),
    ],
    "BN108": [
        lambda: standing(asleep(**UNTOLD), initial_mean=same(3.0), last_mean=same(3.0)),
        lambda: standing(asleep(**UNTOLD), trainable=False),
        lambda: observed([layer()], train(learns()), evaluate(infers(**UNTOLD))),
    ],
    "BN110": [
        lambda: observed([layer(momentum=0.9)], train(learns(momentum=0.9)), evaluate(infers())),
        # Ten steps with the default are a trial.
        lambda: observed([layer(last_mean=same(0.1))], train(learns(), count=10), evaluate(infers())),
        # A warm-up: it keeps less than is declared.
        lambda: observed(
            [layer(momentum=0.9997)], train(learns(momentum=0.5), count=200), evaluate(infers())
        ),
        # It was stopped before its end.
        lambda: observed(
            [layer(momentum=0.9997, last_mean=same(0.1))],
            train(learns(momentum=0.9997), count=200),
            evaluate(infers()),
            ended="max-steps",
        ),
    ],
    "BN113": [
        lambda: observed([layer(trainable=False, **STILL)], train(asleep(**FIXED)), evaluate(infers())),
        lambda: observed([layer(trainable=False, **STILL)], train(stays())),
        lambda: observed([layer(trainable=False)], train(learns()), evaluate(infers())),
    ],
    "BN114": [
        lambda: standing(asleep(origin="context", fixed=True), trainable=False),
        lambda: observed(
            [layer()],
            train(learns(origin="context", fixed=True)),
            evaluate(by_batch(origin="context", fixed=True)),
            evaluate(infers(), key="other"),
        ),
    ],
    "BN201": [
        lambda: GOOD,
        # A look at the training.
        lambda: observed([layer()], train(learns()), evaluate(by_batch(), fed=FED, order=20)),
        lambda: observed([layer(name="generator/bn")], train(learns()), evaluate(by_batch(), fed=FED)),
        # It fits both formulas.
        lambda: observed([layer()], train(learns()), evaluate(by_batch(mode=Mode.BOTH), fed=FED)),
    ],
    "BN202": [
        # The statistics are frozen in a late stage.
        lambda: observed([layer()], train(learns(), fed=FED), train(asleep(), fed=FED_OFF, key="late")),
        lambda: replace(observed([layer(**STILL)], train(asleep(), fed=FED_OFF)), checkpoints=[READS]),
    ],
    "BN203": [
        # The layer is built for both phases, and one run looks at the other one.
        lambda: observed(
            [layer()], train(learns(**FIXED)), evaluate(by_batch(**FIXED)), evaluate(infers(), key="other")
        ),
        lambda: observed([layer()], train(learns(**FIXED)), evaluate(by_batch(**FIXED), order=2)),
    ],
    "BN204": [
        # A layer that was told to train keeps all on purpose.
        lambda: standing(stays(origin="argument", updates=1), momentum=1.0),
        lambda: observed([layer()], train(learns(origin="default"))),
    ],
    "BN206": [
        lambda: observed([module()], train(learns(**MODE)), evaluate(infers(**MODE))),
        # The model was in evaluation mode, and did not reach the layer: that is another bug.
        lambda: observed([module()], train(learns(**MODE)), evaluate(by_batch(**MODE), training=False)),
        lambda: observed([module(in_forward=True)], train(learns(**MODE)), evaluate(by_batch(**MODE))),
        # Each batch is meant to have its own statistics, or no other layer needs them.
        lambda: observed([module(momentum=0)], train(learns(**MODE)), evaluate(by_batch(**MODE))),
        lambda: observed([module(name="sampler.norm")], train(learns(**MODE)), evaluate(by_batch(**MODE))),
        # The statistics are estimated anew, and used later.
        lambda: observed(
            [module()],
            train(learns(**MODE)),
            evaluate(by_batch(moved=True, **MODE)),
            evaluate(infers(**MODE), key="later", order=3100, last=3101),
        ),
    ],
    "BN207": [
        # Nobody has asked for this mode to evaluate.
        lambda: observed([module()], train(learns(**MODE)), switched_off()),
        lambda: observed([module()], train(learns(**MODE)), evaluate(infers(**MODE)), switched_off()),
        # Steps at another place are another training.
        lambda: observed(
            [module()],
            train(learns(**MODE)),
            evaluate(infers(**{**MODE, "phase_site": at(SAVED)})),
            switched_off(site=at(FIRST)),
        ),
    ],
    "BN210": [
        lambda: observed([by_hand()], train(learns()), evaluate(infers())),
        # The statistics are estimated anew.
        lambda: observed(
            [by_hand()], train(learns()), evaluate(by_batch(origin="none", moved=True), order=3002)
        ),
    ],
    "BN211": [
        # Nothing was learned before.
        lambda: observed([layer()], train(learns(**REPLACED)), evaluate(infers())),
        # The layer is frozen.
        lambda: observed(
            [layer(trainable=False, initial_mean=same(2.0), initial_variance=same(4.0))],
            train(asleep(**REPLACED)),
            evaluate(infers(**REPLACED)),
        ),
    ],
    "BN214": [
        # Another flag has nothing to do with the layers.
        lambda: observed(
            [layer()],
            train(learns(), fed=FED),
            ended="exception",
            error=UNFED.format("use_dropout"),
            error_site=at(TESTED),
        ),
        # The phase is a variable.
        lambda: standing(asleep(fixed=False)),
        lambda: observed([layer()], train(learns(), fed=FED), evaluate(infers(**FORGOTTEN))),
    ],
    "BN301": [
        lambda: observed([layer()], train(learns()), evaluate(infers())),
        # A layer that no step trains.
        lambda: observed([layer(**STILL)], train(), evaluate(skipped=["bn"])),
    ],
    "BN302": [
        # Both belong to the network, and one is trained alone.
        lambda: observed(
            [layer(), layer("bn_1", 20, moved=False)], train(learns()), evaluate(infers(), infers("bn_1"))
        ),
        # Restored, or copied.
        lambda: observed([layer(), layer("bn_1", 20)], train(learns()), evaluate(infers("bn_1"))),
        # Another network.
        lambda: observed(
            [layer("online/bn"), layer("target/bn", 20, moved=False)],
            train(learns("online/bn")),
            evaluate(infers("target/bn")),
        ),
    ],
    "BN304": [
        lambda: observed(
            [layer("g"), layer("d", 20)], train(learns("d"), stays("g", trained=False)), train(learns("g"))
        ),
        # It is not known what the steps train.
        lambda: observed(
            [layer("g")], train(learns("g", trained=None)), train(learns("g"), key="other", step=at(51))
        ),
    ],
    "BN501": [
        lambda: observed(
            [layer()],
            train(learns()),
            checkpoints=[replace(SAVES, missing=["bn"]), replace(SAVES, site=at(81))],
        ),
        # It restores a part, and trains.
        lambda: observed([layer()], train(learns()), checkpoints=[replace(READS, missing=["bn"])]),
        # Batch statistics in every phase: nobody needs the others.
        lambda: observed(
            [layer(updates="none", **STILL)],
            train(stays(**FIXED)),
            checkpoints=[replace(SAVES, missing=["bn"])],
        ),
    ],
    "BN502": [
        # It has statistics of its own, or new ones, or the source has none either.
        lambda: observed(
            [source(), copied()],
            train(learns("source", **MODE)),
            evaluate(by_batch(**MODE), purpose=Purpose.UNKNOWN),
            evaluate(infers(**MODE), **AFTER),
        ),
        lambda: observed(
            [source(), copied(moved=True)], train(learns("source", **MODE)), evaluate(infers(**MODE))
        ),
        lambda: observed(
            [source(moved=False), copied()], train(asleep("source", **MODE)), evaluate(infers(**MODE))
        ),
        # Weights of its own.
        lambda: observed(
            [source(), copied(last_scale=same(1.0))],
            train(learns("source", **MODE)),
            evaluate(infers(**MODE)),
        ),
    ],
    "BN503": [
        # Training leaves the statistics of the model as they are.
        lambda: observed(
            [source(moved=False), module(copy_of="source", stale="averaged", stale_site=at(SAVED))],
            train(asleep("source", **MODE)),
            evaluate(infers(**MODE)),
        ),
        lambda: observed(
            [source(), module(copy_of="source")], train(learns("source", **MODE)), evaluate(infers(**MODE))
        ),
    ],
    "BN504": [
        # A momentum beyond 1 makes a negative average of positive variances.
        lambda: observed(
            [module(last_variance=same(-0.5), momentum=-0.5)],
            train(learns(**MODE)),
            evaluate(infers(**MODE)),
        ),
        lambda: observed([module(last_variance=same(-0.5))], train(learns(**MODE))),
    ],
    "BN505": [
        lambda: observed([module()], train(learns(**MODE)), evaluate(infers(**MODE))),
        # Others were computed afterwards.
        lambda: observed(
            [module(stale="reset", stale_site=at(SAVED))], train(learns(**MODE)), evaluate(infers(**MODE))
        ),
    ],
    "BN601": [
        lambda: observed([module(epsilon=0.8, given=["num_features"])], train(learns(**MODE))),
        lambda: observed([module(epsilon=1e-3, given=["num_features", "eps"])], train(learns(**MODE))),
        lambda: observed([module(epsilon=0.8, given=["num_features", "eps"])]),
    ],
    "BN602": [
        lambda: observed([layer(axes=[1], channels_in=[1])], train(learns())),
        # No convolution is known to have made its input.
        lambda: observed([layer(axes=[1])], train(learns())),
    ],
    "BN603": [
        lambda: observed([by_hand(axes=[3])], train(learns())),
        # Instance normalisation.
        lambda: observed([by_hand(axes=[0, 3])], train(learns())),
    ],
    "BN604": [
        # The last norm of a residual block.
        lambda: observed([by_hand(initial_scale=same(0), initial_offset=same(0))], train(learns())),
        lambda: observed([by_hand()], train(learns(mode=Mode.NEITHER))),
    ],
    "BN605": [
        lambda: observed([module()], train(learns(**MODE, **KEPT, statistics_type="float32"))),
        # Only what is trained in half precision loses something.
        lambda: observed(
            [module()], train(learns(**MODE, **KEPT)), evaluate(infers(**MODE, statistics_type="float16"))
        ),
    ],
    "BN606": [
        lambda: observed(
            [],
            ended="exception",
            error="TypeError: conv2d() got an unexpected keyword argument 'updates_collection'",
            error_site=at(12),
        ),
        # A parameter that there is; another version lacks it.
        lambda: observed(
            [],
            ended="exception",
            error="TypeError: batch_norm() got an unexpected keyword argument 'renorm'",
            error_site=at(12),
        ),
    ],
    "BN703": [
        # It may be about the last batch, or about an evaluation.
        lambda: observed(
            [module()], train(learns(**MODE, **KEPT)), ended="exception", error=SINGLE, error_site=at(12)
        ),
        lambda: observed(
            [], ended="exception", error=SINGLE, error_site=at(12), train_steps=0, checkpoints=[READS]
        ),
        lambda: observed([], ended="exception", error="ValueError: no", error_site=at(12), train_steps=0),
    ],
    "BN704": [
        lambda: observed([module(momentum=0.9487)], train(learns(**{**TWICE, "momentum": 0.9487}))),
        # Who wrapped it keeps the second pass from moving them.
        lambda: observed([module()], train(learns(**{**TWICE, "updates": 1}))),
    ],
    "BN705": [
        lambda: observed([module()], train(learns(**MODE, **KEPT, **{**PENALISED, "batch": 1}))),
        lambda: observed([module(axes=[0, 1])], train(learns(**MODE, **KEPT, **PENALISED))),
    ],
    "BN707": [
        lambda: observed([module()], train(learns(**MODE, **KEPT, batch=4), gathered=1)),
        lambda: observed([module()], train(learns(**MODE, **KEPT, batch=64), gathered=8)),
    ],
    "BN801": [
        lambda: observed([layer()], train(learns()), checkpoints=[SAVES]),
        lambda: observed(
            [layer(name="stylize/bn")],
            train(learns()),
            checkpoints=[replace(SAVES, training_mode=["bn"])],
        ),
    ],
    "BN215": [
        # Before the training, in evaluation mode, with images, and before statistics are estimated anew.
        lambda: observed(
            [module()],
            evaluate(by_batch(moved=True, **MODE), **{**TRIED, "order": 1, "last": 1}, site=ZEROS),
            train(learns(**MODE), order=2),
            evaluate(infers(**MODE), **AFTER),
        ),
        lambda: observed(
            [module(initial_mean=same(1.5))],
            evaluate(infers(**MODE), **TRIED, site=ZEROS),
            evaluate(infers(**MODE), **AFTER),
        ),
        lambda: observed(
            [module(initial_mean=same(1.5))],
            evaluate(by_batch(moved=True, **MODE), **TRIED, site=IMAGES),
            evaluate(infers(**MODE), **AFTER),
        ),
        lambda: observed(
            [module(initial_mean=same(1.5))],
            evaluate(by_batch(moved=True, **MODE), **TRIED, site=ZEROS),
            evaluate(by_batch(moved=True, **MODE), **AFTER, purpose=Purpose.UNKNOWN),
        ),
    ],
    "BN303": [
        lambda: observed([module()], train(learns(**MODE), learns(**MODE, site=at(21)))),
        # Chance, and a layer without statistics.
        lambda: observed([module()], train(learns(**MODE), learns(**MODE, site=at(21), apart=0.2))),
        lambda: observed(
            [module(has_statistics=False)],
            train(learns(**NO_STATISTICS), learns(**NO_STATISTICS, site=at(21), apart=1.5)),
        ),
        # Two sets of the same kind, and statistics that are estimated anew.
        lambda: observed([module()], train(learns(**MODE, **{**MIXED, "mixed": 0.1}))),
        lambda: observed(
            [module()],
            train(learns(**MODE, **MIXED)),
            train(learns(**MODE, trained=False), **{**AFTER, "purpose": Purpose.UNKNOWN}),
        ),
    ],
    "BN401": [
        lambda: observed([layer(**{**LEARNED, "trainable": False})], fit(rests(trainable=False), 1)),
        lambda: observed([layer(**LEARNED)], fit(learns(), 1)),
        # New statistics, weights that learn or follow others, and a rest of the network in evaluation mode.
        lambda: observed([module(trainable=False)], train(learns(**LIVE))),
        lambda: observed([module(**FROZEN)], train(learns(**MODE, trainable=True))),
        lambda: observed([module(**{**FROZEN, "last_scale": same(1.1)})], train(learns(**LIVE))),
        lambda: observed([module(**FROZEN)], train(asleep(**LIVE))),
        # It learns in turn.
        lambda: observed(
            [module(**FROZEN)], train(learns(**LIVE)), train(learns(**MODE, trainable=True), key="critic")
        ),
    ],
    "BN402": [
        # It was in evaluation mode to be evaluated, or `train` came first.
        lambda: observed(
            [module()],
            train(learns(**MODE)),
            evaluate(infers(**{**MODE, "phase_site": at(SAVED)})),
            switches=[NORM, NET],
        ),
        lambda: observed([module()], train(learns(**MODE)), switches=[NET, NORM]),
        # All of a model that a loader gives is in evaluation mode.
        lambda: observed(
            [module()], train(learns(**MODE)), switches=[switch(SAVED, False, kind="Base"), NET]
        ),
    ],
    "BN403": [
        lambda: observed([layer(**IN_PLACE)], fit(learns(trainable=True), 1), fit(learns(trainable=True), 5)),
        lambda: observed([layer(**IN_PLACE)], fit(learns(trainable=None), 1)),
        lambda: observed([layer(**{**LEARNED, "trainable": False})], fit(rests(trainable=False), 1)),
        # It is told to infer, whatever the trainer has in mind.
        lambda: observed([layer(**LEARNED)], fit(rests(trainable=True, origin="argument"), 1)),
    ],
    "BN404": [
        lambda: observed([layer(**IN_PLACE)], fit(rests(), 1), fit(learns(), 5)),
        lambda: observed([layer(**LEARNED)], fit(learns(), 1), fit(rests(), 5)),
    ],
    "BN405": [
        lambda: observed(
            [layer(**IN_PLACE)], fit(learns(), 1, **ON_BATCH), fit(rests(trainable=False), 5, **ON_BATCH)
        ),
        # A frozen model is trained in vain, but not for another one.
        lambda: observed(
            [layer(**{**LEARNED, "trainable": False})],
            fit(rests(trainable=False), 1, purpose=Purpose.UNKNOWN),
        ),
    ],
}
"""For each rule, programs that look like the bug and are none: no rule finds anything."""


def each(table: dict[str, list[Callable[[], object]]]) -> list[object]:
    return [
        pytest.param(code, make, id=f"{code}-{n}") for code in table for n, make in enumerate(table[code])
    ]


@pytest.mark.parametrize(("code", "make"), each(CONFIRM))  # type: ignore[arg-type]
def test_a_rule_confirms_its_bug_and_no_other_does(
    code: str, make: Callable[[], tuple[Observed, int]]
) -> None:
    seen, line = make()
    found = confirmed(seen)
    assert [finding.code for finding in found] == [code]
    assert found[0].location.line == line
    assert found[0].steps
    assert found[0].location in [step.location for step in found[0].steps]


@pytest.mark.parametrize(("code", "make"), each(LOOK_ALIKES))  # type: ignore[arg-type]
def test_what_only_looks_like_a_bug_is_not_reported(code: str, make: Callable[[], Observed]) -> None:
    assert codes(make()) == []


def test_every_rule_that_can_be_seen_has_examples_and_look_alikes() -> None:
    from bnlint.rule import Rule

    confirming = {rule.code for rule in rules() if type(rule).confirm is not Rule.confirm}
    assert set(CONFIRM) == confirming == set(LOOK_ALIKES)
    assert all(len(examples) >= 2 for examples in LOOK_ALIKES.values())


def test_a_program_that_is_right_and_one_that_did_nothing_are_silent() -> None:
    assert codes(GOOD) == []
    assert codes(Observed("empty.py")) == []


def test_messages_carry_figures_and_one_finding_speaks_for_all_layers_of_a_step() -> None:
    two = [layer("a", 10, moved=False), layer("b", 20, moved=False)]
    (finding,) = confirmed(observed(two, train(stays("a"), stays("b"))))
    assert "2 layers never moved in 3,001 training steps" in finding.message
    assert [step.location.line for step in finding.steps] == [10, 20, TRAINED, RAN]


def test_layers_of_two_steps_are_reported_at_the_step_that_trains_them() -> None:
    both = [layer("g", 10, moved=False), layer("d", 20, moved=False)]
    first = train(stays("g", trained=False), stays("d"))
    second = train(stays("g"), stays("d", trained=False), key="g", step=at(TRAINED + 1))
    assert [finding.location.line for finding in confirmed(observed(both, first, second))] == [
        TRAINED + 1,
        TRAINED,
    ]


def test_layers_that_one_function_call_or_one_line_builds_share_a_constant() -> None:
    def of(key: str, line: int, caller: int) -> tuple[LayerSeen, Passage]:
        return layer(key, line, moved=False, callers=[at(caller)]), asleep(key, fixed=True)

    built = [of("a", 10, 30), of("b", 11, 30), of("c", 10, 31), of("d", 20, 32)]
    seen = observed([one for one, _ in built], train(*(passage for _, passage in built)))
    assert [(finding.code, finding.location.line) for finding in confirmed(seen)] == [
        ("BN107", 10),
        ("BN107", 20),
    ]


def test_a_place_that_is_not_known_is_the_beginning_of_the_script() -> None:
    nowhere = observed([layer(site=None, **STILL)], train(stays(), step=None, site=None))
    (finding,) = confirmed(nowhere)
    assert (finding.location.path, finding.location.line) == ("train.py", 1)


@pytest.mark.parametrize(
    ("call", "error", "function"),
    [
        ("tf.nn.batch_normalization(x, epsilon=1e-3)", OPERATION.format("epsilon"), "batch_normalization"),
        (
            "nn.batch_normalization(  # a\n x,\n epsilon=1e-3)",
            OPERATION.format("epsilon"),
            "batch_normalization",
        ),
        ("tf.layers.BatchNormalization(decay=0.9)", LAYER.format("decay"), "BatchNormalization"),
        ("tf.layers.BatchNormalization(**options)", LAYER.format("decay"), "BatchNormalization"),
        # Some function of that name has the parameter, or the place is no call with that word.
        ("batch_normalization(x, epsilon=1e-3)", OPERATION.format("epsilon"), ""),
        ("tf.layers.BatchNormalization(momentum=0.9)", LAYER.format("momentum"), ""),
        ("tf.layers.BatchNormalization()", LAYER.format("decay"), ""),
        ("tf.layers.Dense(decay=0.9)", LAYER.format("decay"), ""),
        ("x + tf.layers.BatchNormalization(decay=0.9)", LAYER.format("decay"), ""),
    ],
)
def test_a_keyword_is_told_by_the_line_if_the_error_names_no_function(
    tmp_path: Path, call: str, error: str, function: str
) -> None:
    (tmp_path / "own.py").write_text(f"y = {call}\n", "utf-8")
    lines = call.split("\n")
    end = len(lines[-1]) + (5 if len(lines) == 1 else 1)
    site = Location(str(tmp_path / "own.py"), 1, 5, len(lines), end)
    found = confirmed(observed([], ended="exception", error=error, error_site=site))
    assert [finding.code for finding in found] == ["BN606"] * bool(function)
    assert all(f"`{function}` has no argument" in finding.message for finding in found)
