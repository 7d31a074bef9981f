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
_FIRST_TENSORFLOW = re.compile(
    r"\btf\.(?:Session|InteractiveSession|placeholder|ConfigProto|GPUOptions|contrib|get_default_graph|"
    r"global_variables_initializer)\b"
)
_COMPATIBLE = re.compile(r"\bcompat\.v1\b|\bcompat import v1\b")
_OTHER_KERAS = re.compile(
    r"^\s*(?:from|import)\s+(?:keras\b|tensorflow\.keras\b|tensorflow import keras)", re.M
)
"""Keras on its own, or that of TensorFlow 2, in a program that may use both."""


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
    limit = _limit(machine, "tensorflow")
    return not (say(_STANDALONE) or (limit is not None and limit < (2, 0)))


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
        limit = _limit(machine, name)
        if limit is not None and limit <= first_of_third:
            return 2
    return None


def freezing_infers(machine: Machine) -> bool | None:
    """Whether a frozen normalisation is in inference mode; None when that is not known.

    It is since TensorFlow 2 and Keras 2.4. Before, it normalises with the statistics of the batch when it trains, as
    the sources of Keras 2.0.9 to 2.3.1 say, and as the layers of ``tf.compat.v1`` do to this day.
    """
    tensorflow, keras = _limit(machine, "tensorflow"), _limit(machine, "keras")
    if (tensorflow and tensorflow < (2, 0)) or (keras and keras < (2, 4)):
        return False
    if eager(machine):
        return True
    if machine.modules.say(_COMPATIBLE):
        return None if machine.modules.say(_OTHER_KERAS) else False
    return False if machine.modules.say(_FIRST_TENSORFLOW) else None


def _limit(machine: Machine, name: str) -> tuple[int, ...] | None:
    """The version of a library that the project does not go beyond; one number if only that is written (``<3``)."""
    limit = machine.trace.ceilings.get(name)
    return None if limit is None else _parts(limit)


def _number(version: str | None) -> tuple[int, ...] | None:
    if version is None:
        return None
    return (*_parts(version), 0)[:2]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
