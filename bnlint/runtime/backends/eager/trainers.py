"""``fit``, ``evaluate``, ``predict`` and what belongs to them; models that are written and read."""

from __future__ import annotations

from typing import Any

from bnlint.runtime.backends.eager.known import identity
from bnlint.runtime.backends.eager.watch import Api, Watch
from bnlint.runtime.backends.eager.where import here
from bnlint.runtime.backends.tensorflow1.patches import Around, around_method
from bnlint.runtime.observed import CheckpointSeen

_METHODS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")


def observe(watch: Watch, model: type, trainer: type, prefix: str) -> None:
    """Patch the methods of a model; ``prefix`` begins the names of the APIs."""
    for name in _METHODS:
        around_method(trainer, name, _during(watch, f"{prefix}.Model.{name}"))
    for name, writes in (("save_weights", True), ("load_weights", False)):
        around_method(model, name, _keeps(watch, f"{prefix}.Model.{name}", writes))


def _during(watch: Watch, api: str) -> Around:
    def called(original: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        apis = watch.local.apis
        if not watch.recorder.active:
            return original(model, *arguments, **keywords)
        with watch.recorder.observing():
            # What `fit` evaluates was asked for by who asked for `fit`.
            places = apis[-1].places if apis else here(watch.recorder.frames)
            trainable = apis[-1].trainable if apis else watch.registry.trainable()
        apis.append(Api(api, places, trainable))
        try:
            return original(model, *arguments, **keywords)
        finally:
            apis.pop()

    return called


def _keeps(watch: Watch, api: str, writes: bool) -> Around:
    def called(original: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        result = original(model, *arguments, **keywords)
        keeps(watch, api, [model], writes=writes)
        return result

    return called


def keeps(watch: Watch, api: str, models: list[Any], *, writes: bool) -> None:
    """Models or their weights have been written or read."""
    recorder = watch.recorder
    if not recorder.active or watch.local.apis:
        return
    with recorder.observing():
        places = here(recorder.frames)
        if not writes:
            for model in models:
                variables = getattr(model, "variables", None)
                if isinstance(variables, (list, tuple)):
                    watch.steps.restored |= {identity(each) for each in variables}
        recorder.checkpoint(CheckpointSeen(places[0] if places else None, api, writes))


def observe_checkpoints(watch: Watch) -> None:
    """Patch the checkpoints of TensorFlow 2."""
    from tensorflow.python.checkpoint.checkpoint import Checkpoint

    def around(name: str, writes: bool) -> Around:
        def called(original: Any, checkpoint: Any, *arguments: Any, **keywords: Any) -> Any:
            result = original(checkpoint, *arguments, **keywords)
            keeps(watch, f"tf.train.Checkpoint.{name}", list(vars(checkpoint).values()), writes=writes)
            return result

        return called

    for name, writes in (("save", True), ("write", True), ("read", False), ("restore", False)):
        around_method(Checkpoint, name, around(name, writes))
