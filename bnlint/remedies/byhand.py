"""How the updates of hand-written moving statistics come to run with a train step."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from bnlint.analyses.handmade import Handmade, updates_run
from bnlint.analyses.runs import executions
from bnlint.analyses.written import Source, is_plain, source
from bnlint.dataflow import World, execution
from bnlint.findings import Applicability, Edit, Fix, ReplaceExpression, WrapStatement
from bnlint.remedies.collection import UPDATE_OPS, rivals
from bnlint.remedies.names import lists_of, visible
from bnlint.remedies.steps import Step, in_graph_loop, name_of, step_of, within
from bnlint.trace import CollectUpdates, Run, Trace, TrainStep

_SHOWN = "make the update a dependency of what the train step uses, inside the training branch"


def repair(layer: Handmade, layers: Sequence[Handmade], run: Run, trace: Trace) -> Fix:
    """Run the updates of a layer; ``layers`` are all whose updates are lost, which share the repair."""
    inside = _identities(layer, trace)
    if inside:
        return Fix(
            Applicability.SAFE,
            "create what the block returns inside it, so that it waits for the updates",
            inside,
        )
    steps = [
        node.attrs["step"]
        for node in executions(trace)[run].certain
        if isinstance(node.attrs.get("step"), TrainStep)
    ]
    step = step_of(steps[0], trace) if len(steps) == 1 else None
    lost = [
        one
        for one in layers
        if one.updates and not updates_run(one, trace) and one.call.layer.graph is layer.call.layer.graph
    ]
    if step is None or not step.simple or not _may_run(step, lost, trace):
        return Fix(Applicability.DISPLAY, _SHOWN)
    named = _named(step, lost)
    if named:
        edit = WrapStatement(step.train.site, f"{{tf}}.control_dependencies({named})")
        return Fix(Applicability.SAFE, f"run `{named}` before the train step", (edit,))
    edits = _collected(step, lost, trace) or _into_collection(step, lost, trace)
    if edits:
        return Fix(Applicability.SAFE, "run the updates before the train step, by way of a collection", edits)
    return Fix(Applicability.DISPLAY, _SHOWN)


def _may_run(step: Step, lost: Sequence[Handmade], trace: Trace) -> bool:
    """Whether the updates can run with the train step, which applies all their layers."""
    if step.train.node.branch or in_graph_loop(step.train.context, trace) or rivals(step.train, trace):
        return False
    executed = execution([step.train.node], World(step.train.guards)).nodes
    return all(
        layer.call.output in executed
        and not within(layer.call.context, step.location)
        and all(
            not update.branch and update.order < step.train.order and not in_graph_loop(update.context, trace)
            for update in layer.updates
        )
        for layer in lost
    )


def _named(step: Step, lost: Sequence[Handmade]) -> str:
    """The updates, as names that are visible at the train step hold them."""
    wanted = {update for layer in lost for update in layer.updates}
    names = [named for named in visible(step) if named.holds and set(named.holds) <= wanted]
    return " + ".join(lists_of(wanted, names))


def _collected(step: Step, lost: Sequence[Handmade], trace: Trace) -> tuple[Edit, ...]:
    """The edit that runs a collection which the updates are added to, and which nothing reads."""
    keys: set[str] = set()
    for layer in lost:
        for update in layer.updates:
            written = source(update.site, trace)
            node = written.at(update.site, ast.Call) if written else None
            holder = written.parent(node) if written and node else None
            if written is not step.written or not isinstance(holder, ast.Call) or len(holder.args) != 2:
                return ()
            key = holder.args[0]
            if name_of(holder) != "add_to_collection" or node is not holder.args[1]:
                return ()
            if not isinstance(key, ast.Constant) and not (
                isinstance(key, ast.Name) and written.sees(key.id, written.tree, step.call)
            ):
                return ()
            keys.add(ast.unparse(key))
    if len(keys) != 1:
        return ()
    text = f"{{tf}}.get_collection({keys.pop()})"
    return (WrapStatement(step.train.site, f"{{tf}}.control_dependencies({text})"),)


def _into_collection(step: Step, lost: Sequence[Handmade], trace: Trace) -> tuple[Edit, ...]:
    """The edits that put updates which are dropped at once into the usual collection, and run that."""
    sites = dict.fromkeys(update.site for layer in lost for update in layer.updates)
    edits: list[Edit] = []
    for site in sites:
        written = source(site, trace)
        node = written.at(site, ast.Call) if written else None
        if written is None or node is None or not isinstance(written.parent(node), ast.Expr):
            return ()
        edits.append(ReplaceExpression(site, "{tf}.add_to_collection({tf}.GraphKeys.UPDATE_OPS, {old})"))
    last = max(update.order for layer in lost for update in layer.updates)
    graph = lost[0].call.layer.graph
    reads = [
        read for read in trace.of(CollectUpdates) if read.graph is graph and read.collection == "update_ops"
    ]
    if not any(last < read.order < step.train.order and read.scope is None for read in reads):
        if step.train.runs_updates:
            return tuple(edits)
        edits.append(WrapStatement(step.train.site, f"{{tf}}.control_dependencies({UPDATE_OPS})"))
    return tuple(edits)


def _identities(layer: Handmade, trace: Trace) -> tuple[Edit, ...]:
    """The edits for a block of dependencies on the updates that returns only what was there before it."""
    for update in layer.updates:
        written = source(update.site, trace)
        node = written.at(update.site, ast.Call) if written else None
        block = _block_of(node, written) if written and node else None
        if written is not None and block is not None:
            returned = block.body[0]
            assert isinstance(returned, ast.Return) and returned.value is not None
            value = returned.value
            parts = value.elts if isinstance(value, ast.Tuple) else [value]
            if all(is_plain(part) for part in parts):
                return tuple(
                    ReplaceExpression(written.locate(part), "{tf}.identity({old})") for part in parts
                )
    return ()


def _block_of(update: ast.Call, written: Source) -> ast.With | None:
    """The block, of one ``return``, that depends on an update or on the list which holds it."""
    statement = written.statement(update)
    names = [target.id for target in getattr(statement, "targets", ()) if isinstance(target, ast.Name)]
    for block in ast.walk(written.scope(update)):
        if (
            isinstance(block, ast.With)
            and len(block.items) == 1
            and len(block.body) == 1
            and isinstance(block.body[0], ast.Return)
            and block.body[0].value is not None
            and isinstance(manager := block.items[0].context_expr, ast.Call)
            and name_of(manager) == "control_dependencies"
            and len(manager.args) == 1
        ):
            given = manager.args[0]
            direct = any(node is update for node in ast.walk(given))
            if direct or any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(given)):
                return block
    return None
