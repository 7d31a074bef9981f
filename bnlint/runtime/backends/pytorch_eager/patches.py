"""Replaces functions of PyTorch by functions around them, which its compiler neither compiles nor looks into."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch._C._dynamo import eval_frame

Observer = Callable[..., Any]
"""Is called with the original function and the arguments."""

_observers: list[Observer] = []
"""Not in the closures of the functions below: the compiler reads these, even where it does not come to use them."""


def around(holder: Any, name: str, observer: Observer) -> Any:
    """Put a function around an attribute of a module or a class, and return it; compiled code runs the original."""
    original = getattr(holder, name)
    number = len(_observers)
    _observers.append(observer)

    def replaced(*arguments: Any, **keywords: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*arguments, **keywords)
        compiler = eval_frame.set_eval_frame(None)
        try:
            return _observers[number](original, *arguments, **keywords)
        finally:
            eval_frame.set_eval_frame(compiler)

    leave_alone(replaced)
    functools.update_wrapper(replaced, original)
    setattr(holder, name, replaced)
    return replaced


def hook(observer: Callable[..., None]) -> Callable[..., None]:
    """A function for PyTorch to call, as it calls hooks."""
    number = len(_observers)
    _observers.append(observer)

    def called(*arguments: Any) -> None:
        if not torch.compiler.is_compiling():
            compiler = eval_frame.set_eval_frame(None)
            try:
                _observers[number](*arguments)
            finally:
                eval_frame.set_eval_frame(compiler)

    leave_alone(called)
    return called


def leave_alone(function: Any) -> None:
    """Let the compiler leave a function as it is when it is called from code that is not compiled."""
    # Versions before this existed only compile what needs not be compiled, and run it as it is.
    if hasattr(eval_frame, "set_code_exec_strategy"):
        action = eval_frame._FrameAction
        strategy = eval_frame._FrameExecStrategy(action.SKIP, action.DEFAULT)
        eval_frame.set_code_exec_strategy(function.__code__, strategy)
