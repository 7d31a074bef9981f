"""How a program is written at a place: what a rule looks up when it words a repair."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from typing import TypeVar

from bnlint.dataflow import Frame
from bnlint.findings import Location
from bnlint.trace import Trace
from bnlint.walk import walk

Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Module)
_NodeT = TypeVar("_NodeT", bound=ast.AST)


class Source:
    """The syntax tree of one file, looked up by place and from the inside out."""

    def __init__(self, tree: ast.AST, locate: Callable[[ast.AST], Location]) -> None:
        self.tree = tree
        self.locate = locate
        self._nodes = walk(tree)
        self._placed: dict[type[ast.AST], dict[tuple[Location, int | None], ast.AST]] = {}
        """The outermost node of a kind at each place, for the kinds that were asked for."""

    def at(self, location: Location | None, kind: type[_NodeT]) -> _NodeT | None:
        """The node of a kind that stands exactly at a place."""
        if location is None:
            return None
        placed = self._placed.get(kind)
        if placed is None:
            placed = self._placed[kind] = {}
            for node in self._nodes:
                if isinstance(node, kind) and hasattr(node, "lineno"):
                    here = self.locate(node)
                    placed.setdefault((here, here.cell), node)
        found = placed.get((location, location.cell))
        return found if isinstance(found, kind) else None

    @functools.cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self._nodes for child in ast.iter_child_nodes(node)}

    def outwards(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node stands in, innermost first."""
        while node in self._parents:
            node = self._parents[node]
            yield node

    def parent(self, node: ast.AST) -> ast.AST | None:
        """What a node stands in directly."""
        return self._parents.get(node)

    def around(self, node: ast.AST, kind: type[_NodeT]) -> _NodeT | None:
        """The innermost node of a kind around a node, or the node itself."""
        return next((outer for outer in (node, *self.outwards(node)) if isinstance(outer, kind)), None)

    def scope(self, node: ast.AST) -> ast.AST:
        """The function around a node, or the module."""
        return next((outer for outer in self.outwards(node) if isinstance(outer, _SCOPES)), self.tree)

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """The statement to which a node belongs."""
        return self.around(node, ast.stmt)

    def inside(self, node: ast.AST, outer: ast.AST) -> bool:
        """Whether a node is a part of another one."""
        return node is outer or outer in self.outwards(node)

    def precedes(self, statement: ast.stmt, node: ast.AST) -> bool:
        """Whether a statement has certainly been executed when a node is reached: it stands earlier in a block
        around the node, perhaps inside a ``with`` statement there."""
        block: ast.AST | None = statement
        while isinstance(self._parents.get(block or statement), ast.With):
            block = self._parents[block or statement]
        owner = self._parents.get(block or statement)
        inner: ast.AST = node
        for outer in self.outwards(node):
            if outer is owner:
                return any(
                    isinstance(body, list)
                    and block in body
                    and inner in body
                    and body.index(block) < body.index(inner)
                    for _, body in ast.iter_fields(outer)
                )
            inner = outer
        return False

    def assigned(self, name: ast.Name) -> ast.expr | None:
        """What a name certainly stands for at its place, if one assignment in the same function gives it."""
        scope = self.scope(name)
        if bound(name.id, scope) != 1:
            return None
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if node.targets[0].id == name.id and self.scope(node) is scope:
                    return node.value if self.precedes(node, name) else None
        return None

    def sees(self, name: str, definition: ast.AST, node: ast.AST) -> bool:
        """Whether a name at a node means what a function (or the module) around it calls so.

        The function binds the name once, as a parameter or in one statement; nothing in between binds it.
        """
        if not self.inside(node, definition):
            return False
        inner = self.scope(node)
        while inner is not definition and inner is not self.tree:
            if bound(name, inner):
                return False
            inner = self.scope(inner)
        return inner is definition and bound(name, definition) == 1


def source(location: Location | None, trace: Trace) -> Source | None:
    """The file in which a place is; None if the program's trace does not have its tree."""
    if location is None:
        return None
    cache: dict[str, Source | None] = trace.facts.setdefault("sources", {})
    path = location.path
    if path not in cache:
        tree = dict(zip(trace.files, trace.trees, strict=False)).get(path)
        locate = _locators(trace).get(path)
        cache[path] = _source(tree, locate) if tree is not None and locate is not None else None
    return cache[path]


def everything(trace: Trace, worth: Callable[[ast.AST], object]) -> Iterator[Source]:
    """The files of a program in which something happens and whose trees are worth looking at."""
    for path, tree in zip(trace.files, trace.trees, strict=False):
        locate = _locators(trace).get(path) if worth(tree) else None
        if locate is not None:
            yield _source(tree, locate)


@functools.lru_cache(maxsize=64)
def _source(tree: ast.AST, locate: Callable[[ast.AST], Location]) -> Source:
    """The programs of a project share most of their files."""
    return Source(tree, locate)


def _locators(trace: Trace) -> dict[str, Callable[[ast.AST], Location]]:
    found: dict[str, Callable[[ast.AST], Location]] | None = trace.facts.get("locators")
    if found is None:
        found = trace.facts["locators"] = {}
        seen: set[Frame] = set()
        contexts = [event.context for event in trace.events] + [node.context for node in trace.nodes]
        for context in contexts:
            for frame in context.frame.outwards():
                if frame in seen:
                    break
                seen.add(frame)
                found.setdefault(frame.module, frame.locate)
    return found


def parameters(definition: ast.AST | None) -> list[ast.arg]:
    """The parameters of a function, in order; those that collect the rest are left out."""
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return []
    spec = definition.args
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]


def bound(name: str, scope: ast.AST) -> int:
    """How often a function or module binds a name, by a parameter or in its own statements."""
    count = sum(parameter.arg == name for parameter in parameters(scope))
    pending = list(ast.iter_child_nodes(scope))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            count += node.name == name
        elif isinstance(node, ast.Lambda):
            continue
        elif isinstance(node, ast.Name) and node.id == name:
            count += not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
            count += 2
        else:
            if isinstance(node, ast.alias):
                count += (node.asname or node.name.partition(".")[0]) == name
            pending.extend(ast.iter_child_nodes(node))
    return count


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value that a call gives by a keyword."""
    return next((given.value for given in call.keywords if given.arg == name), None)


def is_plain(node: ast.expr) -> bool:
    """Whether an expression is a name or an attribute of one, and can be written anywhere."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)
