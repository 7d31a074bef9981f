"""Modules as a whole: their modes, and their copies."""

from __future__ import annotations

import copy
import sys
from types import CodeType, FrameType
from typing import Any

from bnlint.runtime.backends.pytorch_eager import patches
from bnlint.runtime.backends.pytorch_eager.patches import around
from bnlint.runtime.backends.pytorch_eager.watch import Watch

_PATCHES = patches.__name__
_COPIES: CodeType = copy._reconstruct.__code__  # type: ignore[attr-defined]


def observe(watch: Watch) -> None:
    """Patch what switches modes, and what makes copies."""
    import torch

    modules = _Modules(watch)
    around(torch.nn.Module, "train", modules.train)
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
