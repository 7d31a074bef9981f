"""A ``state_dict`` is written and read, by a fresh model where there is one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from bnlint.errors import UserError
from bnlint.runtime.backends.pytorch.parts import Part, is_unmade, tree, unwrap, vector
from bnlint.runtime.exceptions import short
from bnlint.runtime.oracle import Array
from bnlint.runtime.subject import CannotRun, RoundTrip

_WRAPPED_IN = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")


def round_trip(
    model: Any, parts: list[Part], factory: Callable[[], Any] | None, infer: Callable[[Any], list[Array]]
) -> RoundTrip:
    """Save the model's state, load it into a fresh model, and say what that knows then.

    Raises CannotRun.
    """
    import torch

    try:
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        # It was written a moment ago, by this process.
        saved = torch.load(file, map_location="cpu", weights_only=False)
    except Exception as error:
        raise CannotRun(f"the state_dict cannot be written ({short(error)})") from error
    if factory is not None:
        return _into_fresh(parts, factory, infer, saved)
    _overwrite(model, parts)
    _load(model, saved)
    back = {part.norm.key: moments for part in parts if (moments := _kept(part)) is not None}
    return RoundTrip("its state_dict saved, overwritten and loaded again", back, infer(model))


def _into_fresh(
    parts: list[Part], factory: Callable[[], Any], infer: Callable[[Any], list[Array]], saved: Any
) -> RoundTrip:
    try:
        fresh = unwrap(factory())
        if any(is_unmade(parameter) for parameter in fresh.parameters()):
            infer(fresh)
    except Exception as error:
        raise CannotRun(f"the factory made no second model ({short(error)})") from error
    if not _has_all(fresh, saved):
        # It makes some of its layers when it is first called.
        infer(fresh)
    _load(fresh, saved)
    held = tree(fresh)
    modules = {path: held.modules[key] for key, path in held.paths.items()}
    back = {}
    for part in parts:
        module = modules.get(part.path)
        if part.places is not None and module is not None:
            mean, variance = (vector(place.on(module).get()) for place in part.places)
            back[part.norm.key] = mean, variance
    how = "its state_dict saved and loaded into a model that the factory made"
    return RoundTrip(how, back, infer(fresh))


def _has_all(model: Any, saved: Any) -> bool:
    return set(saved) <= set(model.state_dict())


def _kept(part: Part) -> tuple[Array, Array] | None:
    return None if part.places is None else part.moments()


def _overwrite(model: Any, parts: list[Part]) -> None:
    """Give everything that a checkpoint holds other values, and the statistics whether it holds them or not."""
    known = {id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values() if _is_float(tensor)}
    for part in parts:
        for place in part.places or ():
            known[id(place.get())] = place.get()
    for tensor in known.values():
        tensor.data.neg_().sub_(1)


def _is_float(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _load(model: Any, saved: Any) -> None:
    try:
        model.load_state_dict(saved)
    except Exception as error:
        raise CannotRun(f"the state_dict cannot be loaded ({_told(error)})") from error


def load(model: Any, path: str) -> None:
    """Load a checkpoint that the user names into a model. Raises UserError."""
    import torch

    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} is not a checkpoint of torch.save() that holds tensors only: {short(error)}. Save the model's "
            "state_dict()."
        ) from error
    for name in _WRAPPED_IN:
        if isinstance(saved, dict) and isinstance(saved.get(name), dict):
            saved = saved[name]
    if isinstance(saved, dict):
        for prefix in _PREFIXES:
            if saved and all(str(name).startswith(prefix) for name in saved):
                saved = {name.removeprefix(prefix): value for name, value in saved.items()}
    try:
        unwrap(model).load_state_dict(saved)
    except Exception as error:
        raise UserError(f"The checkpoint {path} does not fit the model: {_told(error)}.") from error


def _told(error: Exception) -> str:
    """What does not fit, which PyTorch says below a heading."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    heading = (
        isinstance(error, RuntimeError) and len(lines) > 1 and lines[0].startswith("Error(s) in loading")
    )
    return lines[1].rstrip(" .")[:300] if heading else short(error).rstrip(".")
