"""Whether a program computes as it goes, as TensorFlow 2 does, and for which generation of Keras it is written.

Keras 2 and Keras 3 disagree about the same line; what neither the project's requirements nor the program's imports
tell stays unknown.
"""

from __future__ import annotations

import re

from bnlint.interpreter.machine import Machine

_GRAPH = re.compile(
    r"disable_v2_behavior|disable_eager_execution|[sS]ession\(|\.placeholder\(|get_variable\(|"
    r"make_(?:one_shot|initializable)_iterator|get_default_graph|tf\.Graph\(|Estimator|variable_scope\(|"
    r"get_session|model_fn|tf\.contrib"
)
_LEARNING_PHASE = re.compile(r"set_learning_phase")
_STANDALONE = re.compile(r"^\s*(?:import|from) keras\b", re.MULTILINE)
_SECOND = re.compile(
    r"\btf_keras\b|TF_USE_LEGACY_KERAS|tensorflow\.python\.keras|keras\.(?:engine|layers\.(?:normalization|core|"
    r"convolutional|merge|pooling|advanced_activations|recurrent)|utils\.np_utils|objectives|applications\.\w+_v1)\b|"
    r"fit_generator|predict_generator|evaluate_generator|learning_phase\(|"
    r"experimental_run_v2|experimental\.preprocessing|optimizers\.legacy|"
    r"Adam\(lr=|SGD\(lr=|RMSprop\(lr=|reset_states\(\)|tf\.contrib"
)
_THIRD = re.compile(
    r"\bkeras\.(?:ops|random|tree|distribution|KerasTensor|dtype_policies)\b|"
    r"from keras import (?:[\w, ]*\b)?ops\b|KERAS_BACKEND|\bkeras_hub\b"
)


def eager(machine: Machine) -> bool:
    """Whether the program computes as it goes; False when it speaks of graphs and sessions anywhere.

    The learning phase of the whole program is heeded by ``fit`` in graphs only (executed with TensorFlow 1.15 and
    2.21), so a program that sets it is taken for one of that time if its imports or its requirements say so.
    """
    say = machine.modules.say
    if say(_GRAPH):
        return False
    if not say(_LEARNING_PHASE):
        return True
    highest = _number(machine.trace.ceilings.get("tensorflow"))
    return not (say(_STANDALONE) or (highest is not None and highest <= (2, 0)))


def generation(machine: Machine) -> int | None:
    """The generation of Keras that the program is written for; None when that is not known."""
    known = machine.trace.generations
    if "keras" not in known:
        found = _generation(machine)
        if found is None:
            return None
        known["keras"] = found
    return known["keras"]


def _generation(machine: Machine) -> int | None:
    second, third = machine.modules.say(_SECOND), machine.modules.say(_THIRD)
    if second != third:
        return 2 if second else 3
    if second:
        return None
    versions = machine.trace.versions
    keras, tensorflow = _number(versions.get("keras")), _number(versions.get("tensorflow"))
    if "tf-keras" in versions:
        return 2
    for lowest, first_of_third, name in ((keras, (3, 0), "keras"), (tensorflow, (2, 16), "tensorflow")):
        if lowest is not None and lowest >= first_of_third:
            return 3
        highest = _number(machine.trace.ceilings.get(name))
        if highest is not None and highest <= first_of_third:
            return 2
    return None


def _number(version: str | None) -> tuple[int, ...] | None:
    if version is None:
        return None
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
