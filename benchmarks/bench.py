"""Measures bnlint beside Ruff, Fixit and a bare Python, and prints times, ratios and memory.

    python benchmarks/bench.py [--rounds N] [TREE ...]

Each TREE is a folder with Python code; without any, a tree of 400 files is generated. The tools take turns,
so that what else the machine does disturbs all of them alike; of each the fastest and the median run are
printed, and ratios are those of the fastest. Fixit takes long, so it runs once. Nothing is cached but the byte code
of the tools that are written in Python, as pip compiles it when it installs them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

START_UP, SCRIPT, RUFF, FIXIT, MEMORY = 5.0, 300.0, 3.0, 50.0, 250.0
"""The aims: times bare Python, milliseconds, times Ruff, times faster than Fixit, megabytes."""


class Runs(NamedTuple):
    """What several runs of one command took, in seconds, and the most memory that one of them took, in MB."""

    seconds: list[float]
    megabytes: float

    @property
    def best(self) -> float:
        """The fastest run."""
        return min(self.seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure bnlint beside Ruff, Fixit and a bare Python.")
    parser.add_argument("trees", metavar="TREE", nargs="*", type=Path, help="a folder with Python code")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command (default: 5)")
    arguments = parser.parse_args()
    for tree in arguments.trees:
        if not tree.is_dir():
            parser.error(f"there is no folder {str(tree)!r}")
    with tempfile.TemporaryDirectory(prefix="bnlint-bench-") as folder:
        scratch = Path(folder)
        measure_files(scratch, 2 * arguments.rounds)
        trees = [tree.resolve() for tree in arguments.trees] or [generated_tree(scratch / "tree")]
        for tree in trees:
            measure_tree(tree, scratch, arguments.rounds)


def measure_files(scratch: Path, rounds: int) -> None:
    """Single files: one that is left after a glance, and one training script."""
    (scratch / "alone").mkdir()
    plain = scratch / "alone" / "plain.py"
    plain.write_text(ordinary_module(0))
    (scratch / "script").mkdir()
    script = scratch / "script" / "train.py"
    script.write_text(training_script(300))
    bare, checked, trained = race(
        [[sys.executable, "-c", "pass"], bnlint(plain), bnlint(script)], scratch, rounds
    )
    print(f"single files ({rounds} rounds)")
    show("python -c pass", bare)
    show("bnlint, file without norm words", checked)
    aim(checked.best / bare.best, START_UP, "times python -c pass")
    lines = script.read_text().count("\n")
    show(f"bnlint, TF1 script of {lines} lines", trained)
    aim(trained.best * 1000, SCRIPT, "ms")


def measure_tree(tree: Path, scratch: Path, rounds: int) -> None:
    """One tree, checked by all tools."""
    files = list(tree.rglob("*.py"))
    lines = sum(file.read_bytes().count(b"\n") for file in files if file.is_file())
    print(f"\n{tree.name}: {len(files):,} files, {lines:,} lines ({rounds} rounds)")
    commands = [bnlint(tree)]
    ruff, fixit = tool("ruff"), tool("fixit")
    if ruff:
        commands.append([ruff, "check", "--no-cache", "--isolated", "--exit-zero", "--quiet", str(tree)])
    ours, *theirs = race(commands, scratch, rounds)
    show("bnlint check", ours)
    if theirs:
        show("ruff check --no-cache", theirs[0])
        aim(ours.best / theirs[0].best, RUFF, "times ruff")
    else:
        print("  ruff is not installed")
    if fixit:
        (slow,) = race([[fixit, "--quiet", "lint", str(tree)]], scratch, 1)
        show("fixit lint (1 round)", slow)
        aim(slow.best / ours.best, FIXIT, "times faster than fixit", at_least=True)
    else:
        print("  fixit is not installed")
    aim(ours.megabytes, MEMORY, "MB at the most")


def race(commands: Sequence[Sequence[str]], folder: Path, rounds: int) -> list[Runs]:
    """Run all commands in turns; the first turn only warms the file system and is not counted."""
    seconds: list[list[float]] = [[] for _ in commands]
    megabytes = [0.0 for _ in commands]
    for turn in range(rounds + 1 if rounds > 1 else 1):
        for number, command in enumerate(commands):
            taken, memory = run(command, folder)
            if turn or rounds == 1:
                seconds[number].append(taken)
            megabytes[number] = max(megabytes[number], memory)
    return [Runs(*pair) for pair in zip(seconds, megabytes, strict=True)]


def run(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Wall time in seconds and peak memory in MB of one command, whatever it finds."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    process.returncode = 0  # it has been waited for
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return taken, usage.ru_maxrss / unit


def bnlint(path: Path) -> list[str]:
    """The command that checks a path."""
    return [sys.executable, "-m", "bnlint", "check", str(path)]


def tool(name: str) -> str | None:
    """Where a tool is: beside this Python, else on the PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def show(name: str, runs: Runs) -> None:
    """Print what a command took."""
    best, median = runs.best * 1000, statistics.median(runs.seconds) * 1000
    print(f"  {name:<38} {best:>10,.1f} ms  median {median:>10,.1f} ms  {runs.megabytes:>6.0f} MB")


def aim(value: float, limit: float, unit: str, at_least: bool = False) -> None:
    """Print a figure beside what it should be."""
    met = value >= limit if at_least else value <= limit
    bound = "at least" if at_least else "at most"
    print(f"  {'':<38} {value:>10,.1f} {unit} (aim: {bound} {limit:g}) {'ok' if met else 'MISSED'}")


def generated_tree(folder: Path) -> Path:
    """400 files in 20 packages: in each one program with batch norm in two files, and 18 ordinary modules."""
    for package in range(20):
        place = folder / f"package{package:02}"
        place.mkdir(parents=True)
        (place / "model.py").write_text(model_module())
        (place / "train.py").write_text(training_script(300))
        for number in range(18):
            (place / f"module{number:02}.py").write_text(ordinary_module(number))
    return folder


def ordinary_module(seed: int) -> str:
    """About 150 lines that have nothing to do with normalisation."""
    lines = ['"""Helpers for tables."""', "import json", "import os", ""]
    for number in range(16):
        lines += [
            "",
            f"def step_{seed}_{number}(rows, limit={number}, path=None):",
            '    """Count what is in the rows."""',
            "    counts = {}",
            "    for index, row in enumerate(rows):",
            "        if index > limit and row:",
            f"            counts[row[0]] = counts.get(row[0], {seed}) + len(row)",
            "    if path is not None and os.path.exists(path):",
            "        return json.load(open(path))",
            "    return counts",
        ]
    return "\n".join(lines) + "\n"


def model_module() -> str:
    """A network that is built from outside the file."""
    return "\n".join(
        [
            "import tensorflow as tf",
            "",
            "",
            "def block(x, size, training):",
            "    x = tf.layers.conv2d(x, size, 3, use_bias=False)",
            "    x = tf.layers.batch_normalization(x, training=training)",
            "    return tf.nn.relu(x)",
            "",
        ]
    )


def training_script(length: int) -> str:
    """A TensorFlow 1 program of about so many lines: a network, a loss, a training loop, an evaluation."""
    head = [
        "import numpy as np",
        "import tensorflow as tf",
        "",
        "images = tf.placeholder(tf.float32, [None, 32, 32, 3])",
        "labels = tf.placeholder(tf.int64, [None])",
        "is_training = tf.placeholder(tf.bool, [])",
        "",
    ]
    tail = [
        "",
        "logits = tf.layers.dense(tf.reduce_mean(last, [1, 2]), 10)",
        "loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)",
        "accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))",
        "with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):",
        "    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)",
        "",
        "with tf.Session() as session:",
        "    session.run(tf.global_variables_initializer())",
        "    for step in range(1000):",
        "        feed = {images: np.random.rand(32, 32, 32, 3), labels: np.zeros(32), is_training: True}",
        "        session.run(train_op, feed)",
        "    feed = {images: np.random.rand(32, 32, 32, 3), labels: np.zeros(32), is_training: False}",
        "    print(session.run(accuracy, feed))",
    ]
    layers = list(_layers((length - len(head) - len(tail)) // 11))
    return "\n".join([*head, *layers, *tail]) + "\n"


def _layers(count: int) -> Iterator[str]:
    last = "images"
    for number in range(count):
        yield from (
            "",
            "",
            f"def layer{number}(x, size={16 + number}):",
            f"    with tf.variable_scope('layer{number}'):",
            "        x = tf.layers.conv2d(x, size, 3, padding='same', use_bias=False)",
            "        x = tf.layers.batch_normalization(x, training=is_training)",
            "        x = tf.nn.relu(x)",
            "    return x",
            "",
            "",
            f"output{number} = layer{number}({last})",
        )
        last = f"output{number}"
    yield f"last = {last}"


if __name__ == "__main__":
    main()
