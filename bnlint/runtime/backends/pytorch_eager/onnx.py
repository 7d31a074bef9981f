"""Patches ``torch.onnx``, which PyTorch imports when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnlint.runtime.backends.pytorch_eager import keeping
from bnlint.runtime.backends.pytorch_eager.watch import watch_of

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder


def observe(recorder: Recorder) -> None:
    """Patch it, now that it has been imported."""
    keeping.observe_onnx(watch_of(recorder))
