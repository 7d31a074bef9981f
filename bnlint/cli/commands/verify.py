"""``bnlint verify``: run a model and prove that its training and inference diverge as they must."""

from __future__ import annotations

import argparse
import sys

from bnlint.cli.terminal import Progress, colours, columns, say, write
from bnlint.errors import UserError

_WIDEST = 140
_TIMEOUT = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument(
        "target", metavar="MODULE:FUNCTION", help="what makes the model, such as project.models:build_model"
    )
    data = parser.add_argument_group("the probe batch")
    data.add_argument(
        "--input",
        metavar="SHAPE",
        action="append",
        default=[],
        dest="inputs",
        help="make up a batch of this shape, samples first: 8x32x32x3 (with PyTorch "
        "8x3x32x32), name=8x10 or 8x10:int32; once for each input",
    )
    data.add_argument(
        "--npz",
        metavar="FILE",
        help="take the batch from a file of numpy.savez: x, perhaps y, or the inputs' names",
    )
    parser.add_argument("--checkpoint", metavar="PATH", help="load these weights first")
    parser.add_argument(
        "--framework",
        choices=("keras", "tf-keras", "tensorflow", "pytorch"),
        help="which framework the model is written in",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--timeout", metavar="SECONDS", type=_positive, default=_TIMEOUT, help=f"default: {_TIMEOUT:g}"
    )
    limits.add_argument(
        "--memory", metavar="GIB", type=_positive, help="default: nine tenths of what the machine has"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    output.add_argument("--output-file", metavar="FILE", help="write the report there")
    output.add_argument("--html", metavar="FILE", help="also write a page with pictures, for the browser")


def run(arguments: argparse.Namespace) -> int:
    """Verify, report, and return 0 if all is well, 1 if a check failed."""
    from bnlint.runtime.factory import Order, verify_factory

    _need_the_libraries(arguments)
    progress = Progress()
    order = Order(
        arguments.target,
        arguments.inputs,
        arguments.framework,
        arguments.npz,
        arguments.checkpoint,
        arguments.timeout,
        arguments.memory,
    )
    try:
        verification = verify_factory(order, progress)
    finally:
        progress.close()
    if arguments.html:
        from bnlint.findings import Report
        from bnlint.registry import rules
        from bnlint.rule import describe
        from bnlint.runtime.pages import page

        report = Report(rules=tuple(map(describe, rules())))
        _write(arguments.html, page.render(verification, report, title=arguments.target))
    if arguments.output_format == "json":
        from bnlint.runtime.pages import document

        text = document.render_verification(verification)
    else:
        from bnlint.runtime.pages import terminal

        target = None if arguments.output_file else sys.stdout
        text = terminal.render_verification(
            verification,
            title=arguments.target,
            colour=colours(target),
            width=min(columns(target, _WIDEST), _WIDEST),
        )
    if arguments.output_file:
        _write(arguments.output_file, text)
    else:
        write(text)
    if not verification.ok and not any(verification.failures()):
        say("No check could be made, so nothing is proved.")
        return 2
    return 0 if verification.ok else 1


def _need_the_libraries(arguments: argparse.Namespace) -> None:
    """Say before the model is run that the report could not be written."""
    from importlib.util import find_spec

    needed = ["numpy"]
    if arguments.output_format == "text":
        needed.append("rich")
    if arguments.html:
        needed.extend(("jinja2", "matplotlib"))
    for name in needed:
        if find_spec(name) is None:
            raise UserError(f'`bnlint verify` needs {name}. Install it with: pip install "bnlint[runtime]"')


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {path} ({error.strerror}). "
            "Name a file in a folder that exists and may be written to."
        ) from error


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
