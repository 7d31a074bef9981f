"""From files to a report: reading, linking, interpreting, asking the rules."""

from __future__ import annotations

import ast
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlint.findings import Finding, Group, Problem, Report
from bnlint.frameworks.library import Library
from bnlint.interpreter.program import interpret, interpret_alone
from bnlint.program.link import Linker
from bnlint.program.project import Project, find_root
from bnlint.rule import Rule
from bnlint.source.discover import discover
from bnlint.source.gate import Relevance
from bnlint.source.module import Module
from bnlint.source.read import read
from bnlint.trace import Trace

_STACK = 512 * 1024 * 1024
_RECURSION = 60_000

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What to look for, and where the project begins."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    project_root: Path | None = None


def check(paths: Sequence[Path], options: Options, progress: Progress | None = None) -> Report:
    """Check files and folders; runs in a thread of its own because deep programs need a deep stack."""
    outcome: list[Report | BaseException] = []

    def work() -> None:
        try:
            outcome.append(_Check(paths, options, progress).run())
        except BaseException as error:  # handed on to the caller's thread
            outcome.append(error)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_RECURSION)
    size = threading.stack_size(_STACK)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result


class _Check:
    """One run."""

    def __init__(self, paths: Sequence[Path], options: Options, progress: Progress | None) -> None:
        self.paths = paths
        self.options = options
        self.progress = progress or (lambda text: None)
        self.report = Report()
        self.modules: dict[Path, Module | None] = {}
        self.found: dict[tuple[object, ...], Finding] = {}
        self.crashed: set[str] = set()
        self.unread: list[Problem] = []
        self.cwd = Path.cwd()

    def run(self) -> Report:
        start = time.perf_counter()
        root = self.options.project_root or _common_root(self.paths)
        wanted, problems = discover(self.paths, root=root)
        self.report.problems.extend(problems)
        self.wanted = {self._display(path) for path in wanted}
        files = wanted
        if not any(path.resolve() == root.resolve() for path in self.paths):
            around, _ = discover([root], root=root)
            files = list(dict.fromkeys([*wanted, *around]))
        self.linker = Linker(Project(root), files)
        for path, reason in self.linker.unreadable:
            self.report.problems.append(
                Problem(self._display(path), 1, f"The file cannot be read: {reason}.")
            )
        self.report.summary.files = len(wanted)
        self.rules = _selected(self.options)
        self.library = Library()
        self._programs(wanted)
        self._ask(Trace("", driven=False, problems=tuple(self.unread)))
        self.report.findings = sorted(
            self.found.values(), key=lambda finding: (finding.location, finding.code, finding.message)
        )
        self.report.summary.parsed = sum(module is not None for module in self.modules.values())
        self.report.summary.seconds = time.perf_counter() - start
        return self.report

    def _programs(self, wanted: Iterable[Path]) -> None:
        entered: set[ast.AST] = set()
        mine = set(wanted)
        programs = [program for program in self.linker.programs() if program.files & mine]
        for program in programs:
            self.progress(f"interpreting {self._display(program.entry)}")
            trace, seen = interpret(program.entry, self.linker.project, self._read, self.library)
            entered |= seen
            self.report.summary.programs += 1
            self._ask(trace)
        for path in self.linker.files:
            if path in mine and self.linker.relevance[path] & Relevance.NORM:
                for trace in interpret_alone(path, self.linker.project, self._read, self.library, entered):
                    self._ask(trace)

    def _ask(self, trace: Trace) -> None:
        for rule in self.rules:
            try:
                findings = list(rule.check(trace))
            except (
                ArithmeticError,
                AssertionError,
                AttributeError,
                LookupError,
                TypeError,
                ValueError,
                RecursionError,
            ) as error:
                if rule.code not in self.crashed:
                    self.crashed.add(rule.code)
                    where = f"{type(error).__name__}: {error}"
                    self.report.problems.append(
                        Problem(
                            trace.entry,
                            1,
                            f"The rule {rule.code} failed on this program ({where}); the other rules were asked.",
                        )
                    )
                continue
            for finding in findings:
                if finding.location.path in self.wanted:
                    key = (finding.code, finding.location, finding.location.cell)
                    self.found.setdefault(key, finding)

    def _read(self, path: Path) -> Module | None:
        if path not in self.modules:
            result = read(path, self._display(path), self.linker.data.get(path))
            problems = [result] if isinstance(result, Problem) else result.problems
            self.unread.extend(problems)
            self.report.problems.extend(problems)
            self.modules[path] = None if isinstance(result, Problem) else result
        return self.modules[path]

    def _display(self, path: Path) -> str:
        try:
            return path.relative_to(self.cwd).as_posix()
        except ValueError:
            try:
                return path.resolve().relative_to(self.cwd).as_posix()
            except ValueError:
                return path.as_posix()


def _common_root(paths: Sequence[Path]) -> Path:
    return find_root((paths[0] if paths else Path.cwd()).resolve())


def _selected(options: Options) -> list[Rule]:
    from bnlint.registry import rules

    default = {Group.ERROR, Group.WARNING}
    chosen = []
    for rule in rules():
        named = any(rule.code.startswith(code) or code == "ALL" for code in options.select)
        if options.select and not named:
            continue
        if not options.select and rule.group not in default:
            continue
        if any(rule.code.startswith(code) for code in options.ignore):
            continue
        chosen.append(rule)
    return chosen
