"""The modules of a PyTorch model, and which of them normalise.

A module normalises if it is one of PyTorch's, or if it keeps a moving mean and a moving variance of one shape: so
hand-written ones are found by what they keep, whatever they are called.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.backends.parts import (
    BETAS,
    EPSILONS,
    GAMMAS,
    USUAL_EPSILONS,
    first_number,
    pairs,
)
from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import Fault, Norm

_DEPTH = 3
_SCRIPTED = "it is compiled by torch.jit, where nobody can watch it"
NOT_REGISTERED = "it is kept where PyTorch does not look for modules, so eval() and state_dict() pass it by"
PLAIN_TENSORS = "they are plain tensors and not registered as buffers, so state_dict() leaves them out"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module keeps a tensor: an attribute, or an item of a list or dict that is one."""

    owner: Any
    name: str
    item: Any = None

    def get(self) -> Any:
        """The tensor that is there now."""
        value = getattr(self.owner, self.name)
        return value if self.item is None else value[self.item]

    def on(self, other: Any) -> Place:
        """The same place of another module."""
        return Place(other, self.name, self.item)

    def parameter(self) -> Any:
        """The parameter that is there; None if it is something else."""
        return dict(self.owner.named_parameters(recurse=False)).get(self.name)

    @property
    def is_saved(self) -> bool:
        """Whether PyTorch knows of the tensor there."""
        return self.item is None and (self.name in self.owner._buffers or self.name in self.owner._parameters)


@dataclass(slots=True, eq=False)
class Part:
    """A normalisation layer of the model, and where its tensors are."""

    norm: Norm
    owner: Any
    path: str
    mean: Place | None = None
    variance: Place | None = None
    gamma: Place | None = None
    beta: Place | None = None
    axis: int | None = None
    """Of the channels, where the layer does not call PyTorch's formula; None as long as that is not known."""
    by_name: bool = False
    """Found by the names of what it keeps: whether it normalises is to be seen."""
    by_formula: bool = False
    """It calls PyTorch's formula."""
    initial: tuple[Array, Array] | None = None
    """Of a layer that is made in each pass: what its statistics begin with."""

    @property
    def places(self) -> tuple[Place, Place] | None:
        """Where the moving statistics are; None if it keeps none that last."""
        return None if self.mean is None or self.variance is None else (self.mean, self.variance)

    def moments(self) -> tuple[Array, Array] | None:
        """Copies of the moving mean and variance."""
        if self.places is None:
            return self.initial
        mean, variance = (vector(place.get()) for place in self.places)
        return mean, variance

    def set(self, mean: Array, variance: Array) -> None:
        """Set the moving statistics."""
        for place, values in zip(self.places or (), (mean, variance), strict=False):
            write(place.get(), values)

    def axes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The axes of the channels in an input of this shape."""
        if self.by_formula or self.mean is None:
            return (1,)
        if self.axis is not None and self.axis < len(shape):
            return (self.axis,)
        return (next(iter(self.candidates(shape)), 1),)

    def candidates(self, shape: Sequence[int]) -> list[int]:
        """The axes that may be those of the channels, the usual one first."""
        if self.mean is None:
            return [1]
        statistics = [int(size) for size in self.mean.get().shape]
        if len(statistics) == len(shape):
            long = [axis for axis, size in enumerate(statistics) if size != 1]
            return long if len(long) == 1 else [1]
        size = math.prod(statistics)
        return [
            axis for axis in (1, *range(len(shape) - 1, 1, -1)) if axis < len(shape) and shape[axis] == size
        ]


def numbers(tensor: Any) -> Array:
    """The values of a tensor, without a copy where that is possible."""
    import torch

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.cpu().numpy()


def vector(tensor: Any) -> Array:
    """A copy of a tensor over the channels."""
    return numbers(tensor).reshape(-1).copy()


def write(tensor: Any, values: Array) -> None:
    """Give a tensor other values, past autograd."""
    import torch

    new = torch.as_tensor(values).reshape(tensor.shape)
    tensor.data.copy_(new.to(tensor.dtype))


def is_module(thing: Any) -> bool:
    """Whether it is a ``torch.nn.Module``."""
    return derives(thing, "Module", "torch.nn.modules.module")


def is_norm(thing: Any) -> bool:
    """Whether it is a normalisation of PyTorch that can keep moving statistics."""
    return derives(thing, "_NormBase", "torch.nn.modules.batchnorm")


def _is_instance_norm(thing: Any) -> bool:
    return derives(thing, "_InstanceNorm", "torch.nn.modules.instancenorm")


def _is_scripted(thing: Any) -> bool:
    return derives(thing, "ScriptModule", "torch.jit._script")


def derives(thing: Any, name: str, module: str) -> bool:
    """Whether it is of a class of PyTorch, or of one that derives from it."""
    return any(base.__name__ == name and base.__module__ == module for base in type(thing).__mro__)


def unwrap(model: Any) -> Any:
    """The model inside of what distributes or compiles it."""
    while True:
        kind = type(model).__name__
        if kind in ("DataParallel", "DistributedDataParallel") and is_module(getattr(model, "module", None)):
            model = model.module
        elif kind == "OptimizedModule":
            model = model._orig_mod
        else:
            return model


@dataclass(slots=True)
class Tree:
    """The modules that a model holds, by their ids, with the way to each."""

    root: Any
    paths: dict[int, str] = field(default_factory=dict)
    modules: dict[int, Any] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    """Those that are not registered as modules."""
    aside: set[int] = field(default_factory=set)
    """Those that are not registered, and are not trained either: kept apart on purpose, as a teacher is."""

    def name(self, module: Any) -> str:
        """What the user calls a module."""
        return self.paths.get(id(module)) or type(module).__name__

    def around(self, path: str) -> Any:
        """The part of the model that holds what is at the end of a path; None if that is the model itself."""
        above = path.rpartition(".")[0]
        return next((self.modules[key] for key, name in self.paths.items() if above and name == above), None)

    def add(self, path: str, module: Any, hidden: bool) -> None:
        """Note a module and what is in it, unless it is known."""
        new = [
            (f"{path}.{name}" if path and name else path or name, inner)
            for name, inner in module.named_modules()
            if id(inner) not in self.modules
        ]
        trains = module.training or any(parameter.requires_grad for parameter in module.parameters())
        for name, inner in new:
            self.paths[id(inner)] = name
            self.modules[id(inner)] = inner
            if hidden:
                self.hidden.add(id(inner))
                if not trains:
                    self.aside.add(id(inner))
        for name, inner in new:
            for attribute, value in list(vars(inner).items()):
                if attribute in _OWN_ATTRIBUTES:
                    continue
                for place, found in _inside(value, f"{name}.{attribute}" if name else attribute, _DEPTH):
                    if id(found) not in self.modules:
                        self.add(place, found, True)


_OWN_ATTRIBUTES = {
    "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_pre_hooks", "_backward_hooks",
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
}  # fmt: skip


def _inside(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if is_module(value):
        yield path, value
    elif depth and isinstance(value, list | tuple | set):
        for number, item in enumerate(value):
            yield from _inside(item, f"{path}[{number}]", depth - 1)
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(item, f"{path}[{key!r}]", depth - 1)


def tree(model: Any) -> Tree:
    """The modules of a model. Registered ones come first, for a list of these is an index and hides nothing."""
    found = Tree(model)
    found.add("", model, False)
    return found


def tensors(module: Any) -> Iterator[tuple[Place, Any]]:
    """The tensors that a module itself keeps, in attributes and in lists and dicts of these."""
    import torch

    for kept in (module._parameters, module._buffers):
        for name, value in list(kept.items()):
            if value is not None:
                yield Place(module, name), value
    for name, value in list(vars(module).items()):
        if name in _OWN_ATTRIBUTES:
            continue
        if isinstance(value, torch.Tensor):
            yield Place(module, name), value
        elif isinstance(value, list | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in list(items):
                if isinstance(item, torch.Tensor):
                    yield Place(module, name, key), item


def is_unmade(tensor: Any) -> bool:
    """Whether a lazy module has still to learn its shape."""
    return any(base.__name__ == "UninitializedTensorMixin" for base in type(tensor).__mro__)


def find(known: Tree) -> list[Part]:
    """The layers that may normalise, in the order in which the model holds them."""
    found: list[Part] = []
    for module in known.modules.values():
        if id(module) in known.aside:
            continue
        if is_norm(module):
            found.extend(_of_pytorch(module, known))
        else:
            found.extend(_by_name(module, known))
    return found


def part_of(
    known: Tree, module: Any, key: str, api: str, mean: Place | None, variance: Place | None, **more: Any
) -> Part:
    """A layer that a module holds, with what PyTorch's names say of it."""
    statistics = None if mean is None else mean.get()
    seen = LayerSeen(
        key,
        key,
        api,
        "pytorch",
        None,
        channels=0 if statistics is None else int(statistics.numel()),
        has_statistics=statistics is not None,
        **more,
    )
    dtype = "float32" if statistics is None else str(statistics.dtype).removeprefix("torch.")
    norm = Norm(seen, dtype)
    if id(module) in known.hidden:
        norm.faults.append(Fault("BN112", NOT_REGISTERED, frozenset({2, 4, 8, 10})))
    for place in (mean, variance):
        if place is not None and not _is_scripted(module) and not place.is_saved:
            norm.faults.append(Fault("BN112", PLAIN_TENSORS, frozenset({10})))
            break
    if _is_scripted(module):
        norm.unseen = _SCRIPTED
    return Part(norm, module, known.paths.get(id(module), ""), mean, variance)


def _of_pytorch(module: Any, known: Tree) -> Iterator[Part]:
    if module.running_mean is None:
        if _is_instance_norm(module):
            return
        mean = variance = None
    elif is_unmade(module.running_mean):
        return
    else:
        mean, variance = Place(module, "running_mean"), Place(module, "running_var")
    part = part_of(
        known,
        module,
        known.name(module),
        api_of(module),
        mean,
        variance,
        epsilon=float(module.eps),
        momentum=None if mean is None or module.momentum is None else 1 - float(module.momentum),
    )
    part.gamma, part.beta = Place(module, "weight"), Place(module, "bias")
    part.norm.by_choice = not module.track_running_stats
    if _is_instance_norm(module):
        part.norm.why_not = "it normalises each sample with statistics of its own"
    yield part


def api_of(module: Any) -> str:
    """The canonical name of PyTorch's class, or the name of one's own."""
    kind = type(module)
    return f"torch.nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.") else kind.__qualname__


def _by_name(module: Any, known: Tree) -> Iterator[Part]:
    """The pairs of statistics that a module keeps under telling names."""
    own = {
        place.name: tensor
        for place, tensor in tensors(module)
        if place.item is None and not tensor.requires_grad and not is_unmade(tensor)
    }
    vectors = {name: tensor for name, tensor in own.items() if _is_vector(tensor)}
    found = list(dict(pairs(vectors)).items())
    scripted = _is_scripted(module)
    for mean, variance in found:
        key = known.name(module) if len(found) == 1 else f"{known.name(module)}.{mean}"
        epsilon = first_number(module, EPSILONS)
        part = part_of(
            known,
            module,
            key,
            str(getattr(module, "original_name", "")) or type(module).__qualname__,
            Place(module, mean),
            Place(module, variance),
            epsilon=USUAL_EPSILONS[0] if epsilon is None else epsilon,
            updates="by hand",
        )
        part.by_name = not scripted
        part.norm.one_pass = True
        part.norm.epsilons = USUAL_EPSILONS if epsilon is None else ()
        for name, place in _scales(module, part).items():
            setattr(part, name, place)
        yield part


def _is_vector(tensor: Any) -> bool:
    shape = [size for size in tensor.shape if size != 1]
    return tensor.is_floating_point() and tensor.dim() > 0 and len(shape) <= 1


def _scales(module: Any, part: Part) -> dict[str, Place]:
    """Where gamma and beta are, by name and size."""
    found = {}
    size = part.norm.seen.channels
    for name, words in (("gamma", GAMMAS), ("beta", BETAS)):
        fitting = (word for word in words if _size(getattr(module, word, None)) == size)
        word = next(fitting, None)
        if word is not None:
            found[name] = Place(module, word)
    return found


def _size(value: Any) -> int:
    import torch

    return int(value.numel()) if isinstance(value, torch.Tensor) else -1


def plain(value: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    import torch

    return numbers(value) if isinstance(value, torch.Tensor) else value
