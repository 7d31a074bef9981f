"""Interpreting one program from its entry, or the functions of a module that no entry reaches."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bnlint.dataflow import Value
from bnlint.frameworks.library import Library
from bnlint.interpreter.activation import (
    ALONE,
    GENEROUS_ALONE,
    GENEROUS_SILENT,
    Activation,
    BudgetExceeded,
    allowance,
)
from bnlint.interpreter.calls import call_with_unknowns
from bnlint.interpreter.machine import Machine, Observe
from bnlint.interpreter.modules import Modules
from bnlint.interpreter.shared import Shared
from bnlint.interpreter.values import ClassValue, Function, Instance, Method, Property, Static
from bnlint.program.project import Project
from bnlint.source.gate import Relevance, relevance
from bnlint.source.module import Module
from bnlint.trace import Trace, has_word

Read = Callable[[Path], Module | None]

Bounds = tuple[Mapping[str, str], Mapping[str, str]]
NO_BOUNDS: Bounds = ({}, {})


def interpret(
    entry: Path,
    project: Project,
    read: Read,
    library: Library,
    shared: Shared | None = None,
    observe: Observe | None = None,
    versions: Bounds = NO_BOUNDS,
) -> tuple[Trace, set[ast.AST]]:
    """The trace of a program, and the function definitions that it entered.

    ``shared`` keeps what programs have in common between calls; ``versions`` are the lowest and
    the highest of the libraries.
    """
    modules = Modules(project, read, entry, shared)
    trace = Trace("", versions=versions[0], ceilings=versions[1])
    machine = Machine(modules, library, trace, observe)
    if shared is not None:
        machine.limit = allowance(machine.limit, shared.steps)
    try:
        modules.run(machine, entry)
    except BudgetExceeded:
        trace.incomplete = f"the program takes more than {machine.limit} steps to interpret"
    except RecursionError:
        trace.incomplete = "the program is nested too deeply"
    modules.share()
    if shared is not None:
        shared.steps += machine.steps
    _finish(trace, modules, entry)
    return trace, machine.entered


def interpret_alone(
    path: Path,
    project: Project,
    read: Read,
    library: Library,
    entered: set[ast.AST],
    shared: Shared | None = None,
    observe: Observe | None = None,
    versions: Bounds = NO_BOUNDS,
) -> Iterator[Trace]:
    """A trace for each function and class of a module that no program entered."""
    source = read(path)
    if source is None:
        return
    definitions = [
        node
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    if all(_reached(node, entered) for node in definitions):
        return
    modules = Modules(project, read, path, shared)
    machine = Machine(modules, library, Trace("", versions=versions[0], ceilings=versions[1]), observe)
    machine.limit = allowance(machine.limit, shared.alone if shared is not None else 0, GENEROUS_ALONE)
    try:
        module = modules.reuse(path) or modules.run(machine, path, path.stem)
    except BudgetExceeded:
        return
    finally:
        modules.share()
        if shared is not None:
            shared.alone += machine.steps
    if module is None:
        return
    for node in definitions:
        value = module.scope.slots.get(node.name)
        if _reached(node, entered) or not isinstance(value, Value) or _is_test(value, source.tree):
            continue
        if shared is not None and shared.alone > GENEROUS_SILENT:
            if relevance(source.text_of(node).encode(errors="replace"), library.norm_words) is Relevance.NONE:
                continue
        trace = machine.trace = Trace("", driven=False, versions=versions[0], ceilings=versions[1])
        machine.state.clear()
        machine.graph = None
        machine.frame = module.scope.frame
        machine.activation = Activation(module.scope, ())
        machine.guards = ()
        machine.nesting = 0
        before = machine.steps
        most = allowance(ALONE, shared.alone if shared is not None else 0, GENEROUS_ALONE)
        machine.limit = before + most
        try:
            _call_alone(machine, value, entered)
        except BudgetExceeded:
            trace.incomplete = f"{node.name} takes more than {most} steps to interpret"
        except RecursionError:
            trace.incomplete = f"{node.name} is nested too deeply"
        if shared is not None:
            shared.alone += machine.steps - before
        _finish(trace, modules, path)
        yield trace


def _reached(node: ast.AST, entered: set[ast.AST]) -> bool:
    if isinstance(node, ast.ClassDef):
        methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
        return all(method in entered for method in methods)
    return node in entered


def _is_test(value: Value, tree: ast.AST) -> bool:
    """Whether a function or a class is a test of pytest or unittest: it tries pieces out, and is nobody's program.

    A program that measures a model may be called a test, too; only tests speak of pytest.
    """
    if isinstance(value, Function | ClassValue) and value.name.startswith(("test_", "Test")):
        if has_word(tree, "pytest"):
            return True
    base = value.api() if isinstance(value, ClassValue) else None
    return base is not None and base.name.rpartition(".")[2].endswith("TestCase")


def _call_alone(machine: Machine, value: Value, entered: set[ast.AST]) -> None:
    site = machine.here
    if isinstance(value, Function):
        call_with_unknowns(machine, value, site)
    elif isinstance(value, ClassValue):
        made = call_with_unknowns(machine, value, site)
        if not isinstance(made, Instance):
            return
        foreign = _is_foreign(machine, value)
        for name, member in list(value.slots.items()):
            if isinstance(member, Property):
                machine.attribute(made, name, site)
            if isinstance(member, Static):
                member = member.function
            if foreign and isinstance(member, Function):
                machine.trace.hooks.add(member.node)
            if (
                isinstance(member, Function)
                and member.node not in machine.entered
                and member.node not in entered
            ):
                call_with_unknowns(machine, Method(made, member), site)


def _is_foreign(machine: Machine, cls: ClassValue) -> bool:
    """Whether a class derives from one of a library that no framework knows."""
    base = cls.api()
    if base is None or machine.libraries.framework_of(base.name) is not None:
        return False
    return base.name.partition(".")[0] not in sys.stdlib_module_names


def _finish(trace: Trace, modules: Modules, entry: Path) -> None:
    trace.files, trace.trees = modules.read
    trace.entry = trace.files[0] if trace.files else str(entry)
