"""PyTorch: modules that have a mode, and losses that are differentiated where they are computed."""

from __future__ import annotations

from typing import Any

WORDS = (b"torch", b"timm")
"""A project in whose files none of these stands has nothing of it."""


def __getattr__(name: str) -> Any:
    if name != "FRAMEWORK":
        raise AttributeError(name)
    from bnlint.frameworks.pytorch.framework import FRAMEWORK

    return FRAMEWORK
