"""Which modules are being called, and by which of the user's lines: read off the stack, so that no call is wrapped."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.script.frames import MOST_CALLERS, Frames

_CHECKPOINT = "torch/utils/checkpoint.py"
_RECOMPUTES = ("backward", "unpack_hook", "recompute_fn", "inner_unpack")
_ESTIMATES = ("torch/optim/swa_utils.py", "update_bn")


@dataclass(eq=False, slots=True)
class Stack:
    """The calls of modules that are under way, from the innermost to the outermost."""

    modules: list[Any]
    given: list[list[Any]]
    """What each of them is called with, by position and by name."""
    token: weakref.ref[Any] | None
    """Dies when the outermost call ends; None if that cannot be told."""
    caller: FrameType | None
    """The user's frame that called the outermost module, or the function if there is no module."""
    applied: FrameType | None
    """The user's innermost frame."""
    recomputes: bool = False
    """Whether activation checkpointing does a part of the forward pass again, within a backward pass."""
    checkpointed: bool = False
    """Whether activation checkpointing is at work."""
    checkpoint: FrameType | None = None
    """The user's frame that asked for it."""
    estimates: bool = False
    """Whether PyTorch itself estimates the statistics anew."""
    batch: Any = None
    """What the outermost module is called with: the first argument."""

    @property
    def innermost(self) -> Any:
        """The innermost module; None if there is none."""
        return self.modules[0] if self.modules else None

    @property
    def outermost(self) -> Any:
        """The outermost module; None if there is none."""
        return self.modules[-1] if self.modules else None


class Stacks:
    """Reads stacks."""

    def __init__(self, frames: Frames) -> None:
        import torch

        self._frames = frames
        self._call: CodeType = torch.nn.Module._call_impl.__code__
        self._known: dict[CodeType, str] = {}

    def read(self, frame: FrameType | None) -> Stack:
        """The stack from a frame outwards."""
        stack = Stack([], [], None, None, None)
        outermost: FrameType | None = None
        while frame is not None:
            code = frame.f_code
            if code is self._call:
                stack.modules.append(frame.f_locals["self"])
                stack.given.append([*frame.f_locals["args"], *frame.f_locals["kwargs"].values()])
                outermost, stack.caller = frame, None
            elif self._frames.is_users(code.co_filename):
                stack.applied = stack.applied or frame
                stack.caller = stack.caller or frame
                if stack.checkpointed and stack.checkpoint is None:
                    stack.checkpoint = frame
            else:
                self._note(stack, code)
            frame = frame.f_back
        if outermost is not None:
            stack.token = _token(outermost)
            stack.batch = next(iter(outermost.f_locals.get("args", ())), None)
        return stack

    def in_call(self, frame: FrameType | None) -> bool:
        """Whether a module is being called."""
        while frame is not None:
            if frame.f_code is self._call:
                return True
            frame = frame.f_back
        return False

    def places(self, frame: FrameType | None) -> list[Location]:
        """The user's lines from a frame outwards; at most ``MOST_CALLERS`` and one."""
        found = [self._frames.at(each) for each in self._users(frame)]
        return found[: MOST_CALLERS + 1]

    def codes(self, frame: FrameType | None) -> set[CodeType]:
        """The user's functions on the way to a frame; the module only if it is the innermost of them."""
        found: set[CodeType] = set()
        for each in self._users(frame):
            if not found or each.f_code.co_name != "<module>":
                found.add(each.f_code)
        return found

    def _users(self, frame: FrameType | None) -> Iterator[FrameType]:
        while frame is not None:
            if self._frames.is_users(frame.f_code.co_filename):
                yield frame
            frame = frame.f_back

    def _note(self, stack: Stack, code: CodeType) -> None:
        if code not in self._known:
            name = code.co_filename.replace("\\", "/")
            self._known[code] = (
                "recomputes" if name.endswith(_CHECKPOINT) and code.co_name in _RECOMPUTES
                else "checkpointed" if name.endswith(_CHECKPOINT)
                else "estimates" if name.endswith(_ESTIMATES[0]) and code.co_name == _ESTIMATES[1]
                else ""
            )  # fmt: skip
        known = self._known[code]
        stack.recomputes = stack.recomputes or known == "recomputes"
        stack.checkpointed = stack.checkpointed or known in ("checkpointed", "recomputes")
        stack.estimates = stack.estimates or known == "estimates"


def _token(frame: FrameType) -> weakref.ref[Any] | None:
    # The bound method that is called is made for this call, and only its frame keeps it. If the module holds a
    # function in its place, that lives on, and nothing tells when the call ends.
    forward = frame.f_locals.get("forward_call")
    return weakref.ref(forward) if hasattr(forward, "__self__") and hasattr(forward, "__func__") else None
