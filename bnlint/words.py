"""What things are called: the words of identifiers, and what they tell about a phase.

Names are the weakest evidence. Only the modules that weigh evidence, ``bnlint.phase`` above all, decide by them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bnlint.dataflow import Const, Node, Op, Unknown, Value

_PHASE_NAMES = frozenset(
    "train training istraining istrain trainphase phasetrain phase trainmode intraining bntrain bntraining "
    "trainflag trainingphase trainingflag mode isevaluating istest testing inferencing isinference istestphase "
    "isbntrain bnistraining bnistrain trainbn isbntraining phasetraining learningphase".split()
)
EVALUATING = frozenset(
    "test tests testing tester eval evals evaluate evaluates evaluation evaluating evaluator vali valid validate "
    "validation validating validator val dev devel cv holdout heldout infer inference inferring predict predicts "
    "prediction predicting predictor score demo serve serving deploy".split()
)
"""Words for evaluation and prediction."""
PREDICTING = frozenset("predict predicts prediction predicting predictor score".split())
"""Those of them that are said of every pass through a model, too."""
TRAINING = frozenset("train trains training trainer fit fitting optimize learn".split())
"""Words for training."""
META_LEARNING = frozenset(
    "maml meta metatrain metalearning innerloop reptile proto protonet protonets prototypical fewshot episodic".split()
)
"""Signs of meta-learning, where each task is normalised with its own statistics, also when it is evaluated."""
DELIBERATE = META_LEARNING | frozenset(
    "generator generators netg gen sampler samplers sampled style stylize stylized stylization pix2pix gan dcgan wgan "
    "discriminator adabn adapt adaptation adversarial translate translation transfer "
    "dropout mcdropout montecarlo bayesian uncertainty "
    "precise recalibrate recalibration reestimate reestimation calibrate calibration refresh latent cyclegan".split()
)
"""Signs that batch statistics at inference are meant."""

DROPOUT = frozenset("mc mcdropout dropout montecarlo bayesian uncertainty uncertainties epistemic".split())
"""Signs that dropout is used to sample predictions."""

OPPOSITES = (
    (frozenset("source src".split()), frozenset("target tgt trg".split())),
    (frozenset("synthetic synth syn simulated simulation".split()), frozenset(("real",))),
)
"""Words for domains that are told apart, as domain adaptation does."""


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The words of an identifier: ``is_trainPhase`` is ("is", "train", "phase")."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def is_phase_name(name: str) -> bool:
    """Whether a parameter of that name tells training from inference."""
    return "".join(words(name)) in _PHASE_NAMES


def training_outcome(condition: Value) -> bool | None:
    """Which outcome of a condition means training; None when the condition is not about the phase."""
    if isinstance(condition, Node):
        if condition.op in (Op.EQUAL, Op.NOT_EQUAL) and isinstance(condition.inputs[1], Const):
            wanted = condition.inputs[1].value
            if isinstance(wanted, str):
                parts = set(words(wanted))
                means = True if parts & TRAINING else False if parts & EVALUATING else None
                return means if means is None or condition.op == Op.EQUAL else not means
            return None
        if condition.op == Op.PLACEHOLDER and condition.attrs.get("dtype") == "bool":
            name = condition.attrs.get("name")
            return _named_outcome(name) if isinstance(name, str) else None
        return None
    return _named_outcome(condition.hint.rpartition(".")[2]) if isinstance(condition, Unknown) else None


def _named_outcome(name: str) -> bool | None:
    if not is_phase_name(name) or "mode" in words(name)[-1:]:
        return None
    return not set(words(name)) & EVALUATING
