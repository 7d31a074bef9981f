"""Eager TensorFlow 2, its compiled functions, and Keras: watches layers being called and weights being trained.

- ``watch``: what all of it shares; ``where`` and ``said``: the user's lines, and what they say about the phase.
- ``known``: the layers that normalise; ``calls``: which layers are being called, and who told them the phase.
- ``layers``, ``formula``, ``tapes``, ``trainers``: the patches, which ``keras3`` and ``legacy``
  apply to the two Kerases.
- ``look``: what a layer did with its input, told by the oracle.
- ``functions``: compiled functions. Into these nobody can look, so what they do is noted while they are traced, and
  the variables are read before and after they run.
- ``exports``: which layers are in training mode in models that are exported.
- ``steps``: from forward passes, gradients and updates of weights to runs and what they are for.

Nothing is added to a graph, no random number is drawn, and no variable is written: results are what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder


def observe(recorder: Recorder) -> None:
    """Patch TensorFlow, which has been imported."""
    import tensorflow

    from bnlint.runtime.backends.eager import exports, formula, functions, tapes, trainers
    from bnlint.runtime.backends.eager.watch import watch_of

    recorder.framework("tensorflow", str(tensorflow.__version__))
    watch = watch_of(recorder)
    functions.observe(watch)
    tapes.observe(watch)
    formula.observe(watch)
    trainers.observe_checkpoints(watch)
    exports.observe(watch)
