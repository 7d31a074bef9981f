"""TensorFlow 1 graphs: watches layers being built and sessions being run.

- ``graph``: questions asked of a graph; ``applied``: the norms in it.
- ``capture``, with ``layers``, ``slim`` and ``handmade``: what the script builds, noted while it builds it.
- ``session``: what each run executes, and what it is for; ``plan`` is worked out once for each kind of run.
- ``look``: what a run did with each layer, told by the oracle.
- ``feeds``: the phase that is fed, and whether data are those of the training.
- ``paths``: which norms lie before which weights.
- ``keeping``: checkpoints and exports; ``imported``: graphs that are read from files.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnlint.runtime.backends.tensorflow1.capture import Capture
    from bnlint.runtime.script.recorder import Recorder

_captures: dict[int, Capture] = {}


def capture_of(recorder: Recorder) -> Capture:
    """What notes the norms for a recorder."""
    from bnlint.runtime.backends.tensorflow1.capture import Capture

    return _captures.setdefault(id(recorder), Capture(recorder))


def observe(recorder: Recorder) -> None:
    """Patch TensorFlow, which has been imported."""
    import tensorflow

    from bnlint.runtime.backends.tensorflow1 import handmade, imported, keeping, optimizers, session, told

    recorder.framework("tensorflow", str(tensorflow.__version__))
    capture = capture_of(recorder)
    handmade.observe(capture)
    optimizers.observe(capture)
    session.observe(capture)
    keeping.observe(capture)
    imported.observe(capture)
    told.observe(recorder)
    tf_keras = sys.modules.get("tf_keras")
    # While it is being imported it imports TensorFlow, and is not ready to be patched.
    if tf_keras is not None and not getattr(tf_keras.__spec__, "_initializing", False):
        from bnlint.runtime.backends.tensorflow1 import layers

        layers.observe(capture)
        told.observe_keras(recorder)
