"""Where in the user's code the layers of a model are built."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import bnlint
from bnlint.findings import Location
from bnlint.runtime.oracle import Verification


class Sites:
    """Notes the line of the user's code that builds each batch norm of Keras, and each module of PyTorch."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[str, int]] = {}
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        for name in ("keras", "tf_keras"):
            layers = getattr(sys.modules.get(name), "layers", None)
            kind = getattr(layers, "BatchNormalization", None)
            if kind is not None:
                self._watch(kind)
        torch = sys.modules.get("torch")
        if torch is not None:
            self._watch(torch.nn.Module)

    def __exit__(self, *ignored: object) -> None:
        for undo in self._undo:
            undo()

    def _watch(self, kind: Any) -> None:
        original, found = kind.__init__, self._found

        def init(layer: Any, *args: Any, **kwargs: Any) -> None:
            frame = sys._getframe(1)
            while frame is not None and (
                _is_init_of(layer, frame) or not is_of_the_user(frame.f_code.co_filename)
            ):
                frame = frame.f_back  # type: ignore[assignment]
            if frame is not None:
                found[id(layer)] = (frame.f_code.co_filename, frame.f_lineno)
            original(layer, *args, **kwargs)

        had = "__init__" in vars(kind)
        init.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        kind.__init__ = init
        self._undo.append(lambda: setattr(kind, "__init__", original) if had else delattr(kind, "__init__"))

    def tell(self, subject: Any, verification: Verification) -> None:
        """Write the lines into the figures of the layers."""
        layers = subject.layers()
        for figures in verification.layers:
            place = self._found.get(id(layers.get(figures.layer.key)))
            if place is not None:
                path = os.path.relpath(place[0]).replace(os.sep, "/")
                figures.layer.site = Location(path, place[1], 1, place[1], 1)


def _is_init_of(layer: Any, frame: Any) -> bool:
    """Whether a class of the user's own is making itself ready."""
    code = frame.f_code
    return (
        code.co_name == "__init__"
        and code.co_argcount > 0
        and frame.f_locals.get(code.co_varnames[0]) is layer
    )


def is_of_the_user(path: str) -> bool:
    """Whether a file is of the user's own code."""
    here = os.path.dirname(os.path.abspath(bnlint.__file__))
    return (
        not path.startswith((here, "<", sys.base_prefix))
        and "site-packages" not in path
        and os.path.exists(path)
    )
