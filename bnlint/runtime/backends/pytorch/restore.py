"""Put a PyTorch model, its optimizers, and all random state back to what they were, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bnlint.runtime.backends.pytorch.parts import is_unmade, tensors
from bnlint.runtime.backends.restore import Attributes
from bnlint.runtime.backends.restore import Random as PlainRandom


class Snapshot:
    """What modules and the random generators are now. As a context, it restores optimizers that make a step, too."""

    def __init__(self, modules: Iterable[Any]) -> None:
        self._modules = list(modules)
        self._modes = [(module, module.training) for module in self._modules]
        self._attributes = [(module, Attributes(module)) for module in self._modules]
        self._tensors: dict[int, _Kept] = {}
        self._parameters: set[int] = set()
        self._generators: list[tuple[Any, Any]] = []
        for module in self._modules:
            for _, tensor in tensors(module):
                if id(tensor) not in self._tensors and not is_unmade(tensor):
                    self._tensors[id(tensor)] = _Kept(tensor)
            self._parameters.update(id(each) for each in module._parameters.values() if each is not None)
            self._generators.extend(_generators(module))
        self._optimizers: dict[int, _Optimizer] = {}
        self.random = Random()

    def __enter__(self) -> Snapshot:
        import torch
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        def before_step(optimizer: Any, args: Any, kwargs: Any) -> None:
            if id(optimizer) not in self._optimizers:
                self._optimizers[id(optimizer)] = _Optimizer(optimizer)

        self._hook = register_optimizer_step_pre_hook(before_step)
        counted = tuple(kept.tensor for kept in self._tensors.values() if not kept.tensor.is_inference())
        # Gradients of what the user has computed before ask whether a tensor is still the one that it was.
        self._versions = torch.autograd._unsafe_preserve_version_counter(counted)
        self._versions.__enter__()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._hook.remove()
        self.restore()
        for optimizer in self._optimizers.values():
            optimizer.restore()
        self._versions.__exit__(None, None, None)

    def restore(self) -> None:
        """Put everything back but the optimizers."""
        for module, attributes in self._attributes:
            attributes.restore(module)
        self.restore_values()

    def restore_values(self) -> None:
        """Put the values of tensors, the modes and the random state back."""
        for kept in self._tensors.values():
            kept.restore()
        for module, training in self._modes:
            if module.training != training:
                module.training = training
        for generator, state in self._generators:
            generator.set_state(state)
        self.random.restore()

    def clear_gradients(self) -> None:
        """Let nobody add to the gradients that are there."""
        for kept in self._tensors.values():
            kept.clear_gradient()

    def restore_parameters(self) -> None:
        """Put the values of what is trained back."""
        for key in self._parameters & self._tensors.keys():
            self._tensors[key].restore_value()
            self._tensors[key].clear_gradient()


class _Kept:
    """A tensor, its value, and what autograd knows of it."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self._value = tensor.detach().clone()
        self._leaf = tensor.is_leaf
        self._requires_grad = tensor.requires_grad
        self._gradient = tensor.grad if self._leaf else None

    def restore(self) -> None:
        self.restore_value()
        if self._leaf:
            if self.tensor.requires_grad != self._requires_grad:
                self.tensor.requires_grad_(self._requires_grad)
            self.tensor.grad = self._gradient

    def restore_value(self) -> None:
        # Past autograd: what the user has computed with it must stay differentiable.
        data = self.tensor.data
        if data.shape == self._value.shape and data.dtype == self._value.dtype:
            data.copy_(self._value)
        else:
            self.tensor.data = self._value.clone()

    def clear_gradient(self) -> None:
        if self._leaf:
            self.tensor.grad = None


class _Optimizer:
    """The state and the settings of an optimizer."""

    def __init__(self, optimizer: Any) -> None:
        import torch

        self._optimizer = optimizer
        self._state = {
            parameter: {
                name: (value, value.detach().clone() if isinstance(value, torch.Tensor) else None)
                for name, value in state.items()
            }
            for parameter, state in optimizer.state.items()
        }
        self._groups = [dict(group) for group in optimizer.param_groups]

    def restore(self) -> None:
        state = self._optimizer.state
        state.clear()
        for parameter, kept in self._state.items():
            for name, (value, copy) in kept.items():
                if copy is not None:
                    value.data.copy_(copy)
                state[parameter][name] = value
        for group, before in zip(self._optimizer.param_groups, self._groups, strict=True):
            group.clear()
            group.update(before)


class Random:
    """The random state of Python, NumPy and PyTorch."""

    def __init__(self) -> None:
        self._plain = PlainRandom()
        self._states = _random_states()

    def differs(self) -> bool:
        """Whether numbers were drawn since."""
        now = _random_states()
        return self._plain.differs() or any(
            not old.equal(new) for old, new in zip(self._states, now, strict=False)
        )

    def restore(self) -> None:
        """Put it back."""
        import torch

        self._plain.restore()
        torch.set_rng_state(self._states[0])
        if len(self._states) > 1:
            torch.cuda.set_rng_state_all(self._states[1:])


def _random_states() -> list[Any]:
    import torch

    states = [torch.get_rng_state()]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states.extend(torch.cuda.get_rng_state_all())
    return states


def _generators(module: Any) -> list[tuple[Any, Any]]:
    import torch

    return [
        (value, value.get_state()) for value in vars(module).values() if isinstance(value, torch.Generator)
    ]
