"""What the subcommands do."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module

from bnlint.cli.arguments import parse
from bnlint.cli.terminal import Failure, Progress, colours, columns, say, write

_WIDEST = 100
_NARROWEST = 60


def run(arguments: Sequence[str] | None) -> int:
    """Do what the arguments ask for and return the exit code."""
    try:
        options = parse(arguments)
        command = {"check": _check, "rule": _rule, "rules": _rules}[options.command]
        return command(options)
    except SystemExit as end:
        # This is how argparse ends after --help, and when the arguments make no sense.
        return end.code if isinstance(end.code, int) else 2
    except Failure as failure:
        say(str(failure))
    except Exception as error:
        from bnlint.registry import RegistryError

        if isinstance(error, RegistryError):
            say(str(error))
        elif os.environ.get("BNLINT_TRACEBACK"):
            raise
        else:
            say(_own_fault(error))
    return 2


def _check(arguments: Namespace) -> int:
    select = _codes(arguments.select, "--select")
    ignore = _codes(arguments.ignore, "--ignore")

    from pathlib import Path

    from bnlint.check import Options, check

    root = arguments.project_root
    progress = Progress()
    try:
        report = check(
            [Path(path) for path in arguments.paths],
            Options(select, ignore, Path(root) if root else None),
            None if arguments.quiet else progress,
        )
    finally:
        progress.close()
    if arguments.show_files:
        write("".join(f"{path}\n" for path in report.summary.analysed))
        for problem in report.problems:
            say(f"{problem.path}:{problem.line}: {problem.message}")
        return 2 if report.problems else 0
    from bnlint.report._style import Style

    style = Style(
        colour=colours(sys.stdout),
        width=max(_NARROWEST, min(columns(sys.stdout, _WIDEST), _WIDEST)),
        summary=not arguments.quiet,
        statistics=arguments.statistics,
    )
    write(import_module(f"bnlint.report.{arguments.output_format}").render(report, style))
    if report.problems:
        return 2
    return 1 if report.findings and not arguments.exit_zero else 0


def _rule(arguments: Namespace) -> int:
    from bnlint.registry import rules
    from bnlint.rule import page

    wanted = arguments.code
    for rule in rules():
        if wanted.upper() == rule.code or wanted.lower() == rule.name:
            write(page(rule))
            return 0
    raise Failure(_unknown(wanted))


def _rules(arguments: Namespace) -> int:
    from bnlint.registry import rules
    from bnlint.rule import summary

    rows = [(rule.code, rule.name, rule.group.value, summary(rule)) for rule in rules()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, text in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        write("  ".join((*padded, text)).rstrip() + "\n")
    return 0


def _codes(values: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """The codes that an option gives, each of which is the beginning of a rule's code."""
    if values is None:
        return ()
    codes = dict.fromkeys(
        code.strip().upper() for value in values for code in value.split(",") if code.strip()
    )
    if not codes:
        raise Failure(f"{option} needs the code of a rule, such as BN101; `bnlint rules` lists them.")
    from bnlint.registry import rules

    for code in codes:
        if code == "ALL" and option == "--select":
            continue
        if not any(rule.code.startswith(code) for rule in rules()):
            raise Failure(_unknown(code))
    return tuple(codes)


def _unknown(code: str) -> str:
    from difflib import get_close_matches

    from bnlint.registry import rules

    names = {rule.name: rule.code for rule in rules()}
    if code.lower() in names:
        close = [code.lower()]
    else:
        codes = get_close_matches(code.upper(), names.values(), 5)
        close = sorted(codes, key=lambda known: -_places_alike(known, code.upper())) or get_close_matches(
            code.lower(), names, 1
        )
    question = f" Did you mean {names.get(close[0], close[0])}?" if close else ""
    return f"There is no rule {code!r}.{question} `bnlint rules` lists the rules."


def _places_alike(one: str, other: str) -> int:
    return sum(mine == theirs for mine, theirs in zip(one, other, strict=False))


def _own_fault(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return (
        f"This is a bug in bnlint, not in your code: {type(error).__name__}: {error}{where}. "
        "Please report it; with BNLINT_TRACEBACK=1 in the environment the whole traceback is shown."
    )
