"""Optimizers: what changes weights, and what throws gradients away."""

from __future__ import annotations

import sys
from typing import Any

from bnlint.runtime.backends.pytorch_eager.patches import around, hook
from bnlint.runtime.backends.pytorch_eager.watch import Watch


def observe(watch: Watch) -> None:
    """Register hooks for all optimizers, and patch what sets gradients to zero."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    optimizers = _Optimizers(watch)
    register_optimizer_step_pre_hook(hook(optimizers.before))
    register_optimizer_step_post_hook(hook(optimizers.after))
    for kind in (torch.optim.Optimizer, torch.nn.Module):
        around(kind, "zero_grad", optimizers.zero_grad)


class _Optimizers:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def before(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        """A step is about to be made."""
        watch = self._watch
        if not watch.recorder.active:
            return
        joins = False
        with watch.recorder.observing():
            joins = watch.steps.joins(_changed(optimizer))
        if not joins:
            watch.recorder.step_begins()

    def after(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        """It has been made."""
        watch = self._watch
        if not watch.recorder.active:
            return
        with watch.recorder.observing():
            places = watch.stacks.places(sys._getframe(1))
            watch.local.episode = None
            watch.steps.apply(_changed(optimizer), places[0] if places else None)

    def zero_grad(self, original: Any, holder: Any, *arguments: Any, **keywords: Any) -> Any:
        """``zero_grad`` of an optimizer or a module."""
        watch = self._watch
        if watch.recorder.active:
            with watch.recorder.observing():
                watch.steps.thrown_away({id(each) for each in _parameters(holder)})
        return original(holder, *arguments, **keywords)


def _parameters(holder: Any) -> list[Any]:
    groups = getattr(holder, "param_groups", None)
    return (
        list(holder.parameters())
        if groups is None
        else [each for group in groups for each in group["params"]]
    )


def _changed(optimizer: Any) -> set[int]:
    return {id(each) for each in _parameters(optimizer) if each.requires_grad and each.grad is not None}
