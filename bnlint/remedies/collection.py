"""How the update operations in a collection come to run with a train step.

A repair is safe only if the train step executes every layer whose updates it would run, and trains it: then nothing
else is pulled into the step, neither another network's statistics nor a placeholder that nobody feeds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from bnlint.analyses.updates import Neglect, changes
from bnlint.analyses.written import Source, is_plain, keyword, parameters, source
from bnlint.dataflow import Frame, World, execution
from bnlint.findings import (
    Applicability,
    Edit,
    Fix,
    MoveStatement,
    RemoveArgument,
    RemoveStatement,
    ReplaceExpression,
    WrapStatement,
)
from bnlint.remedies.steps import Step, block_of, in_graph_loop, index_in, mentions, name_of, step_of, within
from bnlint.trace import CollectUpdates, NormCall, Trace, TrainStep

UPDATE_OPS = "{tf}.get_collection({tf}.GraphKeys.UPDATE_OPS)"
"""The collected updates, as they are written."""

# -- what stands in the way --------------------------------------------------------------------------


def hindrance(neglect: Neglect, trace: Trace) -> str | None:
    """Why the collected updates must not simply be run with the train step; None if nothing speaks against it."""
    pool = collected(neglect, trace)
    return _out_of_reach(neglect, pool, trace) or foreign(neglect.step, pool, trace)


def _out_of_reach(neglect: Neglect, pool: Iterable[NormCall], trace: Trace) -> str | None:
    """Why a train step cannot depend on updates, whosever they are."""
    step = neglect.step
    if step.node.branch or in_graph_loop(step.context, trace):
        return "the train step is built inside a conditional or a loop of the graph, where the updates cannot run"
    if any(call.order > step.order for call in neglect.calls):
        return "layers are made after the train step: build it last, and run the update operations with it"
    for call in (*neglect.calls, *pool):
        if any(node.branch for node in call.update_nodes) or in_graph_loop(call.context, trace):
            return "updates are built inside a conditional or a loop of the graph, where nothing outside can run them"
    return None


def foreign(step: TrainStep, calls: Iterable[NormCall], trace: Trace) -> str | None:
    """Why updates of these layers must not run with a train step: they belong to something else."""
    executed = execution([step.node], World(step.guards)).nodes
    alone = not rivals(step, trace)
    for call in calls:
        changed = changes(step, call.layer)
        if call.output in executed and (changed or (changed is None and alone)):
            continue
        if not alone:
            return (
                "several optimizers share the collection: run each network's own updates with its train step"
            )
        what = "layers that this step does not train" if call.output in executed else "another network"
        return f"the collection also holds updates of {what}: run those of the trained layers with the step"
    return None


def rivals(step: TrainStep, trace: Trace) -> list[TrainStep]:
    """The other train steps of the same graph that the program may take beside this one."""
    return [
        other
        for other in trace.of(TrainStep)
        if other.node is not step.node
        and other.node.graph is step.node.graph
        and World(step.guards).allows(other.guards)
    ]


def collected(neglect: Neglect, trace: Trace) -> list[NormCall]:
    """The normalisations whose updates are in the collections when the train step is built."""
    step = neglect.step
    keys = {call.collection for call in neglect.calls}
    graphs = {id(call.layer.graph) for call in neglect.calls}
    world = World(step.guards)
    return [
        call
        for call in trace.of(NormCall)
        if call.update_nodes
        and call.collection in keys
        and id(call.layer.graph) in graphs
        and call.order < step.order
        and world.allows(call.guards)
    ]


# -- repairs -----------------------------------------------------------------------------------------


def with_step(neglect: Neglect, trace: Trace, *, updates: str | None = None) -> tuple[Edit, ...]:
    """The edit that makes the train step depend on the updates; ``updates`` is a list of them, as it is written.

    Where the statement builds the layers too, or takes the step later, the updates are grouped with it.
    """
    step = step_of(neglect.step, trace)
    if step is None:
        return ()
    text = updates or _all_of(neglect)
    calls = collected(neglect, trace) or neglect.calls
    if step.simple and not any(within(call.context, step.location) for call in calls):
        return (WrapStatement(neglect.step.site, f"{{tf}}.control_dependencies({text})"),)
    if neglect.step.api.rpartition(".")[2] not in ("minimize", "apply_gradients") or updates is not None:
        return ()
    return (ReplaceExpression(neglect.step.site, f"{{tf}}.group({{old}}, *{text})"),)


def _all_of(neglect: Neglect) -> str:
    keys = dict.fromkeys(call.collection for call in neglect.calls)
    texts = [UPDATE_OPS if key == "update_ops" else f"{{tf}}.get_collection({key!r})" for key in keys]
    return " + ".join(texts)


def repair(neglect: Neglect, trace: Trace, *preferred: tuple[str, tuple[Edit, ...]]) -> Fix:
    """Run the collected updates with the train step: the first of the preferred ways that has edits, or around it."""
    reason = hindrance(neglect, trace)
    if reason is not None:
        return own_updates(neglect, trace) or Fix(Applicability.DISPLAY, reason)
    last = with_step(neglect, trace)
    wraps = any(isinstance(edit, WrapStatement) for edit in last)
    where = "before" if wraps else "together with"
    for message, edits in (*preferred, (f"run the update operations {where} the train step", last)):
        if edits:
            return Fix(Applicability.SAFE, message, edits)
    return Fix(Applicability.DISPLAY, "run the update operations together with the train step")


def own_updates(neglect: Neglect, trace: Trace) -> Fix | None:
    """With several networks: run the updates under the variable scope that only this step trains, and executes."""
    step = neglect.step
    if {call.collection for call in neglect.calls} != {"update_ops"}:
        return None
    names = {(call.layer.name or "").partition("/")[0] for call in neglect.calls}
    prefix = names.pop() if len(names) == 1 else ""
    pool = [
        call
        for call in collected(neglect, trace)
        if any(str(node.attrs.get("name") or prefix).startswith(prefix) for node in call.update_nodes)
    ]
    if not prefix or not pool or _out_of_reach(neglect, pool, trace) or foreign(step, pool, trace):
        return None
    text = f"{{tf}}.get_collection({{tf}}.GraphKeys.UPDATE_OPS, scope={prefix!r})"
    edits = with_step(neglect, trace, updates=text)
    if not edits:
        return None
    return Fix(Applicability.UNSAFE, "run this network's own update operations before its train step", edits)


# -- the collection is read, but not as it should ------------------------------------------------------


def every_update(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that takes an empty list of updates out of a function that else runs all of them."""
    step = step_of(neglect.step, trace)
    given = keyword(step.call, "update_ops") if step else None
    if step is None or given is None:
        return ()
    empty = isinstance(given, ast.List | ast.Tuple) and not given.elts
    return (RemoveArgument(step.written.locate(given)),) if empty else ()


def right_key(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that corrects the misspelt name of the collection where it is read."""
    if {call.collection for call in neglect.calls} != {"update_ops"}:
        return ()
    last = max(call.order for call in neglect.calls)
    reads = [
        read
        for read in trace.of(CollectUpdates)
        if not read.contents
        and read.order > last
        and read.graph is neglect.calls[0].layer.graph
        and _misspelt(read.collection)
    ]
    if len({read.site for read in reads}) != 1:
        return ()
    written = source(reads[0].site, trace)
    call = written.at(reads[0].site, ast.Call) if written else None
    if written is None or call is None:
        return ()
    key = call.args[0] if call.args else keyword(call, "key")
    if key is None:
        return ()
    return (ReplaceExpression(written.locate(key), "{tf}.GraphKeys.UPDATE_OPS"),)


def _misspelt(key: str) -> bool:
    return key != "update_ops" and SequenceMatcher(None, key.lower(), "update_ops").ratio() > 0.8


def without_filter(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that takes the scope out of the one place where the collection is read."""
    if len({read.site for read in neglect.reads}) != 1:
        return ()
    read = neglect.reads[0]
    written = source(read.site, trace)
    call = written.at(read.site, ast.Call) if written else None
    if written is None or call is None or any(norm.order > read.order for norm in neglect.calls):
        return ()
    scope = call.args[1] if len(call.args) == 2 else keyword(call, "scope")
    return (RemoveArgument(written.locate(scope)),) if scope is not None else ()


@dataclass(frozen=True, slots=True)
class Read:
    """A place where the collection is read, as it is written."""

    event: CollectUpdates
    written: Source
    call: ast.Call
    statement: ast.stmt

    @property
    def frame(self) -> Frame:
        """The function that reads it."""
        return self.event.context.frame

    @property
    def target(self) -> ast.expr | None:
        """The name or the attribute of ``self`` that the statement gives to what it reads, and nothing else."""
        statement = self.statement
        if (
            not isinstance(statement, ast.Assign)
            or statement.value is not self.call
            or len(statement.targets) != 1
        ):
            return None
        target = statement.targets[0]
        plain = isinstance(target, ast.Name) or (
            isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
        )
        return target if plain else None


def read_of(event: CollectUpdates, trace: Trace) -> Read | None:
    """A read of the collection as it is written."""
    written = source(event.site, trace)
    call = written.at(event.site, ast.Call) if written else None
    statement = written.statement(call) if written and call else None
    if written is None or call is None or statement is None:
        return None
    return Read(event, written, call, statement)


def _only_read(neglect: Neglect, trace: Trace) -> Read | None:
    if len({read.site for read in neglect.reads}) != 1:
        return None
    return read_of(neglect.reads[-1], trace)


def read_later(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that moves the statement which reads the collection to where its result is first used."""
    read = _only_read(neglect, trace)
    target = read.target if read else None
    if read is None or target is None:
        return ()
    block = block_of(read.statement, read.written)
    here = block.index(read.statement)
    taken = index_in(block, neglect.step.context, read.frame, read.written)
    made = [index_in(block, call.context, read.frame, read.written) for call in neglect.calls]
    if taken is None:
        return ()
    if isinstance(target, ast.Name):
        used = next((i for i, other in enumerate(block) if i > here and mentions(other, target)), None)
    else:
        early = any(mentions(other, target) for other in block[here + 1 : taken])
        used = None if early or _used_elsewhere(target, read, neglect, trace) else taken
    if used is None or any(index is None or not here < index < used for index in made):
        return ()
    return (MoveStatement(read.event.site, read.written.locate(block[used])),)


def _used_elsewhere(target: ast.Attribute | ast.expr, read: Read, neglect: Neglect, trace: Trace) -> bool:
    """Whether a function other than those that take the train step looks at an attribute."""
    allowed = {frame.node for frame in neglect.step.context.frame.outwards()} | {read.frame.node}
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(
        isinstance(node, kinds) and node not in allowed and mentions(node, target)
        for tree in trace.trees
        for node in ast.walk(tree)
    )


def model_before(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edits that take the model out of the block which was entered with the empty list."""
    read = _only_read(neglect, trace)
    if read is None or read.event.contents or not isinstance(read.statement, ast.With):
        return ()
    block = read.statement
    if len(block.items) != 1 or block.items[0].optional_vars is not None or not _depends(block, read):
        return ()
    taken = index_in(block.body, neglect.step.context, read.frame, read.written)
    made = [index_in(block.body, call.context, read.frame, read.written) for call in neglect.calls]
    if taken is None or any(index is None or index >= taken for index in made):
        return ()
    where = read.written.locate(block.items[0].context_expr)
    return tuple(MoveStatement(read.written.locate(inner), where) for inner in block.body[:taken])


def _depends(block: ast.With, read: Read) -> bool:
    """Whether a ``with`` statement makes what was read at once the dependency of its block."""
    manager = block.items[0].context_expr
    return (
        isinstance(manager, ast.Call)
        and name_of(manager) == "control_dependencies"
        and read.call in manager.args
    )


def read_there(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that reads the collection anew where the block around the train step is entered."""
    read, step = _only_read(neglect, trace), step_of(neglect.step, trace)
    if read is None or step is None:
        return ()
    for outer in step.written.outwards(step.statement):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            break
        for item in outer.items if isinstance(outer, ast.With) else ():
            given = _control_inputs(item.context_expr)
            if given is None or not _holds(given, read, step):
                continue
            if any(within(call.context, step.written.locate(outer)) for call in collected(neglect, trace)):
                return ()
            return (ReplaceExpression(step.written.locate(given), UPDATE_OPS),)
    return ()


def _control_inputs(manager: ast.expr) -> ast.expr | None:
    if (
        isinstance(manager, ast.Call)
        and name_of(manager) == "control_dependencies"
        and len(manager.args) == 1
    ):
        return manager.args[0]
    return None


def _holds(expression: ast.expr, read: Read, step: Step) -> bool:
    """Whether an expression is what a read of the collection was assigned to, or is the default of."""
    if not is_plain(expression):
        return False
    target = read.target
    if target is not None and type(target) is type(expression):
        return mentions(expression, target)
    definition = step.written.scope(step.statement)
    if isinstance(expression, ast.Name) and isinstance(definition, ast.FunctionDef):
        spec = definition.args
        positional = [*spec.posonlyargs, *spec.args]
        pairs = [
            *zip(positional[len(positional) - len(spec.defaults) :], spec.defaults, strict=True),
            *zip(spec.kwonlyargs, spec.kw_defaults, strict=True),
        ]
        return any(
            parameter.arg == expression.id and default is read.call for parameter, default in pairs
        ) and any(parameter.arg == expression.id for parameter in parameters(definition))
    return False


# -- the collection is read, and nothing depends on it ---------------------------------------------------


def into_block(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that moves the train step into the block of the updates which follows it and creates nothing."""
    step = step_of(neglect.step, trace)
    if step is None or not step.simple or not isinstance(step.statement, ast.Assign | ast.Expr):
        return ()
    targets = step.statement.targets if isinstance(step.statement, ast.Assign) else []
    if not all(isinstance(target, ast.Name) for target in targets):
        return ()
    passed = [step.statement]
    block = block_of(step.statement, step.written)
    for other in block[block.index(step.statement) + 1 :]:
        if isinstance(other, ast.With) and _waits_for(other, neglect, trace):
            if any(
                within(call.context, step.written.locate(one)) for call in neglect.calls for one in passed
            ):
                return ()
            first = step.written.locate(other.body[0])
            move = MoveStatement(neglect.step.site, first)
            return (move, RemoveStatement(first)) if isinstance(other.body[0], ast.Pass) else (move,)
        if not isinstance(other, ast.Assign | ast.Expr) or any(mentions(other, target) for target in targets):
            return ()
        passed.append(other)
    return ()


def _waits_for(block: ast.With, neglect: Neglect, trace: Trace) -> bool:
    """Whether a ``with`` statement makes all that was read of the collection the dependency of its block."""
    given = _control_inputs(block.items[0].context_expr) if len(block.items) == 1 else None
    return given is not None and any(_is_read(given, read, trace) for read in neglect.reads)


def _is_read(given: ast.expr, event: CollectUpdates, trace: Trace) -> bool:
    read = read_of(event, trace)
    if read is None or event.scope is not None:
        return False
    target = read.target
    return given is read.call or (
        target is not None and type(target) is type(given) and mentions(given, target)
    )


def with_what_was_read(neglect: Neglect, trace: Trace) -> tuple[Edit, ...]:
    """The edit that makes the train step depend on the updates that a statement before it has collected."""
    step = step_of(neglect.step, trace)
    if step is None:
        return ()
    pool = {node for call in collected(neglect, trace) for node in call.update_nodes}
    for event in reversed(neglect.reads):
        read = read_of(event, trace)
        target = read.target if read else None
        if (
            read is not None
            and target is not None
            and event.context.frame is neglect.step.context.frame
            and read.written is step.written
            and pool <= set(event.contents)
            and read.written.precedes(read.statement, step.statement)
            and _bound_once(target, step)
        ):
            return with_step(neglect, trace, updates=ast.unparse(target))
    return ()


def _bound_once(target: ast.expr, step: Step) -> bool:
    scope = step.written.scope(step.statement)
    stores = [
        node
        for node in ast.walk(scope)
        if isinstance(node, type(target))
        and mentions(node, target)
        and isinstance(getattr(node, "ctx", None), ast.Store)
    ]
    return len(stores) == 1
