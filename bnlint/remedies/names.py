"""Which values a program can write by name where it takes a train step."""

from __future__ import annotations

import ast
from collections.abc import Collection

from bnlint.analyses.written import is_plain, parameters
from bnlint.dataflow import Frame, Named, Node, Op
from bnlint.remedies.steps import Step


def visible(step: Step) -> list[Named]:
    """The names of the function that takes the step, and of its module, that have their values by then."""
    own = step.train.context.frame
    outer = [frame for frame in own.outwards() if frame.node is None and frame.module == own.module]
    frames = [own, *(frame for frame in outer if frame is not own)]
    return [named for frame in frames for named in frame.names() if _bound(named, frame, step)]


def _bound(named: Named, frame: Frame, step: Step) -> bool:
    """Whether a name means its value, which is there, when the step is taken."""
    written = step.written
    scope = frame.node if frame.node is not None else written.tree
    root, _, attribute = named.text.partition(".")
    if not written.sees(root, scope, step.call):
        return False
    if any(isinstance(node, Node) and node.order > step.train.order for node in named.holds):
        return False
    if root in {parameter.arg for parameter in parameters(frame.node)}:
        return all(
            written.precedes(made, step.call) for made in (bindings(named.text, scope) if attribute else ())
        )
    made = bindings(root, scope)
    inside = written.scope(step.call) is scope
    return len(made) == 1 and (not inside or written.precedes(made[0], step.call))


def bindings(text: str, scope: ast.AST) -> list[ast.Assign]:
    """The statements of a scope that assign to a name or an attribute."""
    return [
        statement
        for statement in ast.walk(scope)
        if isinstance(statement, ast.Assign)
        and any(
            is_plain(part) and ast.unparse(part) == text
            for target in statement.targets
            for part in ast.walk(target)
            if isinstance(part, ast.expr)
        )
    ]


def lists_of(wanted: Collection[Node], names: list[Named]) -> list[str]:
    """How lists are written that together hold all the wanted operations; empty if there are none.

    Lists that hold other updates too are taken: the caller knows which names are fit.
    """
    missing = set(wanted)
    found: list[Named] = []
    while missing:
        ranked = sorted(names, key=lambda named: (-len(missing & set(named.holds)), len(named.text)))
        if not ranked or not missing & set(ranked[0].holds):
            return []
        found.append(ranked[0])
        missing -= set(ranked[0].holds)
    single = [named.text for named in found if not named.several]
    return [
        *(named.text for named in found if named.several),
        *([f"[{', '.join(single)}]"] if single else []),
    ]


def updates_in(named: Named) -> list[Node]:
    """The update operations of layers that a name holds."""
    return [node for node in named.holds if isinstance(node, Node) and node.op == Op.UPDATE]
