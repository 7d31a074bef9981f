"""PyTorch: modules that have a mode, and losses that are differentiated where they are computed."""

from __future__ import annotations

from typing import Any

WORDS = ((b"torch", b"timm"),)


def __getattr__(name: str) -> Any:
    if name != "FRAMEWORK":
        raise AttributeError(name)
    from bnlint.frameworks.pytorch.framework import FRAMEWORK

    return FRAMEWORK
