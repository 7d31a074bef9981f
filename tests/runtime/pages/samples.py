"""Runs as a backend would have seen them, with figures that a simulation of the layers gives."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from bnlint.findings import Applicability, Finding, Fix, Group, Location, Report, RuleInfo, Step
from bnlint.runtime.observed import (
    Figures,
    LayerFigures,
    LayerSeen,
    Mode,
    Observed,
    Passage,
    Purpose,
    RunSeen,
)
from bnlint.runtime.oracle import TITLES, Outcome, Verdict, Verification

STEPS = 3001
PROGRAM = """\
import tensorflow as tf

images = tf.placeholder(tf.float32, [128, 784])
labels = tf.placeholder(tf.float32, [128, 10])
held_out = tf.constant(read("valid.npy"))

pixels = tf.contrib.layers.batch_norm(images)
weights = tf.Variable(tf.truncated_normal([784, 1024]))
hidden = tf.nn.relu(tf.matmul(pixels, weights))
hidden = tf.contrib.layers.batch_norm(hidden)
logits = tf.layers.dense(hidden, 10)
loss = tf.losses.softmax_cross_entropy(labels, logits)
train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
valid = tf.nn.softmax(tf.layers.dense(tf.nn.relu(tf.matmul(held_out, weights)), 10))
"""
"""What the findings point into, as ``train.py``."""
PAGE = """\
# {code} {name}

Group `error`: no known false positive.

{summary}

## Why it is bad

The moving statistics stay where they began. See <https://example.org/bn>.

| phase | statistics |
|---|---|
| training | batch |

```python
with tf.control_dependencies(updates):
    train_op = optimizer.minimize(loss)
```
"""
HOSTILE = "<img src=x onerror=alert(1)>&\"'\x1b[31m</script></svg>"


def at(line: int, column: int = 1, end: int = 40, path: str = "train.py") -> Location:
    """A place on one line."""
    return Location(path, line, column, line, end)


def layer(
    key: str,
    site: Location | None,
    *,
    learns: bool = True,
    mean: float = 0.45,
    variance: float = 0.2,
    momentum: float = 0.99,
    steps: int = STEPS,
    seed: int = 1,
    epsilon: float = 0.001,
    **more: object,
) -> LayerSeen:
    """A layer after a simulated training on one channel whose batches have about this mean and variance."""
    dice = random.Random(seed)
    r_mean, r_variance = 0.0, 1.0
    track, history = [], []
    b_mean, b_variance = mean, variance
    for step in range(steps):
        b_mean = mean + dice.gauss(0, 0.05 * math.sqrt(variance))
        b_variance = variance * math.exp(dice.gauss(0, 0.05))
        if step % max(1, steps // 60) == 0:
            track.append((step, r_mean, b_mean, r_variance, b_variance))
            history.append((step, abs(r_mean - b_mean), abs(r_variance - b_variance) / b_variance))
        if learns:
            r_mean = momentum * r_mean + (1 - momentum) * b_mean
            r_variance = momentum * r_variance + (1 - momentum) * b_variance
    values = [dice.gauss(b_mean, math.sqrt(b_variance)) for _ in range(256)]
    train = [(x - b_mean) / math.sqrt(b_variance + epsilon) for x in values]
    infer = [(x - r_mean) / math.sqrt(r_variance + epsilon) for x in values]
    seen = LayerSeen(
        key=key,
        name=key,
        api="tf.contrib.layers.batch_norm",
        framework="tensorflow",
        site=site,
        channels=16,
        axes=[1],
        epsilon=epsilon,
        momentum=momentum,
        updates="collected",
        initial_mean=same(0.0),
        initial_variance=same(1.0),
        last_mean=around(r_mean, dice) if learns else same(0.0),
        last_variance=around(r_variance, dice) if learns else same(1.0),
        batch_mean=around(b_mean, dice),
        batch_variance=around(b_variance, dice),
        history=history,
        track=track,
        divergence=max(abs(a - b) for a, b in zip(train, infer, strict=True)),
        train_sample=train,
        inference_sample=infer,
    )
    for name, value in more.items():
        setattr(seen, name, value)
    return seen


def same(value: float) -> Figures:
    """All channels alike."""
    return Figures(value, value, value, [value] * 8)


def around(value: float, dice: random.Random) -> Figures:
    """Channels that differ a little."""
    first = [value * (1 + dice.uniform(-0.3, 0.3)) for _ in range(8)]
    return Figures(value, min(first), max(first), first)


def train_passage(seen: LayerSeen, moved: bool, mode: Mode = Mode.BATCH) -> Passage:
    """The layer in the training steps."""
    return Passage(
        seen.key,
        mode,
        declared=True,
        moved=moved,
        momentum=seen.momentum if moved else 1.0,
        batch_error=0.2,
        moving_error=4000.0,
        tolerance=1e-6,
        samples=60,
        batch=128,
    )


def infer_passage(seen: LayerSeen, mode: Mode = Mode.MOVING) -> Passage:
    """The layer in the evaluations."""
    return Passage(
        seen.key, mode, declared=False, moved=False, batch_error=900.0, moving_error=0.1, samples=7
    )


def training(passages: Sequence[Passage], steps: int = STEPS) -> RunSeen:
    """The training steps."""
    return RunSeen(
        "train", at(20), "tf.Session.run", Purpose.TRAIN, count=steps, passages=list(passages), step=at(13)
    )


def evaluation(passages: Sequence[Passage], skipped: Sequence[str] = ()) -> RunSeen:
    """The evaluations."""
    return RunSeen(
        "valid",
        at(24),
        "tf.Tensor.eval",
        Purpose.EVALUATE,
        ["it fetches no train step"],
        count=7,
        passages=list(passages),
        skipped=list(skipped),
        order=3,
    )


def rule(code: str, name: str, summary: str) -> RuleInfo:
    """A rule with a short page."""
    return RuleInfo(code, name, Group.ERROR, summary, PAGE.format(code=code, name=name, summary=summary))


RULES = (
    rule("BN101", "update-ops-never-run", "Batch-norm update operations that nothing in the program runs."),
    rule("BN301", "evaluation-skips-norm", "An evaluation that leaves out the batch norm."),
)


def never_moved() -> Finding:
    """BN101, as the run of the program confirms it."""
    return Finding(
        "BN101",
        "update-ops-never-run",
        Group.ERROR,
        at(13, 12, 65),
        "moving statistics of 2 layers never moved in 3001 training steps: nothing runs their update operations",
        (
            Step(at(7, 10, 46), "built here; its updates go to tf.GraphKeys.UPDATE_OPS"),
            Step(at(10, 10, 46), "built here; its updates go to tf.GraphKeys.UPDATE_OPS"),
            Step(at(13, 12, 65), "trained here without the updates"),
        ),
        Fix(
            Applicability.UNSAFE,
            "build the train step under tf.control_dependencies with the update operations",
        ),
    )


def skipped() -> Finding:
    """BN301, the same."""
    return Finding(
        "BN301",
        "evaluation-skips-norm",
        Group.ERROR,
        at(14, 9, 85),
        "the evaluation uses the trained weights without the batch norm between them",
        (
            Step(at(7, 10, 46), "normalised here in training"),
            Step(at(14, 9, 85), "evaluated here with the same weights, without it"),
        ),
    )


def broken() -> tuple[Observed, Report]:
    """Two layers whose updates never run and that the evaluations leave out."""
    layers = [
        layer("BatchNorm", at(7, 10, 46), learns=False, momentum=0.999),
        layer("BatchNorm_1", at(10, 10, 46), learns=False, mean=6.9, variance=110.0, momentum=0.999, seed=2),
    ]
    seen = Observed(
        "train.py",
        {"tensorflow": "2.21.0", "tf-slim": "1.1.0"},
        layers,
        [
            training([train_passage(each, moved=False) for each in layers]),
            evaluation([], skipped=["BatchNorm", "BatchNorm_1"]),
        ],
        train_steps=STEPS,
        seconds=41.2,
    )
    return seen, Report(findings=[never_moved(), skipped()], rules=RULES)


def healthy() -> tuple[Observed, Report]:
    """Three layers that do what they should."""
    layers = [layer(f"block{n}/bn", at(6 + n), mean=0.3 * n, variance=0.5 * n, seed=n) for n in (1, 2, 3)]
    seen = Observed(
        "train.py",
        {"keras": "3.15.1", "tensorflow": "2.21.0"},
        layers,
        [
            training([train_passage(each, moved=True) for each in layers]),
            evaluation([infer_passage(each) for each in layers]),
        ],
        train_steps=STEPS,
    )
    return seen, Report(rules=RULES)


def deep(count: int = 60, bad: int = 23) -> tuple[Observed, Report]:
    """A residual network in which one layer never moves."""
    layers = [
        layer(
            f"resnet/stage{n // 15 + 1}/unit{n % 15 + 1}/bn",
            at(9, path="models/resnet.py"),
            learns=n != bad,
            steps=400,
            momentum=0.9,
            mean=0.2 + 0.1 * (n % 7),
            variance=0.3 + 0.2 * (n % 5),
            seed=n,
        )
        for n in range(count)
    ]
    seen = Observed(
        "train_resnet.py",
        {"keras": "3.15.1"},
        layers,
        [
            training([train_passage(each, moved=n != bad) for n, each in enumerate(layers)], 400),
            evaluation([infer_passage(each) for each in layers]),
        ],
        train_steps=400,
    )
    finding = Finding(
        "BN104",
        "keras-updates-never-run",
        Group.ERROR,
        at(40, path="train_resnet.py"),
        "moving statistics of 1 layer never moved in 400 training steps",
        (Step(at(9, path="models/resnet.py"), "built here"),),
    )
    return seen, Report(findings=[finding] if 0 <= bad < count else [])


def empty() -> tuple[Observed, Report]:
    """A script without normalisation."""
    return Observed("hello.py", ended="exception", notes=["The script raised ValueError: no data."]), Report()


def hostile() -> tuple[Observed, Report]:
    """Every text that comes from the user's program is an attack."""
    seen, _ = broken()
    seen.entry = HOSTILE
    seen.notes = [HOSTILE]
    seen.frameworks = {HOSTILE: HOSTILE}
    seen.ended = HOSTILE
    for each in seen.layers:
        each.name = f"{HOSTILE}{each.key}"
        each.api = each.framework = HOSTILE
        each.site = at(7, path=f"{HOSTILE}.py")
    finding = Finding(
        "BN101",
        "update-ops-never-run",
        Group.ERROR,
        at(7, path=f"{HOSTILE}.py"),
        HOSTILE,
        (Step(at(1), HOSTILE),),
    )
    page = f"# {HOSTILE}\n\n{HOSTILE}\n\n[x](javascript:alert(1)) ![y](http://example.org/y.png)\n"
    return seen, Report(
        findings=[finding], rules=(RuleInfo("BN101", "x", Group.ERROR, "x", page),), notes=[HOSTILE]
    )


def verification() -> Verification:
    """Three layers, of which the second does not learn."""
    run, _ = healthy()
    figures, outcomes = [], []
    for n, each in enumerate(run.layers):
        bad = n == 1
        if bad:
            each = layer(each.key, each.site, learns=False, mean=2.0, variance=3.0, steps=40)
        each.track, each.history = [], []
        figures.append(
            LayerFigures(
                each,
                train_passage(each, moved=not bad),
                infer_passage(each),
                each.divergence,
                independence=0.3,
                verdict="FAIL" if bad else "PASS",
                train_sample=each.train_sample,
                inference_sample=each.inference_sample,
            )
        )
        for check in TITLES:
            if bad and check == 3:
                cause = "A training step left the moving statistics where they were."
                outcomes.append(Outcome(check, each.key, Verdict.FAIL, cause, "BN101", 1.0, 1e-6))
            elif check == 11:
                outcomes.append(Outcome(check, each.key, Verdict.SKIP, "no layer is declared frozen"))
            else:
                outcomes.append(Outcome(check, each.key, Verdict.PASS, "As it should be."))
    outcomes.append(Outcome(10, "", Verdict.SKIP, "the model cannot be built a second time"))
    return Verification(outcomes, figures, ["The probe batch has 32 samples."])
