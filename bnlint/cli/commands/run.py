"""``bnlint run SCRIPT ...``: run a script under observation, and report what its normalisation layers did.

The exit code is that of the script if it is not 0; else 1 if there are findings, 0 if there are none, and 2 if nothing
could be observed.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bnlint.cli.settings import add_settings, options
from bnlint.cli.terminal import colours, columns, say, write_error
from bnlint.errors import UserError

if TYPE_CHECKING:
    from bnlint.findings import Report
    from bnlint.runtime.observed import Observed
    from bnlint.runtime.script.parent import Job

_WIDEST = 140
_TIMEOUT = 3600.0
_USAGE = "bnlint run [options] SCRIPT [argument ...]\n       bnlint run [options] -m MODULE [argument ...]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.usage = _USAGE
    parser.add_argument(
        "target",
        metavar="SCRIPT",
        nargs=argparse.REMAINDER,
        help="the script and its own arguments; options of bnlint come before it",
    )
    parser.add_argument(
        "-m",
        metavar="MODULE",
        dest="module",
        nargs=argparse.REMAINDER,
        help="run a module, as `python -m` does",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-steps", metavar="N", type=_count, help="stop after N training steps, as a success"
    )
    limits.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_positive,
        default=_TIMEOUT,
        help=f"stop the script after this time (default: {_TIMEOUT:g})",
    )
    limits.add_argument(
        "--memory",
        metavar="GIB",
        type=_positive,
        help="stop the script when it holds more memory (default: nine tenths of what the machine has)",
    )
    limits.add_argument(
        "--every",
        metavar="K",
        type=_count,
        help="look closely at every Kth run (default: often at first, then less, so that it costs little)",
    )
    limits.add_argument(
        "--temporary",
        metavar="DIR",
        help="the script's folder for temporary files (default: a new one, which is removed at the end)",
    )
    api = parser.add_mutually_exclusive_group()
    api.add_argument(
        "--tf1",
        action="store_const",
        const="tf1",
        dest="api",
        help="`import tensorflow` gives TensorFlow 1 (default: told by what the script uses)",
    )
    api.add_argument(
        "--tf2", action="store_const", const="tf2", dest="api", help="`import tensorflow` gives TensorFlow 2"
    )
    add_settings(parser)
    output = parser.add_argument_group(
        "output", "The report goes to standard error, after all that the script writes, or to a file."
    )
    output.add_argument("--output-format", choices=("full", "json"), default="full", help="default: full")
    output.add_argument("--output-file", metavar="FILE", help="write the report to this file")
    output.add_argument("--html", metavar="FILE", help="also write a page with pictures, for the browser")
    output.add_argument(
        "--evidence", metavar="FILE", help="also write what was seen, for `bnlint check --evidence FILE`"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the script, report, and return the exit code."""
    job = _job(arguments)
    wanted = options(arguments)
    _need_the_libraries(arguments)

    from bnlint.runtime.judge import judge
    from bnlint.runtime.script.parent import run as run_script

    ended = run_script(job)
    report = judge(ended.observed, wanted)
    _write_all(ended.observed, report, arguments)
    for problem in report.problems:
        say(f"{problem.path}:{problem.line}: {problem.message}")
    if ended.code and ended.observed.ended != "max-steps":
        return ended.code
    if report.problems:
        return 2
    if not ended.observed.layers:
        say(_nothing_seen(ended.observed))
        return 2
    return 1 if report.findings else 0


def _job(arguments: argparse.Namespace) -> Job:
    from bnlint.runtime.script.parent import Job

    words = arguments.module if arguments.module is not None else arguments.target
    if words and words[0] == "--":
        words = words[1:]
    if not words:
        what = "a module after -m" if arguments.module is not None else "a script"
        raise UserError(f"`bnlint run` needs {what}: bnlint run train.py --its --own arguments")
    if arguments.module is None and words[0].startswith("-"):
        raise UserError(
            f"`bnlint run` has no option {words[0]}. Options of bnlint come before the script, those of the script "
            "after it; `bnlint run --help` lists the first."
        )
    return Job(
        words[0],
        arguments.module is not None,
        words[1:],
        arguments.max_steps,
        arguments.timeout,
        arguments.memory,
        arguments.every,
        arguments.temporary,
        arguments.api or "auto",
    )


def _nothing_seen(observed: Observed) -> str:
    if not observed.frameworks:
        return "The script imported no framework that bnlint can observe, so there is nothing to report."
    return (
        "No normalisation layer was seen, so there is nothing to report. The script built none, or wrote the "
        "formula out by hand instead of calling a function of the framework."
    )


def _write_all(observed: Observed, report: Report, arguments: argparse.Namespace) -> None:
    if arguments.evidence:
        from bnlint.evidence import digests
        from bnlint.runtime.script import journal

        try:
            journal.write(arguments.evidence, observed, files=digests(journal.paths(observed)))
        except OSError as error:
            raise _unwritable(arguments.evidence, error) from error
    if arguments.html:
        from bnlint.runtime.pages import page

        _write(arguments.html, page.render(observed, report))
    if arguments.output_format == "json":
        from bnlint.runtime.pages import document

        text = document.render_run(observed, report)
    else:
        from bnlint.runtime.pages import terminal

        target = None if arguments.output_file else sys.stderr
        width = min(columns(target, _WIDEST), _WIDEST)
        text = terminal.render_run(observed, report, colour=colours(target), width=width)
    if arguments.output_file:
        _write(arguments.output_file, text)
    else:
        write_error(text)


def _need_the_libraries(arguments: argparse.Namespace) -> None:
    """Say before the script is run that the report could not be written."""
    from importlib.util import find_spec

    needed = []
    if arguments.output_format == "full":
        needed.append("rich")
    if arguments.html:
        needed.extend(("jinja2", "matplotlib"))
    for name in needed:
        if find_spec(name) is None:
            raise UserError(f"`bnlint run` needs {name}. Install it with: pip install 'bnlint[runtime]'")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be written ({error.strerror}). Name a file in a folder that exists and may be written to."
    )


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
