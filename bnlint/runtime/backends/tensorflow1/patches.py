"""Replaces functions of a framework by functions around them, wherever they are named."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

Around = Callable[..., Any]
"""Is called with the original function and the arguments that it declares, by position as far as they can be."""


def around(
    module: Any, name: str, wrapper: Around, packages: tuple[str, ...] = ("tensorflow", "tf_slim")
) -> None:
    """Put a function around ``module.name``, also where other modules have imported it by that or another name."""
    original = getattr(module, name, None)
    if original is None:
        return
    replaced = _wrapped(original, wrapper)

    for key, holder in list(sys.modules.items()):
        if key.split(".")[0] in packages:
            # Some modules compute their attributes; only those that are there count.
            for other, value in list(getattr(holder, "__dict__", {}).items()):
                if value is original:
                    setattr(holder, other, replaced)
    setattr(module, name, replaced)


def around_method(owner: type, name: str, wrapper: Around) -> None:
    """Put a function around a method; ``wrapper`` is called with the original, the object and the arguments."""
    original = owner.__dict__.get(name)
    if original is None:
        return
    setattr(owner, name, _wrapped(original, wrapper))


def _wrapped(original: Callable[..., Any], wrapper: Around) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def replaced(*arguments: Any, **keywords: Any) -> Any:
        try:
            given = signature.bind(*arguments, **keywords)
        except TypeError:
            # The function itself says what is wrong.
            return original(*arguments, **keywords)
        return wrapper(original, *given.args, **given.kwargs)

    # Some frameworks look at the arguments without following what is wrapped.
    replaced.__signature__ = signature  # type: ignore[attr-defined]
    return replaced
