"""TensorFlow 1: scopes, sharing, argument scopes, collections, dependencies and conditionals."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.trace import CollectUpdates, Origin, Updates

Program = Callable[..., Any]

SLIM = "import tensorflow as tf\nfrom tensorflow.contrib import slim\nx = tf.placeholder(tf.float32, [None, 8])\n"
BN = "tf.layers.batch_normalization(x, training=True{})\n"
CONTRIB = "tf.contrib.layers.batch_norm(x{})\n"


def named(name: str) -> str:
    return BN.format(f", name={name!r}")


NAMES = {
    "default names": (BN.format("") * 3, ["batch_normalization", "batch_normalization_1", "batch_normalization_2"]),
    "contrib's default names": (CONTRIB.format("") * 2, ["BatchNorm", "BatchNorm_1"]),
    "given name": (named("bn"), ["bn"]),
    "the same name is the same layer": (named("bn") * 2, ["bn"]),
    "contrib's scope": (CONTRIB.format(", scope='a/bn'"), ["a/bn"]),
    "scope": ("with tf.variable_scope('a'):\n  " + named("bn"), ["a/bn"]),
    "nested scopes": ("with tf.variable_scope('a'), tf.variable_scope('b'):\n  " + named("bn"), ["a/b/bn"]),
    "default name in a scope": ("for i in range(2):\n  with tf.variable_scope('s%d' % i): " + BN.format(""), ["s0/batch_normalization", "s1/batch_normalization"]),
    "scope entered again counts anew": ("with tf.variable_scope('a'): " + BN.format("") + "with tf.variable_scope('a', reuse=True): " + BN.format(""), ["a/batch_normalization"]),
    "AUTO_REUSE": ("for i in range(2):\n  with tf.variable_scope('a', reuse=tf.AUTO_REUSE): " + named("bn"), ["a/bn"]),
    "reuse_variables": ("with tf.variable_scope('a') as s:\n  " + named("bn") + "  s.reuse_variables()\n  " + named("bn"), ["a/bn"]),
    "scope object": ("with tf.variable_scope('a') as s: pass\nwith tf.variable_scope('b'):\n  with tf.variable_scope(s): " + named("bn"), ["a/bn"]),
    "default_name": ("def f():\n  with tf.variable_scope(None, 'block'): " + named("bn") + "f(); f()", ["block/bn", "block_1/bn"]),
    "default_name beside a given name": ("with tf.variable_scope('a', 'block'): " + named("bn"), ["a/bn"]),
    "name scopes do not count": ("with tf.name_scope('a'): " + named("bn"), ["bn"]),
    "unknown scope": ("with tf.variable_scope(nobody): " + named("bn"), [None]),
    "unknown layer name": ("tf.layers.batch_normalization(x, name=nobody)", [None]),
    "name of a formatted text": ("for i in range(2):\n  with tf.variable_scope('s{}'.format(i)): " + named("bn"), ["s0/bn", "s1/bn"]),
    "get_variable_scope": ("with tf.variable_scope('a'):\n  with tf.variable_scope(tf.get_variable_scope(), reuse=True): " + named("bn"), ["a/bn"]),
    "template": ("def f(): return " + named("bn") + "t = tf.make_template('t', f)\nt(); t()", ["t/bn"]),
    "two templates": ("def f(): return " + named("bn") + "a = tf.make_template('t', f)\nb = tf.make_template('u', f)\na(); b()", ["t/bn", "u/bn"]),
    "template with default names": ("def f(): return " + BN.format("") + "t = tf.make_template('t', f)\nt(); t()", ["t/batch_normalization"]),
    "template with arguments given": ("def f(n, k): return tf.layers.batch_normalization(x, name=n + k)\nt = tf.make_template('t', f, k='b')\nt('a')", ["t/ab"]),
    "layer object called twice": ("l = tf.layers.BatchNormalization(name='bn')\nl(x, training=True)\nl(x, training=False)\nl.apply(x)", ["bn"]),
    "two layer objects": ("tf.layers.BatchNormalization()(x)\ntf.layers.BatchNormalization()(x)", ["batch_normalization", "batch_normalization_1"]),
    "two graphs": ("for i in range(2):\n  with tf.Graph().as_default(): " + named("bn"), ["bn", "bn"]),
    "two graphs, by hand": ("g = tf.Graph()\nwith g.as_default(): " + named("bn") + named("bn"), ["bn", "bn"]),
    "graph used again": ("g = tf.Graph()\nwith g.as_default(): " + named("bn") + "with g.as_default(): " + named("bn"), ["bn"]),
    "graph begun anew": (named("bn") + "tf.reset_default_graph()\n" + named("bn"), ["bn", "bn"]),
    "normaliser": ("slim.conv2d(x, 8, [3, 3], normalizer_fn=slim.batch_norm, scope='c')", ["c/BatchNorm"]),
    "normaliser, default names": ("for i in range(2): slim.conv2d(x, 8, [3, 3], normalizer_fn=slim.batch_norm)", ["Conv/BatchNorm", "Conv_1/BatchNorm"]),
    "repeat": ("slim.repeat(x, 2, slim.conv2d, 8, [3, 3], normalizer_fn=slim.batch_norm, scope='c')", ["c/c_1/BatchNorm", "c/c_2/BatchNorm"]),
    "stack": ("slim.stack(x, slim.fully_connected, [8, 8], normalizer_fn=slim.batch_norm, scope='f')", ["f/f_1/BatchNorm", "f/f_2/BatchNorm"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in NAMES.items()]
)
def test_names_of_layers(program: Program, source: str, expected: list[str | None]) -> None:
    assert program(source, prelude=SLIM).layers == expected


ALIASES = {
    "tensorflow": "import tensorflow\ntensorflow.layers.batch_normalization(0, training=True)",
    "other name": "import tensorflow as flow\nflow.layers.batch_normalization(0, training=True)",
    "compat": "import tensorflow.compat.v1 as tf\ntf.layers.batch_normalization(0, training=True)",
    "compat through the whole name": "import tensorflow as tf\ntf.compat.v1.layers.batch_normalization(0, training=True)",
    "from": "from tensorflow import layers\nlayers.batch_normalization(0, training=True)",
    "from a submodule": "from tensorflow.layers import batch_normalization as bn\nbn(0, training=True)",
    "contrib module": "import tensorflow.contrib.layers as L\nL.batch_norm(0, is_training=True)",
    "contrib through the whole name": "import tensorflow as tf\ntf.contrib.layers.batch_norm(0, is_training=True)",
    "contrib from": "from tensorflow.contrib.layers import batch_norm\nbatch_norm(0, is_training=True)",
    "contrib, inner module": "from tensorflow.contrib.layers.python.layers import batch_norm\nbatch_norm(0, is_training=True)",
    "contrib, innermost module": "from tensorflow.contrib.layers.python.layers import layers\nlayers.batch_norm(0, is_training=True)",
    "slim": "import tensorflow.contrib.slim as slim\nslim.batch_norm(0, is_training=True)",
    "slim's layers": "from tensorflow.contrib import slim\nslim.layers.batch_norm(0, is_training=True)",
    "tf_slim": "import tf_slim as slim\nslim.batch_norm(0, is_training=True)",
    "assigned": "import tensorflow as tf\nbn = tf.layers.batch_normalization\nbn(0, training=True)",
    "in a try": "try:\n    import tensorflow.compat.v1 as tf\nexcept ImportError:\n    import tensorflow as tf\ntf.layers.batch_normalization(0, training=True)",
    "inner python module": "from tensorflow.python.layers import normalization\nnormalization.batch_normalization(0, training=True)",
    "getattr": "import tensorflow as tf\ngetattr(tf.layers, 'batch_normalization')(0, training=True)",
    "partial": "import functools, tensorflow as tf\nfunctools.partial(tf.layers.batch_normalization, training=True)(0)",
    "import inside a function": "def f():\n    import tensorflow as tf\n    tf.layers.batch_normalization(0, training=True)\nf()",
}  # fmt: skip


@pytest.mark.parametrize("source", ALIASES.values(), ids=ALIASES)
def test_aliases(program: Program, source: str) -> None:
    seen = program(source, prelude="")
    assert seen.phases == [True]
    assert seen.calls[0].layer.api in ("tf.layers.batch_normalization", "tf.contrib.layers.batch_norm")


PHASES = {
    "tf.layers' default": ("tf.layers.batch_normalization(x)", False, Origin.DEFAULT),
    "contrib's default": ("slim.batch_norm(x)", True, Origin.DEFAULT),
    "given": ("slim.batch_norm(x, is_training=False)", False, Origin.ARGUMENT),
    "by position": ("tf.layers.batch_normalization(x, -1, 0.9, 1e-3, True, True, None, None, None, None, None, None, None, None, True)", True, Origin.ARGUMENT),
    "argument scope": ("with slim.arg_scope([slim.batch_norm], is_training=False): slim.batch_norm(x)", False, Origin.SCOPE),
    "argument beats scope": ("with slim.arg_scope([slim.batch_norm], is_training=False): slim.batch_norm(x, is_training=True)", True, Origin.ARGUMENT),
    "inner scope beats outer": ("with slim.arg_scope([slim.batch_norm], is_training=False):\n  with slim.arg_scope([slim.batch_norm], is_training=True): slim.batch_norm(x)", True, Origin.SCOPE),
    "scopes add up": ("with slim.arg_scope([slim.batch_norm], is_training=False):\n  with slim.arg_scope([slim.batch_norm], decay=0.9): slim.batch_norm(x)", False, Origin.SCOPE),
    "scope is left": ("with slim.arg_scope([slim.batch_norm], is_training=False): pass\nslim.batch_norm(x)", True, Origin.DEFAULT),
    "scope returned from a function": (
        "def s(p):\n  with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):\n"
        "    with slim.arg_scope([slim.batch_norm], is_training=p) as sc: return sc\n"
        "with slim.arg_scope(s(False)): slim.conv2d(x, 8, 3)", False, Origin.SCOPE,
    ),
    "normalizer_params": ("slim.conv2d(x, 8, 3, normalizer_fn=slim.batch_norm, normalizer_params={'is_training': False})", False, Origin.SCOPE),
    "normalizer_params of a scope": ("with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=dict(is_training=False)): slim.conv2d(x, 8, 3)", False, Origin.SCOPE),
    "normalizer_params beat the scope": ("with slim.arg_scope([slim.batch_norm], is_training=True): slim.conv2d(x, 8, 3, normalizer_fn=slim.batch_norm, normalizer_params={'is_training': False})", False, Origin.SCOPE),
    "scope for several": ("with slim.arg_scope([slim.batch_norm, slim.dropout], is_training=False): slim.batch_norm(x)", False, Origin.SCOPE),
    "unknown scope": ("with slim.arg_scope(nobody): slim.batch_norm(x)", "?is_training", Origin.ARGUMENT),
    "unknown keywords": ("slim.batch_norm(x, **nobody)", "?is_training", Origin.ARGUMENT),
    "own normaliser": ("def n(x, p): return slim.batch_norm(x, is_training=p)\nslim.conv2d(x, 8, 3, normalizer_fn=n, normalizer_params={'p': False})", False, Origin.ARGUMENT),
    "normaliser as a partial": ("import functools\nslim.fully_connected(x, 8, normalizer_fn=functools.partial(slim.batch_norm, is_training=False))", False, Origin.ARGUMENT),
    "add_arg_scope": ("@slim.add_arg_scope\ndef f(x, p=True): return slim.batch_norm(x, is_training=p)\nwith slim.arg_scope([f], p=False): f(x)", False, Origin.ARGUMENT),
    "add_arg_scope of contrib.framework": ("from tensorflow.contrib.framework import arg_scope, add_arg_scope\n@add_arg_scope\ndef f(x, p=True): return slim.batch_norm(x, is_training=p)\nwith arg_scope([f], p=False): f(x)", False, Origin.ARGUMENT),
    "add_arg_scope, given": ("@slim.add_arg_scope\ndef f(x, p=True): return slim.batch_norm(x, is_training=p)\nwith slim.arg_scope([f], p=False): f(x, True)", True, Origin.ARGUMENT),
    "fused op's default": ("tf.nn.fused_batch_norm(x, 1., 0.)", True, Origin.DEFAULT),
    "fused op": ("tf.nn.fused_batch_norm(x, 1., 0., m, v, is_training=False)", False, Origin.ARGUMENT),
    "Keras layer": ("tf.keras.layers.BatchNormalization()(x, training=True)", True, Origin.ARGUMENT),
    "TensorLayer's default": ("import tensorlayer as tl\ntl.layers.BatchNormLayer(x)", False, Origin.DEFAULT),
    "TensorLayer": ("from tensorlayer.layers import *\nBatchNormLayer(x, is_train=True)", True, Origin.ARGUMENT),
    "tflearn": ("import tflearn\ntflearn.batch_normalization(x)", "?tflearn.get_training_mode()", Origin.CONTEXT),
    "tflearn, from": ("from tflearn.layers.normalization import batch_normalization\nbatch_normalization(x)", "?tflearn.get_training_mode()", Origin.CONTEXT),
    "bare formula over the batch": ("m, v = tf.nn.moments(x, [0])\ntf.nn.batch_normalization(x, m, v, b, s, 1e-3)", True, Origin.NONE),
    "bare formula over kept statistics": ("m, v = tf.Variable(0.), tf.Variable(1.)\ntf.nn.batch_normalization(x, m, v, b, s, 1e-3)", False, Origin.NONE),
    "instance norm": ("m, v = tf.nn.moments(x, [1, 2])\ntf.nn.batch_normalization(x, m, v, b, s, 1e-3)", "NoneType", Origin.NONE),
    "hand-written, chosen by a flag": (
        "p = tf.placeholder(tf.bool)\nm, v = tf.nn.moments(x, [0])\ne = tf.train.ExponentialMovingAverage(.9)\na = e.apply([m, v])\n"
        "m, v = tf.cond(p, lambda: (m, v), lambda: (e.average(m), e.average(v)))\ntf.nn.batch_normalization(x, m, v, b, s, 1e-3)",
        "<placeholder>", Origin.NONE,
    ),
    "mode of an estimator": ("tf.layers.batch_normalization(x, training=nobody.mode == tf.estimator.ModeKeys.TRAIN)", "<equal>", Origin.ARGUMENT),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "phase", "origin"), [pytest.param(*case, id=name) for name, case in PHASES.items()]
)
def test_phase(program: Program, source: str, phase: Any, origin: Origin) -> None:
    seen = program(source, prelude=SLIM)
    assert (seen.phases, [call.origin for call in seen.calls]) == ([phase], [origin])


def test_argument_scope_of_another_file(program: Program) -> None:
    seen = program(
        {
            "scopes.py": "from tensorflow.contrib import slim\ndef resnet(is_training=True):\n"
            "    params = {'is_training': is_training}\n"
            "    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=params):\n"
            "        with slim.arg_scope([slim.batch_norm], **params) as scope:\n            return scope",
            "main.py": "import scopes\nfor p in (True, False):\n    with slim.arg_scope(scopes.resnet(p)):\n        slim.conv2d(x, 8, 3, scope='c')",
        },
        prelude=SLIM,
    )
    assert (seen.phases, seen.layers) == ([True, False], ["c/BatchNorm"])
    assert [call.phase.site.line for call in seen.calls] == [5, 5]


UPDATES = {
    "tf.layers": ("tf.layers.batch_normalization(x, training=True)", Updates.COLLECTED, "update_ops", 2),
    "not in inference": ("tf.layers.batch_normalization(x, training=False)", Updates.COLLECTED, "update_ops", 0),
    "undecided": ("tf.layers.batch_normalization(x, training=tf.placeholder(tf.bool))", Updates.COLLECTED, "update_ops", 2),
    "frozen": ("tf.layers.batch_normalization(x, training=True, trainable=False)", Updates.NONE, "update_ops", 0),
    "contrib": ("slim.batch_norm(x)", Updates.COLLECTED, "update_ops", 2),
    "in place": ("slim.batch_norm(x, updates_collections=None)", Updates.IN_PLACE, None, 0),
    "own collection": ("slim.batch_norm(x, updates_collections='mine')", Updates.COLLECTED, "mine", 0),
    "unknown collection": ("slim.batch_norm(x, updates_collections=nobody)", Updates.COLLECTED, None, 0),
    "Keras": ("tf.keras.layers.BatchNormalization()(x, training=True)", Updates.ATTRIBUTE, None, 0),
    "tflearn": ("import tflearn\ntflearn.batch_normalization(x)", Updates.IN_PLACE, None, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "updates", "collection", "held"),
    [pytest.param(*case, id=name) for name, case in UPDATES.items()],
)
def test_updates(program: Program, source: str, updates: Updates, collection: str | None, held: int) -> None:
    seen = program(source + "\ntf.get_collection(tf.GraphKeys.UPDATE_OPS)", prelude=SLIM)
    (call,) = seen.calls
    (read,) = seen.trace.of(CollectUpdates)
    assert (call.updates, call.collection, len(read.contents)) == (updates, collection, held)


TWO = (
    "with tf.variable_scope('g'): tf.layers.batch_normalization(x, training=True)\n"
    "with tf.variable_scope('d'): tf.layers.batch_normalization(x, training=True)\n"
)
READS = {
    "all": (TWO + "tf.get_collection('update_ops')", 4),
    "by scope": (TWO + "tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope='g')", 2),
    "by scope and position": (TWO + "tf.get_collection(tf.GraphKeys.UPDATE_OPS, 'd/')", 2),
    "by a pattern": (TWO + "tf.get_collection(tf.GraphKeys.UPDATE_OPS, '[gd]/')", 4),
    "scope that nothing matches": (TWO + "tf.get_collection(tf.GraphKeys.UPDATE_OPS, 'h')", 0),
    "before": ("tf.get_collection(tf.GraphKeys.UPDATE_OPS)\n" + TWO, 0),
    "wrong key": (TWO + "tf.get_collection('UPDATE_OPS')", 0),
    "of a graph": (TWO + "tf.get_default_graph().get_collection(tf.GraphKeys.UPDATE_OPS)", 4),
    "of another graph": (TWO + "tf.Graph().get_collection(tf.GraphKeys.UPDATE_OPS)", 0),
    "of a tensor's graph": (TWO + "x.graph.get_collection(tf.GraphKeys.UPDATE_OPS)", 4),
    "added by hand": ("v = tf.Variable(0.)\ntf.add_to_collection(tf.GraphKeys.UPDATE_OPS, v.assign(1.))\ntf.get_collection(tf.GraphKeys.UPDATE_OPS)", 1),
    "added to several": ("v = tf.Variable(0.)\ntf.add_to_collections(['a', tf.GraphKeys.UPDATE_OPS], v.assign(1.))\ntf.get_collection(tf.GraphKeys.UPDATE_OPS)", 1),
}  # fmt: skip


@pytest.mark.parametrize(("source", "held"), [pytest.param(*case, id=name) for name, case in READS.items()])
def test_collections(program: Program, source: str, held: int) -> None:
    (read,) = program(source, prelude=SLIM).trace.of(CollectUpdates)
    assert len(read.contents) == held


def test_a_live_collection_is_seen_to_grow(program: Program) -> None:
    (read,) = program("tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)\n" + TWO, prelude=SLIM).trace.of(
        CollectUpdates
    )
    assert (read.live, len(read.contents), len(read.result.items)) == (True, 0, 4)


VARIABLES = {
    "all": ("tf.global_variables()", 10),
    "trainable": ("tf.trainable_variables()", 6),
    "of a scope": ("tf.trainable_variables(scope='g')", 4),
    "collection": ("tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope='d')", 2),
    "by name": ("[v for v in tf.global_variables() if 'moving_mean' in v.name]", 2),
    "slim": ("slim.get_variables_to_restore()", 10),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "held"), [pytest.param(*case, id=name) for name, case in VARIABLES.items()]
)
def test_lists_of_variables(program: Program, source: str, held: int) -> None:
    net = "with tf.variable_scope('g'): tf.layers.dense(x, 8); tf.layers.batch_normalization(x)\nwith tf.variable_scope('d'): tf.layers.batch_normalization(x)\n"
    seen = program(net + f"tf.train.Saver({source})", prelude=SLIM)
    (save,) = (event for event in seen.trace.events if type(event).__name__ == "Save")
    assert len(save.listed) == held


COND = "p = tf.placeholder(tf.bool)\n"
CONDITIONALS = {
    "both branches": (COND + "y = tf.cond(p, lambda: slim.batch_norm(x, is_training=True, scope='a'), lambda: slim.batch_norm(x, is_training=False, scope='a'))", [True, False]),
    "fed": (COND + "y = tf.cond(p, lambda: slim.batch_norm(x, is_training=True, scope='a'), lambda: slim.batch_norm(x, is_training=False, scope='a'))\nFED", [True]),
    "functions": (COND + "def f(): return slim.batch_norm(x, is_training=True)\ndef g(): return x\ny = tf.cond(p, f, g)\nFED", [True]),
    "Python bool": ("y = slim.utils.smart_cond(False, lambda: slim.batch_norm(x, is_training=True), lambda: slim.batch_norm(x, is_training=False))", [False]),
    "constant": ("y = tf.cond(tf.constant(False), lambda: slim.batch_norm(x, is_training=True, scope='a'), lambda: slim.batch_norm(x, is_training=False, scope='a'))", [False]),
    "named arguments": (COND + "y = tf.cond(p, true_fn=lambda: slim.batch_norm(x, is_training=True), false_fn=lambda: x)\nFED", [True]),
    "old names": (COND + "y = tf.cond(p, fn1=lambda: slim.batch_norm(x, is_training=True), fn2=lambda: x)\nFED", [True]),
    "not": (COND + "y = slim.batch_norm(x, is_training=tf.logical_not(p))\nFED", [False]),
    "and": (COND + "y = slim.batch_norm(x, is_training=tf.logical_and(p, True))\nFED", [True]),
    "or": (COND + "y = slim.batch_norm(x, is_training=tf.logical_or(p, False))\nFED", [True]),
    "equal": (COND + "y = slim.batch_norm(x, is_training=tf.equal(p, False))\nFED", [False]),
    "cast": (COND + "y = slim.batch_norm(x, is_training=tf.cast(p, tf.bool))\nFED", [True]),
    "not fed": (COND + "y = slim.batch_norm(x, is_training=p)", [None]),
    "default of a placeholder": ("p = tf.placeholder_with_default(False, [])\ny = slim.batch_norm(x, is_training=p)", [False]),
    "default of a placeholder, fed": ("p = tf.placeholder_with_default(False, [])\ny = slim.batch_norm(x, is_training=p)\nFED", [True]),
    "default of a placeholder, a tensor": ("p = tf.placeholder_with_default(tf.constant(True), [])\ny = slim.batch_norm(x, is_training=p)", [True]),
    "variable": ("p = tf.Variable(False, trainable=False)\ny = slim.batch_norm(x, is_training=p)", [False]),
    "variable that is assigned": ("p = tf.Variable(False, trainable=False)\nq = p.assign(True)\ny = slim.batch_norm(x, is_training=p)", [None]),
    "variable by initialiser": ("p = tf.get_variable('p', (), tf.bool, tf.constant_initializer(False))\ny = slim.batch_norm(x, is_training=p)", [False]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in CONDITIONALS.items()]
)
def test_phase_in_a_run(program: Program, source: str, expected: list[bool | None]) -> None:
    head, fed, _ = source.partition("\nFED")
    feed = ", {p: True}" if fed else ""
    assert program(f"{head}\ntf.Session().run(y{feed})", prelude=SLIM).phases_in() == expected
