"""Importing: modules of the project are executed once per program, everything else is a library."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bnlint.dataflow import Choice, Const, Frame, Node, Op, Unknown, Value
from bnlint.findings import Location
from bnlint.interpreter.activation import Activation
from bnlint.interpreter.builtins import NAMES
from bnlint.interpreter.names import names_in
from bnlint.interpreter.shared import Definitions, Shared, Top, home_of
from bnlint.interpreter.store import Change
from bnlint.interpreter.values import (
    ApiObject,
    ApiRef,
    ClassValue,
    Dict,
    Function,
    Instance,
    List,
    Method,
    ModuleValue,
    Package,
    Scope,
    Super,
    Tuple,
)
from bnlint.program.project import Project
from bnlint.source.gate import Relevance, relevance
from bnlint.source.module import Module

if TYPE_CHECKING:
    import re

    from bnlint.interpreter.machine import Machine


_STATE = {Op.VARIABLE, Op.PLACEHOLDER, Op.NORM, Op.WEIGHTED, Op.ASSIGN, Op.AVERAGE_APPLY}
"""Operations that belong to the graph of one program."""


class Modules:
    """The modules of one program."""

    def __init__(
        self,
        project: Project,
        read: Callable[[Path], Module | None],
        entry: Path,
        shared: Shared | None = None,
    ) -> None:
        self._project = project
        self._shared = shared if shared is not None else Shared()
        self._candidates: dict[ModuleValue, Definitions] = {}
        self._stack: list[ModuleValue] = []
        self._needs: dict[ModuleValue, set[ModuleValue]] = {}
        self._tops: dict[ModuleValue, set[Top]] = {}
        self._read = read
        self._entry = entry
        self._loaded: dict[Path, ModuleValue] = {}
        self._builtins: dict[str, ApiRef] = {}
        self._builds: dict[ModuleValue, bool] = {}
        self._matters: dict[ModuleValue, bool] = {}
        self._begun = 0
        """The step at which importing began, less what earlier imports have cost."""
        self._imported = 0
        """How many steps importing has cost."""
        self._hurried = False
        """Whether that was too much: of what is left, only the definitions are wanted."""
        self._running: set[ModuleValue] = set()
        self._said: dict[re.Pattern[str], tuple[int, bool]] = {}
        self._executed: tuple[tuple[str, ...], tuple[ast.AST, ...]] = (), ()

    @property
    def read(self) -> tuple[tuple[str, ...], tuple[ast.AST, ...]]:
        """The files that were executed, in order: their paths as users see them, and their syntax trees."""
        executed = [module.source for module in self._loaded.values() if module.executed]
        if len(executed) != len(self._executed[0]):
            self._executed = (
                tuple(source.display for source in executed),
                tuple(source.tree for source in executed),
            )
        return self._executed

    def say(self, words: re.Pattern[str]) -> bool:
        """Whether the text of any file that was executed so far speaks of something."""
        seen, found = self._said.get(words, (0, False))
        if not found and seen < len(self._loaded):
            fresh = list(self._loaded.values())[seen:]
            found = any(module.executed and words.search(module.source.text) for module in fresh)
            self._said[words] = (len(self._loaded), found)
        return found

    def run(self, machine: Machine, path: Path, name: str = "__main__") -> ModuleValue | None:
        """Execute a file as the program's entry."""
        module = self._module(path, name)
        self._execute(machine, module)
        return module if module.executed else None

    def reuse(self, path: Path) -> ModuleValue | None:
        """A module that another program has executed, if executing it again would give the same."""
        for found in self._shared.find(path, self._entry.parent, self._loaded):
            self._loaded[found.path] = found
        return self._loaded.get(path)

    def load(self, machine: Machine, importer: ModuleValue, dotted: str, level: int) -> Value:
        """What ``import dotted`` finds; ``level`` counts the dots of a relative import."""
        path = self._project.find(importer.path, dotted, level, self._entry)
        if not level:
            self._tops.setdefault(importer, set()).add((dotted.partition(".")[0], home_of(path, dotted)))
        if path is None:
            return machine.libraries.root(dotted) if not level else Unknown(dotted)
        return self._at(machine, path, dotted)

    def needs_now(self) -> frozenset[ModuleValue]:
        """The modules that the one that is being executed has imported."""
        return frozenset(self._needs.get(self._stack[-1], ())) if self._stack else frozenset()

    def needs_only(self, needs: frozenset[ModuleValue]) -> None:
        """Take back that the module that is being executed needs others than these."""
        if self._stack:
            self._needs[self._stack[-1]] = set(needs)

    def _at(self, machine: Machine, path: Path, dotted: str) -> Value:
        if path.is_dir():
            return Package(path)
        module = self._loaded.get(path)
        if module is None:
            self.reuse(path)
            module = self._module(path, dotted)
            self._execute(machine, module)
        if self._stack:
            self._needs.setdefault(self._stack[-1], set()).add(module)
        return module

    @property
    def importing(self) -> bool:
        """Whether a module other than the entry is being executed."""
        return len(self._stack) > 1

    def share(self) -> None:
        """Let other programs have the modules that only define things."""
        self._shared.keep(self._candidates, self._entry.parent)

    def member(self, machine: Machine, source: Value, name: str, site: Location) -> Value:
        """``from source import name``, or an attribute of a module."""
        if isinstance(source, ApiRef):
            return machine.libraries.member(machine, source, name)
        if isinstance(source, ModuleValue):
            found = source.scope.slots.get(name) if source.executed else None
            if isinstance(found, Value):
                return machine.settle(found)
            folder = source.path.parent if source.path.name == "__init__.py" else None
        elif isinstance(source, Package):
            folder = source.path
        else:
            return machine.attribute(source, name, site)
        if folder is not None:
            inner = self._project.inside(folder, name)
            if inner is not None:
                return self._at(machine, inner, name)
        if name == "__name__" and isinstance(source, ModuleValue):
            return Const(source.name)
        return machine.interned(("member", source, name), lambda: Unknown(name))

    def star(self, scope: Scope, source: ApiRef) -> None:
        """``from library import *``: names that nobody defines may come from it."""
        scope.module.stars.append(source)

    def starred(self, machine: Machine, module: ModuleValue, name: str) -> Value | None:
        """A name that nobody defines, if it certainly comes from the library of a star import."""
        stars = module.stars
        for library in reversed(stars):
            if machine.libraries.knows(f"{library.name}.{name}"):
                return machine.libraries.member(machine, library, name)
            if machine.libraries.framework_of(library.name) is None:
                if library.name.partition(".")[0] not in sys.stdlib_module_names:
                    return None
            elif len(stars) == 1:
                return machine.libraries.member(machine, library, name)
        return None

    def entry_member(self, name: str) -> Value | None:
        """A name of the program's entry, or None."""
        entry = self._loaded.get(self._entry)
        found = entry.scope.slots.get(name) if entry is not None and entry.executed else None
        return found if isinstance(found, Value) else None

    def builtin(self, name: str) -> Value | None:
        """A builtin of Python by name."""
        if name not in NAMES:
            return None
        found = self._builtins.get(name)
        if found is None:
            found = self._builtins[name] = ApiRef(f"builtins.{name}")
        return found

    def super_of(self, machine: Machine, node: ast.Call, scope: Scope) -> Value:
        """``super()`` with or without arguments."""
        owner: Value | None = scope.owner
        receiver: Value | None = None
        if len(node.args) == 2:
            owner = machine.evaluate(node.args[0], scope)
            receiver = machine.evaluate(node.args[1], scope)
        else:
            inner: Scope | None = scope
            while inner is not None and receiver is None:
                definition = inner.frame.node
                if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef) and definition.args.args:
                    receiver = inner.slots.get(definition.args.args[0].arg)
                inner = inner.parent
        if isinstance(owner, ClassValue) and receiver is not None:
            return Super(receiver, owner)
        return Unknown("super")

    def class_method(self, holder: Value, name: str) -> Value | None:
        """A special method that the project's class of an object defines."""
        if isinstance(holder, Instance):
            found = holder.cls.find(name)
            if isinstance(found, Function):
                return Method(holder, found)
        return None

    def matters(self, machine: Machine, module: ModuleValue) -> bool:
        """Whether a module's text speaks of normalisation or of driving a model."""
        found = self._matters.get(module)
        if found is None:
            text = module.source.text if module.executed else ""
            data = text.encode(errors="replace")
            says = relevance(data, machine.libraries.norm_words)
            found = self._matters[module] = says is not Relevance.NONE
        return found

    def builds(self, machine: Machine, module: ModuleValue) -> bool:
        """Whether a module can build or drive a model: it has, or imports, something of a framework."""
        if module not in self._builds:
            self._builds[module] = False
            found = any(self._of_framework(machine, value) for value in module.scope.slots.values())
            if module.executed and not found and module in self._running:
                del self._builds[module]
                return True
            self._builds[module] = found
        return self._builds[module]

    def _of_framework(self, machine: Machine, value: object) -> bool:
        if isinstance(value, ApiRef):
            return machine.libraries.builds(value.name)
        if isinstance(value, ModuleValue):
            return value.executed and self.builds(machine, value)
        if isinstance(value, Function | ClassValue):
            if machine.libraries.wrappers.find(value) is not None:
                return True
            return self.builds(machine, value.scope.module)
        return isinstance(value, Node | ApiObject)

    def belongs(self, machine: Machine, value: Value, depth: int = 2) -> bool:
        """Whether a value, or what an object keeps in its attributes, is part of a model."""
        if isinstance(value, Instance):
            if self.builds(machine, value.cls.scope.module):
                return True
            return depth > 0 and any(
                self.belongs(machine, slot, depth - 1)
                for slot in list(value.slots.values())
                if isinstance(slot, Value)
            )
        if isinstance(value, Choice):
            return any(self.belongs(machine, option, depth) for _, option in value.options)
        if isinstance(value, Method):
            return self.belongs(machine, value.receiver, depth)
        if isinstance(value, List | Tuple):
            return any(self.belongs(machine, item, depth) for item in value.items[:20])
        if isinstance(value, Dict):
            return any(self.belongs(machine, item, depth) for _, item, _ in value.entries()[:40])
        return self._of_framework(machine, value)

    def _module(self, path: Path, name: str) -> ModuleValue:
        module = self._loaded.get(path)
        if module is None:
            module = self._loaded[path] = ModuleValue(path, name)
        return module

    def _definitions(self, module: ModuleValue, changed: list[Change]) -> Definitions:
        needs = frozenset(self._needs.get(module, ()))
        made = Definitions(module, needs, frozenset(self._tops.get(module, ())), changed)
        made.content  # noqa: B018 - taken now, before the program changes anything
        return made

    def _run_body(self, machine: Machine, module: ModuleValue) -> None:
        """Execute the statements of a module, or, if importing has cost too much, only define what they define."""
        body = module.source.tree.body
        if not self.importing:
            machine.execute(body, module.scope)
            return
        outermost = len(self._stack) == 2
        if outermost:
            self._begun = machine.steps - self._imported
        for statement in body:
            if self._is_hurried(machine):
                machine.define(statement, module.scope)
            elif machine.execute([statement], module.scope) is not None:
                break
        if outermost:
            self._imported = machine.steps - self._begun

    def _is_hurried(self, machine: Machine) -> bool:
        """Whether importing has cost half of what the program may, and did nothing but define things."""
        if (
            not self._hurried
            and machine.steps - self._begun > machine.limit // 2
            and not machine.trace.events
        ):
            self._hurried = True
        return self._hurried

    def _execute(self, machine: Machine, module: ModuleValue) -> None:
        if hasattr(module, "scope"):
            return
        source = self._read(module.path)
        display = source.display if source else str(module.path)
        locate = source.location if source else (lambda node: Location(display, 1, 1, 1, 1))
        frame = Frame(module.name, display, None, None, None, locate)
        module.scope = Scope(module, frame)
        if module.path == self._entry:  # other modules outlive the program, and must not keep its machine
            frame.names = partial(names_in, machine, module.scope)
        module.scope.slots["__name__"] = Const(module.name)
        module.scope.slots["__file__"] = Unknown("__file__")
        if source is None:
            return
        module.source = source
        module.executed = True
        outer = (
            getattr(machine, "frame", None),
            getattr(machine, "activation", None),
            machine.guards,
            machine.loops,
            machine.depth,
        )
        machine.frame = frame
        machine.activation = Activation(module.scope, machine.guards)
        machine.depth += 1
        self._running.add(module)
        self._stack.append(module)
        nodes, events = len(machine.trace.nodes), len(machine.trace.events)
        try:
            changed = machine.store.noting(lambda: self._run_body(machine, module))
            only_defines = events == len(machine.trace.events) and not any(
                node.op in _STATE for node in machine.trace.nodes[nodes:]
            )
            if only_defines and module.path != self._entry:
                self._candidates[module] = self._definitions(module, changed)
        finally:
            self._stack.pop()
            self._running.discard(module)
            frame_before, activation_before, machine.guards, machine.loops, machine.depth = outer
            if frame_before is not None and activation_before is not None:
                machine.frame = frame_before
                machine.activation = activation_before
