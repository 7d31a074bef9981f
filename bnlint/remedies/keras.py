"""How the updates that hang on layers of Keras come to run with a train step."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import chain, count

from bnlint.analyses.updates import Neglect, first_of_each_place, runs_of
from bnlint.analyses.written import Source, is_plain, source
from bnlint.dataflow import Named, World
from bnlint.findings import (
    Applicability,
    Edit,
    Fix,
    InsertStatement,
    Location,
    ReplaceExpression,
    WrapStatement,
)
from bnlint.remedies.collection import UPDATE_OPS, foreign
from bnlint.remedies.names import lists_of, updates_in, visible
from bnlint.remedies.steps import Step, in_graph_loop, name_of, step_of, within
from bnlint.trace import CollectUpdates, NormCall, Trace

_ADD = "for update in {norm}.updates:\n    {{tf}}.add_to_collection({{tf}}.GraphKeys.UPDATE_OPS, update)"


def repair(neglect: Neglect, trace: Trace) -> Fix:
    """Run the updates of the layers with the train step."""
    reason = _hindrance(neglect, trace)
    if reason is not None:
        return Fix(Applicability.DISPLAY, reason)
    step = step_of(neglect.step, trace)
    if step is not None and step.simple:
        if not any(within(call.context, step.location) for call in neglect.calls):
            texts = _named_updates(neglect, step, trace)
            if texts:
                message = f"run `{' + '.join(texts)}` before the train step"
                return Fix(Applicability.SAFE, message, (_depend_on(step, " + ".join(texts), trace),))
        edits = _by_holders(neglect, step, trace)
        if edits:
            return Fix(Applicability.SAFE, "run the `updates` of the layers before the train step", edits)
    return Fix(Applicability.DISPLAY, "run the `updates` of the layers or of the model with the train step")


def _hindrance(neglect: Neglect, trace: Trace) -> str | None:
    step = neglect.step
    if step.node.branch or in_graph_loop(step.context, trace):
        return "the train step is built inside a conditional or a loop of the graph, where the updates cannot run"
    for call in neglect.calls:
        if call.order > step.order:
            return "layers are called after the train step: build it last, and run their `updates` with it"
        if any(node.branch for node in call.update_nodes) or in_graph_loop(call.context, trace):
            return (
                "the updates are built inside a conditional or a loop of the graph, where nothing outside can run "
                "them"
            )
        runs = runs_of(step, trace)
        if runs and all(call.training(run.world()) is False for run in runs):
            return (
                "feed the learning phase while training, or pass `training`, and run the `updates` of the layers or "
                "of the model with the train step"
            )
    layers = {call.layer for call in neglect.calls}
    same = [call for call in trace.of(NormCall) if call.layer in layers and call.update_nodes]
    if foreign(step, [call for call in same if World(step.guards).allows(call.guards)], trace) is not None:
        return (
            "the layers are applied elsewhere too, perhaps to a placeholder of their own that is never fed: run those "
            "of their `updates` that belong to the trained input (`get_updates_for`) with the train step"
        )
    return None


def _fits(named: Named, neglect: Neglect, trace: Trace) -> bool:
    """Whether a name holds a list of updates that may all run with the train step."""
    updates = updates_in(named)
    if not named.several or not 0 < len(updates) == len(named.holds):
        return False
    return foreign(neglect.step, [node.attrs["call"] for node in updates], trace) is None


def _named_updates(neglect: Neglect, step: Step, trace: Trace) -> list[str]:
    """The lists of updates, of layers and models with a name, that hold those of the train step and no others."""
    fit = [named for named in visible(step) if _fits(named, neglect, trace)]
    return lists_of({node for call in neglect.calls for node in call.update_nodes}, fit)


def _depend_on(step: Step, updates: str, trace: Trace) -> Edit:
    """Add updates to the dependencies of the block around a train step, or put a block around it."""
    given = _dependencies(step, trace)
    if given is not None:
        return ReplaceExpression(step.written.locate(given), f"{{old}} + {updates}")
    return WrapStatement(step.train.site, f"{{tf}}.control_dependencies({updates})")


def _dependencies(step: Step, trace: Trace) -> ast.expr | None:
    """The list of collected updates on which the block around a train step depends."""
    for outer in step.written.outwards(step.statement):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return None
        for item in outer.items if isinstance(outer, ast.With) else ():
            manager = item.context_expr
            if (
                isinstance(manager, ast.Call)
                and name_of(manager) == "control_dependencies"
                and len(manager.args) == 1
            ):
                given = manager.args[0]
                return given if _is_collected(given, step, trace) else None
    return None


def _is_collected(given: ast.expr, step: Step, trace: Trace) -> bool:
    for read in trace.of(CollectUpdates):
        call = step.written.at(read.site, ast.Call) if read.site.path == step.train.site.path else None
        if call is given:
            return True
        holder = step.written.parent(call) if call is not None else None
        if isinstance(holder, ast.Assign) and any(
            ast.unparse(target) == ast.unparse(given) for target in holder.targets
        ):
            return True
    return False


# -- layers without a name that the train step can see ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """A layer or a model that is called: where, and the edits after which it has a name there."""

    statement: Location
    name: str
    edits: tuple[Edit, ...]


def _by_holders(neglect: Neglect, step: Step, trace: Trace) -> tuple[Edit, ...]:
    """The edits that name the layers and run their updates with the step, by way of the collection if need be."""
    calls = first_of_each_place(neglect.calls)
    taken: dict[ast.AST, set[str]] = {}
    holders: list[Holder] = []
    near = True
    for call in calls:
        written = source(call.site, trace)
        holder = _holder(call, written, taken, neglect, trace) if written is not None else None
        if written is None or holder is None:
            return ()
        holders.append(holder)
        statement = written.statement(written.at(call.site, ast.Call) or written.tree)
        near = near and call.context.frame is step.train.context.frame and statement is not None
        near = near and statement is not None and step.written.precedes(statement, step.call)
    edits = [edit for holder in holders for edit in holder.edits]
    if near:
        return (*edits, _depend_on(step, " + ".join(f"{holder.name}.updates" for holder in holders), trace))
    edits.extend(
        InsertStatement(holder.statement, _ADD.format(norm=holder.name), after=True) for holder in holders
    )
    last = max(call.order for call in neglect.calls)
    graph = neglect.calls[0].layer.graph
    reads = [
        read for read in trace.of(CollectUpdates) if read.graph is graph and read.collection == "update_ops"
    ]
    collects = any(last < read.order < neglect.step.order and read.scope is None for read in reads)
    if not collects and not neglect.step.runs_updates:
        edits.append(WrapStatement(neglect.step.site, f"{{tf}}.control_dependencies({UPDATE_OPS})"))
    return tuple(edits)


def _holder(
    call: NormCall, written: Source, taken: dict[ast.AST, set[str]], neglect: Neglect, trace: Trace
) -> Holder | None:
    """The layer or model that is called where a layer normalises."""
    node = written.at(call.site, ast.Call)
    statement = written.statement(node) if node is not None else None
    if node is None or not isinstance(statement, ast.Assign | ast.Expr) or call.via:
        return None
    where = written.locate(statement)
    if is_plain(node.func):
        text = ast.unparse(node.func)
        mine = set(call.update_nodes)
        holds = any(
            named.text == f"{text}.updates" and mine <= set(named.holds) and _fits(named, neglect, trace)
            for named in call.context.frame.names()
        )
        return Holder(where, text, ()) if holds else None
    if not isinstance(node.func, ast.Call) or not is_plain(node.func.func):
        return None
    made = ast.unparse(node.func)
    if "{" in made or _in_expression(node, statement, written):
        return None
    if name_of(node.func) in ("partial", "make_template"):
        return None
    scope = written.scope(statement)
    kind = "norm" if call.layer.site == written.locate(node.func) else "model"
    name = _fresh(kind, scope, taken.setdefault(scope, set()))
    edits = (InsertStatement(where, f"{name} = {made}"), ReplaceExpression(written.locate(node.func), name))
    return Holder(where, name, edits)


def _in_expression(node: ast.Call, statement: ast.stmt, written: Source) -> bool:
    """Whether a call may be evaluated more than once, or not at all, when its statement is executed."""
    kinds = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
    return any(
        isinstance(outer, kinds) and written.inside(outer, statement) for outer in written.outwards(node)
    )


def _fresh(kind: str, scope: ast.AST, taken: set[str]) -> str:
    """A name for a layer or a model that the scope does not use."""
    used = {node.id for node in ast.walk(scope) if isinstance(node, ast.Name)} | taken
    used |= {node.arg for node in ast.walk(scope) if isinstance(node, ast.arg)}
    names = chain([kind], (f"{kind}{number}" for number in count(2)))
    name = next(name for name in names if name not in used)
    taken.add(name)
    return name
