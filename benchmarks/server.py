"""Measures how long the language server takes from a change in an editor to the new diagnostics.

    python benchmarks/server.py [--rounds N] [--around N]

A TensorFlow 1 program of 20 files is written to a temporary folder, and beside it files that have nothing to do
with it. One file is opened and changed again and again, in ways that make a finding come and go; the time that
the server waits for the next key is printed apart, because it is no work.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench import aim, ordinary_module

AIM = 200.0
"""Milliseconds from a change to the diagnostics, without the wait for the next key."""
_STAGES = 14


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how fast the language server answers a change.")
    parser.add_argument("--rounds", type=int, default=20, help="changes that are made (default: 20)")
    parser.add_argument(
        "--around", type=int, default=400, help="other files in the project (default: 400, in 20 folders)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bnlint-bench-") as folder:
        root = Path(folder).resolve()
        files = write_program(root)
        for number in range(arguments.around):
            place = root / f"tools{number % 20:02}"
            place.mkdir(exist_ok=True)
            (place / f"module{number:03}.py").write_text(ordinary_module(number))
        lines = sum(path.read_text().count("\n") for path in files)
        print(
            f"a program of {len(files)} files and {lines:,} lines, {arguments.around} other files around it"
        )
        for name in ("train.py", "network/stage03.py"):
            asyncio.run(measure(root, root / name, arguments.rounds))


async def measure(root: Path, path: Path, rounds: int) -> None:
    """Open a file, change it so many times, and print what that took."""
    from lsprotocol import types
    from pygls.lsp.client import LanguageClient

    from bnlint.server.service import QUIET

    client = LanguageClient("bnlint-bench", "1")
    published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()
    client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: published.put_nowait(params))
    started = time.perf_counter()
    await client.start_io(sys.executable, "-m", "bnlint", "server")
    await client.initialize_async(
        types.InitializeParams(capabilities=types.ClientCapabilities(), root_uri=root.as_uri())
    )
    client.initialized(types.InitializedParams())
    text, uri = path.read_text(), path.as_uri()
    document = types.TextDocumentItem(uri=uri, language_id="python", version=0, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))
    await published.get()
    first = time.perf_counter() - started
    seconds = []
    for version in range(1, rounds + 1):
        changed = f"# version {version}\n{text}"
        sent = time.perf_counter()
        client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                text_document=types.VersionedTextDocumentIdentifier(uri=uri, version=version),
                content_changes=[types.TextDocumentContentChangeWholeDocument(text=changed)],
            )
        )
        while (await published.get()).version != version:
            pass
        seconds.append(time.perf_counter() - sent - QUIET)
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    median, worst = statistics.median(seconds) * 1000, max(seconds) * 1000
    print(f"\n{path.relative_to(root).as_posix()} ({rounds} changes)")
    print(f"  from the start of the server to the first diagnostics {first * 1000:>8,.0f} ms")
    print(f"  waiting for the next key                              {QUIET * 1000:>8,.0f} ms")
    print(f"  from a change to the diagnostics, slowest             {worst:>8,.0f} ms")
    print(f"  from a change to the diagnostics, median              {median:>8,.0f} ms")
    aim(median, AIM, "ms")


def write_program(root: Path) -> list[Path]:
    """A TensorFlow 1 program of 20 files: a package of layers and stages, input, configuration, two scripts."""
    texts = {
        "config.py": _CONFIG,
        "inputs.py": _INPUTS,
        "train.py": _TRAIN,
        "evaluate.py": _EVALUATE,
        "network/__init__.py": "from network.model import Network\n",
        "network/layers.py": _LAYERS,
        "network/model.py": _model(),
    }
    texts |= {f"network/stage{number:02}.py": _stage(number) for number in range(20 - len(texts))}
    (root / "pyproject.toml").write_text("[project]\nname = 'example'\n")
    for number, (name, text) in enumerate(texts.items()):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        # Most lines of a file build nothing.
        path.write_text(text if name.endswith("__init__.py") else _with_helpers(text, number))
    return [root / name for name in texts]


def _with_helpers(text: str, seed: int) -> str:
    """A module with some functions more, after its imports."""
    imports, blank, rest = text.partition("\n\n\n")
    return imports + "\n" + ordinary_module(seed).partition("\n")[2].rstrip("\n") + blank + rest


_CONFIG = '''\
"""What can be set."""
import argparse


class Config(object):
    def __init__(self, batch_size=32, classes=10, decay=0.99, learning_rate=0.1):
        self.batch_size = batch_size
        self.classes = classes
        self.decay = decay
        self.learning_rate = learning_rate


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--steps', type=int, default=1000)
    parser.add_argument('--checkpoints', default='checkpoints')
    return parser.parse_args()
'''

_INPUTS = '''\
"""Where the pictures come from."""
import numpy as np
import tensorflow as tf


def placeholders(config):
    images = tf.placeholder(tf.float32, [None, 64, 64, 3], name='images')
    labels = tf.placeholder(tf.int64, [None], name='labels')
    return images, labels


def batches(config, count):
    for _ in range(count):
        images = np.random.rand(config.batch_size, 64, 64, 3)
        yield images, np.random.randint(config.classes, size=config.batch_size)


def augment(images, training):
    flipped = tf.map_fn(tf.image.random_flip_left_right, images)
    return tf.cond(training, lambda: flipped, lambda: images)
'''

_LAYERS = '''\
"""The layers of which everything is made."""
import tensorflow as tf


def conv(x, size, kernel=3, stride=1, name='conv'):
    with tf.variable_scope(name):
        initializer = tf.variance_scaling_initializer()
        return tf.layers.conv2d(x, size, kernel, strides=stride, padding='same', use_bias=False,
                                kernel_initializer=initializer)


def norm(x, training, decay=0.99, name='norm'):
    with tf.variable_scope(name):
        return tf.layers.batch_normalization(x, momentum=decay, training=training)


def unit(x, size, training, kernel=3, stride=1, decay=0.99, name='unit', activation=tf.nn.relu):
    with tf.variable_scope(name):
        x = conv(x, size, kernel, stride)
        x = norm(x, training, decay)
        return activation(x) if activation is not None else x
'''


def _stage(number: int) -> str:
    lines = [
        f'"""Stage {number} of the network."""',
        "import tensorflow as tf",
        "",
        "from network import layers",
        "",
    ]
    for block in range(2):
        lines += [
            "",
            f"def block{block}(x, config, training):",
            f"    with tf.variable_scope('block{block}'):",
            "        size = x.get_shape().as_list()[-1]",
            "        shortcut = x",
            f"        x = layers.unit(x, {16 + number}, training, 1, decay=config.decay, name='reduce')",
            f"        x = layers.unit(x, {16 + number}, training, 3, decay=config.decay, name='inner')",
            f"        if size != {32 + number}:",
            f"            shortcut = layers.unit(shortcut, {32 + number}, training, 1, name='project',",
            "                                   activation=None)",
            f"        x = layers.unit(x, {32 + number}, training, 1, decay=config.decay, name='expand',",
            "                        activation=None)",
            "        return tf.nn.relu(x + shortcut)",
            "",
        ]
    lines += [
        "",
        "def stage(x, config, training):",
        f"    with tf.variable_scope('stage{number}'):",
        *[f"        x = block{block}(x, config, training)" for block in range(2)],
        "        return x",
    ]
    return "\n".join(lines) + "\n"


def _model() -> str:
    numbers = range(13)
    return "\n".join(
        [
            '"""The whole network."""',
            "import tensorflow as tf",
            "",
            "from network import layers",
            *[f"from network import stage{number:02}" for number in numbers],
            "",
            "",
            "class Network(object):",
            "    def __init__(self, config, training):",
            "        self.config = config",
            "        self.training = training",
            "",
            "    def logits(self, images):",
            "        x = layers.unit(images, 16, self.training, name='stem')",
            *[f"        x = stage{number:02}.stage(x, self.config, self.training)" for number in numbers],
            "        x = tf.reduce_mean(x, [1, 2])",
            "        return tf.layers.dense(x, self.config.classes)",
            "",
            "    def loss(self, images, labels):",
            "        logits = self.logits(images)",
            "        self.correct = tf.equal(tf.argmax(logits, 1), labels)",
            "        self.accuracy = tf.reduce_mean(tf.cast(self.correct, tf.float32))",
            "        return tf.losses.sparse_softmax_cross_entropy(labels, logits)",
            "",
        ]
    )


_TRAIN = '''\
"""Trains the network; forgets what moves the statistics."""
import tensorflow as tf

import config
import inputs
from network import Network


def main():
    arguments = config.parse()
    settings = config.Config(arguments.batch_size)
    images, labels = inputs.placeholders(settings)
    training = tf.placeholder(tf.bool, [], name='training')
    network = Network(settings, training)
    loss = network.loss(inputs.augment(images, training), labels)
    optimizer = tf.train.MomentumOptimizer(settings.learning_rate, 0.9)
    train_op = optimizer.minimize(loss)
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step, (pictures, classes) in enumerate(inputs.batches(settings, arguments.steps)):
            feed = {images: pictures, labels: classes, training: True}
            session.run([train_op, loss], feed_dict=feed)
            if step % 100 == 0:
                saver.save(session, arguments.checkpoints, global_step=step)


if __name__ == '__main__':
    main()
'''

_EVALUATE = '''\
"""Measures how good the network is."""
import numpy as np
import tensorflow as tf

import config
import inputs
from network import Network


def main():
    arguments = config.parse()
    settings = config.Config(arguments.batch_size)
    images, labels = inputs.placeholders(settings)
    training = tf.placeholder(tf.bool, [], name='training')
    network = Network(settings, training)
    network.loss(images, labels)
    saver = tf.train.Saver()
    scores = []
    with tf.Session() as session:
        saver.restore(session, tf.train.latest_checkpoint(arguments.checkpoints))
        for pictures, classes in inputs.batches(settings, 100):
            feed = {images: pictures, labels: classes, training: False}
            scores.append(session.run(network.accuracy, feed_dict=feed))
    print(np.mean(scores))


if __name__ == '__main__':
    main()
'''

if __name__ == "__main__":
    main()
