"""From files to a report: reading, linking, interpreting, asking the rules."""

from __future__ import annotations

import ast
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnlint.findings import Finding, Group, Problem, Report
from bnlint.program.link import Linker
from bnlint.program.project import Project, find_root
from bnlint.source.discover import discover, display_path
from bnlint.source.gate import Relevance

if TYPE_CHECKING:
    from bnlint.rule import Rule
    from bnlint.source.module import Module
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
    reports: list[Report] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            reports.append(_Check(paths, options, progress).run())
        except BaseException as error:  # handed on to the caller's thread
            errors.append(error)

    # Values are many and live as long as their program: looking for garbage often finds none.
    gc.set_threshold(50_000, 20, 20)
    limit = sys.getrecursionlimit()
    size = threading.stack_size(_STACK)
    sys.setrecursionlimit(_RECURSION)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if errors:
        raise errors[0]
    return reports[0]


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
        self.wanted: set[str] = set()
        """Display paths of the files whose findings are asked for."""
        self.rules: list[Rule] = []
        self.versions: dict[str, str] = {}

    def run(self) -> Report:
        """Everything that is to be said about the paths."""
        start = time.perf_counter()
        first = Path(os.path.abspath(self.paths[0] if self.paths else Path.cwd()))
        root = Path(os.path.abspath(self.options.project_root or find_root(first)))
        wanted, problems = discover(self.paths, root=root)
        self.report.problems.extend(problems)
        self.wanted = {display_path(path) for path in wanted}
        files = wanted
        if not any(Path(os.path.abspath(path)) == root for path in self.paths):
            around, _ = discover([root], root=root)
            files = list(dict.fromkeys([*wanted, *around]))
        self.linker = Linker(Project(root), files)
        for path, reason in self.linker.unreadable:
            message = f"The file cannot be read ({reason}). Check that it is there and readable."
            self.report.problems.append(Problem(display_path(path), 1, message))
        if any(relevance is Relevance.NORM for relevance in self.linker.relevance.values()):
            self._interpret(set(wanted))
        summary = self.report.summary
        summary.files = len(wanted)
        summary.analysed = sorted(module.display for module in self.modules.values() if module is not None)
        summary.parsed = len(summary.analysed)
        self.report.findings = sorted(
            self.found.values(), key=lambda finding: (finding.location, finding.code, finding.message)
        )
        summary.seconds = time.perf_counter() - start
        return self.report

    def _interpret(self, wanted: set[Path]) -> None:
        """Interpret the programs of the wanted files; what this needs is only imported now."""
        from bnlint.frameworks.library import Library
        from bnlint.interpreter.program import interpret, interpret_alone
        from bnlint.interpreter.shared import Shared
        from bnlint.program.versions import declared
        from bnlint.trace import Trace

        self.rules = _selected(self.options)
        library = Library()
        project = self.linker.project
        self.versions = declared(project.root)
        shared = Shared()
        entered: set[ast.AST] = set()
        for program in self.linker.programs():
            if program.files & wanted:
                self.progress(f"interpreting {display_path(program.entry)}")
                self.report.summary.programs += 1
                try:
                    trace, seen = interpret(program.entry, project, self._read, library, shared)
                except Exception as error:  # the other programs are still worth checking
                    self._note_failure(program.entry, error)
                    continue
                entered |= seen
                if trace.incomplete:
                    self.report.summary.incomplete.append(trace.entry)
                self._ask(trace)
        for path in self.linker.files:
            if path in wanted and self.linker.relevance[path] is Relevance.NORM:
                try:
                    for trace in interpret_alone(path, project, self._read, library, entered, shared):
                        self._ask(trace)
                except Exception as error:  # as above
                    self._note_failure(path, error)
        self._ask(Trace("", driven=False, problems=tuple(self.unread)))

    def _ask(self, trace: Trace) -> None:
        trace.versions = self.versions
        for rule in self.rules:
            try:
                findings = list(rule.check(trace))
            except Exception as error:  # the bug of one rule must not silence the others
                self._note_crash(rule, trace, error)
                continue
            for finding in findings:
                if finding.location.path in self.wanted:
                    key = (finding.code, finding.location, finding.location.cell)
                    self.found.setdefault(key, finding)

    def _note_failure(self, path: Path, error: Exception) -> None:
        if os.environ.get("BNLINT_TRACEBACK"):
            raise error
        message = f"bnlint failed on this program ({type(error).__name__}: {error}). Please report it."
        self.report.problems.append(Problem(display_path(path), 1, message))

    def _note_crash(self, rule: Rule, trace: Trace, error: Exception) -> None:
        if rule.code not in self.crashed:
            self.crashed.add(rule.code)
            message = (
                f"The rule {rule.code} failed on this program ({type(error).__name__}: {error}); the other "
                "rules were asked. Please report it."
            )
            self.report.problems.append(Problem(trace.entry, 1, message))

    def _read(self, path: Path) -> Module | None:
        from bnlint.source.read import read

        if path not in self.modules:
            result = read(path, display_path(path), self.linker.data.get(path))
            problems = [result] if isinstance(result, Problem) else result.problems
            self.unread.extend(problems)
            self.report.problems.extend(problems)
            self.modules[path] = None if isinstance(result, Problem) else result
        return self.modules[path]


def _selected(options: Options) -> list[Rule]:
    from bnlint.registry import rules

    chosen = []
    for rule in rules():
        if options.select:
            wanted = any(code == "ALL" or rule.code.startswith(code) for code in options.select)
        else:
            wanted = rule.group in (Group.ERROR, Group.WARNING)
        if wanted and not any(rule.code.startswith(code) for code in options.ignore):
            chosen.append(rule)
    return chosen
