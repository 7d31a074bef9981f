"""From files to a report: reading, linking, interpreting, asking the rules, and leaving out what is not wanted."""

from __future__ import annotations

import ast
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from bnlint.findings import Finding, Problem, Report, Suppressed, UnusedSuppression
from bnlint.program.link import Linker
from bnlint.program.project import Project, find_root
from bnlint.settings.lookup import Lookup, Options
from bnlint.source.discover import discover, display_path
from bnlint.source.files import Files, Overlay
from bnlint.source.gate import Relevance

if TYPE_CHECKING:
    from bnlint.dataflow import Value
    from bnlint.findings import Group
    from bnlint.interpreter.machine import Machine
    from bnlint.interpreter.values import Call
    from bnlint.rule import Rule
    from bnlint.settings.model import Settings
    from bnlint.source.anchors import Anchors
    from bnlint.source.module import Module
    from bnlint.source.suppressions import Comments, Standing
    from bnlint.trace import Trace

__all__ = ["Checker", "Options", "check", "with_deep_stack"]

_STACK = 512 * 1024 * 1024
_RECURSION = 60_000
_COMMENT = b"bnlint:"

Progress = Callable[[str], None]
_T = TypeVar("_T")


def check(paths: Sequence[Path], options: Options, progress: Progress | None = None) -> Report:
    """Check files and folders once.

    Raises SettingsError if the configuration makes no sense.
    """
    return Checker(options, progress).check(paths)


class Observer(Protocol):
    """Watches programs being interpreted."""

    def call(self, machine: Machine, function: Value, made: Call, make: Callable[[], Value]) -> Value:
        """Make a call that is written in a program, and return its value."""

    def interpreted(self, trace: Trace) -> None:
        """Take note of what was seen of a program."""


class Checker:
    """Checks files and folders as often as it is asked to; a file that has not changed is parsed once."""

    def __init__(self, options: Options, progress: Progress | None = None) -> None:
        self.options = options
        self.settings = Lookup(options)
        self.progress = progress or (lambda text: None)
        self.parsed: dict[Path, tuple[bytes | None, Module | Problem]] = {}
        """By path, the bytes of files and what was read from them."""
        self.linked: Linker | None = None
        """How files imported each other in the last run."""

    def check(
        self, paths: Sequence[Path], overlay: Overlay | None = None, observer: Observer | None = None
    ) -> Report:
        """Check files and folders, with the bytes of ``overlay`` in the place of those on the disk.

        Raises SettingsError if the configuration makes no sense.
        """
        return with_deep_stack(lambda: _Run(self, paths, Files(overlay), observer).report_all())

    def module(self, path: Path, files: Files, data: bytes | None = None) -> Module | Problem:
        """What is read from a file; it is only parsed again if its bytes have changed."""
        from bnlint.source.read import read

        if data is None:
            with suppress(OSError):  # the reader says why
                data = files.read(path)
        known = self.parsed.get(path)
        if known is None or known[0] != data:
            known = self.parsed[path] = data, read(path, display_path(path), data)
        return known[1]


def with_deep_stack(work: Callable[[], _T]) -> _T:
    """Do something in a thread of its own, because deep programs need a deep stack."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed on to the caller's thread
            errors.append(error)

    # Values are many and live as long as their program: looking for garbage often finds none.
    gc.set_threshold(50_000, 20, 20)
    limit = sys.getrecursionlimit()
    size = threading.stack_size(_STACK)
    sys.setrecursionlimit(_RECURSION)
    try:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if errors:
        raise errors[0]
    return results[0]


class _Run:
    """One run."""

    def __init__(
        self, checker: Checker, paths: Sequence[Path], files: Files, observer: Observer | None = None
    ) -> None:
        self.checker = checker
        self.observer = observer
        self.paths = paths
        self.files = files
        self.report = Report()
        self.modules: dict[Path, Module | None] = {}
        self.found: dict[tuple[object, ...], Finding] = {}
        self.crashed: set[str] = set()
        self.unread: list[Problem] = []
        self.wanted: set[str] = set()
        """Display paths of the files whose findings are asked for."""
        self.rules: list[Rule] = []

    def report_all(self) -> Report:
        """Everything that is to be said about the paths."""
        start = time.perf_counter()
        self._link()
        wanted = self.wanted_files
        if any(relevance is Relevance.NORM for relevance in self.linker.relevance.values()):
            self._interpret(set(wanted))
        elif self._commented():
            self._prepare(frozenset())
        if self.rules:
            self._settle()
        self.report.asked = sorted(self.wanted)
        summary = self.report.summary
        summary.files = len(wanted)
        summary.analysed = sorted(module.display for module in self.modules.values() if module is not None)
        summary.parsed = len(summary.analysed)
        summary.seconds = time.perf_counter() - start
        return self.report

    def _link(self) -> None:
        first = Path(os.path.abspath(self.paths[0] if self.paths else Path.cwd()))
        settings = self.checker.settings
        root = Path(os.path.abspath(settings.of(first).project_root or find_root(first)))
        self.wanted_files, problems = discover(self.paths, root=root, excluded=settings.excluded)
        self.report.problems.extend(problems)
        self.wanted = {display_path(path) for path in self.wanted_files}
        files = self.wanted_files
        if files and not any(Path(os.path.abspath(path)) == root for path in self.paths):
            around, _ = discover([root], root=root, excluded=settings.excluded)
            files = list(dict.fromkeys([*files, *around]))
        self.norms = settings.known_norms(files)
        words = self.norms.words if self.norms else ()
        before = self.checker.linked
        # Which file an import means depends on which files there are.
        same = before is not None and before.project.root == root and set(before.files) == set(files)
        project = before.project if before is not None and same else Project(root)
        self.linker = self.checker.linked = Linker(project, files, self.files, words, before)
        self._look_into_notebooks()
        for path, reason in self.linker.unreadable:
            message = f"The file cannot be read ({reason}). Check that it is there and readable."
            self.report.problems.append(Problem(display_path(path), 1, message))

    def _look_into_notebooks(self) -> None:
        """A notebook that is named by itself and cannot be read is told, whatever it speaks of."""
        for named in self.paths:
            path = Path(os.path.abspath(named))
            if path.suffix == ".ipynb" and self.linker.relevance.get(path) is Relevance.NONE:
                self._read(path)

    def _prepare(self, frameworks: Set[str]) -> None:
        """Load the rules that some file wants, for a project that is about some frameworks."""
        from bnlint.registry import load

        configurations = {id(found): found for found in map(self._settings, self.wanted_files)}.values()

        def wanted(code: str, group: Group, about: tuple[str, ...]) -> bool:
            if about and frameworks.isdisjoint(about):
                return False
            return any(settings.enables(code, group) for settings in configurations)

        self.rules = list(load(wanted))

    def _settings(self, path: Path) -> Settings:
        return self.checker.settings.of(path)

    def _interpret(self, wanted: set[Path]) -> None:
        """Interpret the programs of the wanted files; what this needs is only imported now."""
        from bnlint.frameworks.library import Library
        from bnlint.interpreter.program import interpret, interpret_alone
        from bnlint.interpreter.shared import Shared

        library = Library(self.linker.data.values())
        self._prepare(library.spoken)
        if self.norms is not None:
            self.norms.teach(library)
        project = self.linker.project
        shared = Shared()
        observe = self.observer.call if self.observer else None
        entered: set[ast.AST] = set()
        programs = self.linker.programs()
        for program in programs:
            if program.files & wanted:
                self.checker.progress(f"interpreting {display_path(program.entry)}")
                self.report.summary.programs += 1
                try:
                    if observe is not None:
                        # What is executed once for all programs would be seen in the first alone.
                        shared = Shared()
                    trace, seen = interpret(
                        program.entry,
                        project,
                        self._read,
                        library,
                        shared,
                        observe,
                        self._bounds(program.entry),
                    )
                except Exception as error:  # the other programs are still worth checking
                    self._note_failure(program.entry, error)
                    continue
                entered |= seen
                if trace.incomplete:
                    self.report.summary.incomplete.append(trace.entry)
                others = (other for other in programs if other is not program)
                trace.imported = any(program.entry in other.files for other in others)
                self._ask(trace)
        for path in self.linker.files:
            if path in wanted and self.linker.relevance[path] is Relevance.NORM:
                try:
                    for trace in interpret_alone(
                        path,
                        project,
                        self._read,
                        library,
                        entered,
                        shared,
                        observe,
                        self._bounds(path),
                    ):
                        self._ask(trace)
                except Exception as error:  # as above
                    self._note_failure(path, error)

    def _bounds(self, path: Path) -> tuple[Mapping[str, str], Mapping[str, str]]:
        versions = self._settings(path).target_versions
        return versions, getattr(versions, "ceilings", versions)

    def _ask(self, trace: Trace) -> None:
        if self.observer is not None:
            self.observer.interpreted(trace)
        for rule in self.rules:
            try:
                findings = list(rule.check(trace))
            except Exception as error:  # the bug of one rule must not silence the others
                self._note_crash(rule, trace, error)
                continue
            for finding in findings:
                key = (finding.code, finding.location, finding.location.cell)
                self.found.setdefault(key, self.norms.tempered(finding) if self.norms else finding)

    def _settle(self) -> None:
        """Decide which findings are reported."""
        from bnlint.rule import describe
        from bnlint.trace import Trace

        settling = _Settling(self)
        for finding in list(self.found.values()):
            settling.take(finding)
        known = set(self.found)
        self._ask(Trace("", driven=False, problems=tuple(self.unread), unused=tuple(settling.unused())))
        for key, finding in self.found.items():
            if key not in known:
                settling.take(finding)
        self.report.suppressed.sort(key=lambda known: (known.finding.location, known.finding.code))
        self.report.rules = tuple(map(describe, self.rules))

    def _commented(self) -> bool:
        """Whether a wanted file has a comment for bnlint, which may be in vain."""
        return any(_COMMENT in self.linker.data[path] for path in self.wanted_files)

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
        if path not in self.modules:
            result = self.checker.module(path, self.files, self.linker.data.get(path))
            problems = [result] if isinstance(result, Problem) else result.problems
            self.unread.extend(problems)
            self.report.problems.extend(problems)
            self.modules[path] = None if isinstance(result, Problem) else result
        return self.modules[path]


class _Settling:
    """Sorts findings into those that are reported and those that are not."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._paths = {display_path(path): path for path in run.linker.files}
        self._comments: dict[str, Comments | None] = {}
        self._anchors: dict[str, Anchors | None] = {}

    def take(self, finding: Finding) -> None:
        """Sort one finding."""
        run = self._run
        path = self._paths.get(finding.location.path)
        if path is not None:
            settings = run.checker.settings
            if not settings.of(path).enables(finding.code, finding.group) or settings.ignored_in(
                path, finding.code
            ):
                return
        display = finding.location.path
        anchors, comments = self._of(display)
        statement = finding.location.line, finding.location.line
        if anchors is not None:
            finding = replace(finding, anchor=anchors.anchor(finding.location))
            statement = anchors.statement_lines(finding.location)
        run.report.everything.append(finding)
        if display not in run.wanted:
            return
        suppression = comments.silence(finding.code, finding.location, statement) if comments else None
        if suppression is None:
            _insert(run.report.findings, finding)
        else:
            run.report.suppressed.append(Suppressed(finding, suppression))

    def unused(self) -> list[UnusedSuppression]:
        """The comments in the wanted files that suppress nothing."""
        found: list[UnusedSuppression] = []
        for path in self._run.wanted_files:
            if _COMMENT in self._run.linker.data[path]:
                _, comments = self._of(display_path(path))
                if comments is not None:
                    found.extend(comments.unused(self._standing(path)))
        return found

    def _standing(self, path: Path) -> dict[str, Standing]:
        from bnlint.registry import rules
        from bnlint.settings.model import ON_BY_DEFAULT
        from bnlint.source.suppressions import Standing

        run = self._run
        settings = run.checker.settings
        here = settings.of(path)
        # What was not read or not reached may hold the findings that a comment is there for.
        complete = not (run.report.problems or run.report.summary.incomplete)
        return {
            rule.code: Standing(
                # Nor can rules about frameworks that the project has nothing of find anything.
                asked=complete
                and here.enables(rule.code, rule.group)
                and not settings.ignored_in(path, rule.code),
                usual=rule.group in ON_BY_DEFAULT,
            )
            for rule in rules()
        }

    def _of(self, display: str) -> tuple[Anchors | None, Comments | None]:
        if display not in self._comments:
            from bnlint.source.anchors import Anchors
            from bnlint.source.suppressions import Comments

            path = self._paths.get(display)
            module = None
            if path is not None:
                module = self._run.modules.get(path)
                if module is None and path not in self._run.modules:
                    read = self._run.checker.module(path, self._run.files, self._run.linker.data.get(path))
                    module = None if isinstance(read, Problem) else read
            self._anchors[display] = Anchors(module) if module else None
            self._comments[display] = Comments(module) if module else None
        return self._anchors[display], self._comments[display]


def _insert(findings: list[Finding], finding: Finding) -> None:
    from bisect import insort

    insort(findings, finding, key=lambda known: (known.location, known.code, known.message))
