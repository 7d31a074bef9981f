"""Gradients of a network by the examples that it is given, which may become a part of the loss."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.pytorch_eager.patches import around, leave_alone
from bnlint.runtime.backends.pytorch_eager.steps import Episode
from bnlint.runtime.backends.pytorch_eager.watch import Watch

_CREATE_GRAPH = 4
"""The position of this argument of ``torch.autograd.grad``."""


def observe(watch: Watch) -> None:
    """Patch ``torch.autograd.grad``."""
    import torch

    leave_alone(_Used.__call__)
    around(torch.autograd, "grad", _Derivatives(watch).taken)


class _Derivatives:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.asked = 0
        """How many gradients are being computed that are not added up in weights."""

    def taken(self, original: Any, *arguments: Any, **keywords: Any) -> Any:
        """``torch.autograd.grad``."""
        watch = self._watch
        again = arguments[_CREATE_GRAPH] if len(arguments) > _CREATE_GRAPH else keywords.get("create_graph")
        before: list[tuple[Episode, set[int], bool]] = []
        if again and watch.recorder.active:
            with watch.recorder.observing():
                before = [(each, set(each.tasks), each.differentiated) for each in watch.steps.waiting]
        self.asked += 1
        try:
            results = original(*arguments, **keywords)
        finally:
            self.asked -= 1
        if before:
            with watch.recorder.observing():
                inputs = _tensors(arguments[1] if len(arguments) > 1 else keywords["inputs"])
                site = next(iter(watch.stacks.places(sys._getframe(1))), None)
                for episode, tasks, differentiated in before:
                    if episode.tasks != tasks:
                        # What was recorded stays, for a backward pass through the gradient.
                        episode.differentiated = differentiated
                        self._follow(episode, episode.tasks - tasks, inputs, _tensors(results), site)
        return results

    def _follow(
        self,
        episode: Episode,
        tasks: set[int],
        inputs: list[Any],
        gradients: list[Any],
        site: Location | None,
    ) -> None:
        """Let a backward pass through the gradients by examples be seen."""
        batches = ((episode.given.get(id(each)), each) for each in inputs)
        if site is None or not any(batch is not None and batch() is each for batch, each in batches):
            return
        keys = set().union(*(episode.reached[task] for task in tasks))
        used = _Used(self, episode, keys, site)
        for gradient in gradients:
            if gradient.grad_fn is not None:
                gradient.grad_fn.register_prehook(used)


class _Used:
    """What autograd calls when a backward pass goes through a gradient."""

    def __init__(self, derivatives: _Derivatives, episode: Episode, keys: set[str], site: Location) -> None:
        """``keys`` are those of the layers that the gradient went through."""
        self._derivatives = derivatives
        self._episode = episode
        self._keys = keys
        self._site = site

    def __call__(self, gradients: Any) -> None:
        """A loss depends on it, unless another gradient is asked for."""
        if not self._derivatives.asked:
            # The second derivative need not go through the layer itself.
            self._episode.differentiated = self._episode.added = True
            for found in self._episode.looked:
                if found.known.seen.key in self._keys:
                    found.penalised = self._site


def _tensors(value: Any) -> list[Any]:
    """The tensors of an argument or a result that is one or several."""
    import torch

    values: Sequence[Any] = (
        list(value.values())
        if isinstance(value, dict)
        else [value]
        if isinstance(value, torch.Tensor)
        else value
    )
    return [each for each in values if isinstance(each, torch.Tensor)]
