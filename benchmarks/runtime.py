"""What a verdict costs: ``bnlint.verify`` on a Keras ResNet-50, beside its own training step and inference.

Prints ratios that were measured in one run, each case in a process of its own; importing the framework is left out.
The step is measured compiled and warm (as in the middle of ``fit``), compiled for the first time (as at its start),
and eagerly. Memory is the peak of the process beyond what it holds once the model is built.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

CASES = ((8, 224), (32, 224), (8, 64))
"""Samples and pixels. 224 is the size that the network was made for; with 64, calling the layers costs more than
what they compute."""
_TIMES = 3


def main() -> None:
    """Measure and print a table."""
    header = ("samples", "pixels", "step+inference", "verify", "warm", "first", "eager", "memory")
    print("{:>8} {:>7} {:>15} {:>8} {:>7} {:>7} {:>7} {:>7}".format(*header))
    for samples, pixels in CASES:
        step, check = (_measure(what, samples, pixels) for what in ("step", "verify"))
        print(
            f"{samples:8} {pixels:7} {step['warm']:13.2f} s {check['seconds']:6.2f} s "
            f"{check['seconds'] / step['warm']:6.2f}x {check['seconds'] / step['first']:6.2f}x "
            f"{check['seconds'] / step['eager']:6.2f}x {check['memory'] / step['memory']:6.2f}x"
        )


def _measure(what: str, samples: int, pixels: int) -> dict[str, float]:
    command = [sys.executable, __file__, what, str(samples), str(pixels)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(what: str, samples: int, pixels: int) -> None:
    import keras
    import numpy
    import tensorflow as tf

    import bnlint

    generator = numpy.random.default_rng(0)
    x = (generator.standard_normal((samples, pixels, pixels, 3)) * 2 + 1).astype("float32")
    y = generator.integers(0, 10, samples)
    model = keras.applications.ResNet50(weights=None, input_shape=(pixels, pixels, 3), classes=10)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    before = _peak()
    if what == "verify":
        seconds = _best(lambda: bnlint.verify(model, x).assert_ok())
        print(json.dumps({"seconds": seconds, "memory": _peak() - before}))
        return

    def compiled() -> None:
        model.train_on_batch(x, y)
        model.predict_on_batch(x)

    def eager() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x, training=True)))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        model(x, training=False)

    first = _best(compiled, 1)
    warm = _best(compiled)
    memory = _peak() - before
    print(json.dumps({"first": first, "warm": warm, "eager": _best(eager), "memory": memory}))


def _best(run: Callable[[], Any], times: int = _TIMES) -> float:
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return min(found)


def _peak() -> float:
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
