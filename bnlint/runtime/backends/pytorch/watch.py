"""Watching modules and PyTorch's formula while they run, and no longer.

Hooks for all modules and a mode for all functions of PyTorch leave no trace in the model. What is compiled by
``torch.compile`` runs as it is written meanwhile, and what is compiled by ``torch.jit`` cannot be seen.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bnlint.runtime.backends.pytorch.parts import Part, Tree, derives, is_norm, numbers, vector
from bnlint.runtime.oracle import Array, batch_statistics
from bnlint.runtime.subject import Application, kept

_FUNCTIONAL = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_NATIVE = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
_DEFAULTS = {"weight": None, "bias": None, "training": False, "momentum": 0.1, "eps": 1e-5}


@dataclass(slots=True, eq=False)
class Seen:
    """One layer that was applied once."""

    part: Part
    application: Application
    training: bool
    """The mode of the module that holds it."""
    said: bool | None
    """With PyTorch's formula: the phase that it was given."""
    again: Callable[[Any], Any]
    """Apply it to other data in the same way."""
    after: tuple[Array, Array] | None
    """The moving statistics then."""


@dataclass(slots=True)
class Stranger:
    """A use of PyTorch's formula for statistics that no known module holds."""

    key: str
    path: str
    module: Any
    """PyTorch's layer that did it; None if it was another module."""
    owner: Any
    mean: Any
    variance: Any
    said: bool
    momentum: float
    epsilon: float
    moments: tuple[Array, Array] | None


@dataclass(slots=True)
class _Frame:
    """A module that is running."""

    module: Any
    parts: list[Part]
    x: Any
    copied: Array
    before: dict[str, Any]
    told: bool = False


@dataclass(slots=True)
class Watch:
    """What is seen in one pass."""

    known: Tree
    parts: list[Part]
    whole: bool
    """Whether the statistics of each whole input are wanted."""
    seen: list[Seen] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    ran: set[int] = field(default_factory=set)
    """The ids of the modules that ran."""
    _stack: list[_Frame] = field(default_factory=list)
    _owners: dict[int, list[Part]] = field(default_factory=dict)
    _strange: dict[str, Part] = field(default_factory=dict)
    _times: dict[str, int] = field(default_factory=dict)
    _convolved: Any = None

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.initial is None:
                self._owners.setdefault(id(part.owner), []).append(part)
        self._strange = {part.norm.key: part for part in self.parts if part.places is None}

    def applications(self) -> list[Application]:
        """How layers were applied, in order."""
        return [seen.application for seen in self.seen]

    def enter(self, module: Any, args: tuple[Any, ...]) -> None:
        """A module begins to run."""
        parts = self._owners.get(id(module), [])
        if _is_backward():
            for each in parts:
                each.norm.recomputed = True
            return
        self.ran.add(id(module))
        x = args[0] if args and _is_numeric(args[0]) else None
        frame = _Frame(module, parts, x, None, {})
        part = _by_hand(parts)
        if part is not None and x is not None:
            # It may write into its input.
            frame.copied, frame.before = numbers(x).copy(), state(part)
        self._stack.append(frame)

    def leave(self, module: Any, y: Any) -> None:
        """A module has run."""
        if _is_backward():
            return
        while self._stack:
            frame = self._stack.pop()
            if frame.module is module:
                break
        else:
            return
        if derives(module, "_ConvNd", "torch.nn.modules.conv") and _is_numeric(y):
            self._convolved = weakref.ref(y)
        part = _by_hand(frame.parts)
        if part is None or frame.told or frame.copied is None or not _is_numeric(y):
            return
        self._note(part, frame, frame.x, frame.copied, y, frame.before, None, _call_again(module))

    def formula(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """PyTorch's formula is computed."""
        names = _FUNCTIONAL if function.__module__ == "torch.nn.functional" else _NATIVE
        given = {**_DEFAULTS, **dict(zip(names, args, strict=False)), **kwargs}
        x, mean = given.get("input"), given.get("running_mean")
        if _is_backward() or not _is_numeric(x):
            return function(*args, **kwargs)
        frame = self._stack[-1] if self._stack else None
        part = self._part_of(given, frame)
        if part is None:
            return function(*args, **kwargs)
        before = {
            "mean": None if mean is None else vector(mean),
            "variance": None if mean is None else vector(given["running_var"]),
            "gamma": None if given["weight"] is None else vector(given["weight"]),
            "beta": None if given["bias"] is None else vector(given["bias"]),
        }
        if mean is None or part.moments() is None:
            before["mean"], before["variance"] = part.moments() or (None, None)
        y = function(*args, **kwargs)
        _learn(part, given)
        said = bool(given["training"])
        alone = frame is not None and frame.x is x and len(frame.parts) == 1 and frame.parts[0] is part
        again = _call_again(frame.module) if frame and alone else _formula_again(part, function, given, names)
        self._note(part, frame, x, numbers(x), y, before, said, again)
        if frame is not None:
            frame.told = True
        return y

    def _note(
        self,
        part: Part,
        frame: _Frame | None,
        x: Any,
        values: Array,
        y: Any,
        before: dict[str, Any],
        said: bool | None,
        again: Callable[[Any], Any],
    ) -> None:
        import numpy

        results = numbers(y)
        axes = part.axes(values.shape)
        part.norm.seen.axes = list(axes)
        if self._convolved is not None and self._convolved() is x:
            part.norm.seen.channels_in = [1]
        where = kept(values.shape, axes)
        same = results.shape == values.shape
        if not same:
            part.norm.why_not = "it does more than normalise: its output has another shape than its input"
        application = Application(
            part.norm.key,
            numpy.array(values[where]),
            numpy.array(results[where] if same else results),
            str(y.dtype).removeprefix("torch."),
            batch_statistics(values, axes) if self.whole else None,
            examples=int(values.shape[0]),
            axes=axes,
            **before,
        )
        training = bool(part.owner.training if part.owner is not None else frame and frame.module.training)
        self.seen.append(Seen(part, application, training, said, again, part.moments()))

    def _part_of(self, given: dict[str, Any], frame: _Frame | None) -> Part | None:
        """Whose statistics are normalised with."""
        mean = given["running_mean"]
        if mean is not None:
            for part in self.parts:
                if part.mean is not None and part.mean.get() is mean:
                    return part
        if frame is not None and len(frame.parts) == 1:
            (part,) = frame.parts
            moments = part.moments()
            if mean is None or moments is None or (moments[0].tobytes() == vector(mean).tobytes()):
                return part
            part.norm.why_not = "it normalises parts of a batch with statistics of their own"
            return None
        if frame is None or id(frame.module) in self.known.aside:
            return None
        return self._stranger(given, frame)

    def _stranger(self, given: dict[str, Any], frame: _Frame) -> Part | None:
        around = next((each for each in reversed(self._stack) if id(each.module) in self.known.modules), None)
        path = self.known.paths[id(around.module)] if around is not None else ""
        module = (
            frame.module if is_norm(frame.module) and id(frame.module) not in self.known.modules else None
        )
        what = f"{path}.{type(module).__name__ if module is not None else 'batch_norm'}".lstrip(".")
        number = self._times[what] = self._times.get(what, 0) + 1
        key = what if number == 1 else f"{what}#{number}"
        mean, variance = given["running_mean"], given["running_var"]
        moments = None if mean is None else (vector(mean), vector(variance))
        self.strangers.append(
            Stranger(
                key,
                path,
                module,
                around.module if around is not None else frame.module,
                mean,
                variance,
                bool(given["training"]),
                float(given["momentum"]),
                float(given["eps"]),
                moments,
            )
        )
        return self._strange.get(key)


def _learn(part: Part, given: dict[str, Any]) -> None:
    """What a call of the formula says of a layer that does not say it itself."""
    part.by_formula, part.norm.epsilons, part.norm.one_pass = True, (), False
    if is_norm(part.owner) or part.initial is not None:
        return
    part.norm.seen.epsilon = float(given["eps"])
    if given["training"] and given["running_mean"] is not None and part.places is not None:
        part.norm.seen.momentum, part.norm.seen.updates = 1 - float(given["momentum"]), "in place"


def state(part: Part) -> dict[str, Any]:
    """What a layer normalises with now."""
    moments = part.moments()
    gamma, beta = (None if place is None else place.get() for place in (part.gamma, part.beta))
    return {
        "mean": None if moments is None else moments[0],
        "variance": None if moments is None else moments[1],
        "gamma": None if gamma is None else vector(gamma),
        "beta": None if beta is None else vector(beta),
    }


def _by_hand(parts: list[Part]) -> Part | None:
    """The layer that a module is, if it may compute without PyTorch's formula."""
    return parts[0] if len(parts) == 1 and not parts[0].by_formula and parts[0].mean is not None else None


def _is_numeric(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1


def _is_backward() -> bool:
    """Whether gradients are being computed: what runs then has run before."""
    import torch

    return bool(torch._C._current_graph_task_id() != -1)


def _call_again(module: Any) -> Callable[[Any], Any]:
    modes = [(each, each.training) for each in module.modules()]

    def again(x: Any) -> Any:
        for each, training in modes:
            each.training = training
        return module(x)

    return again


def _formula_again(
    part: Part, function: Callable[..., Any], given: dict[str, Any], names: tuple[str, ...]
) -> Callable[[Any], Any]:
    rest = {name: value for name, value in given.items() if name not in names}
    takes_statistics = given["running_mean"] is not None

    def again(x: Any) -> Any:
        new = {**given, "input": x}
        if takes_statistics and part.places is not None:
            new["running_mean"], new["running_var"] = (place.get() for place in part.places)
        return function(*(new[name] for name in names), **rest)

    return again


@contextlib.contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Within it, what runs is noted."""
    import torch
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "") == "batch_norm":
                return watch.formula(func, args, kwargs or {})
            return func(*args, **(kwargs or {}))

    with contextlib.ExitStack() as stack:
        # Whoever has not loaded the compiler has compiled nothing; loading it takes seconds.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for handle in (
            register_module_forward_pre_hook(lambda module, args: watch.enter(module, args)),
            register_module_forward_hook(
                lambda module, args, output: watch.leave(module, output), always_call=True
            ),
        ):
            stack.callback(handle.remove)
        stack.enter_context(Mode())
        yield
