"""Interprets small programs, so that a test can say what its author would expect of them."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bnlint.dataflow import Choice, Const, Node, Op, Unknown
from bnlint.frameworks.library import Library
from bnlint.interpreter.program import interpret, interpret_alone
from bnlint.interpreter.values import ApiObject, ApiRef, Dict, Instance, List, Tuple
from bnlint.program.project import Project
from bnlint.source.module import Module
from bnlint.source.read import read
from bnlint.trace import NormCall, NormLayer, Run, Trace, TrainStep

PRELUDE = """\
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 8])
def norm(value, name=None):
    return tf.layers.batch_normalization(x, training=value, name=name)
"""


def plain(value: Any) -> Any:
    """An abstract value as a Python value that a test can write down.

    Alternatives are a set; what is not known is a text that begins with "?", followed by what the program
    calls it; lists and dictionaries that may hold more end with an ellipsis.
    """
    if isinstance(value, Const):
        return value.value
    if isinstance(value, Tuple):
        return tuple(plain(item) for item in value.items)
    if isinstance(value, List):
        items = [plain(item) for item in value.items]
        return [*items, ...] if value.open else items
    if isinstance(value, Dict):
        entries = {plain(key): plain(item) for key, item, _ in value.entries()}
        return {**entries, ...: ...} if value.open else entries
    if isinstance(value, Choice):
        return frozenset(_hashable(plain(option)) for _, option in value.options)
    if isinstance(value, Unknown):
        return f"?{value.hint}"
    if isinstance(value, Node):
        return f"<{value.op}>"
    if isinstance(value, ApiRef):
        return f"<{value.name}>"
    if isinstance(value, ApiObject):
        return f"<{value.kind}>"
    return f"<{value.cls.name}>" if isinstance(value, Instance) else type(value).__name__


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, list | dict) else value


@dataclass(frozen=True)
class Seen:
    """What was seen of a program."""

    trace: Trace

    @property
    def calls(self) -> list[NormCall]:
        """The applications of a normalisation, in the order in which they happen."""
        return list(self.trace.of(NormCall))

    @property
    def runs(self) -> list[Run]:
        """The runs, in order."""
        return list(self.trace.of(Run))

    @property
    def phases(self) -> list[Any]:
        """The phase of each application."""
        return [plain(call.phase) for call in self.calls]

    @property
    def layers(self) -> list[str | None]:
        """The names of the layers, each once."""
        return [layer.name for layer in self.trace.of(NormLayer)]

    @property
    def steps(self) -> list[TrainStep]:
        """The train steps."""
        return list(self.trace.of(TrainStep))

    def phases_in(self, run: int = -1) -> list[bool | None]:
        """The phase of each normalisation that a run executes, in the order of the program."""
        chosen = self.runs[run]
        execution, world = chosen.execution(), chosen.world()
        return [call.training(world) for call in self.calls if call.output in execution.nodes]

    def executes(self, run: int = -1, *, certainly: bool = True) -> dict[str, int]:
        """How often a run executes normalisations, updates, train steps and other state changes."""
        execution = self.runs[run].execution()
        nodes = execution.certain if certainly else execution.nodes
        interesting = (Op.NORM, Op.UPDATE, Op.TRAIN, Op.ASSIGN, Op.AVERAGE_APPLY, Op.AVERAGE)
        return dict(Counter(node.op for node in nodes if node.op in interesting))


Interpret = Callable[..., Seen]


def deep(work: Callable[[], Any]) -> Any:
    """Run with the deep stack that the analysis is given outside of tests."""
    results: list[Any] = []
    limit, size = sys.getrecursionlimit(), threading.stack_size(256 * 1024 * 1024)
    sys.setrecursionlimit(60_000)
    try:
        thread = threading.Thread(target=lambda: results.append(work()))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    return results[0]


class Workshop:
    """Writes programs into a folder and interprets them."""

    library = Library()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: dict[Path, Module | None] = {}

    def read(self, path: Path) -> Module | None:
        if path not in self.modules:
            found = read(path, path.relative_to(self.folder).as_posix())
            self.modules[path] = found if isinstance(found, Module) else None
        return self.modules[path]

    def write(self, files: str | dict[str, str], prelude: str) -> None:
        for name, text in ({"main.py": files} if isinstance(files, str) else files).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            begin = prelude if name == "main.py" else ""
            path.write_text(begin + textwrap.dedent(text), encoding="utf-8")

    def interpret(
        self, files: str | dict[str, str], *, prelude: str = PRELUDE, entry: str = "main.py"
    ) -> Seen:
        """Interpret a program from its entry."""
        self.write(files, prelude)
        trace, _ = deep(lambda: interpret(self.folder / entry, Project(self.folder), self.read, self.library))
        return Seen(trace)

    def alone(self, files: str | dict[str, str], *, prelude: str = PRELUDE) -> list[Seen]:
        """Interpret each function of the program that nobody calls."""
        self.write(files, prelude)
        project = Project(self.folder)
        main = self.folder / "main.py"
        _, entered = interpret(main, project, self.read, self.library)
        return [Seen(trace) for trace in interpret_alone(main, project, self.read, self.library, entered)]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    yield Workshop(tmp_path)


@pytest.fixture
def program(workshop: Workshop) -> Interpret:
    return workshop.interpret


@pytest.fixture
def phases(program: Interpret) -> Callable[..., list[Any]]:
    """What ``norm`` is called with, call by call."""

    def ask(files: str | dict[str, str], **options: Any) -> list[Any]:
        return program(files, **options).phases

    return ask
