"""Who put which module into training or evaluation mode, and where."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.pytorch_eager.known import Registry
from bnlint.runtime.backends.pytorch_eager.stack import Stacks
from bnlint.runtime.observed import SwitchSeen
from bnlint.runtime.script.recorder import Recorder


class Switches:
    """The calls of ``train`` and ``eval``."""

    def __init__(self, recorder: Recorder, registry: Registry, stacks: Stacks) -> None:
        self._recorder = recorder
        self._registry = registry
        self._stacks = stacks
        self._known: dict[tuple[Any, ...], SwitchSeen] = {}
        self._last: weakref.WeakKeyDictionary[Any, Location] = weakref.WeakKeyDictionary()

    def site(self, module: Any) -> Location | None:
        """The line that last put a layer into its mode; None if nobody did."""
        return self._last.get(module)

    def leaves_behind(self, model: Any) -> bool:
        """Whether a model alone is in evaluation mode, and nothing that it has, because PyTorch did not switch it."""
        if model is None or model.training or model in self._last:
            return False
        inside = [part for part in model.modules() if part is not model]
        return all(part.training for part in inside)

    def own(self, model: Any) -> Location | None:
        """Where the class of a model has an ``eval`` or a ``train`` of its own."""
        frames = self._recorder.frames
        for name in ("eval", "train"):
            code = getattr(getattr(type(model), name), "__code__", None)
            if code is not None and frames.is_users(code.co_filename):
                return frames.line(code.co_filename, code.co_firstlineno)
        return None

    def switched(self, module: Any, training: bool) -> None:
        """A module and its parts have been put into a mode."""
        import torch

        places = self._stacks.places(sys._getframe(1))
        site = places[0] if places else None
        if site is not None:
            self._last.update({part: site for part in module.modules() if part.training is training})
        layers = []
        for known in self._registry.under(module):
            part = known.module() if known.module is not None else None
            if part is not None and part.training is training:
                layers.append(known.seen.key)
        if not layers:
            return
        own = isinstance(module, torch.nn.modules.batchnorm._NormBase)
        key = (site, training, own, type(module).__name__)
        seen = self._known.get(key)
        if seen is None:
            seen = self._known[key] = SwitchSeen(site, training, type(module).__name__, own, places[1:])
            seen.order = len(self._recorder.observed.runs)
            self._recorder.observed.switches.append(seen)
        seen.count += 1
        seen.layers += [layer for layer in layers if layer not in seen.layers]
        self._recorder.changed()
