"""Modules as a whole: their modes, and their copies."""

from __future__ import annotations

import copy
import sys
from types import CodeType, FrameType
from typing import Any

from bnlint.runtime.backends.pytorch_eager import patches
from bnlint.runtime.backends.pytorch_eager.known import Known, value_of
from bnlint.runtime.backends.pytorch_eager.patches import around
from bnlint.runtime.backends.pytorch_eager.watch import Watch

_PATCHES = patches.__name__
_COPIES: CodeType = copy._reconstruct.__code__  # type: ignore[attr-defined]


def observe(watch: Watch) -> None:
    """Patch what switches modes, what makes copies, and what replaces statistics."""
    import torch
    import torch.optim.swa_utils

    modules = _Modules(watch)
    around(torch.nn.modules.batchnorm._NormBase, "reset_running_stats", modules.reset)
    around(torch.optim.swa_utils.AveragedModel, "update_parameters", modules.average)
    around(torch.nn.Module, "train", modules.train)
    around(torch.nn.Module, "_apply", modules.convert)
    around(torch.nn.Module, "__setstate__", modules.set_state)


class _Modules:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def train(self, original: Any, module: Any, *arguments: Any, **keywords: Any) -> Any:
        """``train``, which ``eval`` calls, too, and which calls that of the parts."""
        watch = self._watch
        if watch.local.switching or not watch.recorder.active:
            return original(module, *arguments, **keywords)
        watch.local.switching = True
        try:
            result = original(module, *arguments, **keywords)
        finally:
            watch.local.switching = False
        with watch.recorder.observing():
            watch.switches.switched(module, bool(module.training))
        return result

    def reset(self, original: Any, layer: Any) -> None:
        """``reset_running_stats``, which matters to a layer that has learned some."""
        watch = self._watch
        learned = False
        if watch.recorder.active:
            with watch.recorder.observing():
                mean = value_of(layer.running_mean, copy=False)
                learned = mean is not None and bool(mean.any())
        original(layer)
        if learned:
            with watch.recorder.observing():
                watch.registry.replaced(layer, "reset", watch.stacks.places(sys._getframe(1)))

    def average(self, original: Any, averaged: Any, *arguments: Any, **keywords: Any) -> None:
        """``update_parameters`` of an ``AveragedModel``, which takes the statistics of the last model."""
        original(averaged, *arguments, **keywords)
        watch = self._watch
        if watch.recorder.active:
            with watch.recorder.observing():
                others = (getattr(averaged, name, None) for name in ("avg_fn", "multi_avg_fn", "use_buffers"))
                # The first one is a copy of the model.
                if not any(others) and int(averaged.n_averaged) > 1:
                    watch.registry.replaced(averaged, "averaged", watch.stacks.places(sys._getframe(1)))

    def convert(self, original: Any, module: Any, *arguments: Any, **keywords: Any) -> Any:
        """``_apply``, which ``half``, ``to`` and the like call, and which calls that of the parts."""
        watch = self._watch
        if watch.local.switching or not watch.recorder.active:
            return original(module, *arguments, **keywords)
        before: dict[Known, str] = {}
        with watch.recorder.observing():
            before = {known: known.seen.statistics_type for known in watch.registry.under(module)}
        watch.local.switching = True
        try:
            result = original(module, *arguments, **keywords)
        finally:
            watch.local.switching = False
        with watch.recorder.observing():
            site = next(iter(watch.stacks.places(sys._getframe(1))), None)
            for known in watch.registry.under(module):
                if known.seen.statistics_type != before.get(known, known.seen.statistics_type):
                    known.converted = site
        return result

    def set_state(self, original: Any, module: Any, state: Any) -> None:
        """``__setstate__``, with which a copy begins."""
        import torch

        original(module, state)
        watch = self._watch
        if watch.recorder.active and isinstance(module, torch.nn.modules.batchnorm._NormBase):
            with watch.recorder.observing():
                # `copy.deepcopy` may have been imported by name before; what it copies is in its frame.
                frame: FrameType | None = sys._getframe(1)
                while frame is not None and frame.f_globals.get("__name__") == _PATCHES:
                    frame = frame.f_back
                if frame is not None and frame.f_code is _COPIES:
                    watch.registry.copying(module, frame.f_locals["x"])
