"""Collects what is seen of a running script, and writes it to the journal from time to time.

A backend asks it where the user's code is, adds layers and runs under ``lock``, and says when a training step begins
and when it has been done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bnlint.runtime.observed import CheckpointSeen, LayerSeen, Observed, RunSeen
from bnlint.runtime.script import journal
from bnlint.runtime.script.frames import Frames

_SHARE = 0.4
"""Observation may take this much of the time that the script takes on its own: less than the half that is promised,
because whole samples are taken."""
_ALWAYS = 3
"""So many samples of each kind of run are taken whatever they cost."""
_OFTEN = 20
"""So many are taken one after the other; then fewer and fewer."""
_INTERVAL = 0.5
"""Seconds between two looks at whether there is something to write."""
_WRITING = 0.02
"""The share of the time that writing may take."""
_MOST_KINDS = 400
"""More kinds of runs are not told apart: a script that builds its graph anew in each step has one in each step."""


class EnoughSteps(BaseException):
    """Ends the script as a success; not an Exception, so that the script does not take it for an error of its own."""


class Recorder:
    """What was seen so far."""

    def __init__(
        self, entry: str, path: str, frames: Frames, max_steps: int | None = None, every: int | None = None
    ) -> None:
        self.observed = Observed(entry)
        self.frames = frames
        self.lock = threading.RLock()
        self.every = every
        """Look at every such run; None lets the time decide."""
        self.spent = 0.0
        """Seconds that observation took."""
        self.refused = ""
        self._path = path
        self._max_steps = max_steps
        self._started = time.perf_counter()
        self._raised = 0
        self._pid = os.getpid()
        self._layers: dict[str, LayerSeen] = {}
        self._runs: dict[str, RunSeen] = {}
        self._order = 0
        self._changed = True
        self._written = 0.0
        self._writing = 0.0
        self._before_writing: list[Callable[[], None]] = []

    # What backends call.

    @property
    def active(self) -> bool:
        """False in a forked child: only the process of the script is observed."""
        return os.getpid() == self._pid

    def before_writing(self, prepare: Callable[[], None]) -> None:
        """Call something before the state is written, under the lock."""
        self._before_writing.append(prepare)

    def framework(self, name: str, version: str) -> None:
        """A framework was imported."""
        with self.lock:
            self.observed.frameworks[name] = version
            self.changed()

    def layer(self, key: str, make: Callable[[], LayerSeen]) -> LayerSeen:
        """The layer of a key; it is made when it is seen for the first time."""
        with self.lock:
            if key not in self._layers:
                self._layers[key] = make()
                self.observed.layers.append(self._layers[key])
                self.changed()
            return self._layers[key]

    def run(self, key: str, make: Callable[[], RunSeen]) -> RunSeen | None:
        """The runs of a kind, with one more of them counted; None if there are too many kinds."""
        with self.lock:
            self._order += 1
            if key not in self._runs:
                if len(self._runs) >= _MOST_KINDS:
                    self.note(
                        f"There are more than {_MOST_KINDS} kinds of runs, for example because the graph is built "
                        "anew in each step; those after that were not looked at."
                    )
                    return None
                made = self._runs[key] = make()
                made.order = self._order
                self.observed.runs.append(made)
            self._runs[key].count += 1
            self._runs[key].last = self._order
            self.changed()
            return self._runs[key]

    def checkpoint(self, seen: CheckpointSeen) -> None:
        """A checkpoint or an export; the same one is told once."""
        with self.lock:
            if seen not in self.observed.checkpoints:
                self.observed.checkpoints.append(seen)
                self.changed()

    def note(self, sentence: str) -> None:
        """A sentence about what cannot be observed; the same one is said once."""
        with self.lock:
            if sentence not in self.observed.notes:
                self.observed.notes.append(sentence)
                self.changed()

    def step_begins(self) -> None:
        """A training step is about to be made.

        Raises EnoughSteps when as many have been made as were asked for.
        """
        if self._max_steps is None or self.observed.train_steps < self._max_steps or not self.active:
            return
        self.observed.ended = "max-steps"
        self._raised += 1
        if self._raised > 3 or threading.current_thread() is not threading.main_thread():
            # The script catches everything, or this is not the thread whose end is the script's.
            self.flush()
            os._exit(0)
        raise EnoughSteps

    def step_done(self, steps: int = 1) -> None:
        """Training steps have been made."""
        with self.lock:
            self.observed.train_steps += steps
            self.changed()

    def wanted(self, seen: int, sampled: int) -> bool:
        """Whether to look closely at a run, of whose kind there have been ``seen`` and looked at ``sampled``."""
        if not self.active:
            return False
        if self.every:
            return seen % self.every == 0
        if sampled < _ALWAYS:
            return True
        own = time.perf_counter() - self._started - self.spent
        if self.spent > _SHARE * own:
            return False
        # After the first ones at every step that is a tenth farther on.
        return sampled < _OFTEN or seen >= _OFTEN * 1.1 ** (sampled - _OFTEN)

    @contextmanager
    def observing(self) -> Iterator[None]:
        """What is done in it is not the script's work: its time is counted, and its errors do not reach the script."""
        begin = time.perf_counter()
        try:
            yield
        except Exception as error:  # whatever goes wrong here, the script must run as if nobody watched
            if os.environ.get("BNLINT_TRACEBACK"):
                raise
            self.note(
                f"Something could not be observed, which is a fault of bnlint ({type(error).__name__}: {error})."
            )
        finally:
            self.spent += time.perf_counter() - begin

    # What the child calls.

    def begin(self) -> None:
        """The script starts now."""
        self._started = time.perf_counter()
        self.spent = 0.0
        self.flush()
        threading.Thread(target=self._write_now_and_then, name="bnlint-journal", daemon=True).start()

    def changed(self) -> None:
        """There is something new to write."""
        self._changed = True

    def flush(self) -> None:
        """Write the state, if it has changed."""
        # Only the thread of the script may bring to an end what is under way, which another write left out.
        ends = threading.current_thread() is threading.main_thread()
        if not self.active or not (self._changed or ends):
            return
        begin = time.perf_counter()
        with self.lock:
            for prepare in self._before_writing:
                prepare()
            if not self._changed:
                return
            self.observed.seconds = begin - self._started
            self._changed = False
            journal.write(self._path, self.observed, self.refused)
        self._written = time.perf_counter()
        self._writing = self._written - begin

    def _write_now_and_then(self) -> None:
        while self.active:
            time.sleep(max(_INTERVAL, self._writing / _WRITING))
            try:
                self.flush()
            except OSError:
                # The disk may be full now and not later; the script is not to suffer from it.
                self._changed = True
