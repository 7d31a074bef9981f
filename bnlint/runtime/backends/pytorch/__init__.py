"""PyTorch models as subjects.

- ``parts``: the modules of a model, and where those that may normalise keep what.
- ``watch``: what runs in a pass; ``found``: which modules normalise, told by what runs.
- ``model``: the subject; ``restore`` and ``checkpoint`` are what it needs for that.

PyTorch is imported by what runs a model, and by nothing before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bnlint.errors import UserError

if TYPE_CHECKING:
    from bnlint.runtime.backends.pytorch.model import TorchSubject


def subject(model: Any, batch: Any, given: dict[str, Any]) -> TorchSubject | None:
    """The subject for a model, if it is one of PyTorch."""
    from bnlint.runtime.backends.pytorch.parts import is_module

    if not is_module(model):
        return None
    unknown = set(given) - {"targets", "train", "infer", "factory"}
    if unknown:
        raise UserError(f"verify() does not know what {sorted(unknown)[0]} is for a {type(model).__name__}.")
    if batch is None:
        raise UserError("verify() needs a batch of input data: verify(model, batch).")
    from bnlint.runtime.backends.batches import Batch, mapped
    from bnlint.runtime.backends.pytorch.model import TorchSubject, first_of
    from bnlint.runtime.backends.pytorch.parts import plain

    inputs, targets = mapped(plain, first_of(batch)), mapped(plain, given.get("targets"))
    return TorchSubject(model, Batch.of(inputs, targets), given)
