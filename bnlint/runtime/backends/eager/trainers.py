"""``fit``, ``evaluate``, ``predict`` and what belongs to them; models that are written and read."""

from __future__ import annotations

from typing import Any

from bnlint.runtime.backends.eager.watch import Api, Watch
from bnlint.runtime.backends.eager.where import here
from bnlint.runtime.backends.tensorflow1.patches import Around, around_method
from bnlint.runtime.observed import CheckpointSeen

_METHODS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")


def observe(watch: Watch, model: type, trainer: type, prefix: str) -> None:
    """Patch the methods of a model; ``prefix`` begins the names of the APIs."""
    for name in _METHODS:
        around_method(trainer, name, _during(watch, f"{prefix}.Model.{name}"))
    for name, writes in (("save", True), ("save_weights", True), ("load_weights", False)):
        around_method(model, name, _keeps(watch, f"{prefix}.Model.{name}", writes))


def _during(watch: Watch, api: str) -> Around:
    def called(original: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        apis = watch.local.apis
        if not watch.recorder.active:
            return original(model, *arguments, **keywords)
        with watch.recorder.observing():
            # What `fit` evaluates was asked for by who asked for `fit`.
            places = apis[-1].places if apis else here(watch.recorder.frames)
        apis.append(Api(api, places))
        try:
            return original(model, *arguments, **keywords)
        finally:
            apis.pop()

    return called


def _keeps(watch: Watch, api: str, writes: bool) -> Around:
    def called(original: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(model, *arguments, **keywords)
        keeps(watch, api, writes)
        return result

    return called


def keeps(watch: Watch, api: str, writes: bool) -> None:
    """A model or its weights have been written or read."""
    recorder = watch.recorder
    if recorder.active and not watch.local.apis:
        with recorder.observing():
            places = here(recorder.frames)
            watch.steps.restored = watch.steps.restored or not writes
            recorder.checkpoint(CheckpointSeen(places[0] if places else None, api, writes))
