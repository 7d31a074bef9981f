"""The layers of PyTorch that normalise, and their tensors."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager import known as eager
from bnlint.runtime.backends.eager.known import State
from bnlint.runtime.backends.eager.where import built_at
from bnlint.runtime.backends.pytorch_eager.stack import Stacks
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array, figures
from bnlint.runtime.script.recorder import Recorder
from bnlint.runtime.subject import Norm

_MOST_LAYERS = 2000
FUNCTION = "torch.nn.functional.batch_norm"


@dataclass(frozen=True, slots=True)
class Replaced:
    """Moving statistics that a layer did not learn by being applied."""

    how: str
    """As in ``LayerSeen.stale``."""
    site: Location | None
    mean: Array


@dataclass(eq=False, slots=True)
class Known(eager.Known):
    """A normalisation layer: a module, or the place that calls the function. It keeps no tensor alive."""

    module: weakref.ref[Any] | None = None
    learned: set[int] = field(default_factory=set)
    """What tells its gamma and beta from other tensors."""
    mean: weakref.ref[Any] | None = None
    """For a call of the function: the moving mean that it was given last."""
    episodes: int = 0
    """In how many forward passes it was."""
    replaced: Replaced | None = None
    """Its statistics, if they were replaced and not used since."""
    converted: Location | None = None
    """The line that put its statistics into the type that they have."""

    @property
    def weights(self) -> set[int]:
        """What tells gamma and beta from other tensors."""
        return self.learned

    def axes(self, shape: Sequence[int], state: State) -> tuple[int, ...]:
        """The channels come second in PyTorch."""
        return (1,) if len(shape) > 1 else (0,)

    def use(self, mean: Any, training: bool) -> None:
        """It is applied for the first time since its statistics were replaced."""
        replaced, self.replaced = self.replaced, None
        values = value_of(mean, copy=False)
        if replaced is None or training or self.seen.stale or values is None:
            return
        if replaced.mean.shape == values.shape and (replaced.mean == values).all():
            self.seen.stale, self.seen.stale_site = replaced.how, replaced.site

    def state(self) -> State | None:
        """What it normalises with now; None if it is gone."""
        module = self.module() if self.module is not None else None
        return None if module is None or self.seen.api == FUNCTION else state_of(*tensors_of(module))


@dataclass(frozen=True, slots=True)
class Built:
    """How a layer was built."""

    places: list[Location]
    given: list[str]
    in_forward: bool


def tensors_of(module: Any) -> tuple[Any, Any, Any, Any]:
    """Gamma, beta, and the moving mean and variance."""
    return module.weight, module.bias, module.running_mean, module.running_var


def state_of(gamma: Any, beta: Any, mean: Any, variance: Any) -> State:
    """Copies of what a layer normalises with."""
    return State(value_of(mean), value_of(variance), value_of(gamma), value_of(beta))


def value_of(tensor: Any, copy: bool = True) -> Array:
    """A tensor as a NumPy array; None for None, and for a tensor without values."""
    import torch

    if tensor is None or not is_plain(tensor):
        return None
    with torch._C.DisableTorchFunction():
        plain = tensor.detach()
        if plain.dtype is torch.bfloat16:
            plain = plain.float()
        values = plain.cpu().numpy()
    return values.copy() if copy else values


def is_plain(tensor: Any) -> bool:
    """Whether it is a tensor with values that may be read."""
    import torch

    return type(tensor) in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer) and not (
        tensor.is_meta or tensor.is_sparse or tensor.is_quantized
    )


class Registry:
    """All layers that were seen."""

    def __init__(self, recorder: Recorder, stacks: Stacks) -> None:
        self._recorder = recorder
        self._stacks = stacks
        self._modules: weakref.WeakKeyDictionary[Any, Known] = weakref.WeakKeyDictionary()
        self._built: weakref.WeakKeyDictionary[Any, Built] = weakref.WeakKeyDictionary()
        self._origin: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()
        self._paths: weakref.WeakKeyDictionary[Any, dict[int, str]] = weakref.WeakKeyDictionary()
        self._functions: dict[tuple[Any, ...], Known] = {}
        self._held: weakref.WeakKeyDictionary[Any, list[Known]] = weakref.WeakKeyDictionary()
        """The layers that are calls of the function, by the module around them."""
        self._latest: dict[tuple[Any, ...], Known] = {}
        self._by_mean: dict[int, tuple[weakref.ref[Any], Known]] = {}
        self._names: dict[str, int] = {}
        self.all: list[Known] = []

    def building(self, module: Any, given: list[str]) -> None:
        """A layer is being built; ``given`` are the parameters that it gets by position."""
        if module not in self._built:
            frame = sys._getframe(1)
            places = built_at(self._recorder.frames, module, frame)
            self._built[module] = Built(places, given, self._stacks.in_call(frame))

    def copying(self, module: Any, original: Any) -> None:
        """A layer is being made as a copy of another one."""
        self._origin[module] = weakref.ref(original)
        if original in self._built:
            self._built[module] = self._built[original]

    def replaced(self, module: Any, how: str, places: list[Location]) -> None:
        """The moving statistics of the layers of a model are being replaced."""
        for known in self.under(module):
            state = known.state()
            if state is not None and state.mean is not None:
                known.replaced = Replaced(how, places[0] if places else None, state.mean)

    def under(self, module: Any) -> Iterator[Known]:
        """The layers of a model."""
        import torch

        for part in module.modules():
            if isinstance(part, torch.nn.modules.batchnorm._NormBase):
                known = self.of(part, module)
                if known is not None:
                    yield known
            yield from self._held.get(part, ())

    def get(self, module: Any) -> Known | None:
        """What is known of a layer so far."""
        return self._modules.get(module)

    def of(self, module: Any, outermost: Any) -> Known | None:
        """The layer that a module is; None if there are too many."""
        known = self._modules.get(module)
        if known is None:
            known = self._again(module) or self._add_module(module, outermost)
            if known is not None:
                self._modules[module] = known
        if known is not None:
            self._refresh(known, module)
        return known

    def of_function(
        self, tensors: tuple[Any, Any, Any], holder: Any, outermost: Any, places: list[Location], name: str
    ) -> Known | None:
        """The layer that a call of the function makes: told by the place, and by the module around it.

        ``tensors`` are gamma, beta and the moving mean; ``name`` is for one without a module.
        """
        gamma, beta, mean = tensors
        key = (places[0] if places else None, id(holder))
        known = self._functions.get(key)
        if (
            known is not None
            and holder is not None
            and (known.module is None or known.module() is not holder)
        ):
            known = None
        if known is None:
            seen = LayerSeen("", "", FUNCTION, "pytorch", None, axes=[1], updates="in place")
            known = Known(seen, Norm(seen), None, unbiased=True)
            known.module = None if holder is None else weakref.ref(holder)
            name = name if holder is None else self._path(holder, outermost)
            if self._add(known, name, places) is None:
                return None
            self._functions[key] = known
            if holder is not None:
                self._held.setdefault(holder, []).append(known)
        # What is another tensor in each call is no average that anybody keeps.
        again = known.mean is None or known.mean() is mean
        known.seen.has_statistics = known.seen.has_statistics and mean is not None and again
        known.mean = None if mean is None else weakref.ref(mean)
        known.learned = {id(each) for each in (gamma, beta) if each is not None}
        known.seen.trainable = gamma is None or bool(gamma.requires_grad)
        if mean is not None:
            known.seen.statistics_type = _type_of(mean)
            self._by_mean[id(mean)] = weakref.ref(mean), known
        return known

    def locate(self, known: Known, gamma: Any, mean: Any, outermost: Any) -> None:
        """See whether the model that runs a layer has it among its parts."""
        seen = known.seen
        module = known.module() if known.module is not None else None
        if seen.registered is not None or outermost is None or (module is outermost and seen.api != FUNCTION):
            return
        if seen.api != FUNCTION:
            seen.registered = any(part is module for part in outermost.modules())
        elif gamma is not None:
            seen.registered = any(each is gamma for each in outermost.parameters())
        if mean is None:
            return
        if any(each is mean for each in (*outermost.buffers(), *outermost.parameters())):
            seen.buffered = True
        elif seen.api != FUNCTION or any(each is mean for each in vars(module).values()):
            seen.buffered = False

    def by_mean(self, mean: Any) -> Known | None:
        """The layer that keeps a moving mean, if it is known."""
        reference, known = self._by_mean.get(id(mean), (None, None))
        return known if reference is not None and reference() is mean else None

    def _refresh(self, known: Known, module: Any) -> None:
        seen = known.seen
        known.learned = {id(each) for each in (module.weight, module.bias) if each is not None}
        seen.epsilon = float(module.eps)
        seen.momentum = None if module.momentum is None else 1.0 - float(module.momentum)
        seen.channels = int(module.num_features)
        seen.has_statistics = module.running_mean is not None
        if module.running_mean is not None:
            seen.statistics_type = _type_of(module.running_mean)
            self._by_mean[id(module.running_mean)] = weakref.ref(module.running_mean), known
        seen.trainable = module.weight is None or bool(module.weight.requires_grad)

    def _add_module(self, module: Any, outermost: Any) -> Known | None:
        import torch

        built = self._built.get(module, Built([], [], False))
        seen = LayerSeen("", "", _api(module), "pytorch", None)
        seen.axes = [0, 1] if isinstance(module, torch.nn.modules.instancenorm._InstanceNorm) else [1]
        seen.given, seen.in_forward = built.given, built.in_forward
        original = self._original(module)
        if original is not None:
            seen.copy_of = original.seen.key
        known = Known(seen, Norm(seen), None, unbiased=True)
        known.module = weakref.ref(module)
        if seen.axes != [1]:
            known.norm.why_not = "it normalises each example alone"
        self._latest[_kind(module, built)] = known
        return self._add(known, self._path(module, outermost), built.places)

    def _again(self, module: Any) -> Known | None:
        """The layer that was built by the same lines before, if it lived for one forward pass only."""
        built = self._built.get(module)
        if built is None or not built.places:
            return None
        before = self._latest.get(_kind(module, built))
        if (
            before is not None
            and before.episodes == 1
            and before.module is not None
            and before.module() is None
        ):
            before.module = weakref.ref(module)
            before.episodes = 0
            before.seen.rebuilt += 1
            return before
        return None

    def _original(self, module: Any) -> Known | None:
        reference = self._origin.get(module)
        original = reference() if reference is not None else None
        return None if original is None else self.of(original, original)

    def _path(self, module: Any, outermost: Any) -> str:
        if outermost is not None and outermost is not module:
            paths = self._paths.get(outermost)
            if paths is None or id(module) not in paths:
                paths = {id(part): name for name, part in outermost.named_modules()}
                self._paths[outermost] = paths
            path = paths.get(id(module), "")
            for prefix in ("_orig_mod.", "module."):
                path = path.removeprefix(prefix)
            if path:
                # A part of nothing but `nn.Sequential` has a number for a name.
                named = any(map(str.isalpha, path))
                inner = getattr(outermost, "module", getattr(outermost, "_orig_mod", outermost))
                return path if named else f"{type(inner).__name__}.{path}"
        return type(module).__name__

    def _add(self, known: Known, name: str, places: list[Location]) -> Known | None:
        if len(self.all) >= _MOST_LAYERS:
            self._recorder.note(
                f"There are more than {_MOST_LAYERS} layers that normalise, for example because they are built anew "
                "in each step; those after that were not looked at."
            )
            return None
        seen = known.seen
        number = self._names[name] = self._names.get(name, 0) + 1
        seen.key = name if number == 1 else f"{name}#{number}"
        seen.name = name
        seen.site, seen.callers = (places[0] if places else None), places[1:]
        self._recorder.layer(seen.key, lambda: seen)
        self.all.append(known)
        return known


def last_look(known: Known) -> None:
    """Keep what a layer has at the end."""
    state = known.state()
    if state is not None and known.seen.initial_mean is not None and state.mean is not None:
        known.seen.last_mean, known.seen.last_variance = figures(state.mean), figures(state.variance)
    if state is not None and state.gamma is not None:
        known.seen.last_scale = figures(state.gamma)


def _kind(module: Any, built: Built) -> tuple[Any, ...]:
    """What layers have in common that the same lines build: those in a call of a module, whoever makes the call."""
    lines = built.places[:1] if built.in_forward else built.places[:2]
    return (*lines, type(module), module.num_features)


def _type_of(tensor: Any) -> str:
    return str(tensor.dtype).rpartition(".")[2]


def _api(module: Any) -> str:
    own = next(kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn."))
    return f"torch.nn.{own.__name__}"
