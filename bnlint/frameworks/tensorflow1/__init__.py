"""TensorFlow 1: graphs that are built first and run later.

``tf.compat.v1``, ``tf.contrib.slim`` and ``tf_slim`` are other spellings of the same things.
"""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.frameworks.library import Framework
from bnlint.frameworks.tensorflow1 import (
    control,
    graph,
    layers,
    norms,
    operations,
    running,
    scopes,
    signatures,
    table,
    training,
    variables,
)
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiRef, Call, Instance, Method

WORDS = ((b"tensorflow", b"tf_slim", b"tflearn", b"tensorlayer"),)

_PARTS = (control, graph, operations, scopes, variables)
"""What fills the table: these parts do so when they are imported."""


def _fallback(machine: Machine, call: Call) -> Value:
    if call.name.endswith("Optimizer"):
        return training.optimizer(machine, call)
    return operations.fallback(machine, call)


def _inherited(machine: Machine, instance: Instance, base: ApiRef, name: str) -> Value | None:
    """What a project's own optimizer has from the library's."""
    full = f"tf.Optimizer.{name}"
    if not base.name.endswith("Optimizer") or full not in training.HANDLERS:
        return None
    return Method(instance, full)


FRAMEWORK = Framework(
    name="tensorflow1",
    roots={
        "tensorflow": "tf",
        "tf_slim": "slim",
        "tflearn": "tflearn",
        "tensorlayer": "tensorlayer",
        "absl": "absl",
        "tensorflow.keras": "keras",
        "tensorflow_estimator": "tf.estimator",
        "horovod": "horovod",
    },
    aliases={
        "tf.compat.v1": "tf",
        "tf.keras": "keras",
        "tf.python.keras": "keras",
        "tf.contrib.slim": "slim",
        "tf.contrib.slim.python.slim": "slim",
        "tf.contrib.keras": "keras",
        "tf.contrib.framework.arg_scope": "slim.arg_scope",
        "tf.contrib.framework.add_arg_scope": "slim.add_arg_scope",
        "tf.contrib.framework.python.ops.arg_scope": "slim.arg_scope",
        "tf.contrib.framework.python.ops.add_arg_scope": "slim.add_arg_scope",
        "tf.contrib.framework.python.ops.arg_scope.arg_scope": "slim.arg_scope",
        "tf.contrib.framework.get_variables": "slim.get_variables",
        "tf.contrib.framework.get_variables_to_restore": "slim.get_variables_to_restore",
        "tf.contrib.framework.get_trainable_variables": "slim.get_trainable_variables",
        "tf.contrib.framework.get_model_variables": "slim.get_model_variables",
        "tf.contrib.framework.model_variable": "slim.model_variable",
        "tf.contrib.framework.variable": "slim.variable",
        "tf.contrib.layers.python.layers": "tf.contrib.layers",
        "tf.contrib.layers.python.layers.layers": "tf.contrib.layers",
        "tf.contrib.layers.layers": "tf.contrib.layers",
        "tf.contrib.layers.python.layers.utils": "slim.utils",
        "tf.python.layers.layers": "tf.layers",
        "tf.python.layers.normalization": "tf.layers",
        "tf.python.layers.convolutional": "tf.layers",
        "tf.layers.batch_norm": "tf.layers.batch_normalization",
        "tf.python.ops.control_flow_ops": "tf",
        "tf.python.control_flow_ops": "tf",
        "tf.python.ops.nn": "tf.nn",
        "tf.python.ops.nn_impl": "tf.nn",
        "tf.python.ops.math_ops": "tf",
        "tf.python.ops.array_ops": "tf",
        "tf.python.ops.state_ops": "tf",
        "tf.python.ops.variable_scope": "tf",
        "tf.python.ops.init_ops": "tf",
        "tf.python.framework.ops": "tf",
        "tf.contrib.framework.python.ops.variables": "slim",
        "tf.math": "tf",
        "tf.initializers.constant": "tf.constant_initializer",
        "tf.saved_model.builder": "tf.saved_model",
        "tf.nn.batch_norm": "tf.nn.batch_normalization",
        "tf.nn.fused_batch_norm_v3": "tf.nn.fused_batch_norm",
        "tf.train.moving_averages": "tf.python.training.moving_averages",
        "tf.estimator.python.estimator.model_fn": "tf.estimator",
        "tf.contrib.learn.python.learn.estimators.model_fn": "tf.contrib.learn",
        "tf.contrib.learn.python.learn.learn_runner": "tf.contrib.learn.learn_runner",
        "tf.estimator.estimator.Estimator": "tf.estimator.Estimator",
        "tflearn.layers.normalization": "tflearn",
        "tflearn.layers": "tflearn",
        **{f"slim.{name}": f"tf.contrib.layers.{name}" for name in layers.SLIM_LAYERS},
        "slim.layers": "tf.contrib.layers",
        "slim.losses": "slim.losses",
    },
    handlers={
        **table.HANDLERS,
        **layers.HANDLERS,
        **norms.HANDLERS,
        **training.HANDLERS,
        **running.HANDLERS,
    },
    properties={**table.PROPERTIES, **running.PROPERTIES},
    fallback=_fallback,
    inherited=_inherited,
    decorated={"slim.add_arg_scope": scopes.with_scoped},
    norms=signatures.NORMS,
)
