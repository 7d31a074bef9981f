"""Models that are exported: which layers are in training mode in what is served.

What a SavedModel serves is functions that are traced at the latest when it is written, and TensorFlow Lite converts a
SavedModel that it writes; what layers do in functions is noted while they are traced. A file of Keras (``.keras``,
``.h5``) holds no function. There the graph of layers is asked, in which Keras 2 keeps the phase that a layer was told.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from bnlint.findings import Location
from bnlint.runtime.backends.eager.calls import plain
from bnlint.runtime.backends.eager.functions import functions_of
from bnlint.runtime.backends.eager.known import Known, Registry
from bnlint.runtime.backends.eager.watch import Watch
from bnlint.runtime.backends.eager.where import here
from bnlint.runtime.backends.tensorflow1.patches import Around, around, around_method
from bnlint.runtime.observed import CheckpointSeen


def observe(watch: Watch) -> None:
    """Patch what chooses the functions of a SavedModel, and the converters of TensorFlow Lite."""
    from tensorflow.lite.python import lite
    from tensorflow.python.saved_model import signature_serialization

    exports = _Exports(watch)
    around(signature_serialization, "canonicalize_signatures", exports.serve)
    for converter in (lite.TFLiteKerasModelConverterV2, lite.TFLiteFrozenGraphConverterV2):
        around_method(converter, "__init__", exports.init)
        around_method(converter, "convert", exports.convert)


def observe_models(watch: Watch, model: type, saving: Any, package: str, *, keeps_baked: bool) -> None:
    """Patch what exports and saves models of one Keras.

    ``keeps_baked`` says whether a functional model keeps the phase that was passed when it was built.
    """
    exports = _Exports(watch)
    prefix = "tf.keras" if keeps_baked else "keras"
    around_method(model, "export", exports.export(f"{prefix}.Model.export"))
    around(saving, "save_model", exports.save(f"{prefix}.models.save_model", keeps_baked), (package,))


class _Exports:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._made: weakref.WeakKeyDictionary[Any, list[Location]] = weakref.WeakKeyDictionary()
        """Where converters were made."""

    def serve(self, original: Any, signatures: Any) -> Any:
        """The functions of a SavedModel are chosen."""
        chosen = original(signatures)
        with self._exporting("tf.saved_model.save"):
            functions = functions_of(self._watch)
            self._note(
                phase for function in chosen[0].values() for phase in functions.phases_in(function.graph)
            )
        return chosen

    def init(self, original: Any, converter: Any, *arguments: Any) -> None:
        """A converter is made, of a model or of functions."""
        original(converter, *arguments)
        if self._watch.recorder.active:
            with self._watch.recorder.observing():
                self._made[converter] = here(self._watch.recorder.frames)

    def convert(self, original: Any, converter: Any) -> Any:
        """``TFLiteConverter.convert``."""
        with self._exporting("tf.lite.TFLiteConverter", self._made.get(converter)):
            return original(converter)

    def export(self, api: str) -> Around:
        """``Model.export``."""

        def called(original: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
            with self._exporting(api):
                return original(model, *arguments, **keywords)

        return called

    def save(self, api: str, keeps_baked: bool) -> Around:
        """``save_model``, in which ``Model.save`` ends, too."""

        def called(original: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
            with self._exporting(api):
                result = original(model, *arguments, **keywords)
                if keeps_baked:
                    self._note(_baked(self._watch.registry, model))
            return result

        return called

    @contextmanager
    def _exporting(self, api: str, places: list[Location] | None = None) -> Iterator[None]:
        """An export is made within; what another one does on the way is part of that."""
        watch, local = self._watch, self._watch.local
        if local.exported is not None or local.apis or not watch.recorder.active:
            yield
            return
        found: dict[Known, bool] = {}
        local.exported = found
        try:
            yield
        finally:
            local.exported = None
        with watch.recorder.observing():
            places = places or here(watch.recorder.frames)
            site = places[0] if places else None
            training = [known.seen.key for known, always in found.items() if always]
            watch.recorder.checkpoint(CheckpointSeen(site, api, True, training_mode=training))

    def _note(self, phases: Iterable[tuple[Known, bool]]) -> None:
        """These layers are part of the export that is under way."""
        exported = self._watch.local.exported
        if exported is None:
            return
        with self._watch.recorder.observing():
            for known, training in phases:
                # What is there for inference as well is no mistake.
                exported[known] = training and exported.get(known, True)


def _baked(registry: Registry, model: Any) -> Iterator[tuple[Known, bool]]:
    """The layers of a graph of layers of Keras 2, and whether they train when the model is asked for inference."""
    for layer, told in _told(model, False):
        known = registry.get(layer)
        if known is not None:
            yield known, told and bool(layer.trainable)


def _told(model: Any, phase: bool) -> Iterator[tuple[Any, bool]]:
    """The layers of such a graph, with the phases that they get when the model is told this one."""
    for nodes in getattr(model, "_nodes_by_depth", {}).values():
        for node in nodes:
            kept = plain(node.call_kwargs.get("training"))
            own = phase if kept is None else kept
            if hasattr(node.layer, "_nodes_by_depth"):
                yield from _told(node.layer, own)
            else:
                yield node.layer, own
