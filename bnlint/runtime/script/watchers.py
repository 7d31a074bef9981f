"""Which backends watch which framework, and how they are called when it is imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder

WATCHERS = {
    "tensorflow": ("bnlint.runtime.backends.tensorflow1", "bnlint.runtime.backends.eager"),
    "keras": ("bnlint.runtime.backends.eager.keras3",),
    "tf_keras": ("bnlint.runtime.backends.eager.legacy",),
    "tf_slim": ("bnlint.runtime.backends.tensorflow1.slim",),
    "torch": ("bnlint.runtime.backends.pytorch_eager",),
    "torch._dynamo.eval_frame": ("bnlint.runtime.backends.pytorch_eager.compiled",),
    "torch.onnx": ("bnlint.runtime.backends.pytorch_eager.onnx",),
}
"""By the module of a framework, modules with a function ``observe(recorder)``. It is called once, when the
framework has been imported, before the user's next line."""


def watch(recorder: Recorder) -> None:
    """Let the backends know when their framework is imported; one that is there already counts, too."""
    waiting = []
    for framework in WATCHERS:
        if framework in sys.modules:
            _start(framework, recorder)
        else:
            waiting.append(framework)
    sys.meta_path.insert(0, _Waiting(waiting, recorder))


def _start(framework: str, recorder: Recorder) -> None:
    for name in WATCHERS[framework]:
        importlib.import_module(name).observe(recorder)


class _Waiting(MetaPathFinder):
    """Finds nothing by itself; it lets the others find, and adds something to do after the import."""

    def __init__(self, frameworks: list[str], recorder: Recorder) -> None:
        self._frameworks = frameworks
        self._recorder = recorder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The place that the others know, with a loader that does one thing more."""
        if fullname not in self._frameworks or not self._recorder.active:
            return None
        self._frameworks.remove(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            # Whoever asks may only want to know whether it is installed.
            self._frameworks.append(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, lambda: self._imported(fullname))
        return spec

    def _imported(self, framework: str) -> None:
        if framework in self._frameworks:
            self._frameworks.remove(framework)
            _start(framework, self._recorder)


class _Then(Loader):
    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        # What is deferred by bnlint must not be seen by the framework.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._then()
