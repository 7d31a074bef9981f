"""Sessions, supervisors and estimators: who runs the graph, with which fetches and feeds."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from bnlint.dataflow import Choice, Const, Guards, Node, Unknown, Value
from bnlint.findings import Location
from bnlint.frameworks.library import Handler
from bnlint.frameworks.tensorflow1.graph import graph_of
from bnlint.frameworks.tensorflow1.state import Graph, VariableScope, graph, state
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import (
    NONE,
    ApiObject,
    Call,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    Partial,
    Tuple,
    contents,
    located,
)
from bnlint.trace import Declared, Feed, Run, Save

HANDLERS: dict[str, Handler] = {}


# -- sessions ----------------------------------------------------------------------------------------


def _session(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.Session", call.site)
    given = call.get(1, "graph") if not call.name.startswith("tf.train") else None
    made.slots["of"] = graph_of(machine, given) or graph(machine)
    made.slots["hooks"] = machine.settle(call.kwargs.get("hooks") or NONE)
    made.enter = lambda: made
    made.leave = None
    return made


def _get_session(machine: Machine, call: Call) -> Value:
    return machine.interned(("session",), lambda: _session(machine, Call([], {}, call.site)))


def _supervisor(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.train.Supervisor", call.site)
    made.slots["of"] = graph_of(machine, call.kwargs.get("graph")) or graph(machine)
    _saves(machine, call)
    return made


def _saves(machine: Machine, call: Call) -> None:
    """Note that a saver is handed to something that saves with it."""
    saver = machine.settle(call.kwargs.get("saver") or NONE)
    event = saver.slots.get("event") if isinstance(saver, ApiObject) else None
    if isinstance(event, Save):
        event.saves.append(machine.context(call.site))


def _session_graph(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.Graph", call.site)
    of = call.receiver.slots.get("of") if isinstance(call.receiver, ApiObject) else None
    made.slots["graph"] = of if isinstance(of, Graph) else graph(machine)
    return made


def _as_default(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.Session.as_default", call.site)
    made.enter = lambda: call.receiver or NONE
    return made


def _run(machine: Machine, call: Call) -> Value:
    fetches = call.get(0, "fetches") or Unknown("fetches")
    if call.name.endswith("partial_run"):
        fetches = call.get(1, "fetches") or Unknown("fetches")
        feed = call.get(2, "feed_dict")
    else:
        feed = call.get(1, "feed_dict")
    return emit_run(machine, call, (fetches,), feed)


def _evaluate(machine: Machine, call: Call) -> Value:
    feed = call.get(0, "feed_dict")
    return emit_run(machine, call, (call.receiver or Unknown(),), feed)


def emit_run(
    machine: Machine,
    call: Call,
    fetches: tuple[Value, ...],
    feed: Value | None,
    declared: Declared | None = None,
) -> Value:
    """A run of parts of the graph; returns its results, of which nothing is known."""
    hooks = call.receiver.slots.get("hooks") if isinstance(call.receiver, ApiObject) else None
    if isinstance(hooks, List | Tuple):
        fetches = (*fetches, *_wanted(machine, hooks.items, call.site))
    fetched = contents(fetches)
    for guards, option in _options(machine, feed):
        context = machine.context(call.site)
        if guards:
            outer = machine.guards
            machine.guards = outer + tuple(guard for guard in guards if guard not in outer)
            context = machine.context(call.site)
            machine.guards = outer
        feeds, known = _feeds(machine, option, call)
        of = call.receiver.slots.get("of") if isinstance(call.receiver, ApiObject) else None
        machine.emit(
            Run(
                context,
                machine.tick(),
                call.name,
                fetched,
                feeds,
                known and not call.open,
                declared,
                of if isinstance(of, Graph) else graph(machine),
            )
        )
    return Unknown("result")


def _options(machine: Machine, feed: Value | None) -> list[tuple[Guards, Value]]:
    value = machine.settle(feed) if feed is not None else NONE
    if isinstance(value, Choice):
        return [(guards, option) for guards, option in value.options if machine.world.allows(guards)]
    return [((), value)]


def _feeds(machine: Machine, feed: Value, call: Call) -> tuple[tuple[Feed, ...], bool]:
    if isinstance(feed, Const) and feed.value is None:
        return (), True
    if not isinstance(feed, Dict):
        return (), False
    feeds = []
    for key, value, place in feed.entries():
        value = machine.settle(value)
        site = located(place) if place is not None else call.site
        text = ast.unparse(place[1])[:80] if isinstance(place, tuple) else ""
        for target in _keys(key):
            feeds.append(Feed(target, value, site, text))
    return tuple(feeds), not feed.open


def _keys(key: Value) -> tuple[Value, ...]:
    """What a key of a feed means; of a choice between placeholders the one that the graph has."""
    if isinstance(key, Choice) and all(isinstance(option, Node) for _, option in key.options):
        return tuple(option for _, option in key.options)
    return contents((key,)) or (key,)


def _make_callable(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.Session.callable", call.site)
    made.slots["fetches"] = call.get(0, "fetches") or Unknown()
    made.slots["of"] = call.receiver.slots.get("of") if isinstance(call.receiver, ApiObject) else None
    return made


def _call_callable(machine: Machine, call: Call) -> Value:
    fetches = call.receiver.slots["fetches"] if isinstance(call.receiver, ApiObject) else Unknown()
    return emit_run(machine, call, (fetches,), Unknown())


# -- slim --------------------------------------------------------------------------------------------


def _slim_train(machine: Machine, call: Call) -> Value:
    fetches = (call.get(0, "train_op") or Unknown(),)
    extra = call.kwargs.get("summary_op")
    _saves(machine, call)
    return emit_run(machine, call, fetches + ((extra,) if extra is not None else ()), None, Declared.TRAIN)


def _slim_evaluate(machine: Machine, call: Call) -> Value:
    names = ("eval_op", "final_op", "eval_ops", "final_ops", "summary_op")
    fetches = tuple(call.kwargs[name] for name in names if name in call.kwargs)
    return emit_run(machine, call, fetches or (Unknown(),), None, Declared.EVALUATE)


# -- estimators --------------------------------------------------------------------------------------


def _estimator(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.estimator.Estimator", call.site)
    made.slots["model_fn"] = call.get(0, "model_fn") or Unknown("model_fn")
    made.slots["params"] = call.kwargs.get("params") or (call.get(3, "params") or Unknown("params"))
    return made


def _spec(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.estimator.EstimatorSpec", call.site)
    names = ("mode", "predictions", "loss", "train_op", "eval_metric_ops", "export_outputs", "training_chief_hooks",
             "training_hooks", "scaffold", "evaluation_hooks")  # fmt: skip
    for index, name in enumerate(names):
        value = call.get(index, name)
        if value is not None:
            made.slots[name] = value
    return made


def parameters(function: Value) -> list[str]:
    """The names of a project function's parameters that are still free."""
    bound = 0
    taken: set[str] = set()
    while isinstance(function, Partial | Method):
        if isinstance(function, Partial):
            bound += len(function.args)
            taken |= set(function.kwargs)
            function = function.function
        elif isinstance(function.function, Function):
            bound += 1
            function = function.function
        else:
            return []
    if isinstance(function, Instance):
        found = function.cls.find("__call__")
        function = found if isinstance(found, Function) else function
        bound += 1
    if not isinstance(function, Function):
        return []
    spec = function.node.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args)][bound:]
    return [name for name in (*names, *(argument.arg for argument in spec.kwonlyargs)) if name not in taken]


def _call_model_fn(machine: Machine, estimator: ApiObject, mode: str, call: Call) -> Value:
    current = state(machine)
    outer = machine.graph, machine.control, machine.branch
    machine.graph, machine.control, machine.branch = Graph(), (), ()
    current.scopes.append(VariableScope(""))
    current.names.append("")
    try:
        values = {
            "features": Unknown("features"),
            "labels": Unknown("labels"),
            "mode": Const(mode),
            "params": estimator.slots["params"],
            "config": Unknown("config"),
        }
        model_fn = machine.settle(estimator.slots["model_fn"])
        given = [values.get(name, Unknown(name)) for name in parameters(model_fn)[:2]]
        kwargs = {name: values[name] for name in parameters(model_fn)[2:] if name in values}
        return machine.settle(machine.call(model_fn, given, kwargs, call.site))
    finally:
        machine.graph, machine.control, machine.branch = outer
        current.scopes.pop()
        current.names.pop()


_FETCHED = {
    "train": ("train_op", "loss", "training_hooks", "training_chief_hooks"),
    "eval": ("loss", "eval_metric_ops"),
    "infer": ("predictions", "export_outputs"),
}
_DECLARED = {"train": Declared.TRAIN, "eval": Declared.EVALUATE, "infer": Declared.PREDICT}


def _drive(machine: Machine, estimator: Value | None, mode: str, call: Call) -> None:
    estimator = machine.settle(estimator or Unknown())
    if not isinstance(estimator, ApiObject) or "model_fn" not in estimator.slots:
        return
    spec = _call_model_fn(machine, estimator, mode, call)
    specs = [option for _, option in spec.options] if isinstance(spec, Choice) else [spec]
    made = Call([], {}, call.site, name=call.name)
    for option in specs:
        if isinstance(option, ApiObject) and option.kind.endswith("Spec"):
            fetches = [option.slots[name] for name in _FETCHED[mode] if name in option.slots]
            fetches.extend(_wanted(machine, _hooks(machine, option, call), call.site))
            emit_run(machine, made, tuple(fetches), None, _DECLARED[mode])
        elif isinstance(option, Tuple | List | Unknown | Node):
            emit_run(machine, made, (option,), None, _DECLARED[mode])


def _wanted(machine: Machine, hooks: Iterable[Value], site: Location) -> list[Value]:
    """What the hooks of a session fetch in addition; a hook that is not known may fetch anything."""
    found = []
    for hook in map(machine.settle, hooks):
        if isinstance(hook, Instance) and hook.cls.find("before_run"):
            method = machine.attribute(hook, "before_run", site)
            found.append(machine.call(method, [Unknown("run_context")], {}, site))
        elif isinstance(hook, Unknown):
            found.append(hook)
    return found


def _hooks(machine: Machine, spec: ApiObject, call: Call) -> list[Value]:
    found: list[Value] = []
    for given in (spec.slots.get("training_hooks"), call.kwargs.get("hooks"), call.kwargs.get("monitors")):
        value = machine.settle(given) if isinstance(given, Value) else NONE
        if isinstance(value, List | Tuple):
            found.extend(value.items)
    return found


def _estimator_method(machine: Machine, call: Call) -> Value:
    short = call.name.rpartition(".")[2]
    mode = {"train": "train", "fit": "train", "evaluate": "eval"}.get(short, "infer")
    machine.callbacks(call.values(), call.site)
    _drive(machine, call.receiver, mode, call)
    return Unknown("result")


def _train_and_evaluate(machine: Machine, call: Call) -> Value:
    _drive(machine, call.get(0, "estimator"), "train", call)
    _drive(machine, call.get(0, "estimator"), "eval", call)
    return NONE


def _experiment(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.contrib.learn.Experiment", call.site)
    made.slots["estimator"] = call.get(0, "estimator") or Unknown()
    return made


def _run_experiment(machine: Machine, call: Call) -> Value:
    estimator = call.receiver.slots.get("estimator") if isinstance(call.receiver, ApiObject) else None
    short = call.name.rpartition(".")[2]
    if "train" in short:
        _drive(machine, estimator, "train", call)
    if short != "train":
        _drive(machine, estimator, "eval", call)
    return Unknown("result")


def _learn_runner(machine: Machine, call: Call) -> Value:
    experiment = machine.call(call.get(0, "experiment_fn") or Unknown(), [Unknown("config")], {}, call.site)
    if isinstance(experiment, ApiObject):
        _drive(machine, experiment.slots.get("estimator"), "train", call)
        _drive(machine, experiment.slots.get("estimator"), "eval", call)
    return NONE


def _run_arguments(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.train.SessionRunArgs", call.site)
    made.slots["fetches"] = call.get(0, "fetches") or Unknown()
    return made


for _name in (
    "tf.Session",
    "tf.InteractiveSession",
    "tf.train.MonitoredSession",
    "tf.train.MonitoredTrainingSession",
    "tf.train.SingularMonitoredSession",
    "tf.train.Supervisor.managed_session",
    "tf.train.Supervisor.prepare_or_wait_for_session",
    "tf.train.SessionManager.prepare_session",
):
    HANDLERS[_name] = _session
for _name in ("tf.Session.run", "tf.Session.partial_run", "tf.Session.run_step_fn"):
    HANDLERS[_name] = _run
for _name in ("train", "fit", "evaluate", "predict", "export_savedmodel", "export_saved_model"):
    HANDLERS[f"tf.estimator.Estimator.{_name}"] = _estimator_method
for _name in (
    "tf.estimator.Estimator",
    "tf.contrib.learn.Estimator",
    "tf.contrib.tpu.TPUEstimator",
    "tf.estimator.tpu.TPUEstimator",
):
    HANDLERS[_name] = _estimator
for _name in (
    "tf.estimator.EstimatorSpec",
    "tf.contrib.tpu.TPUEstimatorSpec",
    "tf.estimator.tpu.TPUEstimatorSpec",
    "tf.contrib.learn.ModelFnOps",
):
    HANDLERS[_name] = _spec
for _name in ("train_and_evaluate", "train", "evaluate", "continuous_train_and_eval"):
    HANDLERS[f"tf.contrib.learn.Experiment.{_name}"] = _run_experiment
for _name in (
    "slim.evaluation.evaluate_once",
    "slim.evaluation.evaluation_loop",
    "slim.evaluation.evaluate_repeatedly",
    "tf.contrib.training.evaluate_once",
    "tf.contrib.training.evaluate_repeatedly",
    "slim.evaluation.evaluation",
):
    HANDLERS[_name] = _slim_evaluate


def _hyperparameters(machine: Machine, call: Call) -> Value:
    """``HParams``: numbers and names may be given anew on the command line, but not functions and classes."""
    made = ApiObject("tf.contrib.training.HParams", call.site)
    for name, value in call.kwargs.items():
        if isinstance(value, Function | ClassValue | Partial):
            made.slots[name] = value
    return made


HANDLERS.update(
    {
        "tf.contrib.training.HParams": _hyperparameters,
        "tf.get_default_session": _get_session,
        "keras.backend.get_session": _get_session,
        "tf.train.Supervisor": _supervisor,
        "tf.Session.as_default": _as_default,
        "tf.Session.make_callable": _make_callable,
        "tf.Session.callable.__call__": _call_callable,
        "tf.train.SessionRunArgs": _run_arguments,
        "Tensor.eval": _evaluate,
        "Tensor.run": _evaluate,
        "slim.learning.train": _slim_train,
        "tf.contrib.training.train": _slim_train,
        "tf.estimator.train_and_evaluate": _train_and_evaluate,
        "tf.contrib.learn.Experiment": _experiment,
        "tf.contrib.learn.learn_runner.run": _learn_runner,
    }
)
PROPERTIES: dict[str, Handler] = {
    "tf.Session.graph": _session_graph,
    "tf.train.Supervisor.session": _get_session,
}
