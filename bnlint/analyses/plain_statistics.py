"""Running statistics that a hand-written norm of PyTorch keeps in plain tensors.

Such a norm makes them in its constructor, learns them in another method, and subtracts the one and divides by the root
of the other.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from bnlint.analyses.written import Source, everything
from bnlint.findings import Location
from bnlint.interpreter.syntax import mentions
from bnlint.trace import Trace, has_word
from bnlint.walk import walk

_MAKERS = ("torch.zeros", "torch.ones")
_ROOTS = ("sqrt", "rsqrt")
_SPOKEN_OF = (("torch",), ("zeros", "ones"))
_BY_HAND = re.compile(r"^(register_buffer|_buffers|state_dict|_apply|_save_to_state_dict|setattr)$")
"""Names in a class that may register what it keeps."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic in an attribute."""

    name: str
    made: Location
    moved: Location
    used: Location


def plain_statistics(trace: Trace) -> Iterator[tuple[Statistic, Statistic]]:
    """The mean and the variance of each class that keeps them in plain tensors."""
    for written in everything(trace, _candidates):
        for owner in _candidates(written.tree):
            found = _statistics(owner, written)
            if found is not None:
                yield found


@functools.lru_cache(maxsize=4096)
def _candidates(tree: ast.AST) -> tuple[ast.ClassDef, ...]:
    """The modules of PyTorch in a file that keep plain tensors and register nothing by hand."""
    if not all(any(has_word(tree, word) for word in either) for either in _SPOKEN_OF):
        return ()
    return tuple(
        node
        for node in walk(tree)
        if isinstance(node, ast.ClassDef)
        and _is_module(node)
        and len(_made_by(node)) > 1
        and not mentions(node, _BY_HAND)
    )


def _made_by(owner: ast.ClassDef) -> dict[str, ast.expr]:
    constructors = (
        node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    return {name: value for constructor in constructors for name, value in _made(constructor)}


def _is_module(owner: ast.ClassDef) -> bool:
    return any(ast.unparse(base) in ("nn.Module", "torch.nn.Module", "Module") for base in owner.bases)


@functools.lru_cache(maxsize=4096)
def _statistics(owner: ast.ClassDef, written: Source) -> tuple[Statistic, Statistic] | None:
    made = _made_by(owner)
    methods = [node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name != "__init__"]
    nodes = [node for method in methods for node in ast.walk(method)]
    moved = {name: node for node in nodes for name in _moved(node)}
    used: dict[str, dict[str, ast.AST]] = {"mean": {}, "variance": {}}
    for node in nodes:
        for role, name in _roles(node, written):
            if name in made and name in moved:
                used[role].setdefault(name, node)

    def statistic(role: str) -> Statistic | None:
        name, node = next(iter(used[role].items()), ("", owner))
        return (
            Statistic(name, *(written.locate(place) for place in (made[name], moved[name], node)))
            if name
            else None
        )

    mean, variance = statistic("mean"), statistic("variance")
    return (mean, variance) if mean and variance and mean.name != variance.name else None


def _made(constructor: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """The attributes that a constructor fills with zeros or ones, perhaps on a device."""
    for node in walk(constructor):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            name, value = _attribute(node.targets[0]), node.value
            while _is_transfer(value) and isinstance(value.func, ast.Attribute):
                value = value.func.value
            if name and isinstance(value, ast.Call) and ast.unparse(value.func) in _MAKERS:
                yield name, node.value


def _moved(node: ast.AST) -> Iterator[str]:
    """The attributes that a statement computes anew from themselves, or changes in place."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            for part in target.elts if isinstance(target, ast.Tuple) else (target,):
                name = _attribute(part)
                if name and any(_attribute(inner) == name for inner in ast.walk(node.value)):
                    if not _is_transfer(node.value):
                        yield name
    elif isinstance(node, ast.AugAssign):
        yield _attribute(node.target)
    elif isinstance(node, ast.Call) and _is_function(node):
        yield from map(_attribute, _given(node))
    elif isinstance(node, ast.Call) and _called(node).endswith("_") and isinstance(node.func, ast.Attribute):
        yield next(filter(None, map(_attribute, ast.walk(node.func.value))), "")


def _is_transfer(value: ast.expr) -> TypeGuard[ast.Call]:
    """Whether a tensor is only moved to a device, or copied."""
    return isinstance(value, ast.Call) and _called(value) in ("to", "cuda", "cpu", "float", "clone", "detach")


def _roles(node: ast.AST, written: Source) -> Iterator[tuple[str, str]]:
    """Which attribute a piece of code takes for the mean, and which for the variance."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _attribute(node.right):
        yield "mean", _attribute(node.right)
    if isinstance(node, ast.Call):
        called = _called(node)
        if _is_function(node):
            yield from zip(("mean", "variance"), map(_attribute, _given(node)), strict=False)
        elif called in _ROOTS:
            for part in ast.walk(node):
                if _attribute(part):
                    yield "variance", _attribute(part)
        elif isinstance(node.func, ast.Name):
            yield from _handed_on(node, node.func.id, written)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        for part in ast.walk(node.left):
            if _attribute(part) and ast.unparse(node.right) in ("0.5", "1 / 2", "-0.5"):
                yield "variance", _attribute(part)


def _is_function(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "batch_norm"


def _given(call: ast.Call) -> list[ast.expr]:
    """The running mean and variance of a call of ``F.batch_norm``."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    both = [*call.args[1:3], *(named[name] for name in ("running_mean", "running_var") if name in named)]
    return both if len(both) == 2 else []


def _handed_on(call: ast.Call, name: str, written: Source) -> Iterator[tuple[str, str]]:
    """What a function of the same file takes the attributes for that it is given."""
    for function in ast.iter_child_nodes(written.tree):
        if isinstance(function, ast.FunctionDef) and function.name == name:
            names = [parameter.arg for parameter in function.args.args]
            given: dict[str | None, ast.expr] = dict(zip(names, call.args, strict=False))
            given.update({keyword.arg: keyword.value for keyword in call.keywords})
            for node in ast.walk(function):
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
                    right = getattr(node.right, "id", None)
                    if right in given and _attribute(given[right]):
                        yield "mean", _attribute(given[right])
                elif isinstance(node, ast.Call) and _called(node) in _ROOTS:
                    for part in ast.walk(node):
                        inner = getattr(part, "id", None)
                        if inner in given and _attribute(given[inner]):
                            yield "variance", _attribute(given[inner])


def _attribute(node: ast.AST) -> str:
    """The name of an attribute of ``self``."""
    own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if own and isinstance(node, ast.Attribute) else ""


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
