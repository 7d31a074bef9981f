"""bnlint finds batch-normalization misuse in deep-learning code."""

from __future__ import annotations

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # `bnlint.verify` runs models; whoever only checks code must not pay for it.
    if name == "verify":
        from bnlint.runtime.verify import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
