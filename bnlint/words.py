"""What things are called: the words of identifiers, and what they tell about a phase.

Names are the weakest evidence. Only the module that weighs evidence, ``bnlint.phase``, decides by them.
"""

from __future__ import annotations

import re
from functools import lru_cache

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
TRAINING = frozenset("train trains training trainer fit fitting optimize learn".split())
"""Words for training."""
META_LEARNING = frozenset("maml meta metatrain innerloop".split())
"""Signs of meta-learning, where each task is normalised with its own statistics, also when it is evaluated."""
DELIBERATE = META_LEARNING | frozenset(
    "generator generators netg gen sampler samplers sampled style stylize stylized stylization pix2pix gan dcgan wgan "
    "discriminator adabn adapt adaptation adversarial translate translation transfer "
    "precise recalibrate recalibration reestimate reestimation calibrate calibration refresh latent cyclegan".split()
)
"""Signs that batch statistics at inference are meant."""


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The words of an identifier: ``is_trainPhase`` is ("is", "train", "phase")."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name))


def is_phase_name(name: str) -> bool:
    """Whether a parameter of that name tells training from inference."""
    return "".join(words(name)) in _PHASE_NAMES
