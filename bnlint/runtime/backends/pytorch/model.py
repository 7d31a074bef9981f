"""A PyTorch model as a subject: what runs is the user's own code, in the mode that the pass is about."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.backends.batches import Batch, mapped, take
from bnlint.runtime.backends.pytorch import checkpoint
from bnlint.runtime.backends.pytorch.found import discover
from bnlint.runtime.backends.pytorch.parts import (
    Part,
    Tree,
    is_norm,
    is_unmade,
    numbers,
    tree,
    unwrap,
    vector,
)
from bnlint.runtime.backends.pytorch.restore import Random, Snapshot
from bnlint.runtime.backends.pytorch.watch import Watch, watching
from bnlint.runtime.exceptions import short
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import Application, CannotRun, Norm, Pass, RoundTrip

_DRAWING = ("Dropout", "Noise", "Random")


class TorchSubject:
    """A ``torch.nn.Module`` with its probe batch."""

    framework = "pytorch"

    def __init__(self, model: Any, batch: Batch, given: dict[str, Any]) -> None:
        self.examples = batch.examples
        self.notes: list[str] = []
        self._model = unwrap(model)
        self._batch = batch
        self._functions = {True: given.get("train"), False: given.get("infer")}
        self._factory: Callable[[], Any] | None = given.get("factory")
        self._snapshot: Snapshot | None = None
        self._last: dict[tuple[str, bool], Callable[[Any], Any]] = {}
        self._known = tree(self._model)
        self._asleep = [each for each in self._model.modules() if self._model.training and not each.training]
        if _is_lazy(self._known):
            self._build()
        found = self._discover()
        if found is None:
            self._build()
            found = self._discover() or []
        self._parts = {part.norm.key: part for part in found}
        self._note_what_is_frozen()

    def norms(self) -> list[Norm]:
        """The normalisation layers."""
        return [part.norm for part in self._parts.values()]

    def layers(self) -> dict[str, Any]:
        """The modules that are these layers, by their keys."""
        return {key: part.owner for key, part in self._parts.items()}

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Watch the layers, and afterwards put everything back."""
        import torch

        with Snapshot(self._known.modules.values()) as snapshot, torch.inference_mode(False):
            self._snapshot = snapshot
            snapshot.clear_gradients()
            try:
                yield
            finally:
                self._snapshot = None

    def train(self) -> Pass:
        """One training step: the user's own, or a pass in training mode and the gradients of the squared output."""
        assert self._snapshot is not None
        frozen = {
            key: weights
            for key, part in self._parts.items()
            if part.norm.frozen and (weights := _weights(part))
        }
        seen = self._watched(True, self._batch)
        for key, before in frozen.items():
            after = _weights(self._parts[key])
            if any(old.tobytes() != new.tobytes() for old, new in zip(before, after, strict=True)):
                seen.moved_weights.append(key)
        self._snapshot.restore_parameters()
        return seen

    def infer(self, first_only: bool = False) -> Pass:
        """One inference."""
        if not first_only:
            return self._watched(False, self._batch)
        try:
            return self._watched(False, take(self._batch, alone=True))
        except UserError:
            # A model of a fixed batch size: other samples in the place of the rest do as well.
            return self._watched(False, take(self._batch, alone=False))

    def statistics(self, key: str) -> tuple[Array, Array] | None:
        """The moving mean and variance of a layer."""
        return self._parts[key].moments()

    def set_statistics(self, key: str, mean: Array, variance: Array) -> None:
        """Set the moving mean and variance of a layer."""
        self._parts[key].set(mean, variance)

    def alone(self, key: str, x: Array, training: bool) -> Application:
        """Apply one layer as the last pass did."""
        import torch

        part = self._parts[key]
        if part.places is None:
            raise CannotRun("it is made anew in each pass")
        again = self._last.get((key, training))
        if again is None:
            raise CannotRun(f"the layer did not run in {'training' if training else 'inference'}")
        watch = Watch(self._known, [part], whole=False)
        try:
            with watching(watch), torch.set_grad_enabled(training):
                again(self._tensor(x))
        except Exception as error:
            raise CannotRun(f"the layer cannot run alone ({short(error)})") from error
        if not watch.seen:
            raise CannotRun("the layer cannot be seen when it runs alone")
        return watch.seen[-1].application

    def round_trip(self) -> RoundTrip:
        """A state_dict, and into a fresh model."""

        def infer(model: Any) -> list[Array]:
            if self._functions[False] is not None:
                return []
            assert self._snapshot is not None
            self._snapshot.random.restore()
            model.eval()
            return _outputs(self._call(model, self._batch))

        import torch

        with torch.no_grad():
            return checkpoint.round_trip(self._model, list(self._parts.values()), self._factory, infer)

    def _discover(self) -> list[Part] | None:
        """The layers that normalise; None if the model makes parts of itself when it is first called."""
        grown = False

        def run(training: bool, watch: Watch) -> set[int]:
            nonlocal grown
            snapshot.random.restore()
            self._mode(training)
            modes = {key for key, module in self._known.modules.items() if module.training}
            # Some layers written by hand ask autograd for the mode.
            with torch.set_grad_enabled(training):
                self._run(training, self._batch, watch)
            grown = grown or _held(tree(self._model)) != before
            return modes

        import torch

        before = _held(self._known)
        with Snapshot(self._known.modules.values()) as snapshot, torch.inference_mode(False):
            snapshot.clear_gradients()
            found = discover(self._known, run)
        return None if grown else found

    def _build(self) -> None:
        """Call a model that makes parts of itself when it is first called; they stay, as new as they were made."""
        import torch

        learned = {id(module) for module in self._known.modules.values() if _has_statistics(module)}
        snapshot = Snapshot(self._known.modules.values())
        # A training step of the user's own would make a step of an optimizer, too.
        training = self._functions[True] is None
        try:
            self._mode(training)
            with torch.inference_mode(False), torch.no_grad():
                self._run(training, self._batch, Watch(self._known, [], whole=False))
        finally:
            snapshot.restore_values()
        self._known = tree(self._model)
        for module in self._known.modules.values():
            if _has_statistics(module) and id(module) not in learned:
                module.reset_running_stats()

    def _watched(self, training: bool, batch: Batch) -> Pass:
        import torch

        assert self._snapshot is not None
        self._snapshot.random.restore()
        self._mode(training)
        watch = Watch(self._known, list(self._parts.values()), whole=training)
        with torch.set_grad_enabled(training):
            outputs = self._run(training, batch, watch)
        seen = Pass(watch.applications(), _outputs(outputs))
        for each in watch.seen:
            self._last[each.part.norm.key, training] = each.again
        seen.random = self._snapshot.random.differs() or any(
            word in type(module).__name__ for module in self._known.modules.values() for word in _DRAWING
        )
        if training and self._functions[True] is None:
            with watching(watch):
                self._differentiate(outputs)
        return seen

    def _differentiate(self, outputs: Any) -> None:
        """What a training step does after the forward pass: parts of that may be computed again."""
        squares = [(tensor.abs().float() ** 2).mean() for tensor in _tensors(outputs) if tensor.requires_grad]
        if not squares:
            return
        try:
            sum(squares).backward()
        except Exception as error:
            why = short(error)
            note = (
                f"The outputs cannot be differentiated ({why}), so a training step was a forward pass alone."
            )
            if note not in self.notes:
                self.notes.append(note)

    def _mode(self, training: bool) -> None:
        """Put the model into a mode, as a program does. What is in evaluation mode in it on purpose stays so."""
        if not training:
            self._model.eval()
        elif self._model.training or self._is_trained():
            self._model.train()
            for module in self._asleep:
                module.training = False

    def _is_trained(self) -> bool:
        parameters = list(self._model.parameters())
        return not parameters or any(parameter.requires_grad for parameter in parameters)

    def _run(self, training: bool, batch: Batch, watch: Watch) -> Any:
        function = self._functions[training]
        try:
            with watching(watch):
                if function is not None:
                    return function(mapped(self._tensor, batch.inputs))
                return self._call(self._model, batch)
        except Exception as error:
            raise _cannot(error) from error

    def _call(self, model: Any, batch: Batch) -> Any:
        inputs = mapped(self._tensor, batch.inputs)
        if isinstance(inputs, dict):
            return model(**inputs)
        return model(*inputs) if isinstance(inputs, list | tuple) else model(inputs)

    def _tensor(self, values: Array) -> Any:
        """Values as the model takes them: where its weights are, and of their type if they are fractions."""
        import torch

        tensor = torch.tensor(values)
        like = next((each for each in _all_tensors(self._model) if each.is_floating_point()), None)
        if like is None:
            return tensor.float() if tensor.is_floating_point() else tensor
        return tensor.to(like.device, like.dtype if tensor.is_floating_point() else None)

    def _note_what_is_frozen(self) -> None:
        names = [
            part.norm.seen.name
            for part in self._parts.values()
            if part.norm.frozen and part.owner is not None and _trains(part)
        ]
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            self.notes.append(
                f"{names[0]}{more} {'are' if more else 'is'} in evaluation mode while the model trains, which is taken "
                "for freezing on purpose."
            )


def first_of(batch: Any) -> Any:
    """The first batch of a ``DataLoader``, inputs and perhaps targets; anything else as it is."""
    from torch.utils.data import DataLoader

    if not isinstance(batch, DataLoader):
        return batch
    drawn = Random()
    try:
        first = next(iter(batch), None)
    finally:
        drawn.restore()
    return tuple(first) if isinstance(first, list) else first


def _weights(part: Part) -> list[Array]:
    """Gamma and beta of a layer that are not to be trained."""
    if part.owner is None or _trains(part):
        return []
    weights = [place.parameter() for place in (part.gamma, part.beta) if place is not None]
    return [vector(weight) for weight in weights if weight is not None]


def _trains(part: Part) -> bool:
    return any(parameter.requires_grad for parameter in part.owner.parameters(recurse=False))


def _is_lazy(known: Tree) -> bool:
    return any(
        is_unmade(tensor)
        for module in known.modules.values()
        for kept in (module._parameters, module._buffers)
        for tensor in kept.values()
    )


def _has_statistics(module: Any) -> bool:
    mean = getattr(module, "running_mean", None)
    return is_norm(module) and mean is not None and not is_unmade(mean)


def _held(known: Tree) -> set[int]:
    return {*known.modules, *(id(parameter) for parameter in known.root.parameters())}


def _all_tensors(model: Any) -> Iterator[Any]:
    yield from model.parameters()
    yield from model.buffers()


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors of fractions in what a model returns."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name))


def _outputs(value: Any) -> list[Array]:
    return [numbers(tensor) for tensor in _tensors(value)]


def _cannot(error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    return UserError(
        f"The model cannot run on the batch: {short(error)}. Check the shape (samples first, then the channels) and "
        "the type of the data, and whether the model runs by itself."
    )
