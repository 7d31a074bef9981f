"""The table of Keras: which imports it owns, other spellings, and what calls mean that no part describes."""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.frameworks.keras import (
    applications,
    exports,
    formats,
    graphs,
    layers,
    models,
    strategies,
    tapes,
    trainer,
)  # fmt: skip
from bnlint.frameworks.keras.table import HANDLERS, PROPERTIES
from bnlint.frameworks.library import Framework
from bnlint.frameworks.tensorflow1 import signatures
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call, Tuple, contents

_PARTS = (formats, graphs, layers, models, trainer, tapes, strategies, applications, exports)
"""What fills the table: these parts do so when they are imported."""


def _fallback(machine: Machine, call: Call) -> Value:
    """Anything else of Keras: an object if it is a class, else an operation."""
    last = call.name.rpartition(".")[2]
    if last[:1].isupper():
        made = ApiObject(call.name, call.site)
        made.slots["given"] = Tuple(call.values())
        return made
    if call.name.startswith(("keras.utils.", "keras.datasets.", "keras.preprocessing.", "keras.callbacks.")):
        return machine.unknown(last, *call.values())
    return machine.node(call.name, contents(call.values()), call.site)


FRAMEWORK = Framework(
    name="keras",
    roots={"keras": "keras", "tf_keras": "keras"},
    aliases={
        "keras.src": "keras",
        "keras.api": "keras",
        "keras.layers.Input": "keras.Input",
        "keras.models.Model": "keras.Model",
        "keras.models.Sequential": "keras.Sequential",
        "keras.models.Functional": "keras.Model",
        "keras.Layer": "keras.layers.Layer",
        "keras.engine.training.Model": "keras.Model",
        "keras.engine.Model": "keras.Model",
        "keras.engine.Layer": "keras.layers.Layer",
        "keras.engine.base_layer.Layer": "keras.layers.Layer",
        "keras.layers.normalization": "keras.layers",
        "keras.layers.normalization.batch_normalization": "keras.layers",
        "keras.layers.core": "keras.layers",
        "keras.layers.merge": "keras.layers",
        "keras.layers.pooling": "keras.layers",
        "keras.layers.advanced_activations": "keras.layers",
        "keras.layers.convolutional": "keras.layers",
        "keras.layers.wrappers": "keras.layers",
        "keras.layers.experimental.SyncBatchNormalization": "keras.layers.SyncBatchNormalization",
        "keras.layers.experimental.preprocessing": "keras.layers",
        "keras.engine.topology.Layer": "keras.layers.Layer",
        "keras.applications.resnet50.ResNet50": "keras.applications.ResNet50",
        "keras.preprocessing.sequence.pad_sequences": "keras.utils.pad_sequences",
        "tf.optimizers": "keras.optimizers",
        "keras.optimizers.legacy": "keras.optimizers",
        "keras.optimizers.experimental": "keras.optimizers",
        **applications.ALIASES,
    },
    handlers=HANDLERS,
    properties=PROPERTIES,
    decorated={"tf.function": tapes.traced},
    fallback=_fallback,
    inherited=graphs.inherited,
    norms={f"keras.layers.{name}": signatures.KERAS_CLASS.names for name in layers.NORMS},
)
