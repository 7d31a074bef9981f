"""Tells which TensorFlow a script is written for, from what it and its own modules use."""

from __future__ import annotations

import ast
import enum
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bnlint.runtime.script.sources import text_of

_MOST_FILES = 300
_ONLY_V1 = frozenset(
    """
    AUTO_REUSE GPUOptions GraphKeys ConfigProto InteractiveSession Session add_to_collection all_variables app
    arg_max assign assign_add assign_sub contrib control_flow_ops count_nonzero_v2 disable_eager_execution
    disable_v2_behavior enable_eager_execution flags get_collection get_collection_ref get_default_session
    get_session_handle get_variable get_variable_scope gfile global_variables global_variables_initializer
    histogram_summary image_summary initialize_all_variables initialize_variables layers local_variables
    local_variables_initializer log logging losses make_template merge_all_summaries merge_summary metrics
    model_variables moving_average_variables mul neg pack placeholder placeholder_with_default python_io
    random_crop random_normal random_shuffle random_uniform report_uninitialized_variables reset_default_graph
    scalar_summary select set_random_seed sparse_placeholder sub summary.FileWriter summary.merge_all to_float
    to_int32 to_int64 trainable_variables truncated_normal truncated_normal_initializer unpack variable_op_scope
    variable_scope variables_initializer
    """.split()
)
"""Names of ``tensorflow`` that only TensorFlow 1 and earlier have; two of them in a dotted name count, too."""
_ONLY_V1_BELOW = {
    "train": frozenset(
        """
        AdadeltaOptimizer AdagradOptimizer AdamOptimizer ExponentialDecay FtrlOptimizer GradientDescentOptimizer
        MomentumOptimizer MonitoredSession MonitoredTrainingSession Optimizer RMSPropOptimizer Saver SummaryWriter
        Supervisor exponential_decay get_global_step get_or_create_global_step shuffle_batch write_graph
        """.split()
    ),
    "nn": frozenset("dynamic_rnn rnn_cell softmax_cross_entropy_with_logits_v2 static_rnn xw_plus_b".split()),
    "summary": frozenset("FileWriter merge_all merge".split()),
    "metrics": frozenset("accuracy auc mean precision recall".split()),
    "losses": frozenset(
        "mean_squared_error sparse_softmax_cross_entropy sigmoid_cross_entropy get_total_loss".split()
    ),
    "estimator": frozenset(["inputs"]),
    "examples": frozenset(["tutorials"]),
}
_KERAS_IN_A_SESSION = frozenset(
    f"keras.backend.{name}" for name in ("get_session", "set_session", "set_learning_phase", "learning_phase")
)
_AMBIGUOUS = frozenset(("losses", "metrics"))
"""TensorFlow 2 has them, too, with other contents."""
_GRAPH_MODE = frozenset(
    """
    Session disable_eager_execution disable_v2_behavior get_variable layers placeholder variable_scope
    global_variables_initializer
    """.split()
)


class Age(enum.Enum):
    """For which TensorFlow a script is written."""

    TODAY = "TensorFlow 2"
    COMPAT = "TensorFlow 2, by its TensorFlow 1 API"
    """It imports ``tensorflow.compat.v1`` or tf-slim, and needs the Keras of that time."""
    FACADE = "TensorFlow 1"
    """``import tensorflow`` must give what it gave then."""


@dataclass(slots=True)
class Found:
    """What a script and its modules use."""

    imports: set[str] = field(default_factory=set)
    """Full names of modules."""
    names: set[str] = field(default_factory=set)
    """Of what ``tensorflow`` has: dotted names below it."""

    @property
    def uses_tensorflow(self) -> bool:
        """Whether it imports TensorFlow or what needs it."""
        return any(name.split(".")[0] in ("tensorflow", "tf_slim", "tf_keras") for name in self.imports)

    @property
    def uses_numpy(self) -> bool:
        """Whether it imports NumPy."""
        return any(name.split(".")[0] == "numpy" for name in self.imports)

    @property
    def imports_v1(self) -> bool:
        """Whether it asks for the API of TensorFlow 1 by its name today."""
        named = any(name.startswith("tensorflow.compat.v1") for name in self.imports)
        graph = any(
            name.startswith("compat.v1.") and name.split(".")[2] in _GRAPH_MODE for name in self.names
        )
        return named or graph or "tf_slim" in self.imports

    @property
    def age(self) -> Age:
        """The answer."""
        modules = ("tensorflow.contrib", "tensorflow.examples")
        if any(name.startswith(modules) for name in self.imports) or any(map(_is_v1, self.names)):
            return Age.FACADE
        return Age.COMPAT if self.imports_v1 else Age.TODAY


def _is_v1(name: str) -> bool:
    parts = name.split(".")
    if name in _KERAS_IN_A_SESSION:
        return True
    if parts[0] in _AMBIGUOUS:
        return len(parts) > 1 and parts[1] in _ONLY_V1_BELOW[parts[0]]
    if parts[0] in _ONLY_V1:
        return True
    return len(parts) > 1 and parts[1] in _ONLY_V1_BELOW.get(parts[0], frozenset())


def decide(path: str, data: bytes, folders: Sequence[str]) -> Found:
    """Read the script and its own modules, as far as they are imported by their names."""
    found = Found()
    waiting = [(os.path.dirname(os.path.abspath(path)), data)]
    known = {os.path.abspath(path)}
    while waiting and len(known) <= _MOST_FILES:
        folder, text = waiting.pop()
        tree = _tree(text)
        if tree is None:
            continue
        _look_at(tree, found)
        for name, level in _imported(tree):
            bases = [folder] if level else list(folders)
            for _ in range(1, level):
                bases = [os.path.dirname(base) for base in bases]
            for file in _files(bases, name):
                if file not in known:
                    known.add(file)
                    try:
                        with open(file, "rb") as opened:
                            waiting.append((os.path.dirname(file), opened.read()))
                    except OSError:
                        continue
    return found


def _tree(data: bytes) -> ast.Module | None:
    from bnlint.source.repair import UnreadableError, repair

    if not any(word in data for word in (b"import",)):
        return None
    try:
        return repair(text_of(data).replace("\r\n", "\n").replace("\r", "\n")).tree
    except UnreadableError:
        return None


def _look_at(tree: ast.Module, found: Found) -> None:
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                found.imports.add(name.name)
                if name.name == "tensorflow" or name.name.startswith("tensorflow."):
                    aliases[name.asname or "tensorflow"] = name.name if name.asname else "tensorflow"
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.imports.add(node.module)
            found.imports.update(f"{node.module}.{name.name}" for name in node.names)
            if node.module == "tensorflow":
                found.names.update(name.name for name in node.names if name.name != "compat")
            if node.module.split(".")[0] == "tensorflow":
                aliases.update(
                    (name.asname or name.name, f"{node.module}.{name.name}") for name in node.names
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = _dotted(node)
            if dotted and dotted[0] in aliases:
                full = [*aliases[dotted[0]].split("."), *dotted[1:]]
                found.names.add(".".join(full[1:]))


def _dotted(node: ast.expr) -> list[str]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, 0) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module, node.level
            yield from ((f"{module}.{name.name}".lstrip("."), node.level) for name in node.names)


def _files(bases: Sequence[str], name: str) -> Iterator[str]:
    parts = name.split(".") if name else []
    for base in bases:
        # The packages on the way are executed, too.
        for count in range(len(parts) + 1):
            path = os.path.join(base, *parts[:count])
            for file in (f"{path}.py", os.path.join(path, "__init__.py")):
                if os.path.isfile(file) and (count or file.endswith("__init__.py")):
                    yield os.path.abspath(file)
