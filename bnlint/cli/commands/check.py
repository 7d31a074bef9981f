"""``bnlint check PATH...``: check files and folders, repair them, and report."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import bnlint.report
from bnlint.cli.settings import add_rules, add_settings, options
from bnlint.cli.terminal import Progress, colours, columns, say, write
from bnlint.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from bnlint.baseline import Baseline
    from bnlint.changes import Changes
    from bnlint.check import Checker
    from bnlint.evidence import Witness
    from bnlint.findings import Report
    from bnlint.source.files import Overlay

_IN_TURN = "Do one after the other."
_WIDEST = 100
_NARROWEST = 60


def formats() -> list[str]:
    """The output formats: the public modules of ``bnlint.report``."""
    # pkgutil would import inspect for this, which takes as long as all else that starting takes.
    names = (name for name in os.listdir(bnlint.report.__path__[0]) if name.endswith(".py"))
    return sorted(name.removesuffix(".py") for name in names if not name.startswith("_"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        default=["."],
        help="a file or folder (default: the current folder)",
    )
    add_rules(parser)
    add_settings(parser)
    repairs = parser.add_argument_group("repairs")
    repairs.add_argument("--fix", action="store_true", help="apply the safe fixes")
    repairs.add_argument(
        "--unsafe-fixes",
        action="store_true",
        help="with --fix or --diff: also the fixes that change how a model trains or infers",
    )
    repairs.add_argument(
        "--diff", action="store_true", help="print what the fixes would change, and write nothing"
    )
    silence = parser.add_argument_group("what is not reported")
    silence.add_argument(
        "--add-ignore",
        metavar="REASON",
        help="write a comment that suppresses it, with this reason, for each finding",
    )
    silence.add_argument(
        "--show-suppressed", action="store_true", help="list the findings that are suppressed, too"
    )
    silence.add_argument("--baseline", metavar="FILE", help="do not report the findings in this file")
    silence.add_argument(
        "--write-baseline", metavar="FILE", help="write a baseline file that holds all present findings"
    )
    silence.add_argument(
        "--prune-baseline",
        action="store_true",
        help="with --baseline: take the entries out of the file that are no longer found",
    )
    silence.add_argument(
        "--changed-since",
        metavar="REV",
        help="report only the findings that touch lines changed since this git revision",
    )
    proof = parser.add_argument_group("proof")
    proof.add_argument(
        "--evidence",
        metavar="FILE",
        help="what `bnlint run --evidence FILE` has written: mark the findings that it confirms, and do not count "
        "those that it contradicts",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output-format", choices=formats(), default="full", help="default: full")
    output.add_argument("--output-file", metavar="FILE", help="write the report to this file")
    output.add_argument(
        "--statistics", action="store_true", help="count the findings of each rule at the end"
    )
    output.add_argument(
        "--show-files", action="store_true", help="print the files that were analysed, not the findings"
    )
    output.add_argument(
        "--quiet", action="store_true", help="print findings and errors alone: no summary, no progress"
    )
    output.add_argument("--exit-zero", action="store_true", help="exit with 0 also when there are findings")


def run(arguments: argparse.Namespace) -> int:
    """Check, and do what else is asked for."""
    _refuse_what_makes_no_sense(arguments)
    wanted = options(arguments)

    from pathlib import Path

    from bnlint.check import Checker

    progress = Progress()
    checker = Checker(wanted, None if arguments.quiet else progress)
    session = _Session(checker, [Path(path) for path in arguments.paths], arguments)
    try:
        report = session.look()
        if arguments.show_files:
            return _show_files(report, arguments)
        if arguments.write_baseline:
            return session.write_baseline(report)
        if arguments.add_ignore is not None:
            report = session.add_ignore(report)
        if arguments.prune_baseline:
            session.prune_baseline(report)
        if arguments.diff:
            return session.diff(report)
        if arguments.fix:
            report = session.fix(report)
        text = session.render(report)
    finally:
        progress.close()
    _output(text, arguments)
    return _exit_code(report, arguments)


class _Session:
    """Checks the same paths as often as it is needed, and leaves out what is not to be reported."""

    def __init__(self, checker: Checker, paths: Sequence[Path], arguments: argparse.Namespace) -> None:
        from pathlib import Path

        self._checker = checker
        self._paths = paths
        self._arguments = arguments
        self._baseline: Baseline | None = None
        self._changes: Changes | None = None
        self._witness: Witness | None = None
        if arguments.evidence:
            from bnlint.evidence import Witness

            self._witness = Witness.load(Path(arguments.evidence))
        if arguments.baseline:
            from bnlint.baseline import Baseline

            self._baseline = Baseline.load(Path(arguments.baseline))
        if arguments.changed_since:
            from bnlint.changes import Changes

            first = Path(os.path.abspath(paths[0]))
            self._changes = Changes.since(arguments.changed_since, first if first.is_dir() else first.parent)

    def look(self, overlay: Overlay | None = None) -> Report:
        report = self._checker.check(self._paths, overlay)
        if self._baseline is not None:
            self._baseline.apply(report)
        if self._changes is not None:
            from bnlint.source.files import Files

            self._changes.apply(report, Files(overlay))
        if self._witness is not None:
            self._witness.apply(report)
        return report

    def write_baseline(self, report: Report) -> int:
        from pathlib import Path

        from bnlint.baseline import write as write_baseline
        from bnlint.findings import Silencer

        path = self._arguments.write_baseline
        # What an older baseline leaves out is still there.
        known = [
            suppressed.finding
            for suppressed in report.suppressed
            if suppressed.suppression.silencer is Silencer.BASELINE
        ]
        present = [*report.findings, *known]
        write_baseline(Path(path), present)
        _complain(report)
        say(f"Wrote {_count(len(present), 'finding')} to {path}; --baseline {path} leaves them out.")
        return 2 if report.problems else 0

    def prune_baseline(self, report: Report) -> None:
        assert self._baseline is not None
        pruned = self._baseline.prune()
        report.notes = self.look().notes
        say(f"Took {_count(pruned, 'stale entry', 'stale entries')} out of {self._arguments.baseline}.")

    def add_ignore(self, report: Report) -> Report:
        from bnlint.fixes import write as write_changes
        from bnlint.fixes.ignores import suppressing
        from bnlint.source.files import Files

        made = suppressing(report.findings, self._arguments.add_ignore, Files())
        problems = write_changes(made.changes)
        after = self.look()
        after.problems += [*made.problems, *problems]
        return after

    def diff(self, report: Report) -> int:
        from bnlint.fixes import repair, unified_diff

        outcome = repair(report, self.look, unsafe=self._arguments.unsafe_fixes)
        _output(unified_diff(outcome.changes), self._arguments)
        _complain(report)
        for refused in outcome.report.refused:
            where = refused.finding.location
            say(f"{where.path}:{where.line}: {refused.finding.code} would not be fixed: {refused.reason}")
        left = len(outcome.report.findings)
        if not self._arguments.quiet:
            say(
                f"Would fix {_count(len(outcome.report.fixed), 'finding')}; {left:,} would be left. "
                "Nothing was written."
            )
        return _exit_code(report, self._arguments)

    def fix(self, report: Report) -> Report:
        from bnlint.fixes import repair
        from bnlint.fixes import write as write_changes

        outcome = repair(report, self.look, unsafe=self._arguments.unsafe_fixes)
        problems = write_changes(outcome.changes)
        if not problems:
            return outcome.report
        # Only what is on the disk now counts.
        after = self.look()
        left = {(finding.code, finding.anchor, finding.location.path) for finding in after.findings}
        after.fixed = [
            finding
            for finding in outcome.report.fixed
            if (finding.code, finding.anchor, finding.location.path) not in left
        ]
        after.refused = outcome.report.refused
        after.problems.extend(problems)
        return after

    def render(self, report: Report) -> str:
        from bnlint.report._style import Style

        arguments = self._arguments
        target = None if arguments.output_file else sys.stdout
        style = Style(
            colour=colours(target),
            width=max(_NARROWEST, min(columns(target, _WIDEST), _WIDEST)),
            summary=not arguments.quiet,
            statistics=arguments.statistics,
            suppressed=arguments.show_suppressed,
        )
        renderer = import_module(f"bnlint.report.{arguments.output_format}")
        if getattr(renderer, "NEEDS_REPLACEMENTS", False) and any(
            finding.fix and finding.fix.edits for finding in report.findings
        ):
            from bnlint.fixes import resolve
            from bnlint.source.files import Files

            resolve(report, Files())
        return str(renderer.render(report, style))


def _refuse_what_makes_no_sense(arguments: argparse.Namespace) -> None:
    if arguments.statistics and arguments.output_format not in ("full", "concise"):
        raise UserError("--statistics is for the text formats; elsewhere, count the codes of the findings.")
    if arguments.unsafe_fixes and not (arguments.fix or arguments.diff):
        raise UserError("--unsafe-fixes says which fixes --fix or --diff take. Add one of them.")
    if arguments.prune_baseline and not arguments.baseline:
        raise UserError("--prune-baseline needs --baseline FILE, which says where the entries are.")
    for name in ("diff", "write_baseline", "show_files"):
        if arguments.prune_baseline and getattr(arguments, name):
            raise UserError(
                f"--prune-baseline and {_spelled(name)} are two different things to do. {_IN_TURN}"
            )
    if arguments.diff and arguments.output_format != "full":
        raise UserError(
            f"--diff prints a diff and no report, which --output-format {arguments.output_format} is for. "
            "Leave one of them out."
        )
    if arguments.write_baseline and arguments.output_file:
        raise UserError(
            "--output-file says where the report goes, and --write-baseline makes none. Leave one of them out."
        )
    editing = [
        name for name in ("fix", "diff", "add_ignore") if getattr(arguments, name) not in (None, False)
    ]
    if arguments.evidence and editing:
        raise UserError(
            f"--evidence is about the program as it was run, and --{editing[0].replace('_', '-')} edits it. Look at "
            "the evidence first, edit without it, and run the program again."
        )
    changing = [
        name
        for name in ("fix", "diff", "add_ignore", "write_baseline", "show_files")
        if getattr(arguments, name) not in (None, False)
    ]
    if len(changing) > 1 and changing != ["fix", "diff"]:
        first, second = map(_spelled, changing[:2])
        raise UserError(f"{first} and {second} are two different things to do. {_IN_TURN}")
    if arguments.add_ignore is not None and not arguments.add_ignore.strip():
        raise UserError("--add-ignore needs a reason: why may these findings stay?")


def _spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _show_files(report: Report, arguments: argparse.Namespace) -> int:
    _output("".join(f"{path}\n" for path in report.summary.analysed), arguments)
    _complain(report)
    return 2 if report.problems else 0


def _complain(report: Report) -> None:
    for problem in report.problems:
        say(f"{problem.path}:{problem.line}: {problem.message}")


def _output(text: str, arguments: argparse.Namespace) -> None:
    if not arguments.output_file:
        write(text)
        return
    try:
        with open(
            arguments.output_file, "w", encoding="utf-8", errors="surrogateescape", newline="\n"
        ) as file:
            file.write(text)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {arguments.output_file} ({error.strerror}). "
            "Name a file in a folder that exists and may be written to."
        ) from error


def _exit_code(report: Report, arguments: argparse.Namespace) -> int:
    if report.problems:
        return 2
    return 1 if report.findings and not arguments.exit_zero else 0


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
