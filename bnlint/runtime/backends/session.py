"""A TensorFlow 1 session as a subject: the graph says what normalises, the feeds say which phase.

``verify(session, train_feed={...}, inference_feed={...}, outputs=..., train_op=...)``. Layers are what
``train_op`` and ``outputs`` have to run. Nothing is added to the graph, so that it may be finalised.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.backends.batches import arrays
from bnlint.runtime.backends.graph import GraphNorm, GraphNorms, ancestors
from bnlint.runtime.exceptions import short
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array, batch_statistics
from bnlint.runtime.subject import Application, CannotRun, Norm, Pass, RoundTrip, refuse_bad_numbers

_OPTIONS = ("train_feed", "inference_feed", "outputs", "train_op", "train_outputs", "saver")
_RANDOM = ("Random", "StatelessRandom", "Multinomial", "ParameterizedTruncatedNormal")


def subject(model: Any, batch: Any, given: dict[str, Any]) -> SessionSubject | None:
    """The subject for a session, if it is one."""
    if not (hasattr(model, "run") and hasattr(model, "graph") and hasattr(model.graph, "get_operations")):
        return None
    unknown = [name for name in given if name not in _OPTIONS]
    if unknown:
        raise UserError(
            f"verify() does not know what {unknown[0]} is for a session; it takes {', '.join(_OPTIONS)}."
        )
    if batch is not None:
        raise UserError(
            "A session has no batch of its own: put the data into train_feed and inference_feed, "
            "as in verify(session, train_feed={x: data, phase: True}, …)."
        )
    for name in ("train_feed", "inference_feed"):
        if not isinstance(given.get(name), dict):
            raise UserError(f"verify() needs {name}, a dict of placeholders and values, to run a session.")
    for name in ("outputs", "train_op"):
        if given.get(name) is None:
            raise UserError(f"verify() needs {name}, something that session.run() can fetch.")
    return SessionSubject(model, given)


class SessionSubject:
    """A session with its feeds."""

    framework = "tensorflow1"

    def __init__(self, session: Any, given: dict[str, Any]) -> None:
        self._session = session
        self._graph = session.graph
        self._feeds = {
            True: self._feed(given["train_feed"], "train_feed"),
            False: self._feed(given["inference_feed"], "inference_feed"),
        }
        self.notes: list[str] = []
        self.examples = _examples(self._feeds[False])
        self._outputs = self._elements(given["outputs"], "outputs")
        self._train = self._elements(given["train_op"], "train_op")
        self._train.extend(self._elements(given.get("train_outputs"), "train_outputs"))
        self._saver = given.get("saver")
        self._variables = {variable.op.name: variable for variable in _variables(self._graph)}
        self._saved: dict[str, Array] = {}
        self._ran: dict[str, dict[bool, GraphNorm]] = {}
        self._norms: dict[str, Norm] = {}
        self._statistics: dict[str, tuple[str, str]] = {}
        self._applications: dict[bool, list[tuple[str, GraphNorm]]] = {True: [], False: []}
        self._look()

    def norms(self) -> list[Norm]:
        """The normalisation layers that the two fetches run."""
        return list(self._norms.values())

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Put all variables back, and the random state of Python and NumPy.

        What random operations remember is inside of the session, where nobody can get at it.
        """
        import random

        import numpy

        python, state = random.getstate(), numpy.random.get_state()
        self._saved = self._read_all()
        try:
            yield
        finally:
            for name, value in self._saved.items():
                self._load(name, value)
            random.setstate(python)
            numpy.random.set_state(state)

    def train(self) -> Pass:
        """One run of the train step."""
        before = self._read_all()
        seen = self._run(True, self._feeds[True], self._train, want_outputs=False)
        after = self._read_all()
        for key, norm in self._norms.items():
            weights = self._weights(key)
            if norm.frozen and any(before[name].tobytes() != after[name].tobytes() for name in weights):
                seen.moved_weights.append(key)
        self._undo_weights(before)
        operations = ancestors(self._train)
        seen.random = any(operation.type.startswith(_RANDOM) for operation in operations)
        return seen

    def infer(self, first_only: bool = False) -> Pass:
        """One run of the outputs."""
        feed = self._feeds[False]
        if first_only:
            feed = {
                tensor: value[:1] if value.ndim and len(value) == self.examples else value
                for tensor, value in feed.items()
            }
            try:
                return self._run(False, feed, self._outputs, want_outputs=True)
            except UserError as error:
                raise CannotRun("the graph takes batches of one size only") from error
        return self._run(False, feed, self._outputs, want_outputs=True)

    def statistics(self, key: str) -> tuple[Array, Array] | None:
        """The moving mean and variance of a layer."""
        names = self._statistics.get(key)
        if names is None:
            return None
        mean, variance = self._session.run([self._variables[name] for name in names])
        return _vector(mean), _vector(variance)

    def set_statistics(self, key: str, mean: Array, variance: Array) -> None:
        """Set them, through the initializers of the variables."""
        for name, value in zip(self._statistics[key], (mean, variance), strict=True):
            self._load(name, value)

    def alone(self, key: str, x: Array, training: bool) -> Application:
        """Run with the input of the layer fed."""
        tensors = self._ran.get(key, {}).get(training)
        if tensors is None:
            raise CannotRun(f"the layer did not run in {'training' if training else 'inference'}")
        if not self._graph.is_feedable(tensors.x):
            raise CannotRun("the input of the layer cannot be fed")
        feed = {**self._feeds[training], tensors.x: x}
        before = self._read_all() if training else {}
        state = self._state(key, tensors)
        try:
            fetched = self._session.run([tensors.y, *(self._train if training else [])], feed)
        except Exception as error:
            raise CannotRun(f"the layer cannot run on other data ({short(error)})") from error
        if training:
            self._undo_weights(before)
        return _application(key, tensors, x, fetched[0], state, whole=False)

    def round_trip(self) -> RoundTrip:
        """Write all variables that a Saver writes, overwrite them, and read them."""
        import tempfile

        import tensorflow as tf

        saver = self._saver
        if saver is None:
            if self._graph.finalized:
                raise CannotRun("the graph is finalised; give verify() the saver")
            with self._graph.as_default():
                saver = tf.compat.v1.train.Saver()
        with tempfile.TemporaryDirectory(prefix="bnlint-") as folder:
            try:
                path = saver.save(self._session, f"{folder}/model", write_meta_graph=False)
                for name, value in self._read_all().items():
                    if value.dtype.kind == "f":
                        self._load(name, -value - 1)
                saver.restore(self._session, path)
            except Exception as error:
                raise CannotRun(f"the checkpoint cannot be written and read ({short(error)})") from error
        statistics = {
            key: moments for key in self._statistics if (moments := self.statistics(key)) is not None
        }
        outputs = arrays(self._session.run(self._outputs, self._feeds[False]))
        return RoundTrip("variables saved, overwritten and restored", statistics, outputs)

    def _look(self) -> None:
        """Find the layers that the fetches run."""
        found = GraphNorms(self._graph)
        needed = {True: ancestors(self._train), False: ancestors(self._outputs)}
        flags = {
            tensor.op for feed in self._feeds.values() for tensor, value in feed.items() if value.ndim == 0
        }
        trainable = {variable.op.name for variable in _collection(self._graph, "trainable_variables")}
        collected = set(_collection(self._graph, "update_ops"))
        keys: dict[str, str] = {}
        for each in found.found:
            runs = [training for training in (True, False) if each.y.op in needed[training]]
            if not runs:
                continue
            identity = (
                each.mean or getattr(each.gamma, "name", "") or getattr(each.beta, "name", "") or each.y.name
            )
            key = keys.setdefault(identity, _name(each))
            if key not in self._norms or (each.mean and key not in self._statistics):
                fed = bool(flags & ancestors([each.y]))
                self._norms[key] = self._norm(key, each, found, fed, trainable, collected)
            if each.mean and each.variance and {each.mean, each.variance} <= set(self._variables):
                self._statistics[key] = (each.mean, each.variance)
            for training in runs:
                self._applications[training].append((key, each))
                self._ran.setdefault(key, {}).setdefault(training, each)
        for key, norm in self._norms.items():
            norm.seen.has_statistics = key in self._statistics

    def _norm(
        self,
        key: str,
        each: GraphNorm,
        found: GraphNorms,
        fed: bool,
        trainable: set[str],
        collected: set[Any],
    ) -> Norm:
        updates = found.updates_of(each.mean) if each.mean else []
        by_hand = "ExponentialMovingAverage" in each.mean or not each.mean.endswith(
            ("moving_mean", "moving_variance")
        )
        kind = "none"
        if updates:
            kind = "collected" if set(updates) & collected else "by hand" if by_hand else "attribute"
        elif each.mean and not by_hand:
            kind = "attribute" if each.momentum is not None else "none"
        weights = [
            weight.name
            for weight in (each.gamma, each.beta)
            if getattr(weight, "name", "") in self._variables
        ]
        frozen = bool(weights) and not any(name in trainable for name in weights)
        variable = self._variables.get(each.mean)
        seen = LayerSeen(
            key,
            key,
            "tf.compat.v1.nn.fused_batch_norm" if each.fused else "tf.nn.batch_normalization",
            "tensorflow",
            None,
            channels=int(variable.shape.num_elements() or 0) if variable is not None else 0,
            epsilon=each.epsilon,
            momentum=each.momentum,
            trainable=not frozen,
            has_statistics=variable is not None,
            updates=kind,
            fused=each.fused,
        )
        dtype = variable.dtype.base_dtype.name if variable is not None else "float32"
        return Norm(seen, dtype, frozen=frozen, phase_is_fed=fed)

    def _run(self, training: bool, feed: dict[Any, Array], fetches: list[Any], want_outputs: bool) -> Pass:
        applications = self._applications[training]
        state = [self._state(key, each) for key, each in applications]
        tensors = [tensor for _, each in applications for tensor in (each.x, each.y)]
        try:
            results = self._session.run([tensors, fetches], feed)
        except Exception as error:
            what = "train_op" if training else "outputs"
            raise UserError(f"The session cannot run {what}: {short(error)}. Check the feeds.") from error
        seen = Pass(outputs=arrays(results[1]) if want_outputs else [])
        for number, (key, each) in enumerate(applications):
            x, y = results[0][2 * number : 2 * number + 2]
            application = _application(key, each, x, y, state[number], whole=True)
            self._norms[key].seen.axes = [axis % x.ndim for axis in application.axes]
            seen.applications.append(application)
        return seen

    def _state(self, key: str, each: GraphNorm) -> dict[str, Array]:
        moments = self.statistics(key)
        state: dict[str, Array] = {
            "mean": None if moments is None else moments[0],
            "variance": None if moments is None else moments[1],
        }
        for name, source in (("gamma", each.gamma), ("beta", each.beta)):
            value = None
            if source is not None and getattr(source, "name", "") in self._variables:
                value = self._session.run(self._variables[source.name])
            elif source is not None and hasattr(source, "op"):
                from tensorflow import get_static_value

                value = get_static_value(source)
            state[name] = None if value is None else _vector(value)
        return state

    def _weights(self, key: str) -> list[str]:
        each = next(iter(self._ran[key].values()))
        return [
            weight.name
            for weight in (each.gamma, each.beta)
            if getattr(weight, "name", "") in self._variables
        ]

    def _undo_weights(self, before: dict[str, Array]) -> None:
        statistics = {name for names in self._statistics.values() for name in names}
        for name, value in before.items():
            if name not in statistics:
                self._load(name, value)

    def _read_all(self) -> dict[str, Array]:
        names = list(self._variables)
        try:
            return dict(zip(names, self._session.run([self._variables[name] for name in names]), strict=True))
        except Exception as error:
            raise UserError(
                f"The variables of the session cannot be read: {short(error)}. Initialise them first."
            ) from error

    def _load(self, name: str, value: Array) -> None:
        import numpy

        variable = self._variables[name]
        initializer = variable.initializer
        shape, dtype = variable.shape.as_list(), variable.dtype.base_dtype.as_numpy_dtype
        values = numpy.asarray(value).reshape(shape).astype(dtype)
        self._session.run(initializer, {initializer.inputs[1]: values})

    def _feed(self, feed: dict[Any, Any], name: str) -> dict[Any, Array]:
        import numpy

        found: dict[Any, Array] = {}
        for key, value in feed.items():
            try:
                tensor = self._graph.as_graph_element(key, allow_tensor=True, allow_operation=False)
            except (KeyError, ValueError, TypeError) as error:
                raise UserError(f"{name} has {key!r}, which is no tensor of the session's graph.") from error
            array = numpy.asarray(value)
            if array.dtype.kind not in "OUS":
                refuse_bad_numbers(f"value for {tensor.name} in {name}", array)
            found[tensor] = array
        return found

    def _elements(self, value: Any, name: str) -> list[Any]:
        if value is None:
            return []
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            return [element for each in value for element in self._elements(each, name)]
        try:
            return [self._graph.as_graph_element(value)]
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{name} has {value!r}, which is not in the session's graph.") from error


def _application(
    key: str, each: GraphNorm, x: Array, y: Array, state: dict[str, Array], whole: bool
) -> Application:
    axes = _axes(each, x.shape, state["mean"])
    return Application(
        key,
        x,
        y,
        y.dtype.name,
        batch_statistics(x, axes) if whole else None,
        state["mean"],
        state["variance"],
        state["gamma"],
        state["beta"],
        len(x) if x.ndim else 0,
        axes=axes,
    )


def _axes(each: GraphNorm, shape: tuple[int, ...], mean: Array) -> tuple[int, ...]:
    rank = len(shape)
    if each.channels_first:
        return (1,)
    if mean is not None and mean.ndim > 1 and mean.shape == shape[rank - mean.ndim :]:
        return tuple(range(rank - mean.ndim, rank))
    if mean is not None and mean.size != shape[-1] and mean.size in shape[1:]:
        return (1 + shape[1:].index(mean.size),)
    return (rank - 1,)


def _vector(value: Array) -> Array:
    """Without the axes of size 1 that are only there to be broadcast."""
    import numpy

    value = numpy.asarray(value)
    if value.ndim < 2:
        return value.reshape(-1)
    shape = tuple(size for size in value.shape if size != 1) or (1,)
    return value.reshape(shape)


def _name(each: GraphNorm) -> str:
    """The scope of the layer's variables, or of its output."""
    name = each.mean or getattr(each.gamma, "name", "") or each.y.op.name
    scope = name.rsplit("/", 1)[0] if "/" in name else name
    for ending in ("/batchnorm", "/moments"):
        scope = scope.split(ending, 1)[0]
    return scope


def _variables(graph: Any) -> list[Any]:
    return [*_collection(graph, "variables"), *_collection(graph, "local_variables")]


def _collection(graph: Any, name: str) -> list[Any]:
    return list(graph.get_collection(name))


def _examples(feed: dict[Any, Array]) -> int:
    sizes = [len(value) for value in feed.values() if value.ndim]
    if not sizes:
        raise UserError("inference_feed has no array of samples. Feed the placeholder of the input.")
    return max(sizes, key=sizes.count)
