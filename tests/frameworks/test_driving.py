"""TensorFlow 1: train steps, who runs the updates, sessions, estimators, checkpoints and averages."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bnlint.dataflow import Op
from bnlint.trace import Declared, Export, ModeSwitch, Save, Saved

Program = Callable[..., Any]

NET = """\
import tensorflow as tf
from tensorflow.contrib import slim
x = tf.placeholder(tf.float32, [None, 8])
y = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=True)
loss = tf.reduce_mean(y)
opt = tf.train.AdamOptimizer()
ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
sess = tf.Session()
"""

NOTHING: dict[str, int] = {}
FORWARD = {"norm": 1}
STEP = {"norm": 1, "train": 1}
FULL = {"norm": 1, "train": 1, "update": 2}

WHAT_A_RUN_EXECUTES = {
    "step alone": ("sess.run(opt.minimize(loss))", STEP),
    "the output": ("sess.run(y)", FORWARD),
    "the input": ("sess.run(x)", NOTHING),
    "control_dependencies": ("with tf.control_dependencies(ops): t = opt.minimize(loss)\nsess.run(t)", FULL),
    "dependencies of a graph": ("with tf.get_default_graph().control_dependencies(ops): t = opt.minimize(loss)\nsess.run(t)", FULL),
    "nested dependencies": ("with tf.control_dependencies(ops):\n  with tf.control_dependencies([x]): t = opt.minimize(loss)\nsess.run(t)", FULL),
    "cleared dependencies": ("with tf.control_dependencies(ops):\n  with tf.control_dependencies(None): t = opt.minimize(loss)\nsess.run(t)", STEP),
    "block without the step": ("with tf.control_dependencies(ops): pass\nsess.run(opt.minimize(loss))", STEP),
    "step made before the block": ("t = opt.minimize(loss)\nwith tf.control_dependencies(ops): t\nsess.run(t)", STEP),
    "dependency on a group": ("with tf.control_dependencies([tf.group(*ops)]): t = opt.minimize(loss)\nsess.run(t)", FULL),
    "group": ("sess.run(tf.group(opt.minimize(loss), *ops))", FULL),
    "group of lists": ("sess.run(tf.group([opt.minimize(loss)], ops))", FULL),
    "group of a sum": ("sess.run(tf.group(*([opt.minimize(loss)] + ops)))", FULL),
    "no_op after both": ("t = opt.minimize(loss)\nwith tf.control_dependencies([t] + ops): t = tf.no_op()\nsess.run(t)", FULL),
    "identity under the block": ("with tf.control_dependencies(ops): loss = tf.identity(loss)\nsess.run([opt.minimize(loss), loss])", FULL),
    "identity of the loss is not executed by the gradient": ("with tf.control_dependencies(ops): loss = tf.identity(loss)\nsess.run(opt.minimize(loss))", STEP),
    "with_dependencies": ("from tensorflow.python.ops import control_flow_ops\nsess.run(control_flow_ops.with_dependencies(ops, opt.minimize(loss)))", FULL),
    "tuple": ("sess.run(tf.tuple([opt.minimize(loss)], control_inputs=ops)[0])", FULL),
    "fetched as a list": ("sess.run([opt.minimize(loss), ops])", FULL),
    "fetched as a tuple": ("sess.run((opt.minimize(loss), loss))", STEP),
    "fetched as a dictionary": ("sess.run({'t': opt.minimize(loss), 'u': ops})", FULL),
    "fetches made elsewhere": ("def f(): return [opt.minimize(loss)] + ops\nsess.run(fetches=f())", FULL),
    "only the updates": ("sess.run(ops)", {"update": 2}),
    "apply_gradients": ("sess.run(opt.apply_gradients(opt.compute_gradients(loss)))", STEP),
    "apply_gradients under the block": ("g = opt.compute_gradients(loss)\nwith tf.control_dependencies(ops): t = opt.apply_gradients(g)\nsess.run(t)", FULL),
    "compute_gradients under the block": ("with tf.control_dependencies(ops): g = opt.compute_gradients(loss)\nsess.run(opt.apply_gradients(g))", FULL),
    "create_train_op": ("sess.run(slim.learning.create_train_op(loss, opt))", FULL),
    "create_train_op without updates": ("sess.run(slim.learning.create_train_op(loss, opt, update_ops=[]))", STEP),
    "contrib.training.create_train_op": ("sess.run(tf.contrib.training.create_train_op(loss, opt))", FULL),
    "optimize_loss": ("sess.run(tf.contrib.layers.optimize_loss(loss, None, 0.1, 'SGD'))", FULL),
    "gradients of an optimizer nobody described": ("o = tf.contrib.opt.MadeUpOptimizer()\nsess.run(o.minimize(loss))", STEP),
    "Tensor.eval": ("y.eval()", FORWARD),
    "Operation.run": ("opt.minimize(loss).run(session=sess)", STEP),
    "InteractiveSession": ("tf.InteractiveSession().run(opt.minimize(loss))", STEP),
    "with a session": ("t = opt.minimize(loss)\nwith tf.Session() as s: s.run(t)", STEP),
    "as_default": ("t = opt.minimize(loss)\nwith sess.as_default(): t.run()", STEP),
    "get_default_session": ("tf.get_default_session().run(y)", FORWARD),
    "session kept on an object": ("class A:\n  def __init__(self): self.s = tf.Session()\n  def f(self, t): return self.s.run(t)\nA().f(y)", FORWARD),
    "MonitoredTrainingSession": ("with tf.train.MonitoredTrainingSession() as s: s.run(opt.minimize(loss))", STEP),
    "Supervisor": ("sv = tf.train.Supervisor()\nwith sv.managed_session() as s: s.run(opt.minimize(loss))", STEP),
    "Supervisor, other way": ("sv = tf.train.Supervisor()\ns = sv.prepare_or_wait_for_session('')\ns.run(opt.minimize(loss))", STEP),
    "make_callable": ("f = sess.make_callable([opt.minimize(loss), ops])\nf()", FULL),
    "partial_run": ("h = sess.partial_run_setup([y], [x])\nsess.partial_run(h, y, {x: 0})", FORWARD),
    "slim.learning.train": ("slim.learning.train(slim.learning.create_train_op(loss, opt), '/tmp')", FULL),
    "evaluate_once": ("slim.evaluation.evaluate_once('', '/tmp', '/tmp', eval_op=[y])", FORWARD),
    "hook that fetches": ("class H(tf.train.SessionRunHook):\n  def before_run(self, c): return tf.train.SessionRunArgs(ops)\nt = opt.minimize(loss)\nwith tf.train.MonitoredSession(hooks=[H()]) as s: s.run(t)", FULL),
    "summaries": ("tf.summary.histogram('y', y)\nsess.run(tf.summary.merge_all())", FORWARD),
    "losses of the collection": ("tf.losses.mean_squared_error(0., y)\nsess.run(opt.minimize(tf.losses.get_total_loss()))", STEP),
    "loss added by hand": ("tf.losses.add_loss(loss)\nsess.run(opt.minimize(tf.add_n(tf.losses.get_losses())))", STEP),
    "fed intermediate value": ("sess.run(loss, {y: 0})", NOTHING),
    "while_loop": ("sess.run(tf.while_loop(lambda i: True, lambda i: [tf.layers.batch_normalization(i)], [x]))", {"norm": 1}),
    "map_fn": ("sess.run(tf.map_fn(lambda i: tf.layers.batch_normalization(i), x))", {"norm": 1}),
    "custom cell": ("class C(tf.nn.rnn_cell.RNNCell):\n  def __call__(self, i, s, scope=None): return tf.layers.batch_normalization(i), s\no, _ = tf.nn.dynamic_rnn(C(), x)\nsess.run(o)", {"norm": 1}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in WHAT_A_RUN_EXECUTES.items()]
)
def test_what_a_run_executes(program: Program, source: str, expected: dict[str, int]) -> None:
    assert program(source, prelude=NET).executes() == expected


@pytest.mark.parametrize(
    "source",
    [
        "g = [(tf.clip_by_norm(a, 1.), v) for a, v in opt.compute_gradients(loss)]\nsess.run(opt.apply_gradients(g))",
        "v = tf.trainable_variables()\nsess.run(opt.apply_gradients(zip(tf.gradients(loss, v), v)))",
        "g, v = zip(*opt.compute_gradients(loss))\ng, _ = tf.clip_by_global_norm(g, 5.)\nsess.run(opt.apply_gradients(zip(g, v)))",
    ],
    ids=["one by one", "tf.gradients", "all together"],
)  # fmt: skip
def test_changed_gradients_still_lead_to_the_loss(program: Program, source: str) -> None:
    seen = program(source, prelude=NET)
    assert seen.executes(certainly=False) == STEP
    assert seen.executes()["train"] == 1
    assert seen.steps[0].loss.site.line == 5


def test_gradients_that_are_clipped_one_by_one_certainly_lead_to_the_loss(program: Program) -> None:
    source = """\
g = [(tf.clip_by_norm(a, 1.), v) for a, v in opt.compute_gradients(loss)]
sess.run(opt.apply_gradients(g))
"""
    assert program(source, prelude=NET).executes() == STEP


PHASE_NET = """\
import tensorflow as tf
x = tf.placeholder(tf.float32)
p = tf.placeholder(tf.bool)
y = tf.layers.batch_normalization(x, training=p)
sess = tf.Session()
"""
FEEDS = {
    "by position": ("sess.run(y, {x: 0, p: True})", [True]),
    "by keyword": ("sess.run(y, feed_dict={x: 0, p: False})", [False]),
    "missing": ("sess.run(y, {x: 0})", [None]),
    "none": ("sess.run(y)", [None]),
    "filled step by step": ("f = {x: 0}\nf[p] = True\nsess.run(y, f)", [True]),
    "made by a function": ("def f(t): return {x: 0, p: t}\nsess.run(y, f(False))", [False]),
    "dict of pairs": ("sess.run(y, dict([(x, 0), (p, True)]))", [True]),
    "merged": ("sess.run(y, {**{x: 0}, p: True})", [True]),
    "updated": ("f = {p: True}\nf.update({p: False})\nsess.run(y, f)", [False]),
    "chosen": ("f = {p: True} if c.train else {p: False}\nsess.run(y, f)", [False]),
    "number": ("sess.run(y, {p: 1})", [True]),
    "of eval": ("y.eval({p: False}, session=sess)", [False]),
    "of eval, keyword": ("y.eval(feed_dict={p: True})", [True]),
    "through a helper": ("def run(t, **k): return sess.run(t, **k)\nrun(y, feed_dict={p: False})", [False]),
    "attribute as key": ("class A: pass\na = A()\na.p = p\nsess.run(y, {a.p: True})", [True]),
    "changed after the run": ("f = {p: True}\nsess.run(y, f)\nf[p] = False", [True]),
    "unknown value": ("sess.run(y, {p: c.train})", [None]),
    "unknown value in a branch": ("if c.train: sess.run(y, {p: c.train})", [True]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in FEEDS.items()]
)
def test_feeds(program: Program, source: str, expected: list[bool | None]) -> None:
    assert program(source, prelude=PHASE_NET).phases_in() == expected


def test_a_chosen_feed_makes_two_runs(program: Program) -> None:
    seen = program("f = {p: True} if c.train else {p: False}\nsess.run(y, f)", prelude=PHASE_NET)
    assert [seen.phases_in(index) for index in range(len(seen.runs))] == [[True], [False]]


@pytest.mark.parametrize(
    ("feed", "known"), [("{p: True}", True), ("nobody", False), ("{**nobody}", False), ("None", True)]
)
def test_whether_a_feed_is_known(program: Program, feed: str, known: bool) -> None:
    assert program(f"sess.run(y, {feed})", prelude=PHASE_NET).runs[0].feeds_known is known


def test_a_feed_says_where_its_value_is_written(program: Program) -> None:
    (run,) = program("f = {x: 0,\n     p: True}\nsess.run(y, f)", prelude=PHASE_NET).runs
    assert [(feed.site.line, feed.site.column, feed.text) for feed in run.feeds] == [
        (6, 9, "0"),
        (7, 9, "True"),
    ]


MODEL_FN = """\
import tensorflow as tf
def model_fn(features, labels, mode, params):
    training = mode == tf.estimator.ModeKeys.TRAIN
    y = tf.layers.batch_normalization(features, training=training)
    loss = tf.reduce_mean(y)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions=y)
    if mode == tf.estimator.ModeKeys.EVAL:
        return tf.estimator.EstimatorSpec(mode, loss=loss)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        op = tf.train.AdamOptimizer().minimize(loss)
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=op)
"""
TRAIN = (Declared.TRAIN, [True], FULL)
EVALUATE = (Declared.EVALUATE, [False], FORWARD)
PREDICT = (Declared.PREDICT, [False], FORWARD)
ESTIMATORS = {
    "train": ("tf.estimator.Estimator(model_fn).train(f)", [TRAIN]),
    "evaluate": ("tf.estimator.Estimator(model_fn).evaluate(f)", [EVALUATE]),
    "predict": ("tf.estimator.Estimator(model_fn=model_fn).predict(f)", [PREDICT]),
    "export": ("tf.estimator.Estimator(model_fn).export_savedmodel('d', f)", [PREDICT]),
    "both": ("e = tf.estimator.Estimator(model_fn)\ntf.estimator.train_and_evaluate(e, a, b)", [TRAIN, EVALUATE]),
    "partial": ("import functools\ndef m(features, labels, mode, extra): return model_fn(features, labels, mode, None)\ntf.estimator.Estimator(functools.partial(m, extra=1)).train(f)", [TRAIN]),
    "method": ("class M:\n  def f(self, features, labels, mode, params): return model_fn(features, labels, mode, params)\ntf.estimator.Estimator(M().f).train(f)", [TRAIN]),
    "object": ("class M:\n  def __call__(self, features, labels, mode): return model_fn(features, labels, mode, 1)\ntf.estimator.Estimator(M()).train(f)", [TRAIN]),
    "closure": ("def make():\n  def f(features, labels, mode): return model_fn(features, labels, mode, 1)\n  return f\ntf.estimator.Estimator(make()).train(f)", [TRAIN]),
    "TPU": ("tf.contrib.tpu.TPUEstimator(model_fn=model_fn).train(f)", [TRAIN]),
    "contrib.learn": ("tf.contrib.learn.Estimator(model_fn=model_fn).fit(f)", [TRAIN]),
    "experiment": ("e = tf.contrib.learn.Experiment(tf.contrib.learn.Estimator(model_fn=model_fn))\ne.train_and_evaluate()", [TRAIN, EVALUATE]),
    "learn_runner": ("def make(d): return tf.contrib.learn.Experiment(tf.estimator.Estimator(model_fn))\ntf.contrib.learn.learn_runner.run(make, 'd')", [TRAIN, EVALUATE]),
    "unknown model_fn": ("tf.estimator.Estimator(nobody).train(f)", [(Declared.TRAIN, [], NOTHING)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in ESTIMATORS.items()]
)
def test_estimators(program: Program, source: str, expected: list[Any]) -> None:
    seen = program(source, prelude=MODEL_FN)
    found = [
        (run.declared, seen.phases_in(index), seen.executes(index))
        for index, run in enumerate(seen.runs)
        if run.declared is not None
    ]
    assert found == expected


def test_each_mode_has_its_graph(program: Program) -> None:
    seen = program(
        "e = tf.estimator.Estimator(model_fn)\ntf.estimator.train_and_evaluate(e, a, b)", prelude=MODEL_FN
    )
    assert len({layer.graph for layer in (call.layer for call in seen.calls)}) == 2


def test_params_of_an_estimator(program: Program) -> None:
    seen = program(
        "def m(features, labels, mode, params):\n"
        "    return tf.estimator.EstimatorSpec(mode, predictions=tf.layers.batch_normalization(features, training=params['bn']))\n"
        "tf.estimator.Estimator(m, params={'bn': True}).predict(f)",
        prelude=MODEL_FN,
    )  # fmt: skip
    assert seen.phases == [True]


def test_hook_of_a_spec(program: Program) -> None:
    seen = program(
        "class H(tf.train.SessionRunHook):\n"
        "  def __init__(self, ops): self.ops = ops\n"
        "  def before_run(self, c): return tf.train.SessionRunArgs(self.ops)\n"
        "def m(features, labels, mode):\n"
        "    loss = tf.layers.batch_normalization(features, training=True)\n"
        "    hook = H(tf.get_collection(tf.GraphKeys.UPDATE_OPS))\n"
        "    op = tf.train.AdamOptimizer().minimize(loss)\n"
        "    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=op, training_hooks=[hook])\n"
        "tf.estimator.Estimator(m).train(f)",
        prelude=MODEL_FN,
    )  # fmt: skip
    assert seen.executes() == FULL


DECLARED = {
    "slim.learning.train": ("slim.learning.train(opt.minimize(loss), 'd')", Declared.TRAIN),
    "evaluate_once": ("slim.evaluation.evaluate_once('', '', '', eval_op=y)", Declared.EVALUATE),
    "session": ("sess.run(y)", None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in DECLARED.items()]
)
def test_declared_phases(program: Program, source: str, expected: Declared | None) -> None:
    assert [run.declared for run in program(source, prelude=NET).runs] == [expected]


def test_a_session_runs_its_graph(program: Program) -> None:
    seen = program(
        "a, b = tf.Graph(), tf.Graph()\n"
        "with a.as_default(): tf.layers.batch_normalization(0)\n"
        "with b.as_default(): z = tf.layers.batch_normalization(0)\n"
        "tf.Session(graph=b).run(z)\n"
        "with a.as_default(): tf.Session().run(z)\n"
        "with tf.Session(graph=b).graph.as_default(): tf.layers.batch_normalization(0)\n",
        prelude=NET,
    )
    in_a, in_b, again_b = [call.layer.graph for call in seen.calls[1:]]
    assert [run.graph for run in seen.runs] == [in_b, in_a]
    assert again_b is in_b


TRAIN_STEPS = {
    "all variables": ("opt.minimize(loss)", None, False),
    "list": ("opt.minimize(loss, var_list=tf.trainable_variables('dense'))", 2, False),
    "list, compute_gradients": ("opt.apply_gradients(opt.compute_gradients(loss, tf.trainable_variables('dense')))", 2, False),
    "list, create_train_op": ("slim.learning.create_train_op(loss, opt, variables_to_train=tf.trainable_variables('dense'))", 2, True),
    "unknown list": ("opt.minimize(loss, var_list=nobody)", None, False),
    "None": ("opt.minimize(loss, None, None)", None, False),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "listed", "runs_updates"), [pytest.param(*case, id=name) for name, case in TRAIN_STEPS.items()]
)
def test_train_steps(program: Program, source: str, listed: int | None, runs_updates: bool) -> None:
    (step,) = program(source, prelude=NET).steps
    assert step.loss.op == Op.MOMENTS or step.loss.op == "tf.reduce_mean"
    assert (step.listed and len(step.listed), step.runs_updates) == (listed, runs_updates)


SAVERS = {
    "everything": ("tf.train.Saver()", Saved.ALL, None),
    "everything, None": ("tf.train.Saver(None)", Saved.ALL, None),
    "max_to_keep": ("tf.train.Saver(max_to_keep=5)", Saved.ALL, None),
    "trainable": ("tf.train.Saver(tf.trainable_variables())", Saved.TRAINABLE, 4),
    "global": ("tf.train.Saver(tf.global_variables())", Saved.LISTED, 6),
    "filtered": ("tf.train.Saver([v for v in tf.global_variables() if 'dense' in v.name])", Saved.LISTED, 2),
    "sum": ("tf.train.Saver(tf.trainable_variables() + tf.moving_average_variables())", Saved.LISTED, 4),
    "dictionary": ("tf.train.Saver({v.name: v for v in tf.trainable_variables()})", Saved.LISTED, 4),
    "averages": ("tf.train.Saver(tf.train.ExponentialMovingAverage(.9).variables_to_restore())", Saved.UNKNOWN, None),
    "unknown": ("tf.train.Saver(nobody)", Saved.UNKNOWN, None),
    "init_fn": ("slim.assign_from_checkpoint_fn('f', tf.trainable_variables())", Saved.UNKNOWN, None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "scope", "listed"), [pytest.param(*case, id=name) for name, case in SAVERS.items()]
)
def test_savers(program: Program, source: str, scope: Saved, listed: int | None) -> None:
    (save,) = program(source, prelude=NET).trace.of(Save)
    assert (save.scope, save.listed and len(save.listed)) == (scope, listed)


def test_who_uses_a_saver(program: Program) -> None:
    (save,) = program(
        "s = tf.train.Saver()\ns.restore(sess, 'f')\nfor i in range(2): s.save(sess, 'f')\n"
        "tf.train.Supervisor(saver=s)",
        prelude=NET,
    ).trace.of(Save)  # fmt: skip
    assert [context.site.line for context in save.restores] == [10]
    assert {context.site.line for context in save.saves} == {11, 12}


AVERAGES = {
    "apply": ("e = tf.train.ExponentialMovingAverage(.9)\nsess.run(e.apply([y]))", {"norm": 1, "average-apply": 1}),
    "average alone applies nothing": ("e = tf.train.ExponentialMovingAverage(.9)\na = e.apply([y])\nsess.run(e.average(y))", {"average": 1}),
    "apply as a dependency": ("e = tf.train.ExponentialMovingAverage(.9)\nwith tf.control_dependencies([e.apply([y])]): z = tf.identity(y)\nsess.run(z)", {"norm": 1, "average-apply": 1}),
    "assign": ("v = tf.Variable(0.)\nsess.run(tf.assign(v, y))", {"norm": 1, "assign": 1}),
    "assign_add": ("v = tf.Variable(0.)\nsess.run(v.assign_add(y))", {"norm": 1, "assign": 1}),
    "reading a variable assigns nothing": ("v = tf.Variable(0.)\nv.assign(y)\nsess.run(v)", NOTHING),
    "reading it after the assignment": ("v = tf.Variable(0.)\nwith tf.control_dependencies([v.assign(y)]): w = tf.identity(v)\nsess.run(w)", {"norm": 1, "assign": 1}),
    "assign_moving_average": ("from tensorflow.python.training import moving_averages\nv = tf.Variable(0.)\nsess.run(moving_averages.assign_moving_average(v, y, .9))", {"norm": 1, "assign": 1}),
    "assignment of the result": ("v = tf.Variable(0.)\nsess.run(v.assign(0.))", {"assign": 1}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"), [pytest.param(*case, id=name) for name, case in AVERAGES.items()]
)
def test_averages_and_assignments(program: Program, source: str, expected: dict[str, int]) -> None:
    assert program(source, prelude=NET).executes() == expected


KERAS = {
    "updates as an attribute": ("l = tf.keras.layers.BatchNormalization()\nz = l(x, training=True)\nsess.run([z] + l.updates)", [True], {"norm": 1, "update": 2}),
    "updates in no collection": ("z = tf.keras.layers.BatchNormalization()(x, training=True)\nsess.run([z, tf.get_collection('update_ops')[2:]])", [True], {"norm": 1}),
    "get_updates_for": ("l = tf.keras.layers.BatchNormalization()\nz = l(x, training=True)\nsess.run([z, l.get_updates_for(x)])", [True], {"norm": 1, "update": 2}),
    "learning phase is False": ("z = tf.keras.layers.BatchNormalization()(x)\nsess.run(z)", [False], {"norm": 1}),
    "learning phase is fed": ("z = tf.keras.layers.BatchNormalization()(x)\nsess.run(z, {tf.keras.backend.learning_phase(): 1})", [True], {"norm": 1}),
    "learning phase is set": ("tf.keras.backend.set_learning_phase(True)\nz = tf.keras.layers.BatchNormalization()(x)\nsess.run(z)", [True], {"norm": 1}),
    "sequential": ("m = tf.keras.Sequential([tf.keras.layers.Dense(8), tf.keras.layers.BatchNormalization()])\nz = m(x, training=True)\nsess.run([z] + m.updates)", [True], {"norm": 1, "update": 2}),
    "sequential, added": ("m = tf.keras.models.Sequential()\nm.add(tf.keras.layers.BatchNormalization())\nsess.run(m(x, training=False))", [False], {"norm": 1}),
    "subclassed": ("class M(tf.keras.Model):\n  def __init__(self):\n    super().__init__()\n    self.b = tf.keras.layers.BatchNormalization()\n  def call(self, i, training=None): return self.b(i, training=training)\nm = M()\nz = m(x, training=True)\nsess.run([z] + m.updates)", [True], {"norm": 1, "update": 2}),
    "phase handed down": ("class M(tf.keras.Model):\n  def __init__(self):\n    super().__init__()\n    self.b = tf.keras.layers.BatchNormalization()\n  def call(self, i): return self.b(i)\nsess.run(M()(x, training=True))", [True], {"norm": 1}),
    "keras itself": ("import keras\nsess.run(keras.layers.BatchNormalization()(x, training=True))", [True], {"norm": 1}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "phases", "expected"), [pytest.param(*case, id=name) for name, case in KERAS.items()]
)
def test_keras_in_a_graph(program: Program, source: str, phases: list[Any], expected: dict[str, int]) -> None:
    seen = program(source, prelude=NET)
    assert (seen.phases_in(), seen.executes()) == (phases, expected)


def test_learning_phase_is_a_mode_switch(program: Program) -> None:
    (switch,) = program("tf.keras.backend.set_learning_phase(0)", prelude=NET).trace.of(ModeSwitch)
    assert (switch.target, switch.training.value) == (None, 0)


EXPORTS = {
    "simple_save": ("tf.saved_model.simple_save(sess, 'd', {'x': x}, {'y': y})", 1),
    "freeze": ("tf.graph_util.convert_variables_to_constants(sess, g, ['y'])", 0),
    "builder": ("b = tf.saved_model.builder.SavedModelBuilder('d')\nb.add_meta_graph_and_variables(sess, ['serve'], signature_def_map={'y': y})", 1),
    "lite": ("tf.lite.TFLiteConverter.from_session(sess, [x], [y])", 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "outputs"), [pytest.param(*case, id=name) for name, case in EXPORTS.items()]
)
def test_exports(program: Program, source: str, outputs: int) -> None:
    (export,) = program(source, prelude=NET).trace.of(Export)
    assert len(export.outputs) == outputs


RUNNERS = {
    "main": "def main(argv): sess.run(y)\nif __name__ == '__main__': tf.app.run()",
    "main by keyword": "def go(_): sess.run(y)\ntf.app.run(main=go)",
    "main without arguments": "def main(): sess.run(y)\ntf.app.run(main)",
    "absl": "from absl import app\ndef main(argv): sess.run(y)\napp.run(main)",
    "partial": "import functools\ndef main(argv, a): sess.run(y)\ntf.app.run(functools.partial(main, a=1))",
}


@pytest.mark.parametrize("source", RUNNERS.values(), ids=RUNNERS)
def test_runners(program: Program, source: str) -> None:
    seen = program(source, prelude=NET)
    assert [seen.executes(index) for index in range(len(seen.runs))] == [FORWARD]


def test_callbacks_of_unknown_libraries_are_called(program: Program) -> None:
    seen = program("import nowhere\ndef f(a): sess.run(y)\nnowhere.go(f)\nnowhere.go(f)", prelude=NET)
    assert [seen.executes(index) for index in range(len(seen.runs))] == [FORWARD]
