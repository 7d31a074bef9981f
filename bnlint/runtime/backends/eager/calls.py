"""Which layers are being called, and who told them the phase."""

from __future__ import annotations

import inspect
import weakref
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.said import Sources
from bnlint.runtime.backends.eager.where import line_of
from bnlint.runtime.script.frames import Frames


@dataclass(eq=False, slots=True)
class Call:
    """A call of a layer that is under way."""

    layer: Any
    given: bool
    """Whether a phase was passed to it."""
    training: bool | None
    """The phase that was passed, if it is a plain value."""
    frame: FrameType | None
    """The user's frame that called it; None if the framework did."""
    site: Location | None = None
    """Filled in at once where the frame cannot be asked later."""
    noted: bool = False
    """Whether what the layer does was noted from within."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The phase of a layer in one call: the fields of ``Passage`` about it."""

    declared: bool | None
    origin: str
    fixed: bool | None = None
    site: Location | None = None
    """The line that decided: for a constant or a default."""
    fed: str = ""
    """What the user's call of the model passed on to the layer."""
    suspect: str = ""
    instead: str = ""


@dataclass(slots=True)
class LearningPhase:
    """What was said to the whole program, as tf-keras can be told."""

    value: bool | None = None
    site: Location | None = None


@dataclass(slots=True)
class Baked:
    """A phase that was passed when a functional model was built, and where; ``fixed`` if the framework keeps it
    whatever the model is told."""

    value: bool
    site: Location | None
    keeps: bool


@dataclass(slots=True)
class Phases:
    """Finds out who decided the phase of a layer."""

    frames: Frames
    sources: Sources
    learning_phase: LearningPhase = field(default_factory=LearningPhase)
    baked: weakref.WeakKeyDictionary[Any, Baked] = field(default_factory=weakref.WeakKeyDictionary)
    applied: weakref.WeakKeyDictionary[Any, Location] = field(default_factory=weakref.WeakKeyDictionary)
    """Where a layer was called when a functional model was built."""
    _positions: dict[Any, int] = field(default_factory=dict)

    def given(self, layer: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[bool, Any]:
        """Whether a phase is passed in a call, and which."""
        if "training" in keywords:
            value = keywords["training"]
        elif len(arguments) > 1 and any(isinstance(each, bool) for each in arguments[1:]):
            position = self._position(layer)
            value = arguments[position] if position < len(arguments) else None
        else:
            return False, None
        return value is not None, plain(value)

    def note_symbolic(self, call: Call, keeps: bool) -> None:
        """A layer is called to build a functional model."""
        site = self.site(call)
        if call.layer not in self.applied and site is not None:
            self.applied[call.layer] = site
        if call.given and call.training is not None and call.frame is not None:
            self.baked[call.layer] = Baked(call.training, site, keeps)

    def site(self, call: Call) -> Location | None:
        """Where the user called a layer; None if the framework did."""
        if call.site is None and call.frame is not None:
            call.site = line_of(self.frames, call.frame)
        return call.site

    def applied_at(self, stack: list[Call], layer: Any) -> Location | None:
        """The user's line that applied the innermost layer, or the model that it is part of."""
        if stack and stack[-1].frame is None and layer in self.applied:
            return self.applied[layer]
        return next((self.site(call) for call in reversed(stack) if call.frame is not None), None)

    def of(self, stack: list[Call], declared: bool | None) -> Phase:
        """Who decided the phase of the innermost layer; ``declared`` is what it came to."""
        told = [(depth, call) for depth, call in enumerate(stack) if call.given]
        for index in reversed(range(len(told))):
            depth, call = told[index]
            outer = told[index - 1][1] if index else None
            if call.frame is None:
                baked = self.baked.get(call.layer)
                if baked is not None and baked.value is call.training and (baked.keeps or outer is None):
                    return Phase(declared, "argument", True, baked.site)
                if baked is not None and not baked.keeps and call.training is (not baked.value):
                    instead = f"Keras 3 replaced the `training={baked.value}` of the model's description"
                    return Phase(declared, "context", False, baked.site, "", "BN211", instead)
                if outer is None:
                    return Phase(declared, "context", False)
                continue
            site = self.site(call)
            inside = depth > 0 or len(stack) == 1
            if inside and call.training is not None and self.sources.is_constant(site, call.training):
                return Phase(declared, "argument", True, site)
            if outer is not None and outer.training is call.training:
                continue
            if outer is None and depth > 0 and self.sources.is_name(site):
                # The default of a parameter of the layer around it.
                continue
            fed = str(call.training) if depth == 0 and call.training is not None else ""
            return Phase(declared, "argument", False if fed else None, fed=fed)
        return self._untold(stack, declared)

    def _untold(self, stack: list[Call], declared: bool | None) -> Phase:
        if self.learning_phase.value is not None and self.learning_phase.value is declared:
            return Phase(declared, "context", True, self.learning_phase.site)
        if not stack:
            return Phase(declared, "default")
        outermost = stack[0]
        if outermost.frame is None and getattr(outermost.layer, "_call_has_training_arg", True) is False:
            # Keras 3 passes the phase only to a model whose `call` takes it.
            name = type(outermost.layer).__name__
            instead = f"the `call` of `{name}` takes no `training`, so Keras 3 tells its layers no phase"
            return Phase(declared, "default", None, self._definition(outermost.layer), "", "BN108", instead)
        return Phase(declared, "default", None, self.site(outermost))

    def _definition(self, layer: Any) -> Location | None:
        code = getattr(inspect.unwrap(type(layer).call), "__code__", None)
        if code is None or not self.frames.is_users(code.co_filename):
            return None
        return self.frames.line(code.co_filename, code.co_firstlineno)

    def _position(self, layer: Any) -> int:
        function = getattr(type(layer), "call", None)
        if function not in self._positions:
            try:
                names = list(inspect.signature(function).parameters) if function is not None else []
            except (TypeError, ValueError):
                names = []
            # The first is the layer itself.
            self._positions[function] = names.index("training") - 1 if "training" in names else 1 << 30
        return self._positions[function]


def plain(value: Any) -> bool | None:
    """A phase as a bool, if it is no tensor of a graph."""
    if isinstance(value, (bool, int)):
        return bool(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return bool(value)
    if type(value).__name__ == "EagerTensor" and value.shape.rank == 0:
        return bool(value.numpy())
    return None
