"""Phases that are constants when a program builds its graph: which ones, and who wrote them.

A constant may be the API's default, stand in the layer's own call, or be handed down by a call of one of the
program's functions. The last is a decision of that caller; the others are a property of the layer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from bnlint.analyses.forwards import told_by
from bnlint.analyses.functional import is_function
from bnlint.analyses.runs import executions, reached, training_runs
from bnlint.analyses.updates import changes
from bnlint.dataflow import Choice, Const, Frame, Node, Op, Unknown, Value, World, execution, sources
from bnlint.findings import Location
from bnlint.phase import misplaced_flag
from bnlint.trace import NormCall, Origin, Run, Save, Trace, TrainStep, Updates
from bnlint.words import is_phase_name

_BUILT_IN = (Origin.ARGUMENT, Origin.SCOPE, Origin.DEFAULT)


def built_in(call: NormCall, world: World) -> Const | None:
    """The constant phase with which a layer was built; None when something can still switch it."""
    if call.phase is None or call.origin not in _BUILT_IN or call.updates in (Updates.BY_HAND, Updates.NONE):
        return None
    if told_by(call) is not None:
        return None
    assumed = World(world.assumed.items())
    options = list(assumed.alternatives(call.phase))
    phase = options[0] if len(options) == 1 else None
    if isinstance(phase, Node | Unknown) and not _is_in_graph(phase):
        # A run under ``if mode == "train":`` uses what is built for this mode.
        phase = assumed.constant(phase)
    if not isinstance(phase, Const) or not isinstance(phase.value, bool | int):
        return None
    return None if is_function(call) and _worked_out(call, phase) else phase


def _is_in_graph(phase: Value) -> bool:
    """Whether a phase is worked out when the graph is run, and not when it is built."""
    state = (Op.PLACEHOLDER, Op.VARIABLE)
    return any(isinstance(value, Node) and value.op in state for value in sources((phase,)))


def _worked_out(call: NormCall, phase: Const) -> bool:
    """Whether the phase is known but not written as a constant: it comes of the mode of a module, or the function
    around it sets it in one of its branches."""
    if call.origin is Origin.DEFAULT or phase.site == call.arguments.site("training"):
        return False
    definition = call.context.frame.node
    if phase.site is None or definition is None:
        return True
    body = [call.context.frame.locate(statement) for statement in definition.body]
    return phase.site.path == call.site.path and body[0].line <= phase.site.line <= body[-1].end_line


@dataclass(frozen=True, slots=True)
class Passed:
    """An argument of a call of the program's own code that carries a phase."""

    site: Location
    function: str


def passed(call: NormCall, phase: Const, trace: Trace) -> Passed | None:
    """The argument of a call of one of the program's functions that hands a constant phase to a layer.

    None when the constant is a default, stands in the layer's own call, or comes another way.
    """
    if call.origin is Origin.DEFAULT:
        return None
    frames = list(call.context.frame.outwards())
    if phase.site is not None:
        return _argument_at(phase.site, frames, call.site, trace)
    return _argument_of(call, trace)


def misdirected(call: NormCall) -> bool:
    """Whether the phase was given in the wrong place: with a wrong keyword, or as another parameter."""
    return misplaced_flag(call) is not None or any(is_phase_name(name) for name in call.arguments.unexpected)


def _argument_at(site: Location, frames: list[Frame], own: Location, trace: Trace) -> Passed | None:
    """The call of project code, not the layer's ``own``, that has the literal at ``site`` as an argument."""
    frame = next((frame for frame in frames if frame.module == site.path), None)
    if frame is None:
        return None
    for node in _calls(site.path, trace):
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if isinstance(argument, ast.Constant) and frame.locate(argument) == site:
                name = _called(node)
                return Passed(site, name) if name in _defined(trace) and frame.locate(node) != own else None
    return None


def _argument_of(call: NormCall, trace: Trace) -> Passed | None:
    """Follow a computed phase back through the parameters of the callers to where it is computed."""
    found: Passed | None = None
    for frame, name in carriers(call, trace):
        invoked, caller = invocation(frame, trace)
        expression = None if invoked is None else _bound(invoked, frame.node, name)
        if invoked is None or caller is None or expression is None:
            return None
        if isinstance(expression, ast.Attribute):
            return None
        found = Passed(caller.locate(expression), _called(invoked))
    return found


def untold(call: NormCall, trace: Trace) -> str | None:
    """The name of a phase parameter, of a function around the layer's call, that does not reach the layer."""
    frames = list(call.context.frame.outwards())
    handed = dict(carriers(call, trace))
    given = _given(call, trace)
    for frame in frames:
        for name in _parameters(frame.node):
            if is_phase_name(name) and handed.get(frame) != name and not _decides_otherwise(frame, name):
                if not (isinstance(given, ast.Attribute) and _keeps(frame, name, given.attr)):
                    return name
    return None


def _keeps(frame: Frame, name: str, attribute: str) -> bool:
    """Whether a function keeps a parameter in an attribute of some object."""
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Attribute) and target.attr == attribute for target in node.targets)
        and any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node.value))
        for node in ast.walk(frame.node or ast.Pass())
    )


def _decides_otherwise(frame: Frame, name: str) -> bool:
    """Whether a function asks a phase parameter about other things than the layer: then that is what it is for.

    A mode decides many things; a flag is asked in conditions.
    """
    definition = frame.node or ast.Pass()
    asked = (
        [definition]
        if name == "mode"
        else [node.test for node in ast.walk(definition) if isinstance(node, ast.If | ast.IfExp)]
    )
    return any(isinstance(node, ast.Name) and node.id == name for part in asked for node in ast.walk(part))


def carriers(call: NormCall, trace: Trace) -> Iterator[tuple[Frame, str]]:
    """The functions through whose parameters the phase comes, innermost first, each with the parameter."""
    if call.origin is Origin.DEFAULT:
        return
    expression = _given(call, trace)
    inner: ast.AST | None = None
    for frame in call.context.frame.outwards():
        if not isinstance(expression, ast.Name) or frame.node is None:
            return
        if inner is not None and not _encloses(frame.node, inner):
            # Who calls a closure does not give it what it takes from the function around it.
            continue
        if _rebound(frame.node, expression.id):
            return
        if expression.id not in _parameters(frame.node):
            inner = frame.node
            continue
        yield frame, expression.id
        inner = None
        invoked, _ = invocation(frame, trace)
        expression = None if invoked is None else _bound(invoked, frame.node, expression.id)


def _given(call: NormCall, trace: Trace) -> ast.expr | None:
    """What the layer's own call gives as its phase."""
    site = next((site for name in _PHASES if (site := call.arguments.site(name)) is not None), None)
    return None if site is None else _expression_at(site, call.context.frame, trace)


def _encloses(outer: ast.AST, inner: ast.AST) -> bool:
    """Whether a function is defined in another one."""
    return any(node is inner for node in ast.walk(outer))


_PHASES = ("is_training", "training", "is_train")


def invocation(frame: Frame, trace: Trace) -> tuple[ast.Call | None, Frame | None]:
    """The call that made a frame, and the frame in which it stands."""
    caller = frame.parent
    if caller is None or frame.site is None:
        return None, None
    for node in _calls(caller.module, trace):
        if caller.locate(node) == frame.site:
            return node, caller
    return None, caller


def _parameters(definition: ast.AST | None) -> list[str]:
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return []
    spec = definition.args
    return [parameter.arg for parameter in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]


def _rebound(definition: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(definition)
    )


def _bound(call: ast.Call, definition: ast.AST | None, name: str) -> ast.expr | None:
    """The expression that a call gives to a parameter."""
    if not isinstance(definition, ast.FunctionDef):
        return None
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    names = [parameter.arg for parameter in (*definition.args.posonlyargs, *definition.args.args)]
    if name not in names or any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    index = names.index(name) - (names[0] in ("self", "cls"))
    return call.args[index] if index < len(call.args) else None


def _expression_at(site: Location, frame: Frame, trace: Trace) -> ast.expr | None:
    if frame.module != site.path:
        return None
    for node in _calls(site.path, trace):
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if frame.locate(argument) == site:
                return argument
    return None


def _calls(path: str, trace: Trace) -> list[ast.Call]:
    cache: dict[str, list[ast.Call]] = trace.facts.setdefault("calls by file", {})
    if path not in cache:
        trees = [tree for name, tree in zip(trace.files, trace.trees, strict=False) if name == path]
        cache[path] = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return cache[path]


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _defined(trace: Trace) -> set[str]:
    found: set[str] | None = trace.facts.get("defined")
    if found is None:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        found = trace.facts["defined"] = {
            node.name for tree in trace.trees for node in ast.walk(tree) if isinstance(node, kinds)
        }
    return found


# -- which layers are trained, and from where they start ------------------------------------------------


def trained_by(step: TrainStep, run: Run) -> list[NormCall]:
    """The layers that certainly learn in a run of a train step.

    They lie between trained variables and the loss, on a way that gradients take, and their own weights are
    among those that the step trains. A layer that only some configurations of the program have counts if nobody
    told it a phase: where it was told one, the configuration may be about just that.
    """
    if not isinstance(step.loss, Node):
        return []
    nodes = set(execution((step.loss,), run.world()).certain)
    nodes.update(
        node
        for node in reached((step.loss,), run.world())
        if node.op == Op.NORM and node.attrs["call"].origin is Origin.DEFAULT
    )
    ways = _gradient_ways(step.loss)
    calls = [node.attrs["call"] for node in nodes if node.op == Op.NORM and node in ways]
    return sorted((call for call in calls if _learns(call, step)), key=lambda call: call.order)


def _gradient_ways(loss: Node) -> set[Value]:
    """Everything from which a gradient may come back to the loss."""
    pending: list[Value] = [loss]
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            pending.extend(value.sources)
        elif isinstance(value, Node) and value.attrs.get("api") != "tf.stop_gradient":
            pending.extend(value.inputs)
    return seen


def _learns(call: NormCall, step: TrainStep) -> bool:
    layer = call.layer
    if layer.trainable is not None and not (
        isinstance(layer.trainable, Const) and layer.trainable.value is True
    ):
        return False
    return changes(step, layer) is True


def pretrained(run: Run, trace: Trace) -> bool:
    """Whether a run may start from weights that were trained before.

    A checkpoint that the program itself writes and reads is a training that goes on.
    """
    for save in trace.of(Save):
        if save.restores and not save.saves and save.order < run.order and run.world().allows(save.guards):
            return True
    return any(trace.mentions(word) for word in _LOADERS)


_LOADERS = (
    "init_fn", "load_initial_weights", "assign_from_checkpoint_fn", "init_from_checkpoint", "load_pretrained",
    "assign_from_values", "warm_start_from", "NewCheckpointReader", "pretrained_model", "pretrained",
)  # fmt: skip


def steps_of(run: Run, trace: Trace) -> list[TrainStep]:
    """The train steps that a run certainly executes."""
    return [node.attrs["step"] for node in executions(trace)[run].certain if node.op == Op.TRAIN]


def trained_in_mode(call: NormCall, trace: Trace) -> bool:
    """Whether some training run executes the layer, in this or another call, in a mode that may be training."""
    modes: set[object] | None = trace.facts.get("layers in training mode")
    if modes is None:
        modes = trace.facts["layers in training mode"] = {
            node.attrs["call"].layer
            for run in training_runs(trace)
            for node in executions(trace)[run].nodes
            if node.op == Op.NORM and node.attrs["call"].training(run.world()) is not False
        }
    return call.layer in modes
