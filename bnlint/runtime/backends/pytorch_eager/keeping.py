"""Weights that are written and read, and models that are exported."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from bnlint.runtime.backends.pytorch_eager.known import FUNCTION, value_of
from bnlint.runtime.backends.pytorch_eager.patches import around
from bnlint.runtime.backends.pytorch_eager.watch import Watch
from bnlint.runtime.observed import CheckpointSeen

_MOST_NAMES = 20
_MOST_VALUES = 100_000
Note = Callable[..., CheckpointSeen | None]
"""From the arguments of a call to what is to be said about it."""
Made = Callable[[Any, CheckpointSeen], None]
"""Takes the result of a call, and what is to be said about it when it is saved."""


def observe(watch: Watch) -> None:
    """Patch what PyTorch has imported by itself; ``observe_onnx`` is for the rest."""
    import torch

    keeping = _Keeping(watch)
    _patch(watch, torch, "save", keeping.saved)
    _patch(watch, torch, "load", lambda *_, **__: None)
    _patch(watch, torch.nn.Module, "load_state_dict", keeping.restored)
    for holder, name, api in (
        (torch.jit, "trace", "torch.jit.trace"),
        (torch.jit, "trace_module", "torch.jit.trace_module"),
        (torch.export, "export", "torch.export.export"),
    ):
        _patch(watch, holder, name, keeping.exported(api), keeping.made)
    for holder, name in ((torch.jit, "save"), (torch.jit.ScriptModule, "save"), (torch.export, "save")):
        _patch(watch, holder, name, keeping.kept)


def observe_onnx(watch: Watch) -> None:
    """Patch ``torch.onnx``, which is imported when it is needed."""
    import torch.onnx

    _patch(watch, torch.onnx, "export", _Keeping(watch).exported_to_onnx)


def _patch(watch: Watch, holder: Any, name: str, note: Note, made: Made | None = None) -> None:
    """Put a function around one that keeps or reads something; what ``made`` takes is not said before it is saved."""
    import torch

    def called(original: Any, *arguments: Any, **keywords: Any) -> Any:
        local = watch.local
        if local.keeping or not watch.recorder.active:
            return original(*arguments, **keywords)
        seen: CheckpointSeen | None = None
        local.keeping = True
        try:
            # The mode and the weights are those of before.
            with watch.recorder.observing():
                seen = note(*arguments, **keywords)
            result = original(*arguments, **keywords)
        finally:
            local.keeping = False
        with watch.recorder.observing():
            if isinstance(result, torch.nn.Module) and name == "load":
                seen = _model_read(watch, result)
            if seen is not None:
                seen.site = seen.site or next(iter(watch.stacks.places(sys._getframe(1))), None)
                if made is not None:
                    made(result, seen)
                else:
                    watch.recorder.checkpoint(seen)
        return result

    around(holder, name, called)


class _Keeping:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._made: weakref.WeakKeyDictionary[Any, CheckpointSeen] = weakref.WeakKeyDictionary()
        """What was traced and not saved so far."""

    def made(self, result: Any, seen: CheckpointSeen) -> None:
        """What was traced may only be looked at: it is no export before somebody saves it."""
        self._made[result] = seen

    def kept(self, traced: Any, *_: Any, **__: Any) -> CheckpointSeen | None:
        """What was traced is saved: the export is where it was traced, and counts once."""
        return self._made.pop(traced, None)

    def saved(self, obj: Any, *_: Any, **__: Any) -> CheckpointSeen:
        """``torch.save``: layers whose weights are in it, and whose statistics are not, are incomplete."""
        import torch

        tensors = list(_tensors(obj))
        held = {_memory(each) for each in tensors}
        missing = []
        for known in self._watch.registry.all:
            module = known.module() if known.module is not None else None
            mean, gamma = getattr(module, "running_mean", None), getattr(module, "weight", None)
            if not isinstance(mean, torch.Tensor) or not isinstance(gamma, torch.Tensor):
                continue
            if _memory(gamma) in held and _memory(mean) not in held and not _is_among(mean, tensors):
                missing.append(known.seen.key)
        return CheckpointSeen(None, "torch.save", True, missing)

    def restored(
        self, module: Any, state_dict: Any, strict: bool = True, assign: bool = False
    ) -> CheckpointSeen:
        """``load_state_dict``."""
        names = set(state_dict)
        own = set(module.state_dict())
        paths = {id(part): f"{path}." if path else "" for path, part in module.named_modules()}
        missing = []
        for known in self._watch.registry.under(module):
            part = known.module() if known.module is not None else None
            path = paths.get(id(part))
            if path is None or part is None:
                continue
            if f"{path}weight" in names:
                self._watch.steps.restored.add(known.seen.key)
                if f"{path}running_mean" in own and f"{path}running_mean" not in names:
                    missing.append(known.seen.key)
        return CheckpointSeen(
            None,
            "torch.nn.Module.load_state_dict",
            False,
            missing,
            strict=bool(strict),
            left_out=sorted(own - names)[:_MOST_NAMES],
            unused=sorted(names - own)[:_MOST_NAMES],
        )

    def exported(self, api: str) -> Note:
        """What is said of an export by one of the functions that keep the mode of the model."""

        def note(model: Any = None, *_: Any, **keywords: Any) -> CheckpointSeen | None:
            return self._export(keywords.get("mod", keywords.get("func", model)), api, None)

        return note

    def exported_to_onnx(
        self, model: Any, *_: Any, dynamo: bool = True, training: Any = None, **__: Any
    ) -> CheckpointSeen | None:
        """``torch.onnx.export``: only the older way of it can be told to leave evaluation mode."""
        told = getattr(training, "name", "EVAL")
        if dynamo or told == "EVAL":
            return None
        return self._export(model, "torch.onnx.export", True if told == "TRAINING" else None)

    def _export(self, model: Any, api: str, training: bool | None) -> CheckpointSeen | None:
        """``training``: the mode that all layers are put into; None if they keep theirs."""
        import torch

        if not isinstance(model, torch.nn.Module):
            return None
        trains = []
        for known in self._watch.registry.under(model):
            part = known.module() if known.module is not None else None
            in_training = part is not None and (part.training if training is None else training)
            if in_training and known.seen.has_statistics and known.seen.api != FUNCTION:
                trains.append(known.seen.key)
        return CheckpointSeen(None, api, True, training_mode=trains)


def _model_read(watch: Watch, model: Any) -> CheckpointSeen:
    """``torch.load`` of a whole model; state dictionaries count when a model takes them."""
    watch.steps.restored |= {known.seen.key for known in watch.registry.under(model)}
    return CheckpointSeen(None, "torch.load", False)


def _memory(tensor: Any) -> tuple[int, int]:
    """What tells the memory of a tensor from that of others: a state dictionary has other tensors of the same."""
    return tensor.data_ptr(), tensor.numel()


def _is_among(tensor: Any, others: list[Any]) -> bool:
    """Whether there is a copy of a tensor."""
    values = value_of(tensor, copy=False)
    if values is None:
        return False
    alike = (value_of(each, copy=False) for each in others if each.shape == tensor.shape)
    return any(each is not None and bool((each == values).all()) for each in alike)


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors in nested containers, and those of modules."""
    import torch

    waiting, count = [value], 0
    while waiting and count < _MOST_VALUES:
        count += 1
        each = waiting.pop()
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, torch.nn.Module):
            waiting += [*each.parameters(), *each.buffers()]
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, (list, tuple)):
            waiting += each
